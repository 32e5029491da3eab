"""A video's features, made once and asked many times."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path
from common.memory import trim_heap
from common.temporal import num_clips
from models.encoders import Encoders
from models.encoders.base import AudioEncoder, VisualEncoder
from pipelines.media.audio_reader import audio_clips
from pipelines.media.hwaccel import find_device
from pipelines.media.video_reader import Reading, VideoInfo, check_sampling, frames_at, probe
from pipelines.parallel import batched, inference_pool, ordered_map

BATCH_CLIPS = 4      # of sound; larger ones need more memory and are no faster
THUMBNAIL_PX = 192   # longer side
CLIPS_BETWEEN = 16   # two looks at freed memory
BLANK_CONTRAST = 8   # standard deviation of brightness, 0-255, below which a picture shows nothing
FORMAT = 2           # of the saved file
FEATURE_VERSION = 1  # to be raised when the same file and encoders give other features; kept ones are made anew then
PLAIN_FIELDS = ("clip_len_s", "encoders", "encoding_s", "sampling", "decoder", "farthest_s")   # as JSON has them


@dataclass(frozen=True)
class EncodedVideo:
    """What the encoders saw and heard in a video, clip by clip.

    Attributes:
        info: of the file.
        clip_len_s: seconds in a clip; the last one ends with the video.
        encoders: kind of encoder (`visual`, `audio`) -> its type name.
        visual: part -> (T, width) float32.
        audio: (T, A) float32, or None for a video without sound or encoders without ears.
        thumbnails: T small JPEG files.
        encoding_s: how long decoding and encoding took.
        sampling: `exact`, or `keyframes`: the pictures are the key frames nearest to the clips' middles.
        decoder: what decoded the pictures, `software` or a device.
        farthest_s: how far from its middle a clip's key frame is at most; 0 for exact pictures.
        memo: what questions have worked out that does not depend on them, so that the next one is quicker.
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
    farthest_s: float = 0.0
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def n_clips(self) -> int:
        return len(self.thumbnails)

    @property
    def edges_s(self) -> list[Fraction]:
        """T + 1 times in seconds: clip i is [edges_s[i], edges_s[i + 1])."""
        if "edges" not in self.memo:
            self.memo["edges"] = clip_edges_s(self.info.duration_s, self.clip_len_s)
        return list(self.memo["edges"])

    @property
    def float_edges_s(self) -> np.ndarray:
        """(T + 1,) `edges_s` in float64."""
        if "float edges" not in self.memo:
            self.memo["float edges"] = np.array(self.edges_s, dtype=float)
        return self.memo["float edges"].copy()

    def without_features(self) -> EncodedVideo:
        """What is left to show and to cut when nothing more is asked."""
        return replace(self, visual={}, audio=None)

    def in_holes(self) -> np.ndarray:
        """(T,) bool: clips wholly in a hole of the time stamps, which show nothing but the picture before it."""
        edges_s, inside = self.float_edges_s, np.zeros(self.n_clips, dtype=bool)
        for start_s, end_s in self.info.holes_s:
            inside |= (edges_s[:-1] >= start_s) & (edges_s[1:] <= end_s)
        return inside

    def blank(self) -> np.ndarray:
        """(T,) bool: clips whose picture is all of one brightness, such as black before a fade."""
        if "blank" not in self.memo:
            pictures = (Image.open(io.BytesIO(jpeg)).convert("L") for jpeg in self.thumbnails)
            self.memo["blank"] = np.array([np.asarray(picture).std() < BLANK_CONTRAST for picture in pictures])
        return self.memo["blank"].copy()

    def save(self, path: str | os.PathLike) -> None:
        """Writes one npz, whole or not at all; `load` reads it."""
        head = dict(format=FORMAT, info=_info_to_json(self.info),
                    **{name: getattr(self, name) for name in PLAIN_FIELDS})
        arrays: dict[str, Any] = {f"visual/{part}": rows for part, rows in self.visual.items()}
        if self.audio is not None:
            arrays["audio"] = self.audio
        sizes = [len(t) for t in self.thumbnails]
        with atomic_path(path) as temporary, temporary.open("wb") as f:
            np.savez(f, head=np.array(json.dumps(head)), thumbnail_sizes=np.array(sizes, dtype=np.int64),
                     thumbnails=np.frombuffer(b"".join(self.thumbnails), dtype=np.uint8), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike) -> EncodedVideo:
        """Reads what `save` wrote.

        Raises:
            InputError: no such file, or not an encoded video.
        """
        if not Path(path).is_file():
            raise InputError(f"{path}: no such file")
        try:
            with np.load(path, allow_pickle=False) as data:
                head = json.loads(str(data["head"]))
                if head["format"] != FORMAT:
                    raise InputError(f"{path}: written by another version; encode the video again")
                ends = np.cumsum(data["thumbnail_sizes"])
                parts = np.split(data["thumbnails"], ends[:-1])
                visual = [k for k in data.files if k.startswith("visual/")]
                return cls(info=_info_from_json(head["info"]), **{name: head[name] for name in PLAIN_FIELDS},
                           thumbnails=tuple(p.tobytes() for p in parts),
                           visual={k.removeprefix("visual/"): data[k] for k in visual},
                           audio=data["audio"] if "audio" in data.files else None)
        except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as err:
            if isinstance(err, InputError):
                raise
            raise InputError(f"{path}: not an encoded video; write it with EncodedVideo.save") from err


