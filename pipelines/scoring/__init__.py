"""Scoring of clips: relevance to queries, novelty, importance, captions, and trained models."""
