"""Building of the video summarization field's h5 files from videos and their annotations, with any encoders."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from common.errors import InputError
from common.files import atomic_path
from models.device import device_of
from models.encoders import Encoders
from models.encoders.base import normalize_rows
from models.encoders.efficient_net_conse import EfficientNetConSE

from .features.encode import encode_video
from .features.integrity import is_matrix, to_dtype
from .features.provenance import Source
from .media.probe import VideoInfo, probe
from .selection.knapsack import key_frames
from .shots.segmentation import change_points, shots_from_change_points

if TYPE_CHECKING:
    import h5py

MIN_SCORE, MAX_SCORE = 1, 5          # The scale of TVSum's importance scores.
MIN_TOLERANCE_S, TOLERANCE = 2, 0.02   # Durations may differ by the greater of both: containers round, encoders pad.
SHARED_KEY, TEXT_KEY = "features_shared", "features_text"


@dataclass(frozen=True)
class VideoAnnotations:
    """The annotations of a video, per frame: either importance scores or binary summaries of several annotators.

    Attributes:
        title: title or topic of the video.
        duration_s: duration in seconds of the video that was annotated.
        user_scores: (U, frames) importance scores, one row per annotator, as in TVSum; or None.
        user_summary: (U, frames) of 0 and 1, the frames that each annotator kept, as in SumMe; or None.
    """

    title: str
    duration_s: float
    user_scores: np.ndarray | None = None
    user_summary: np.ndarray | None = None

    @property
    def per_frame(self) -> np.ndarray:
        """(U, frames) scores; the summaries if there are no scores."""
        rows = self.user_summary if self.user_scores is None else self.user_scores
        assert rows is not None   # One of both is always given.
        return rows


def build_h5(videos: Mapping[str, str | os.PathLike], annotations: Mapping[str, VideoAnnotations], encoders: Encoders,
             out: str | os.PathLike, progress: Callable[[Iterable], Iterable] = iter) -> int:
    """Encode videos and write their features and annotations to an h5 file, atomically.

    Each group has the field's keys. In addition to `features` (the visual encoder's main part) it has
    `features_shared` (features in the space of the text encoder) and `features_text` (the title). A row belongs to a
    clip, and its pick is the clip's first frame, because readers extend a score from one pick to the next. The
    annotators' scores of a row are those of the clip's center. Shots are segmented by KTS. User summaries are those
    of the annotators, or key shots of 15 % computed from each annotator's scores.

    Args:
        videos: name -> video file.
        annotations: name -> annotations; may contain more names.
        encoders: visual and text encoder.
        out: h5 file to write.
        progress: wraps the loop over names, e.g. tqdm.

    Returns:
        The number of videos written.

    Raises:
        InputError: there is no video; a video cannot be read, has no annotations, has another duration than the
            annotated one, or is changed in the meantime; annotations are constant or not finite; or features are not
            finite.
    """
    import h5py  # Imported here because only this command needs it.

    if not videos:
        raise InputError(None, "no video to encode", "specify a folder with videos that are annotated")
    missing = [name for name in videos if name not in annotations]
    if missing:
        raise InputError(videos[missing[0]], f"there are no annotations of {missing[0]!r}",
                         "name files as the annotations name the videos")
    # All videos are checked before the first one is encoded.
    sources = {name: Source(Path(videos[name])) for name in videos if Path(videos[name]).is_file()}
    infos = {name: _checked_info(videos[name], annotations[name]) for name in videos}
    with atomic_path(out) as temporary, h5py.File(temporary, "w", locking=False) as file:   # atomic_path locks it.
        for name in progress(sorted(videos)):
            _write_group(file.create_group(name), name, infos[name], annotations[name], encoders)
            if sources[name].has_changed():
                raise InputError(videos[name], "was changed while it was encoded",
                                 "run the command again when the file is complete")
    return len(videos)


def _checked_info(path: str | os.PathLike, annotated: VideoAnnotations) -> VideoInfo:
    """Probe a video; raise InputError if its annotations are unusable or belong to another version of it."""
    info, rows = probe(path), annotated.per_frame
    duration_s = float(info.duration_s)
    if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all() or rows.min() == rows.max():
        raise InputError(path, f"its annotations {rows.shape} must be finite, not constant, and of shape (annotators, "
                         "frames)")
    if abs(duration_s - annotated.duration_s) > max(MIN_TOLERANCE_S, TOLERANCE * annotated.duration_s):
        raise InputError(path, f"lasts {duration_s:.1f} s, but the annotated video lasts {annotated.duration_s:.1f} s",
                         "it is another version of the video; use the one that was annotated")
    return info


def _write_group(group: h5py.Group, name: str, info: VideoInfo, annotated: VideoAnnotations,
                 encoders: Encoders) -> None:
    video, n_frames = encode_video(info.path, encoders, progress=False, info=info), annotated.per_frame.shape[1]
    fps = Fraction(n_frames) / video.info.duration_s
    starts_s, centers_s = video.edges_s[:-1], [(a + b) / 2 for a, b in itertools.pairwise(video.edges_s)]
    picks = np.array([math.ceil(t * fps) for t in starts_s])
    scores = annotated.per_frame[:, [int(t * fps) for t in centers_s]]
    if picks[-1] >= n_frames or (np.diff(picks) < 1).any() or (scores == scores[0, 0]).all():
        raise InputError(info.path, f"{n_frames} annotated frames are too few for {len(picks)} clips, or the "
                         "annotations of the clips are constant")
    main, shared = main_part(encoders), encoders.visual.shared_part
    rows = video.visual[main]
    shots = frame_shots(change_points(normalize_rows(rows)), picks, n_frames)
    text = encoders.text.encode([annotated.title])[0].pooler_output
    values = dict(
        features=to_dtype(rows, "float16", info.path),
        **{SHARED_KEY: to_dtype(video.visual[shared], "float32", info.path), TEXT_KEY: text[None]},
        change_points=shots, n_frame_per_seg=shots[:, 1] - shots[:, 0] + 1, n_frames=n_frames, picks=picks,
        n_steps=len(picks), video_name=name)
    if annotated.user_scores is None:
        values.update(gtscore=scores.mean(axis=0).astype(np.float32),
                      user_summary=annotated.per_frame.astype(np.int8))
    else:
        low, high = min(MIN_SCORE, annotated.user_scores.min()), max(MAX_SCORE, annotated.user_scores.max())
        values.update(gtscore=((scores.mean(axis=0) - low) / (high - low)).astype(np.float32), user_scores=scores,
                      user_summary=np.stack([user_summary(shots, row) for row in annotated.user_scores]))
    group.attrs.update(title=annotated.title, fps=float(fps))
    for key, value in values.items():
        group.create_dataset(key, data=value)


def main_part(encoders: Encoders) -> str:
    """Return the name of the widest part of the visual features."""
    return max(encoders.visual.parts, key=lambda part: encoders.visual.parts[part])


def frame_shots(points: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """Convert change points of rows into shots (S, 2) of frames, first and last inclusive.

    A shot begins with the pick of its first row.
    """
    return shots_from_change_points(picks[np.asarray(points, dtype=np.int64)], n_frames)


def user_summary(shots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return (n_frames,) int8, the key shots of one annotator's frame scores, computed as for TVSum.

    It never exceeds 15 % of the frames: of a single shot that is longer, the best part is kept.
    """
    kept, n_frames = np.zeros(len(scores), dtype=np.int8), len(scores)
    for first, last in key_frames(shots, scores, np.arange(n_frames), n_frames):
        kept[first:last + 1] = 1
    return kept


