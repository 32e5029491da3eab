"""Writing the cut: re-encoding, stream copy, MP4 muxing, and reframing."""
