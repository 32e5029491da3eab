"""Generator of the sample set: short videos rendered from photographs, with exact labels."""
