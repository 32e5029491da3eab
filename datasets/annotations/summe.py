"""SumMe's ground truth as released: one .mat a video, with the frames that each person kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError


@dataclass(frozen=True)
class SumMeVideo:
    """What people kept of a video.

    Attributes:
        title: the file's name in words, which is all that SumMe says of a video.
        duration_s: its length.
        user_summary: (U, frames) int8, 0 or 1.
    """

    title: str
    duration_s: float
    user_summary: np.ndarray


def read_summe(folder: str | os.PathLike) -> dict[str, SumMeVideo]:
    """Every video of SumMe's folder `GT` (Gygli et al., ECCV 2014), by the files' names.

    Of each `.mat` (MATLAB 5) `user_score` (frames, people) is read, above 0 where a person kept a frame, and
    `nFrames` and `video_duration`.

    Raises:
        InputError: no such folder or no .mat in it; lists all that are unreadable or of another structure.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.mat"))
    if not paths:
        raise InputError(f"{folder}: no folder of .mat files; name SumMe's GT")
    videos, faults = {}, []
    for path in paths:
        try:
            videos[path.stem] = _read(path)
        except InputError as err:
            faults.append(str(err))
    if faults:
        raise InputError("\n  ".join(faults))
    return videos


def _read(path: Path) -> SumMeVideo:
    from scipy.io import loadmat

    try:
        values = loadmat(path, variable_names=("user_score", "nFrames", "video_duration"))
        scores = np.asarray(values["user_score"], dtype=np.float64)
        frames, seconds = int(values["nFrames"].item()), float(values["video_duration"].item())
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError) as err:
        raise InputError(f"{path}: not a ground truth of SumMe as released ({type(err).__name__}: {err})") from err
    if scores.ndim != 2 or len(scores) != frames or not np.isfinite(scores).all():
        raise InputError(f"{path}: user_score is {scores.shape} with nFrames {frames}; it must be (frames, people), "
                         "finite")
    return SumMeVideo(path.stem.replace("_", " "), seconds, (scores.T > 0).astype(np.int8))
