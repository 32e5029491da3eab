"""Makes the summarization field's h5 files from videos and people's scores, with any encoders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from common.errors import InputError
from common.files import atomic_path
from models.encoders import Encoders
from models.encoders.efficient_net_conse import EfficientNetConSE

from .encode import encode_video
from .selection import key_shots
from .shots import change_points, shots_from_points

LOWEST, HIGHEST = 1, 5   # of TVSum's scores
SHARED, TEXT = "features_shared", "features_text"


@dataclass(frozen=True)
class Rated:
    """What people said of a video.

    Attributes:
        title: what the video is about.
        user_scores: (U, frames), one row per annotator.
    """

    title: str
    user_scores: np.ndarray


def read_ratings(path: str | os.PathLike) -> dict[str, Rated]:
    """Reads TVSum's `ydata-tvsum50.mat` as released (v7.3; Song et al., CVPR 2015), by video.

    Raises:
        InputError: no such file, or another structure.
    """
    import h5py

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; name ydata-tvsum50.mat")
    try:
        with h5py.File(path) as file:
            table = file["tvsum50"]
            ratings = {}
            for i in range(len(table["video"])):
                name, title, frames, users = (file[table[key][i, 0]][()]
                                              for key in ("video", "title", "nframes", "user_anno"))
                scores = users if users.shape[1] == int(frames.item()) else users.T
                ratings[_text(name)] = Rated(_text(title), scores.astype(np.float64))
            return ratings
    except (OSError, KeyError, IndexError, ValueError, AttributeError) as err:
        raise InputError(f"{path}: not TVSum's .mat as released ({type(err).__name__}: {err})") from err


def _text(codes: np.ndarray) -> str:
    return "".join(map(chr, codes.ravel()))


def build_h5(videos: Mapping[str, str | os.PathLike], ratings: Mapping[str, Rated], encoders: Encoders,
             out: str | os.PathLike, progress: Callable[[Iterable], Iterable] = iter) -> int:
    """Encodes videos and writes them with their ratings, whole or not at all.

    Each group has `features` (the encoders' own part), `features_shared` (in the sentences' space),
    `features_text` (the title), shots by KTS, and the summaries that the ratings give (15 % key-shots).

    Args:
        videos: name -> file.
        ratings: by the same names.

    Returns:
        Videos written.

    Raises:
        InputError: no video, one without ratings, faults of a video, or ratings that are all alike or no numbers.
    """
    import h5py

    if not videos:
        raise InputError("no video to encode; name a folder of videos that the ratings know")
    lacking = [name for name in videos if name not in ratings]
    if lacking:
        raise InputError(f"{videos[lacking[0]]}: the ratings know no {lacking[0]!r}; name files by the ratings' names")
    with atomic_path(out) as temporary, h5py.File(temporary, "w") as file:
        for name in progress(sorted(videos)):
            _write(file.create_group(name), name, videos[name], ratings[name], encoders)
    return len(videos)


def _write(group, name: str, path: str | os.PathLike, rated: Rated, encoders: Encoders) -> None:
    scores = rated.user_scores
    if scores.ndim != 2 or not np.isfinite(scores).all() or scores.min() == scores.max():
        raise InputError(f"{name}: its ratings {scores.shape} are no finite numbers (annotators, frames), or all alike")
    video = encode_video(path, encoders, progress=False)
    n_frames = scores.shape[1]
    middles_s = [(start + end) / 2 for start, end in zip(video.edges_s, video.edges_s[1:], strict=False)]
    fps = Fraction(n_frames) / video.info.duration_s
    picks = np.array([min(int(t * fps), n_frames - 1) for t in middles_s])
    own, shared = main_part(encoders), encoders.visual.shared_part
    rows = video.visual[own]
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    shots = frame_shots(change_points(unit), picks, n_frames)
    group.attrs.update(title=rated.title, fps=float(fps))
    text = encoders.text.encode([rated.title])[0].pooler_output
    summaries = [user_summary(shots, row[picks], picks, n_frames) for row in scores]
    low, high = min(LOWEST, scores.min()), max(HIGHEST, scores.max())
    values = dict(
        features=rows.astype(np.float16), **{SHARED: video.visual[shared], TEXT: text[None]},
        gtscore=((scores[:, picks].mean(axis=0) - low) / (high - low)).astype(np.float32), user_scores=scores[:, picks],
        user_summary=np.stack(summaries), change_points=shots, n_frame_per_seg=shots[:, 1] - shots[:, 0] + 1,
        n_frames=n_frames, picks=picks, n_steps=len(picks), video_name=name)
    for key, value in values.items():
        group.create_dataset(key, data=value)


def main_part(encoders: Encoders) -> str:
    """The widest part of the pictures' features."""
    return max(encoders.visual.parts, key=lambda part: encoders.visual.parts[part])


def frame_shots(points: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """Shots of rows -> shots (S, 2) of frames, first and last inclusive: a border lies midway between two picks."""
    middles = (picks[:-1] + picks[1:] + 1) // 2
    return shots_from_points(middles[np.asarray(points, dtype=np.int64) - 1], n_frames)


def user_summary(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """(n_frames,) int8: the key-shots that one annotator's scores select, as TVSum makes summaries of scores."""
    kept = np.zeros(n_frames, dtype=np.int8)
    for first, last in shots[key_shots(shots, scores, picks, n_frames)]:
        kept[first:last + 1] = 1
    return kept


def complete_h5(path: str | os.PathLike, encoders: Encoders, out: str | os.PathLike) -> int:
    """Adds `features_shared` and `features_text` to a file that holds EfficientNet-Lite0's pooled features alone.

    Returns:
        Videos written.

    Raises:
        InputError: unreadable, other features, no titles, or encoders that cannot tell the one from the other.
    """
    import h5py

    if not isinstance(encoders.visual, EfficientNetConSE):
        raise InputError(f"--complete reads features of EfficientNetConSE, not {type(encoders.visual).__name__}; "
                         "encode the videos themselves")
    if not Path(path).is_file():
        raise InputError(f"{path}: no such h5 file")
    width = encoders.visual.parts["efficientnet_lite0"]
    try:
        with h5py.File(path) as source, atomic_path(out) as temporary, h5py.File(temporary, "w") as file:
            for name, group in source.items():
                if "features" not in group or group["features"].shape[-1] != width or "title" not in group.attrs:
                    raise InputError(f"{path}, {name}: needs 'features' {width} wide and a title")
                source.copy(group, file, name)
                rows = torch.from_numpy(group["features"][()].astype(np.float32))
                text = encoders.text.encode([str(group.attrs["title"])])[0].pooler_output
                file[name].create_dataset(SHARED, data=conse_points(encoders.visual, rows))
                file[name].create_dataset(TEXT, data=text[None])
            return len(file)
    except OSError as err:
        raise InputError(f"{path}: not a readable h5 file ({err})") from err


@torch.inference_mode()
def conse_points(visual: EfficientNetConSE, pooled: torch.Tensor) -> np.ndarray:
    """(T, 1280) pooled features -> (T, 384) ConSE points, as the encoder makes them of pictures."""
    weights = visual.probabilities(pooled).sqrt()
    return (weights / weights.sum(dim=-1, keepdim=True) @ visual.classes).numpy()
