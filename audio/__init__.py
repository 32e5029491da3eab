"""Commands of the studio's workflow for sound files."""
