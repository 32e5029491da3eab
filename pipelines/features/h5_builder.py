"""Makes the summarization field's h5 files from videos and people's scores, with any encoders."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from common.errors import InputError
from common.files import atomic_path
from models.device import device_of
from models.encoders import Encoders
from models.encoders.base import normalize_rows
from models.encoders.efficient_net_conse import EfficientNetConSE
from pipelines.media.video_reader import probe
from pipelines.selection.knapsack import key_frames
from pipelines.shots.segmentation import change_points, shots_from_change_points

from .encode import encode_video

LOWEST, HIGHEST = 1, 5               # of TVSum's scores
LEAST_SLACK_S, SLACK = 2, 0.02       # by which lengths may differ: containers round, encoders pad
SHARED, TEXT = "features_shared", "features_text"


@dataclass(frozen=True)
class Rated:
    """What people said of a video, frame by frame: scores, of which summaries are made, or summaries alone.

    Attributes:
        title: what the video is about.
        seconds: the length of the video that they saw.
        user_scores: (U, frames), one row per annotator, as TVSum has them; or None.
        user_summary: (U, frames) of 0 and 1, what each person kept, as SumMe has it; or None.
    """

    title: str
    seconds: float
    user_scores: np.ndarray | None = None
    user_summary: np.ndarray | None = None

    @property
    def by_frame(self) -> np.ndarray:
        """(U, frames): what there is."""
        return self.user_summary if self.user_scores is None else self.user_scores


def build_h5(videos: Mapping[str, str | os.PathLike], ratings: Mapping[str, Rated], encoders: Encoders,
             out: str | os.PathLike, progress: Callable[[Iterable], Iterable] = iter) -> int:
    """Encodes videos and writes them with their ratings, whole or not at all.

    Each group has the field's keys and, beside `features` (the encoders' own part), `features_shared` (in the
    sentences' space) and `features_text` (the title). A row is of a clip; its pick is the clip's first frame, since
    readers hold a score from one pick to the next, and people's scores of it are those in its middle. Shots are by
    KTS. Summaries are those that people made, or the 15 % key-shots of what they rated.

    Args:
        videos: name -> file.
        ratings: by the same names.

    Returns:
        Videos written.

    Raises:
        InputError: no video, one without ratings, faults of a video, one of another length than people saw, or
            ratings that are all alike or no numbers.
    """
    import h5py

    if not videos:
        raise InputError("no video to encode; name a folder of videos that the ratings know")
    lacking = [name for name in videos if name not in ratings]
    if lacking:
        raise InputError(f"{videos[lacking[0]]}: the ratings know no {lacking[0]!r}; name files by the ratings' names")
    for name in videos:
        _check(videos[name], ratings[name])   # before the first is encoded
    with atomic_path(out) as temporary, h5py.File(temporary, "w", locking=False) as file:   # atomic_path locks it
        for name in progress(sorted(videos)):
            _write(file.create_group(name), name, videos[name], ratings[name], encoders)
    return len(videos)


def _check(path: str | os.PathLike, rated: Rated) -> None:
    rows, seconds = rated.by_frame, float(probe(path).duration_s)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all() or rows.min() == rows.max():
        raise InputError(f"{path}: its ratings {rows.shape} are no finite numbers (annotators, frames), or all alike")
    if abs(seconds - rated.seconds) > max(LEAST_SLACK_S, SLACK * rated.seconds):
        raise InputError(f"{path}: lasts {seconds:.1f} s, but people rated {rated.seconds:.1f} s; it is another "
                         "version of the video, fetch the one that was rated")


def _write(group, name: str, path: str | os.PathLike, rated: Rated, encoders: Encoders) -> None:
    video, n_frames = encode_video(path, encoders, progress=False), rated.by_frame.shape[1]
    fps = Fraction(n_frames) / video.info.duration_s
    starts_s, middles_s = video.edges_s[:-1], [(a + b) / 2 for a, b in itertools.pairwise(video.edges_s)]
    picks = np.array([math.ceil(t * fps) for t in starts_s])
    scores = rated.by_frame[:, [int(t * fps) for t in middles_s]]
    if picks[-1] >= n_frames or (np.diff(picks) < 1).any() or (scores == scores[0, 0]).all():
        raise InputError(f"{path}: {n_frames} rated frames are too few for {len(picks)} clips, or the ratings are all "
                         "alike there")
    own, shared = main_part(encoders), encoders.visual.shared_part
    rows = video.visual[own]
    shots = frame_shots(change_points(normalize_rows(rows)), picks, n_frames)
    text = encoders.text.encode([rated.title])[0].pooler_output
    values = dict(
        features=rows.astype(np.float16), **{SHARED: video.visual[shared], TEXT: text[None]},
        change_points=shots, n_frame_per_seg=shots[:, 1] - shots[:, 0] + 1, n_frames=n_frames, picks=picks,
        n_steps=len(picks), video_name=name)
    if rated.user_scores is None:
        values.update(gtscore=scores.mean(axis=0).astype(np.float32), user_summary=rated.user_summary.astype(np.int8))
    else:
        low, high = min(LOWEST, rated.user_scores.min()), max(HIGHEST, rated.user_scores.max())
        values.update(gtscore=((scores.mean(axis=0) - low) / (high - low)).astype(np.float32), user_scores=scores,
                      user_summary=np.stack([user_summary(shots, row) for row in rated.user_scores]))
    group.attrs.update(title=rated.title, fps=float(fps))
    for key, value in values.items():
        group.create_dataset(key, data=value)


def main_part(encoders: Encoders) -> str:
    """The widest part of the pictures' features."""
    return max(encoders.visual.parts, key=lambda part: encoders.visual.parts[part])


def frame_shots(points: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """Shots of rows -> shots (S, 2) of frames, first and last inclusive: one begins with its first row's pick."""
    return shots_from_change_points(picks[np.asarray(points, dtype=np.int64)], n_frames)


def user_summary(shots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(n_frames,) int8: the key-shots of one annotator's score for every frame, as TVSum makes summaries of scores.

    Never over 15 % of the frames: of a shot that is longer alone, the best part.
    """
    kept, n_frames = np.zeros(len(scores), dtype=np.int8), len(scores)
    for first, last in key_frames(shots, scores, np.arange(n_frames), n_frames):
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
        with h5py.File(path) as source, atomic_path(out) as temporary, h5py.File(temporary, "w", locking=False) as file:
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
    weights = visual.probabilities(pooled.to(device_of(visual))).sqrt()
    return (weights / weights.sum(dim=-1, keepdim=True) @ visual.classes).cpu().numpy()