def clip_edges_s(duration_s: Fraction, clip_len_s: float) -> list[Fraction]:
    """T + 1 exact times in seconds that bound the clips; the last one is the duration."""
    length = Fraction(clip_len_s)
    return [i * length for i in range(num_clips(duration_s, clip_len_s))] + [Fraction(duration_s)]


def encode_video(path: str | os.PathLike, encoders: Encoders, progress: bool | Callable[[float], None] = True, *,
                 sampling: str = "exact") -> EncodedVideo:
    """Decodes a video once, streamed, and encodes its clips; training and summaries both come through here.

    Pictures are decoded while earlier ones and the sound are encoded. What is held does not grow with
    the video, but for the features and small thumbnails. Hardware decodes where there is any.

    Args:
        path: any file that PyAV reads.
        encoders: of pictures and, if not None, of sound.
        progress: True shows a bar, and a line about hardware or rare key frames, on stderr; a function is
            called with the share of the pictures that is done, and what it raises ends the work.
        sampling: `exact` pictures, or the nearest of the `keyframes`, which is several times faster.

    Raises:
        InputError: not a readable video, no such sampling, or one whose pictures end before its stated
            duration.
    """
    started_s = time.perf_counter()
    check_sampling(sampling)
    info = probe(path)
    reading = Reading(sampling, find_device(info.codec))
    edges_s = clip_edges_s(info.duration_s, encoders.visual.clip_len_s)
    with _beside(encoders.audio if info.has_audio else None, info, len(edges_s) - 1) as sound:
        stage = "watching" if encoders.audio is None or not info.has_audio else "watching and listening"
        features, thumbnails = _encode_pictures(info, encoders.visual, edges_s, reading, stage, progress)
        audio = sound()
    trim_heap()
    if progress is True:
        _tell(reading, encoders.visual.clip_len_s)
    names = dict(visual=type(encoders.visual).__name__)
    if encoders.audio is not None:
        names["audio"] = type(encoders.audio).__name__
    return EncodedVideo(info, encoders.visual.clip_len_s, names, features, audio, thumbnails,
                        time.perf_counter() - started_s, reading.sampling, decoder_of(reading),
                        float(reading.farthest_s))


def _tell(reading: Reading, clip_len_s: float) -> None:
    if reading.device or reading.failure:
        print(f"decoded by {decoder_of(reading)}", file=sys.stderr)
    if reading.farthest_s > clip_len_s:
        print(f"key frames lie up to {float(reading.farthest_s):.1f} s from the times asked for; with the sampling "
              "'exact' nothing between them is missed", file=sys.stderr)


def decoder_of(reading: Reading) -> str:
    """What decoded the pictures, in a few words."""
    return reading.device or ("software" if reading.failure is None else f"software, since {reading.failure}")


