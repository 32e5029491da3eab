"""A video's features, made once and asked many times."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import os
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path
from models.encoders import Encoders
from models.encoders.base import AudioEncoder, VisualEncoder, num_clips

from .audio import audio_clips
from .video import VideoInfo, frames_at, probe

BATCH_CLIPS = 32
THUMBNAIL_PX = 192   # longer side
BLANK_CONTRAST = 8   # standard deviation of brightness, 0-255, below which a picture shows nothing
FORMAT = 1           # of the saved file


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
    """

    info: VideoInfo
    clip_len_s: float
    encoders: dict[str, str]
    visual: dict[str, np.ndarray]
    audio: np.ndarray | None
    thumbnails: tuple[bytes, ...]
    encoding_s: float = 0.0

    @property
    def n_clips(self) -> int:
        return len(self.thumbnails)

    @property
    def edges_s(self) -> list[Fraction]:
        """T + 1 times in seconds: clip i is [edges_s[i], edges_s[i + 1])."""
        return clip_edges_s(self.info.duration_s, self.clip_len_s)

    def blank(self) -> np.ndarray:
        """(T,) bool: clips whose picture is all of one brightness, such as black before a fade."""
        pictures = (Image.open(io.BytesIO(jpeg)).convert("L") for jpeg in self.thumbnails)
        return np.array([np.asarray(picture).std() < BLANK_CONTRAST for picture in pictures])

    def save(self, path: str | os.PathLike) -> None:
        """Writes one npz, whole or not at all; `load` reads it."""
        head = dict(format=FORMAT, clip_len_s=self.clip_len_s, encoders=self.encoders,
                    encoding_s=self.encoding_s, info=_info_to_json(self.info))
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
                return cls(info=_info_from_json(head["info"]), clip_len_s=head["clip_len_s"],
                           encoders=head["encoders"], encoding_s=head["encoding_s"],
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


def encode_video(path: str | os.PathLike, encoders: Encoders, progress: bool = True) -> EncodedVideo:
    """Decodes a video once, streamed, and encodes its clips; training and summaries both come through here.

    Args:
        path: any file that PyAV reads.
        encoders: of pictures and, if not None, of sound.
        progress: whether bars are drawn on stderr.

    Raises:
        InputError: not a readable video, or one whose pictures end before its stated duration.
    """
    started_s = time.perf_counter()
    info = probe(path)
    visual = encoders.visual
    edges_s = clip_edges_s(info.duration_s, visual.clip_len_s)
    n_clips = len(edges_s) - 1
    features, thumbnails = _encode_pictures(info, visual, edges_s, progress)
    audio = None
    if encoders.audio is not None and info.has_audio:
        audio = _encode_sound(info, encoders.audio, n_clips, progress)
    names = dict(visual=type(visual).__name__)
    if encoders.audio is not None:
        names["audio"] = type(encoders.audio).__name__
    return EncodedVideo(info, visual.clip_len_s, names, features, audio, thumbnails,
                        time.perf_counter() - started_s)


def _encode_pictures(info: VideoInfo, visual: VisualEncoder, edges_s: list[Fraction],
                     progress: bool) -> tuple[dict[str, np.ndarray], tuple[bytes, ...]]:
    n_clips, per_clip = len(edges_s) - 1, visual.frames_per_clip
    times_s = [start + (end - start) * Fraction(2 * k + 1, 2 * per_clip)
               for start, end in itertools.pairwise(edges_s) for k in range(per_clip)]
    sums = {part: np.zeros((n_clips, width), dtype=np.float32) for part, width in visual.parts.items()}
    thumbnails: dict[int, bytes] = {}
    bar = tqdm(total=n_clips, desc="watching", unit="clip", file=sys.stderr, disable=not progress)
    for batch in _batches(frames_at(info.path, times_s), BATCH_CLIPS):
        rows = [index // per_clip for index, _ in batch]
        with torch.inference_mode():
            encoded = visual(torch.stack([visual.preprocess(frame) for _, frame in batch]))
        for part, values in encoded.items():
            np.add.at(sums[part], rows, values.float().numpy() / per_clip)
        for index, frame in batch:
            if index % per_clip == per_clip // 2:
                thumbnails[index // per_clip] = _jpeg(frame)
        bar.update(len(thumbnails) - bar.n)
    bar.close()
    if len(thumbnails) < n_clips:
        raise InputError(f"{info.path}: its pictures end at {float(edges_s[len(thumbnails)]):.1f} s of "
                         f"{float(info.duration_s):.1f} s; the file seems cut off, copy or convert it again")
    return sums, tuple(thumbnails[i] for i in range(n_clips))


def _encode_sound(info: VideoInfo, audio: AudioEncoder, n_clips: int, progress: bool) -> np.ndarray | None:
    bar = tqdm(total=n_clips, desc="listening", unit="clip", file=sys.stderr, disable=not progress)
    rows = []
    clips = audio_clips(info.path, n_clips, audio.clip_len_s, rate_hz=audio.rate_hz)
    for batch in _batches(clips, BATCH_CLIPS):
        with torch.inference_mode():
            rows.append(audio(torch.from_numpy(np.stack(batch))).float().numpy())
        bar.update(len(batch))
    bar.close()
    return np.concatenate(rows) if rows else None


def _batches(items: Iterator, size: int) -> Iterator[list]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


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

    return {field.name: to_json(getattr(info, field.name)) for field in dataclasses.fields(info)}


def _info_from_json(values: dict) -> VideoInfo:
    kinds = dict(fraction=Fraction, path=Path)

    def from_json(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        (kind, text), = value.items()
        return kinds[kind](text)

    return VideoInfo(**{name: from_json(value) for name, value in values.items()})
