"""Audio commands of the studio workflow: file names and audio features."""
