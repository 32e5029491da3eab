"""Detect gradual transitions (dissolves, fades, and wipes), exact to the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from common.temporal import Interval
from pipelines.media.probe import VideoInfo

from .boundaries import cut_indices, read_thumbnails
from .motion import block_differences, smoothed

LAG_S = 0.24               # Frames at this distance are compared to find a transition.
MIN_CHANGE = 3.0           # Minimum difference at that distance within a transition, in levels of 255.
MAX_LENGTH_S = Fraction(5, 2)   # Longer changes are no transitions.
CONTEXT_S = Fraction(1, 2)      # Seconds decoded before and after a range.
MIN_SHOT_DIFFERENCE = 8.0  # Minimum difference of the frames before and after a transition.
UNIFORM_CONTRAST = 4.0     # A frame is uniform, e.g. black, if its mean absolute deviation is at most this.
MAX_MATCH = 0.35           # Blocks whose difference is at most this share of the contrast show the same content.
MAX_LEVEL = 2.0            # So do blocks whose difference is at most this multiple of the usual one at the lag.
MAX_STEP = 0.8             # A larger share of the change between two consecutive frames is a hard cut.
MAX_FOOT = 0.2             # A peak of the changes begins and ends at this share of its height.
MIN_PROMINENCE = 0.4       # A peak exceeds the higher one of its feet by at least this share.
MIN_WIPE_SPREAD = 0.62     # Mean distance of the blocks' shares in both shots from 50 %, as a share of 50 %.
STEEP_SHARES = 0.2, 0.4    # Shares of its maximum at which the steep part of a curve is measured.
MARGIN = 0.75              # Frames that are added to both ends of a transition,
MARGIN_SHARE = 0.01        # and the share of its length that is added to them.


@dataclass(frozen=True)
class Transitions:
    """The gradual transitions within consecutive frames.

    Attributes:
        spans: [first, end) of each transition, ascending: the index of the first frame that differs from the shot
            before, and of the first frame that shows nothing but the shot after.
        open_start: True if the first frames may belong to a transition that begins before them.
        open_end: True if the last frames may belong to a transition that ends after them.
    """

    spans: list[tuple[int, int]]
    open_start: bool = False
    open_end: bool = False


def gradual_transitions(info: VideoInfo, from_s: Fraction, until_s: Fraction,
                        opened: tuple[InputContainer, VideoStream] | None = None) -> list[Interval]:
    """Return the gradual transitions that overlap a range of a video.

    Args:
        info: properties of the video.
        from_s: start of the range, in seconds from the first frame.
        until_s: end of the range.
        opened: see `pipelines.media.frames.frames_from`.

    Returns:
        The times of the first frame of each transition and of the first frame after it, ascending. A transition that is
        longer than 2.5 s is not found.
    """
    first_s, last_s = from_s - CONTEXT_S, until_s + CONTEXT_S
    times_s, thumbnails = read_thumbnails(info, max(first_s, Fraction(0)), last_s, opened)
    found = find_transitions(thumbnails, _fps(times_s))
    if (found.open_start and first_s > 0) or (found.open_end and last_s < info.duration_s):
        # The range starts or ends within a transition: decode it completely.
        first_s, last_s = first_s - found.open_start * MAX_LENGTH_S, last_s + found.open_end * MAX_LENGTH_S
        times_s, thumbnails = read_thumbnails(info, max(first_s, Fraction(0)), last_s, opened)
        found = find_transitions(thumbnails, _fps(times_s))
    return [(a, b) for a, b in _in_seconds(times_s, found) if a < until_s and b > from_s]


def shot_changes(info: VideoInfo, from_s: Fraction, until_s: Fraction) -> list[Interval]:
    """Return the hard cuts and the gradual transitions within a range, which is decoded once.

    Args:
        info: properties of the video.
        from_s: start of the range, in seconds from the first frame.
        until_s: end of the range.

    Returns:
        The times of the first frame of each change and of the first frame after it, ascending; they are equal for a
        hard cut. Transitions that are not complete within half a second around the range are not found.
    """
    times_s, thumbnails = read_thumbnails(info, max(from_s - CONTEXT_S, Fraction(0)), until_s + CONTEXT_S)
    spans_s = _in_seconds(times_s, find_transitions(thumbnails, _fps(times_s)))
    inside = [i for i, time_s in enumerate(times_s) if from_s <= time_s <= until_s]
    cuts_s = [times_s[inside[i]] for i in cut_indices(thumbnails[inside])]
    return sorted([*((time_s, time_s) for time_s in cuts_s),
                   *((a, b) for a, b in spans_s if a < until_s and b > from_s)])


def _fps(times_s: Sequence[Fraction]) -> float:
    """Return the average frame rate of at least two frames, else 25."""
    return (len(times_s) - 1) / float(times_s[-1] - times_s[0]) if len(times_s) > 1 else 25.0


def _in_seconds(times_s: Sequence[Fraction], found: Transitions) -> list[Interval]:
    return [(times_s[first], times_s[end]) for first, end in found.spans]


def find_transitions(thumbnails: np.ndarray, fps: float) -> Transitions:
    """Find the gradual transitions between shots.

    Frames a quarter of a second apart are compared, because a gradual transition changes little between consecutive
    frames (Yeo and Liu, "Rapid Scene Analysis on Compressed Video", IEEE TCSVT 1995). The differences are
    motion-compensated, so that pans and zooms do not count.

    Each candidate is verified by models of the transition: the frames before and after it show different content,
    unlike at a flash or a passing object; and the difference to either of them grows gradually, as the frames are
    mixtures of both shots (Hampapur, Jain and Weymouth, "Production Model Based Digital Video Segmentation",
    Multimedia Tools and Applications 1995). A transition extends over the frames in which this growth takes place.

    Args:
        thumbnails: (T, 36, 64, 3), consecutive frames from `boundaries.thumbnail`.
        fps: frames per second.
    """
    lag = max(2, round(LAG_S * fps))
    if len(thumbnails) < lag + 2:
        return Transitions([])
    search = _Search(smoothed(thumbnails), lag, round(float(MAX_LENGTH_S) * fps))
    candidates, open_start, open_end = search.candidates()
    spans = [span for candidate in candidates if (span := search.verify(*candidate)) is not None]
    return Transitions(search.joined(spans), open_start, open_end)


@dataclass(frozen=True)
class _Search:
    """A search for transitions.

    Attributes:
        frames: (T, 36, 64, 3) float32 from `smoothed`.
        lag: distance in frames at which frames are compared.
        max_length: maximum length of a transition in frames.
    """

    frames: np.ndarray
    lag: int
    max_length: int

    def differences(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return the mean motion-compensated difference of each pair of frames, (N,) in levels of 255."""
        return np.nanmean(block_differences(self.frames[a], self.frames[b]), axis=(1, 2))

    def is_uniform(self, index: int) -> bool:
        return contrast(self.frames[index]) <= UNIFORM_CONTRAST

    def candidates(self) -> tuple[list[tuple[int, int, float]], bool, bool]:
        """Return the frames (before, after) that enclose gradual changes, and the usual difference beside them.

        The last two values are True if there may be a change that begins before the frames, or ends after them.
        """
        n, step = len(self.frames), max(1, self.lag // 3)
        before = np.append(np.arange(0, n - self.lag - 1, step), n - self.lag - 1)
        after = before + self.lag
        change = self.differences(before, after)
        is_open = change >= change.min() + max(MIN_PROMINENCE * change.min(), MIN_CHANGE)
        if self.is_uniform(0):   # A fade may start with the first frame.
            before, after, change = np.append(0, before), np.append(0, after), np.append(0, change)
        if self.is_uniform(n - 1):
            before, after, change = np.append(before, n - 1), np.append(after, n - 1), np.append(change, 0)
        merged: list[tuple[int, int]] = []
        for begin, end in peaks(change):
            if merged and before[begin] < after[merged[-1][1]]:   # As in a fade through black.
                begin = merged.pop()[0]
            merged.append((begin, end))
        found = []
        for begin, end in merged:
            if after[end] - before[begin] <= self.max_length + 2 * self.lag:
                level = max(change[max(0, begin - 3):begin + 1].min(), change[end:end + 4].min())
                found.append((int(before[begin]), int(after[end]), float(level)))
        return found, bool(is_open[0]), bool(is_open[-1])

    def verify(self, before: int, after: int, level: float) -> tuple[int, int] | None:
        """Return the transition [first, end) between two frames; None if the change is of another kind."""
        indices = np.arange(before, after + 1)
        growth = block_differences(self.frames[np.full(len(indices), before)], self.frames[indices])
        decline = block_differences(self.frames[np.full(len(indices), after)], self.frames[indices])[::-1]
        for blocks in (growth, decline):
            blocks[0] = blocks[1]   # A frame is more similar to itself than to any other frame of its shot.
            curve = _mean(blocks)
            if curve[-1] < MIN_SHOT_DIFFERENCE or np.abs(np.diff(curve)).max() > MAX_STEP * np.ptp(curve):
                return None
        if same_content(self.frames[before], self.frames[after], level):
            return None
        first, end = onset(_mean(growth)), len(indices) - 1 - onset(_mean(decline))
        if end <= first:
            return None
        middle = round((first + end) / 2)
        with np.errstate(invalid="ignore"):   # The share of a block without any difference is NaN.
            shares = growth[middle] / (growth[middle] + decline[len(indices) - 1 - middle])
        margin = MARGIN + MARGIN_SHARE * (end - first)
        if np.nanmean(np.abs(2 * shares - 1)) > MIN_WIPE_SPREAD:   # Most blocks show only one of the shots.
            margin *= 1.5
            first = steep_onset(_max_increase(growth))
            end = len(indices) - 1 - steep_onset(_max_increase(decline))
        return max(0, before + int(np.floor(first - margin)) + 1), min(after, before + int(np.ceil(end + margin)))

    def joined(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Join transitions with nothing but dark or uniform frames between them, such as a fade-out and a fade-in."""
        result: list[tuple[int, int]] = []
        for first, end in spans:
            if result and self.is_hold(result[-1], (first, end)):
                first = result.pop()[0]
            result.append((first, end))
        return result

    def is_hold(self, span: tuple[int, int], following: tuple[int, int]) -> bool:
        """Return True if the frames between two transitions show no shot, but the end of a fade."""
        shots = [self.frames[max(0, span[0] - 1)], self.frames[min(following[1], len(self.frames) - 1)]]
        between = range(min(span[1], following[0]), max(span[1], following[0]) + 1)
        contrasts = [contrast(self.frames[i]) for i in between]
        return (min(contrasts) <= UNIFORM_CONTRAST
                and max(contrasts) <= max(UNIFORM_CONTRAST, max(map(contrast, shots)) / 2))


def _mean(blocks: np.ndarray) -> np.ndarray:
    """Return the means (N,) of blocks (N, 6, 8) that are not NaN."""
    return np.nanmean(blocks, axis=(1, 2))


def _max_increase(blocks: np.ndarray) -> np.ndarray:
    """Return the greatest increase (N,) of any block (N, 6, 8) since the first frames."""
    return np.nanmax(blocks - np.nanmean(blocks[:3], axis=0), axis=(1, 2))


def peaks(change: np.ndarray) -> list[tuple[int, int]]:
    """Return the peaks of a curve, each as the indices (begin, end) of its feet.

    The values between the peaks depend on the texture and the motion of each shot, so each side of a peak has its own
    level. A peak exceeds twice the higher one.
    """
    found: list[tuple[int, int]] = []
    rest = change.copy()
    while len(rest) and rest.max() >= MIN_CHANGE:
        top = int(rest.argmax())
        first = max((end for _, end in found if end <= top), default=0)
        last = min((begin for begin, _ in found if begin >= top), default=len(change) - 1)
        left, right = change[first:top + 1], change[top:last + 1]
        feet = [side.min() + MAX_FOOT * (change[top] - side.min()) for side in (left, right)]
        begin = first + int(np.flatnonzero(left <= feet[0])[-1])
        end = top + int(np.flatnonzero(right <= feet[1])[0])
        base = max(left.min(), right.min())
        if change[top] >= base + max(MIN_PROMINENCE * base, MIN_CHANGE):
            found.append((begin, end))
        rest[begin + 1:end] = rest[top] = 0
    return sorted(found)


def onset(curve: np.ndarray) -> float:
    """Return the index at which a curve starts to grow: the corner of a constant that is followed by a line.

    Args:
        curve: (n,) differences to the first frame; only the part up to half of its range is used.
    """
    last = int(np.argmax(curve >= curve.min() + 0.5 * np.ptp(curve)))
    y, x = curve[:last + 1], np.arange(last + 1)
    best = (np.inf, 0.0)
    for corner in np.arange(0, last - 0.5, 0.25):
        design = np.stack([np.ones(len(x)), np.maximum(0, x - corner)], axis=1)
        coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
        best = min(best, (float(((design @ coefficients - y) ** 2).sum()), float(corner)))
    return best[1]


def steep_onset(curve: np.ndarray) -> float:
    """Return the index at which the steep part of a curve (n,) would start from 0, by linear extrapolation."""
    first, second = (int(np.argmax(curve >= share * curve.max())) for share in STEEP_SHARES)
    return max(0.0, first - (second - first) * STEEP_SHARES[0] / (STEEP_SHARES[1] - STEEP_SHARES[0]) - 0.5)


def same_content(a: np.ndarray, b: np.ndarray, level: float) -> bool:
    """Return True if most of two frames shows the same content, apart from motion and brightness.

    Args:
        a: (36, 64, 3), a frame from `smoothed`.
        b: the frame to compare with.
        level: difference of frames of the same shot.
    """
    if min(contrast(a), contrast(b)) <= UNIFORM_CONTRAST:
        return False
    adapted = (a - a.mean(axis=(0, 1))) * (contrast(b) / contrast(a)) + b.mean(axis=(0, 1))
    differences = block_differences(np.stack([b, b]), np.stack([a, adapted]))
    most = min(float(np.nanmedian(blocks)) for blocks in differences)   # An object may change the mean brightness.
    return most <= max(MAX_MATCH * contrast(b), min(MAX_LEVEL * level, contrast(b) / 2))


def contrast(frame: np.ndarray) -> float:
    """Return the mean absolute deviation of a frame (H, W, 3) from its mean color."""
    return float(np.abs(frame - frame.mean(axis=(0, 1))).mean())
