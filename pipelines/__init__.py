"""From raw media to a result: decoding, encoding, scoring, selection, the cut and the report."""
