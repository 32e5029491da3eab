"""Feature folders whose values tell where they are from."""

from pathlib import Path

import numpy as np


def rows(seed: int | str, T: int, width: int) -> np.ndarray:
    """Random rows that a name determines, float32 values that float16 holds exactly."""
    r = np.random.default_rng(list(str(seed).encode()))
    return (r.integers(-512, 512, (T, width)) / 64).astype(np.float32)


def write_features(path: Path, T: int, width: int, key: str | None = None, dtype: str = "float32") -> np.ndarray:
    """Writes rows determined by the file's name; into an .npz under `key`, else as .npy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = rows(path.name, T, width)
    if key:
        np.savez(path, **{key: made.astype(dtype)})
    else:
        np.save(path, made.astype(dtype))
    return made
