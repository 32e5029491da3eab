"""From raw media to a result: media, features, scoring, shots, selection, editing, and export."""
