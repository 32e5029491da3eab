"""Preparation of a training set from a table of rated clips."""
