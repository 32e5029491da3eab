"""The example video that the first screen offers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, read_subtitles
from pipelines.media.video_reader import frames_at

EXAMPLE_NAME = "example.mp4"
POSTER_PX = 320


@dataclass(frozen=True)
class Example:
    """A video that every user may try.

    Attributes:
        path: the video file.
        name: name that users see.
        cues: subtitles of the video.
        queries: queries for which the video has a clear answer.
        poster: a frame, as JPEG.
        duration_s: duration in seconds.
    """

    path: Path
    name: str
    cues: tuple[Cue, ...]
    queries: tuple[str, ...]
    poster: bytes
    duration_s: float


def load_example(video: Path, subtitles: Path | None, queries: Sequence[str], poster_s: float) -> Example:
    """Return the example for a video file.

    Args:
        video: the video file.
        subtitles: subtitle file of the video; None for no subtitles.
        queries: queries for which the video has a clear answer.
        poster_s: time of the frame that represents it.

    Raises:
        InputError: a file cannot be read.
    """
    _, frame = next(iter(frames_at(video, [poster_s])))
    image = Image.fromarray(frame)
    image.thumbnail((POSTER_PX, POSTER_PX))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    cues = () if subtitles is None else tuple(read_subtitles(subtitles))
    return Example(video, EXAMPLE_NAME, cues, tuple(queries), buffer.getvalue(), float(probe(video).duration_s))
