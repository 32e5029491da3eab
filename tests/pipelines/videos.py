"""Encoded videos that are made without a file, for tests of what follows the encoding."""

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from common.temporal import num_clips
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.probe import VideoInfo


def _jpeg(blank: bool) -> bytes:
    pixels = np.full((8, 8), 128, np.uint8) if blank else np.kron([[0, 255], [255, 0]], np.ones((4, 4))).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def encoded_video(visual: dict[str, np.ndarray] | np.ndarray, duration_s: float | Fraction | None = None,
                  clip_len_s: float = 2, audio: np.ndarray | None = None, gaps_s=(), blank=()) -> EncodedVideo:
    """Return a video of the given features.

    Args:
        visual: part -> (T, width), or the features of the part "color".
        duration_s: by default T complete clips.
        clip_len_s: length of a clip.
        audio: (T, A) or None.
        gaps_s: gaps in the time stamps.
        blank: indices of clips whose thumbnail is uniform.
    """
    visual = dict(color=visual) if isinstance(visual, np.ndarray) else visual
    T = len(next(iter(visual.values())))
    duration_s = Fraction(T * clip_len_s if duration_s is None else duration_s)
    assert num_clips(duration_s, clip_len_s) == T
    info = VideoInfo(Path("/v.mp4"), duration_s, Fraction(25), int(duration_s * 25), 64, 48, Fraction(0),
                     audio is not None, 0, "h264", timestamp_gaps_s=tuple(gaps_s))
    return EncodedVideo(info, clip_len_s, dict(visual="fake"), visual, audio,
                        tuple(_jpeg(i in blank) for i in range(T)))
