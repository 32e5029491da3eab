"""Parsers of public annotation formats, one per file."""
