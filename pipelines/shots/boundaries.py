"""Detect hard cuts, exact to the frame."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipelines.media.frames import frames_from
from pipelines.media.probe import VideoInfo
from pipelines.media.tone_mapping import is_hdr, to_sdr

THUMBNAIL_PX = (64, 36)    # Width and height at which consecutive frames are compared.
MIN_CUT_DIFFERENCE = 12.0  # Minimum mean difference of the pixel levels (0-255) across a hard cut.
MIN_MEDIAN_RATIO = 3.0     # Minimum ratio of a cut's difference to the median difference.
MIN_NEIGHBOR_RATIO = 2.0   # Minimum ratio of a cut's difference to each of the two differences before and after it.


def hard_cuts(info: VideoInfo, from_s: Fraction, until_s: Fraction,
              opened: tuple[InputContainer, VideoStream] | None = None) -> list[Fraction]:
    """Return the times of the hard cuts within [from_s, until_s], i.e. of the first frames of new shots.

    Consecutive frames are downscaled to 64 x 36 and compared by the mean absolute difference of their RGB levels, as
    content detectors do; `find_cuts` decides which differences are cuts.

    Args:
        info: properties of the video.
        from_s: start of the range, in seconds from the first frame.
        until_s: end of the range.
        opened: see `pipelines.media.frames.frames_from`.

    Returns:
        Seconds from the first frame, ascending; empty if the shots change gradually or not at all.
    """
    times_s, thumbnails = read_thumbnails(info, from_s, until_s, opened)
    return [times_s[i] for i in cut_indices(thumbnails)]


def read_thumbnails(info: VideoInfo, from_s: Fraction, until_s: Fraction,
                    opened: tuple[InputContainer, VideoStream] | None = None) -> tuple[list[Fraction], np.ndarray]:
    """Return the times of all frames within [from_s, until_s], and their thumbnails (T, 36, 64, 3); see `hard_cuts`."""
    times_s, thumbnails = [], []
    for time_s, frame in frames_from(info.path, info.start_s, from_s, opened, skip_nonref=True):
        if time_s > until_s:
            break
        if time_s >= from_s:
            times_s.append(time_s)
            thumbnails.append(thumbnail(frame))
    return times_s, np.array(thumbnails).reshape(-1, *THUMBNAIL_PX[::-1], 3)


def cut_indices(thumbnails: np.ndarray) -> list[int]:
    """Return the indices of the first frames of new shots in (T, 36, 64, 3) consecutive frames."""
    return [i + 1 for i in find_cuts(np.array([mean_difference(a, b) for a, b in itertools.pairwise(thumbnails)]))]


def thumbnail(frame: VideoFrame) -> np.ndarray:
    """Return a frame as (36, 64, 3) int16 RGB, for comparisons with `mean_difference`."""
    width, height = THUMBNAIL_PX
    if is_hdr(frame):
        frame = to_sdr(frame, width, height, "AREA")
    return frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="AREA").astype(np.int16)


def mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference of two thumbnails, in levels of 255."""
    return float(np.abs(a - b).mean())


def find_cuts(differences: np.ndarray) -> list[int]:
    """Return the indices of the differences that are hard cuts.

    The difference at a cut is large, far above the median, and isolated: an object that sweeps through the frame
    causes several large differences in a row.

    Args:
        differences: (n,) `mean_difference` of consecutive frames.
    """
    median = float(np.median(differences)) if len(differences) > 2 else 0.0
    cuts = []
    for i in map(int, np.flatnonzero(differences >= max(MIN_CUT_DIFFERENCE, MIN_MEDIAN_RATIO * median))):
        neighbors = np.delete(differences[max(0, i - 2):i + 3], min(i, 2))
        if len(neighbors) == 0 or differences[i] >= MIN_NEIGHBOR_RATIO * neighbors.max():
            cuts.append(i)
    return cuts
