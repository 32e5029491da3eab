"""Cropping to another shape so that the subject stays in the picture, by a calm camera.

What draws the eye is measured by colours unlike those around (centre-surround contrast: Itti, Koch and Niebur,
PAMI 1998) and by movement against the background. The camera stands still within a shot if that shows nearly as
much of it as following does, as AutoFlip's stationary mode (Google, 2020); else it moves rarely and little, by the
path of least loss with a price on every movement (the L1 idea of Grundmann et al., CVPR 2011), eased over a second.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from pipelines.media.display import Display, to_rgb
from pipelines.media.frames import Frames
from pipelines.shots.boundaries import MIN_CUT_DIFFERENCE, find_cuts, mean_difference, thumbnail

SHORT_SIDE_PX = 72       # saliency is measured at this size
SAMPLES_PER_S = 4
BLUR_PX = 1.5
AROUND_PX = 14.0         # what a place is compared with
MOTION_WEIGHT = 1.5      # beside 1 for colour
STRONG_LEVELS = 40.0     # differences, of 255, that count 1
STILL_LEVELS = 4.0       # movement below which it is noise
CENTRE_SPREAD = 0.35     # of the axis; the middle counts twice as much as the far ends
BACKGROUND = 0.8         # of what draws the eye all through a shot counts for nothing
STANDS = 0.85            # the camera stands still if it then shows so much of what following shows
MOVE_PRICE = 4.0         # what a move over the whole axis costs, in samples of which all or nothing is shown
DEAD = 0.1               # of the window, by which the subject may move before the camera does
EASE_S = 0.5             # spread of the smoothing of moves

TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float32)


def crop_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The largest even size of a shape (width to height) within a picture."""
    if aspect < Fraction(width, height):
        return max(2, 2 * round(height * aspect / 2)), height
    return width, min(height, max(2, 2 * round(width / aspect / 2)))


