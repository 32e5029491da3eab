"""Synthetic features, h5 files and rated clips."""

from pathlib import Path

import h5py
import numpy as np

from datasets.preparation.ratings import RatedClip

T, FRAMES, USERS = 12, 120, 3   # Sampled frames, frames and annotators of the videos in h5 files.


def rows(seed: int | str, T: int, width: int) -> np.ndarray:
    """Return (T, width) float32 random values, determined by the seed, that float16 represents exactly."""
    r = np.random.default_rng(list(str(seed).encode()))
    return (r.integers(-512, 512, (T, width)) / 64).astype(np.float32)


def write_features(path: Path, T: int, width: int, key: str | None = None, dtype: str = "float32") -> np.ndarray:
    """Write rows determined by the name of the file, as .npz under `key`, or as .npy without a key; return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = rows(path.name, T, width)
    if key:
        np.savez(path, **{key: features.astype(dtype)})
    else:
        np.save(path, features.astype(dtype))
    return features


def video_group(seed):
    """Return the arrays of one video of an h5 file."""
    r = np.random.default_rng(seed)
    shots = np.array([[0, 39], [40, 79], [80, 119]])
    return dict(features=r.normal(size=(T, 6)).astype(np.float16), gtscore=r.random(T),
                user_scores=r.integers(1, 6, (USERS, T)), user_summary=r.integers(0, 2, (USERS, FRAMES)),
                change_points=shots, n_frame_per_seg=shots[:, 1] - shots[:, 0] + 1, n_frames=FRAMES,
                picks=np.arange(0, FRAMES, 10), n_steps=T, features_text=r.normal(size=(1, 4)))


def group_with(**arrays):
    """Return a video's arrays, some of them replaced or added."""
    return {**video_group(1), **arrays}


def group_without(key):
    """Return a video's arrays except one."""
    return {k: v for k, v in video_group(1).items() if k != key}


def write_h5(path, videos):
    """Write videos, name -> arrays by key, to an h5 file; return its path as text."""
    with h5py.File(path, "w") as file:
        for name, arrays in videos.items():
            group = file.create_group(name)
            group.attrs["title"] = f"Title of {name}"
            for key, value in arrays.items():
                group.create_dataset(key, data=value)
    return str(path)


def rated_clips(n_videos=40, per_video=30, seed=0):
    """Return clips of 150 s with random ratings, up to `per_video` clips of each video."""
    r = np.random.default_rng(seed)
    return [RatedClip(f"v{v}_{i}", f"v{v}", 150.0 * i, 150.0 * (i + 1), "text", (float(r.integers(1, 6)),), 2)
            for v in range(n_videos) for i in range(int(r.integers(1, per_video + 1)))]
