"""Shared helpers: errors, atomic files, locks, strict building, config loading, and the command line."""
