"""The web page and its HTTP API: sessions, worker processes, templates and static files.

Only `tools` imports this package.
"""