def add_shared_features(path: str | os.PathLike, encoders: Encoders, out: str | os.PathLike) -> int:
    """Copy an h5 file of pooled EfficientNet-Lite0 features, and add `features_shared` and `features_text`.

    Args:
        path: h5 file to read.
        encoders: EfficientNetConSE as visual encoder, and a text encoder.
        out: h5 file to write.

    Returns:
        The number of videos written.

    Raises:
        InputError: the file is not readable, has other features, features that are not finite, or no titles; or the
            visual encoder is another one.
    """
    import h5py  # Imported here because only this command needs it.

    if not isinstance(encoders.visual, EfficientNetConSE):
        raise InputError(None, "--complete needs features of EfficientNetConSE, not of "
                         f"{type(encoders.visual).__name__}", "encode the videos instead")
    if not Path(path).is_file():
        raise InputError(path, "no such h5 file")
    width = encoders.visual.parts["efficientnet_lite0"]
    try:
        with h5py.File(path) as source, atomic_path(out) as temporary, h5py.File(temporary, "w", locking=False) as file:
            for name, group in source.items():
                if "features" not in group or group["features"].shape[-1] != width or "title" not in group.attrs:
                    raise InputError(path, f"video {name!r} needs 'features' of width {width} and a title")
                source.copy(group, file, name)
                values = group["features"][()].astype(np.float32)
                if not is_matrix(values, width):
                    raise InputError(path, f"video {name!r}: its features are empty, or contain NaN or infinity",
                                     "create or download the file again")
                rows = torch.from_numpy(values)
                text = encoders.text.encode([str(group.attrs["title"])])[0].pooler_output
                file[name].create_dataset(SHARED_KEY, data=conse_embeddings(encoders.visual, rows))
                file[name].create_dataset(TEXT_KEY, data=text[None])
            return len(file)
    except OSError as err:
        raise InputError(path, f"is not a readable h5 file ({err})") from err


@torch.inference_mode()
def conse_embeddings(visual: EfficientNetConSE, pooled: torch.Tensor) -> np.ndarray:
    """Return the (T, 384) ConSE embeddings of (T, 1280) pooled features, as the encoder computes them from frames."""
    weights = visual.probabilities(pooled.to(device_of(visual))).sqrt()
    return (weights / weights.sum(dim=-1, keepdim=True) @ visual.get_buffer("classes")).cpu().numpy()
