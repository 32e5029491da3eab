"""Writing of cuts: re-encoding, stream copy, MP4 muxing, and reframing."""
