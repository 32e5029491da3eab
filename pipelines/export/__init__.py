"""Output files of a summary: report, JSON, edit lists, and the folder they are written to."""