def _encode_pictures(info: VideoInfo, visual: VisualEncoder, edges_s: list[Fraction], reading: Reading,
                     stage: str, progress: bool | Callable[[float], None]
                     ) -> tuple[dict[str, np.ndarray], tuple[bytes, ...]]:
    n_clips, per_clip = len(edges_s) - 1, visual.frames_per_clip
    times_s = [start + (end - start) * Fraction(2 * k + 1, 2 * per_clip)
               for start, end in itertools.pairwise(edges_s) for k in range(per_clip)]
    sums = {part: np.zeros((n_clips, width), dtype=np.float32) for part, width in visual.parts.items()}
    thumbnails, ends = bytearray(), [0]   # small objects that stay, between large ones that go, would keep their memory
    given_back = 0

    def prepare(item: tuple[range, np.ndarray]) -> tuple[range, torch.Tensor, bytes]:
        indices, frame = item
        shown = any(index % per_clip == per_clip // 2 for index in indices)
        return indices, visual.preprocess(frame), _jpeg(frame) if shown else b""

    def encode(batch: list) -> tuple[list, dict[str, np.ndarray]]:
        return batch, visual.encode(torch.stack([picture for _, picture, _ in batch]))

    with inference_pool() as (pool, number), tqdm(total=n_clips, desc=stage, unit="clip", file=sys.stderr,
                                           disable=progress is not True) as bar:
        frames = _alike(frames_at(info.path, times_s, reading=reading))
        prepared = ordered_map(pool, prepare, frames, number + 1)
        for batch, encoded in ordered_map(pool, encode, batched(prepared, visual.batch_frames), number + 1):
            rows = [index // per_clip for indices, _, _ in batch for index in indices]
            counts = [len(indices) for indices, _, _ in batch]
            for part, values in encoded.items():
                np.add.at(sums[part], rows, np.repeat(values / per_clip, counts, axis=0))
            for jpeg in (jpeg for indices, _, jpeg in batch for index in indices if index % per_clip == per_clip // 2):
                thumbnails += jpeg
                ends.append(len(thumbnails))
            bar.update(len(ends) - 1 - bar.n)
            if len(ends) > given_back + CLIPS_BETWEEN:
                given_back = len(ends)
                trim_heap()   # else what threads free in pieces adds up
            if callable(progress):
                progress((len(ends) - 1) / n_clips)
    if len(ends) - 1 < n_clips:
        raise InputError(f"{info.path}: its pictures end at {float(edges_s[len(ends) - 1]):.1f} s of "
                         f"{float(info.duration_s):.1f} s; the file seems cut off, copy or convert it again")
    return sums, tuple(bytes(thumbnails[a:b]) for a, b in itertools.pairwise(ends))


def _alike(frames: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[range, np.ndarray]]:
    """Pictures that several indices share, one key frame for instance, come once."""
    first, shared = 0, None
    for index, frame in frames:
        if shared is not None and frame is not shared:
            yield range(first, index), shared
            first = index
        shared, last = frame, index
    if shared is not None:
        yield range(first, last + 1), shared


@contextmanager
def _beside(audio: AudioEncoder | None, info: VideoInfo,
            n_clips: int) -> Iterator[Callable[[], np.ndarray | None]]:
    """Encodes the sound in a thread of its own; gives what waits for it, None without sound or encoder."""
    if audio is None:
        yield lambda: None
        return
    stopped = threading.Event()
    with ThreadPoolExecutor(1, "sound", torch.set_num_threads, (1,)) as pool:
        rows = pool.submit(_encode_sound, info, audio, n_clips, stopped)
        try:
            yield rows.result
        finally:
            stopped.set()


def _encode_sound(info: VideoInfo, audio: AudioEncoder, n_clips: int, stopped: threading.Event) -> np.ndarray | None:
    """(n_clips, dims) float32; None for a file without sound, or when stopped."""
    rows, done = np.empty((n_clips, audio.dims), dtype=np.float32), 0
    clips = audio_clips(info.path, n_clips, audio.clip_len_s, rate_hz=audio.rate_hz, zero_s=info.start_s)
    for batch in batched(clips, BATCH_CLIPS):
        if stopped.is_set():
            return None
        rows[done:done + len(batch)] = audio.encode(torch.from_numpy(np.stack(batch)))
        done += len(batch)
    return rows if done else None


def _jpeg(frame: np.ndarray) -> bytes:
    image = Image.fromarray(frame)
    image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), reducing_gap=2)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=72)
    return buffer.getvalue()


def _info_to_json(info: VideoInfo) -> dict:
    def to_json(value: object) -> object:
        if isinstance(value, Fraction):
            return dict(fraction=str(value))
        return dict(path=str(value)) if isinstance(value, Path) else value

    return {part.name: to_json(getattr(info, part.name)) for part in dataclasses.fields(info)}


def _info_from_json(values: dict) -> VideoInfo:
    kinds = dict(fraction=Fraction, path=Path)

    def from_json(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(map(tuple, value))
        if not isinstance(value, dict):
            return value
        (kind, text), = value.items()
        return kinds[kind](text)

    return VideoInfo(**{name: from_json(value) for name, value in values.items()})
