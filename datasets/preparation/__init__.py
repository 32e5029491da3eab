"""From a table of rated clips to labels and split files."""
