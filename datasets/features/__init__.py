"""Feature storage: folders of .npz and .npy files, packs, and the source that reads either."""
