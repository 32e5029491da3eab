"""The features of a video, one row per clip, and their file format."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from common.errors import InputError
from common.files import atomic_path
from common.temporal import num_clips
from pipelines.media.probe import VideoInfo
from pipelines.media.video_reader import SAMPLINGS

from .integrity import array_checksum, is_matrix

FORMAT = 2           # Version of the file format.
BLANK_CONTRAST = 8   # A frame is blank if the standard deviation of its brightness (0 to 255) is below this.

# Attributes that the file's head stores as JSON, with their keys.
HEAD_KEYS = dict(clip_len_s="clip_len_s", encoders="encoders", encoding_s="encoding_s", sampling="sampling",
                 decoder="decoder", max_frame_offset_s="farthest_s")
INFO_KEYS = dict(header_duration_s="stated_s", timestamp_gaps_s="holes_s")   # Keys that differ from VideoInfo's names.

JPEG_START = b"\xff\xd8"
INFO_TYPES: dict[str, type] = dict(
    path=Path, duration_s=Fraction, fps=Fraction, n_frames=int, width=int, height=int, start_s=Fraction, has_audio=bool,
    rotation_deg=int, codec=str, timecode=str)
POSITIVE_INFO = ("duration_s", "fps", "n_frames", "width", "height")

T = TypeVar("T")


@dataclass(frozen=True)
class EncodedVideo:
    """A video's features, one row per clip.

    Attributes:
        info: properties of the file.
        clip_len_s: length of a clip in seconds; the last clip ends with the video.
        encoders: kind of encoder (`visual`, `audio`) -> its type name.
        visual: part of the visual features -> (T, width) float32.
        audio: (T, A) float32; None for a video without audio, or without an audio encoder.
        thumbnails: T small JPEG images.
        encoding_s: seconds that decoding and encoding took.
        sampling: `exact`, or `keyframes` if the frames are the key frames nearest to the clips' centers.
        decoder: the decoder of the frames: `software` or a hardware device.
        max_frame_offset_s: greatest distance between a clip's center and its key frame; 0 for exact frames.
    """

    info: VideoInfo
    clip_len_s: float
    encoders: dict[str, str]
    visual: dict[str, np.ndarray]
    audio: np.ndarray | None
    thumbnails: tuple[bytes, ...]
    encoding_s: float = 0.0
    sampling: str = "exact"
    decoder: str = "software"
    max_frame_offset_s: float = 0.0
    _cache: dict[Callable, tuple[np.ndarray, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_clips(self) -> int:
        return len(self.thumbnails)

    @cached_property
    def edges_s(self) -> tuple[Fraction, ...]:
        """T + 1 exact times in seconds: clip i is [edges_s[i], edges_s[i + 1])."""
        return tuple(clip_edges_s(self.info.duration_s, self.clip_len_s))

    @cached_property
    def float_edges_s(self) -> np.ndarray:
        """(T + 1,) float64, `edges_s`; read-only."""
        return _read_only(np.array(self.edges_s, dtype=float))

    @cached_property
    def gap_clips(self) -> np.ndarray:
        """(T,) bool, clips entirely inside a gap of the time stamps, which repeat the previous frame; read-only."""
        edges_s, inside = self.float_edges_s, np.zeros(self.n_clips, dtype=bool)
        for start_s, end_s in self.info.timestamp_gaps_s:
            inside |= (edges_s[:-1] >= start_s) & (edges_s[1:] <= end_s)
        return _read_only(inside)

    @cached_property
    def blank_clips(self) -> np.ndarray:
        """(T,) bool, clips whose frame is uniformly bright, such as black before a fade-in; read-only."""
        frames = (Image.open(io.BytesIO(jpeg)).convert("L") for jpeg in self.thumbnails)
        return _read_only(np.array([np.asarray(frame).std() < BLANK_CONTRAST for frame in frames]))

    def cached(self, function: Callable[[np.ndarray], T], rows: np.ndarray) -> T:
        """Return `function(rows)`, computed only once as long as the same array is passed.

        Results that do not depend on the queries, such as shots, are kept so that later queries are faster.

        Args:
            function: a pure function.
            rows: features of this video.
        """
        entry = self._cache.get(function)
        if entry is None or entry[0] is not rows:
            entry = self._cache[function] = (rows, function(rows))
        return entry[1]

    def without_features(self) -> EncodedVideo:
        """Return a copy that can be shown and cut, but not queried any more; it needs much less memory."""
        return replace(self, visual={}, audio=None)

    def save(self, path: str | os.PathLike, cache_key: str = "") -> None:
        """Write an .npz file atomically, which `load` reads.

        Args:
            path: file to write.
            cache_key: key of the entry, if the file is an entry of a cache.
        """
        head = dict(format=FORMAT, info=_info_to_json(self.info),
                    **{key: getattr(self, name) for name, key in HEAD_KEYS.items()})
        sizes = [len(t) for t in self.thumbnails]
        arrays: dict[str, np.ndarray] = dict(
            head=np.array(json.dumps(head)), thumbnail_sizes=np.array(sizes, dtype=np.int64),
            thumbnails=np.frombuffer(b"".join(self.thumbnails), dtype=np.uint8), cache_key=np.array(cache_key))
        arrays.update({f"visual/{part}": rows for part, rows in self.visual.items()})
        if self.audio is not None:
            arrays["audio"] = self.audio
        arrays["checksum"] = np.array(array_checksum(arrays))
        with atomic_path(path) as temporary, temporary.open("wb") as f:
            np.savez(f, **arrays)   # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike, cache_key: str | None = None) -> EncodedVideo:
        """Read a file that `save` wrote, and check that it is complete and consistent.

        Args:
            path: file to read.
            cache_key: key with which the file must have been saved; None accepts any file.

        Raises:
            InputError: the file is missing, damaged, or not an encoded video; or it has another key.
        """
        try:
            if not Path(path).is_file():
                raise InputError(path, "no such file")
            with np.load(path, allow_pickle=False) as data:
                arrays = {name: data[name] for name in data.files}
            head = json.loads(str(arrays["head"]))
            if head["format"] != FORMAT:
                raise InputError(path, "was written by another version", "encode the video again")
            thumbnails = np.split(arrays["thumbnails"], np.cumsum(arrays["thumbnail_sizes"])[:-1])
            visual = {key.removeprefix("visual/"): rows for key, rows in arrays.items() if key.startswith("visual/")}
            video = cls(info=_info_from_json(head["info"]), **{name: head[key] for name, key in HEAD_KEYS.items()},
                        thumbnails=tuple(t.tobytes() for t in thumbnails), visual=visual, audio=arrays.get("audio"))
            problem = find_damage(video)
            if arrays["thumbnail_sizes"].sum() != len(arrays["thumbnails"]):
                problem = "thumbnails of other sizes"
        except InputError:
            raise
        except Exception as err:   # numpy, zipfile, and json raise a dozen types on damaged files.
            raise InputError(path, "is not an encoded video", "write it with EncodedVideo.save") from err
        checksum = arrays.pop("checksum", None)   # Files of earlier versions have none.
        if not problem and checksum is not None and str(checksum) != array_checksum(arrays):
            problem = "its checksum differs"
        if problem:
            raise InputError(path, f"is a damaged encoded video ({problem})", "encode the video again")
        if cache_key is not None and str(arrays.get("cache_key", "")) != cache_key:
            raise InputError(path, "is an encoded video under the key of another one", "encode the video again")
        return video


def find_damage(video: EncodedVideo) -> str:
    """Describe the first inconsistency of an encoded video; return "" if there is none."""
    problem = _find_wrong_field(video)
    if problem:
        return problem
    n_clips = num_clips(video.info.duration_s, video.clip_len_s)
    if video.n_clips != n_clips:
        return f"{video.n_clips} thumbnails for {n_clips} clips"
    if not all(jpeg.startswith(JPEG_START) for jpeg in video.thumbnails):
        return "a thumbnail is not a JPEG image"
    parts = {**video.visual, **({} if video.audio is None else {"audio": video.audio})}
    for part, rows in parts.items():
        if rows.dtype != np.float32 or rows.ndim != 2 or len(rows) != n_clips:
            return f"{part} is {rows.dtype} of shape {rows.shape} for {n_clips} clips"
        if not is_matrix(rows):
            return f"{part} is empty or contains NaN or infinity"
    return ""


def _find_wrong_field(video: EncodedVideo) -> str:
    """Describe the first attribute that has another type, or a value out of range; return "" if there is none."""
    info = video.info
    for name, kind in INFO_TYPES.items():
        value = getattr(info, name)
        # The type bool is a kind of int, and a path is of a subclass of Path.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            return f"{name} is {value!r}"
        if name in POSITIVE_INFO and getattr(info, name) <= 0:
            return f"{name} is {value}"
    gaps_s = info.timestamp_gaps_s
    if not isinstance(gaps_s, tuple) or not all(len(gap) == 2 and all(map(_is_number, gap)) for gap in gaps_s):
        return f"timestamp_gaps_s is {gaps_s!r}"
    if info.header_duration_s is not None and not isinstance(info.header_duration_s, Fraction):
        return f"header_duration_s is {info.header_duration_s!r}"
    for name in ("clip_len_s", "encoding_s", "max_frame_offset_s"):
        value = getattr(video, name)
        if not _is_number(value) or value < 0 or (name == "clip_len_s" and value == 0):
            return f"{name} is {value!r}"
    if video.sampling not in SAMPLINGS or not isinstance(video.decoder, str) or not isinstance(video.encoders, dict):
        return "invalid sampling, decoder, or encoders"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def clip_edges_s(duration_s: Fraction, clip_len_s: float) -> list[Fraction]:
    """Return the T + 1 exact times in seconds that bound the clips; the last one is the duration."""
    length = Fraction(clip_len_s)
    return [i * length for i in range(num_clips(duration_s, clip_len_s))] + [Fraction(duration_s)]


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _info_to_json(info: VideoInfo) -> dict:
    def to_json(value: object) -> object:
        if isinstance(value, Fraction):
            return dict(fraction=str(value))
        return dict(path=str(value)) if isinstance(value, Path) else value

    return {INFO_KEYS.get(part.name, part.name): to_json(getattr(info, part.name))
            for part in dataclasses.fields(info)}


def _info_from_json(values: dict) -> VideoInfo:
    types = dict(fraction=Fraction, path=Path)
    names = {key: name for name, key in INFO_KEYS.items()}

    def from_json(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(tuple, value))
        if not isinstance(value, dict):
            return value
        (kind, text), = value.items()
        return types[kind](text)

    return VideoInfo(**{names.get(key, key): from_json(value) for key, value in values.items()})
