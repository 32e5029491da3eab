"""SumMe's annotations as released: one .mat file per video, with the frames that each user selected."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from datasets.errors import raise_errors


@dataclass(frozen=True)
class SumMeVideo:
    """The users' summaries of one video.

    Attributes:
        title: the file name with spaces, because SumMe has no titles.
        duration_s: duration of the video.
        user_summary: (U, frames) int8, 1 for the frames that a user selected, else 0.
    """

    title: str
    duration_s: float
    user_summary: np.ndarray


def read_summe(folder: str | os.PathLike) -> dict[str, SumMeVideo]:
    """Read the videos of SumMe's folder `GT` (Gygli et al., ECCV 2014).

    Each `.mat` file (MATLAB 5) has `user_score` (frames, users), above 0 where a user selected a frame, `nFrames`
    and `video_duration`.

    Returns:
        The videos by file name without suffix.

    Raises:
        InputError: the folder does not exist or has no .mat files; lists all files that are unreadable or have
            another structure.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise InputError(folder, "no .mat files", "specify SumMe's GT folder")
    videos, errors = {}, []
    for path in paths:
        try:
            videos[path.stem] = _read(path)
        except InputError as err:
            errors.append(err)
    raise_errors(None, errors)
    return videos


def _read(path: Path) -> SumMeVideo:
    from scipy.io import loadmat  # Slow to import.

    try:
        values = loadmat(path, variable_names=("user_score", "nFrames", "video_duration"))
        scores = np.asarray(values["user_score"], dtype=np.float64)
        num_frames, duration_s = int(values["nFrames"].item()), float(values["video_duration"].item())
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError) as err:
        raise InputError(path, f"not a SumMe annotation file as released ({type(err).__name__}: {err})") from err
    if scores.ndim != 2 or len(scores) != num_frames or not np.isfinite(scores).all():
        raise InputError(path, f"user_score has shape {scores.shape} but nFrames is {num_frames}; it must be "
                               "(frames, users), without NaN")
    return SumMeVideo(path.stem.replace("_", " "), duration_s, (scores.T > 0).astype(np.int8))