@dataclass(frozen=True)
class Camera:
    """Where the crop lies over time.

    Attributes:
        size: of the crop, width and height in pixels, even.
        room: pixels by which it can move, along x and y; one of them is 0.
        segments: of each shot, when it begins, the times of the samples and their places in [0, 1] of the room.
    """

    size: tuple[int, int]
    room: tuple[int, int]
    segments: list[tuple[float, np.ndarray, np.ndarray]]

    def offset(self, time_s: float) -> tuple[int, int]:
        """The crop's upper left corner at a time of the video, even numbers of pixels."""
        begun = [segment for segment in self.segments if segment[0] <= time_s + 1e-6] or self.segments[:1]
        _, times_s, places = begun[-1]
        place = float(np.interp(time_s, times_s, places))
        x, y = (2 * round(place * pixels / 2) for pixels in self.room)
        return min(x, self.room[0] // 2 * 2), min(y, self.room[1] // 2 * 2)

    def take(self, frame: VideoFrame, time_s: float) -> VideoFrame:
        """The crop of a yuv420p frame, its pixels as they are."""
        x, y = self.offset(time_s)
        width, height = self.size
        result = VideoFrame(width, height, "yuv420p")
        for plane, target, shrink in zip(frame.planes, result.planes, (1, 2, 2), strict=True):
            stored = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            lines = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
            lines[:height // shrink, :width // shrink] = stored[y // shrink:(y + height) // shrink,
                                                                x // shrink:(x + width) // shrink]
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(result, name, getattr(frame, name))
        return result


def plan_camera(frames: Frames, display: Display, start_s: Fraction, end_s: Fraction, aspect: Fraction) -> Camera:
    """Looks through a piece of a video and decides where its crop lies.

    Args:
        frames: with their times in seconds from the first picture, from `start_s` or earlier on.
        display: how its pictures are shown.
        start_s: the piece is [start_s, end_s), in seconds from the first picture.
        aspect: width to height.
    """
    width, height = (size - size % 2 or 2 for size in (display.width, display.height))
    size = crop_size(width, height, aspect)
    room = (width - size[0], height - size[1])
    along_x = room[0] > 0
    whole, part = (width, size[0]) if along_x else (height, size[1])
    segments = []
    for begin_s, times_s, profiles in _shots(_piece(frames, start_s, end_s), display, start_s, along_x):
        window = max(1, round(profiles.shape[1] * part / whole))
        places = camera_path(profiles, window) if window < profiles.shape[1] else np.full(len(profiles), 0.5)
        segments.append((begin_s, times_s, places))
    return Camera(size, room, segments or [(0.0, np.zeros(1), np.full(1, 0.5))])


def camera_path(profiles: np.ndarray, window: int) -> np.ndarray:
    """Where a window lies over a shot, so that it shows what draws the eye and moves little.

    What lies in the window's middle counts twice as much as at its edges.

    Args:
        profiles: (T, N), how much every place along the axis draws the eye; where a row sums to little, the
            camera need not move for it.
        window: places that are shown, less than N.

    Returns:
        (T,) in [0, 1]: 0 the window is at the beginning of the axis, 1 at its end.
    """
    T = len(profiles)
    from_middle = np.abs(np.arange(window) - (window - 1) / 2) / window           # up to 1/2 at the edges
    shown = np.lib.stride_tricks.sliding_window_view(profiles, window, axis=1) @ (1 - from_middle)   # (T, P)
    positions = np.arange(shown.shape[1])
    total = shown.sum(axis=0)
    middle = (shown.shape[1] - 1) / 2
    still = max(np.flatnonzero(total >= total.max() - 1e-9), key=lambda p: -abs(p - middle))
    if T == 1 or total[still] >= STANDS * shown.max(axis=1).sum():
        return np.full(T, still / max(1, positions[-1]))
    price = MOVE_PRICE / len(positions) * np.abs(positions[:, None] - positions[None, :])   # (to, from)
    loss, came_from = -shown[0], np.zeros((T, len(positions)), dtype=np.int64)
    for t in range(1, T):
        ways = loss[None, :] + price
        came_from[t] = ways.argmin(axis=1)
        loss = ways[positions, came_from[t]] - shown[t]
    path = np.zeros(T, dtype=np.int64)
    path[-1] = loss.argmin()
    for t in range(T - 1, 0, -1):
        path[t - 1] = came_from[t, path[t]]
    for t in range(1, T):
        if abs(path[t] - path[t - 1]) <= DEAD * window:
            path[t] = path[t - 1]              # trembling, or too little to move for
    eased = gaussian_filter1d(path.astype(np.float64), EASE_S * SAMPLES_PER_S, mode="nearest")
    return eased / max(1, positions[-1])


def without_background(profiles: np.ndarray) -> np.ndarray:
    """Profiles (T, N) of a shot, less most of what draws the eye there all the time, which is no subject.

    They are scaled so that what draws the eye in the liveliest samples sums to about 1.
    """
    left = profiles - BACKGROUND * np.percentile(profiles, 20, axis=0)
    return left / max(float(np.percentile(left.sum(axis=1), 90)), 1e-9)


def saliency(picture: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """How much every pixel draws the eye.

    Args:
        picture: (H, W, 3) float32 YCbCr.
        before: the picture a moment earlier in the same shot; None for none.

    Returns:
        (H, W), >= 0; about 1 for what is strong.
    """
    blurred = gaussian_filter(picture, (BLUR_PX, BLUR_PX, 0))
    around = gaussian_filter(picture, (AROUND_PX, AROUND_PX, 0))
    result = ((blurred - around) ** 2).sum(axis=2) / STRONG_LEVELS**2   # few strong places, not many weak ones
    if before is not None:
        change = gaussian_filter(np.abs(picture[..., 0] - before[..., 0]), BLUR_PX)
        moves = np.maximum(change - np.median(change), 0)        # what moves unlike the background
        result = result + MOTION_WEIGHT * np.where(moves > STILL_LEVELS, moves, 0) / STRONG_LEVELS
    return result


def _shots(piece: Frames, display: Display, start_s: Fraction,
           along_x: bool) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """For each shot of a piece from `start_s` on: when it begins, its samples' times (T,) and profiles (T, N)."""
    times, changes, samples, small, before, next_s = [], [], [], None, None, start_s
    for time_s, frame in piece:
        tiny = thumbnail(frame)
        changed = 0.0 if small is None else mean_difference(tiny, small)
        small = tiny
        times.append(time_s)
        changes.append(changed)
        if changed >= MIN_CUT_DIFFERENCE:
            before, next_s = None, time_s     # perhaps a new shot: it gets samples of its own
        if time_s >= next_s:
            picture = to_rgb(frame, display, SHORT_SIDE_PX).astype(np.float32) @ TO_YCBCR.T
            samples.append((time_s, _profile(saliency(picture, before), along_x)))
            before, next_s = picture, time_s + Fraction(1, SAMPLES_PER_S)
    begins = [*times[:1], *(times[i] for i in find_cuts(np.array(changes)))]
    for begin_s, until_s in itertools.zip_longest(begins, begins[1:]):
        inside = [(t, profile) for t, profile in samples if t >= begin_s and (until_s is None or t < until_s)]
        if inside:
            yield (float(begin_s), np.array([float(t) for t, _ in inside]),
                   without_background(np.stack([profile for _, profile in inside])))


def _piece(frames: Frames, start_s: Fraction, end_s: Fraction) -> Frames:
    """The pictures of a piece; the one that stands when it begins counts as its first if no other does."""
    standing = None
    for time_s, frame in frames:
        if time_s >= end_s:
            break
        if time_s < start_s:
            standing = frame
            continue
        if standing is not None and time_s > start_s:
            yield start_s, standing
        standing = None
        yield time_s, frame
    if standing is not None:
        yield start_s, standing


def _profile(salient: np.ndarray, along_x: bool) -> np.ndarray:
    profile = salient.sum(axis=0 if along_x else 1)
    place = np.linspace(-0.5, 0.5, len(profile))
    profile = profile * (0.5 + 0.5 * np.exp(-0.5 * (place / CENTRE_SPREAD) ** 2))
    return profile + 1e-9
