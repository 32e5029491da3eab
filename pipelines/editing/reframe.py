"""Reframe videos to another aspect ratio: a smooth virtual camera follows the most salient region.

Saliency is measured by center-surround color contrast (Itti, Koch and Niebur, PAMI 1998) and by motion against the
background. Within a shot, the camera is stationary if it then shows nearly as much salient content as a moving one, as
in AutoFlip's stationary mode (Google, 2020). Otherwise it follows the path of least loss with an L1 penalty on its
motion (after Grundmann et al., CVPR 2011), smoothed over a second.
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

SHORT_SIDE_PX = 72          # Saliency is measured at this size.
SAMPLES_PER_S = 4
CENTER_SIGMA_PX = 1.5       # Width of the center of the contrast filter.
SURROUND_SIGMA_PX = 14.0    # Width of its surround.
MOTION_WEIGHT = 1.5         # Weight of motion; color contrast has the weight 1.
STRONG_DIFFERENCE = 40.0    # A difference of this many levels of 255 has the saliency 1.
MIN_MOTION = 4.0            # Differences below this many levels are noise.
CENTER_BIAS_SIGMA = 0.35    # Share of the axis; the middle of the frame has up to twice the weight of its edges.
BACKGROUND_SHARE = 0.8      # Share of the permanent saliency of a shot that is removed as background.
MIN_STATIONARY_SHARE = 0.85   # The camera is stationary if it shows at least this share of what a moving one shows.
MOTION_PENALTY = 4.0        # Cost of moving over the complete axis, in samples whose salient content is lost.
DEAD_ZONE = 0.1             # The camera ignores motion of the subject below this share of the window.
SMOOTHING_S = 0.5           # Standard deviation of the smoothing of the camera path.

RGB_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], dtype=np.float32)

Segment = tuple[float, np.ndarray, np.ndarray]


def crop_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return the largest even width and height of an aspect ratio (width to height) within a frame."""
    if aspect < Fraction(width, height):
        return max(2, 2 * round(height * aspect / 2)), height
    return width, min(height, max(2, 2 * round(width / aspect / 2)))


@dataclass(frozen=True)
class Camera:
    """A virtual camera: the position of the crop over time.

    Attributes:
        size: width and height of the crop in pixels, even.
        travel_px: distance that the crop can move along x and y, in pixels; one of them is 0.
        segments: for each shot, its start in seconds, the times of the samples, and their positions in [0, 1] of the
            travel.
    """

    size: tuple[int, int]
    travel_px: tuple[int, int]
    segments: list[Segment]

    def offset(self, time_s: float) -> tuple[int, int]:
        """Return the upper left corner of the crop at a time of the video, in even numbers of pixels."""
        started = [segment for segment in self.segments if segment[0] <= time_s + 1e-6] or self.segments[:1]
        _, times_s, positions = started[-1]
        position = float(np.interp(time_s, times_s, positions))
        x, y = (2 * round(position * travel / 2) for travel in self.travel_px)
        return min(x, self.travel_px[0] // 2 * 2), min(y, self.travel_px[1] // 2 * 2)

    def crop(self, frame: VideoFrame, time_s: float) -> VideoFrame:
        """Return the crop of a yuv420p frame, with unchanged pixels."""
        x, y = self.offset(time_s)
        width, height = self.size
        result = VideoFrame(width, height, "yuv420p")
        for plane, target, subsampling in zip(frame.planes, result.planes, (1, 2, 2), strict=True):
            source_rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            target_rows = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
            rows = slice(y // subsampling, (y + height) // subsampling)
            columns = slice(x // subsampling, (x + width) // subsampling)
            target_rows[:height // subsampling, :width // subsampling] = source_rows[rows, columns]
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(result, name, getattr(frame, name))
        return result


def plan_camera(frames: Frames, display: Display, start_s: Fraction, end_s: Fraction, aspect: Fraction) -> Camera:
    """Analyze a piece of a video and return the camera for it.

    Args:
        frames: frames with their times in seconds from the first frame, starting at `start_s` or earlier.
        display: the geometry in which the frames are displayed.
        start_s: start of the piece in seconds from the first frame.
        end_s: end of the piece, exclusive.
        aspect: width to height.
    """
    width, height = (size - size % 2 or 2 for size in (display.width, display.height))
    size = crop_size(width, height, aspect)
    travel_px = (width - size[0], height - size[1])
    along_x = travel_px[0] > 0
    frame_px, crop_px = (width, size[0]) if along_x else (height, size[1])
    segments: list[Segment] = []
    piece = _frames_of_piece(frames, start_s, end_s)
    for shot_s, times_s, profiles in _shot_profiles(piece, display, start_s, along_x):
        window = max(1, round(profiles.shape[1] * crop_px / frame_px))
        positions = camera_path(profiles, window) if window < profiles.shape[1] else np.full(len(profiles), 0.5)
        segments.append((shot_s, times_s, positions))
    return Camera(size, travel_px, segments or [(0.0, np.zeros(1), np.full(1, 0.5))])


def camera_path(profiles: np.ndarray, window: int) -> np.ndarray:
    """Return the positions of a window over a shot that show the most saliency with little motion.

    Saliency in the middle of the window counts twice as much as at its edges.

    Args:
        profiles: (T, N) saliency of each cell along the axis; the camera need not move for a row with a small sum.
        window: number of cells that are shown, less than N.

    Returns:
        (T,) in [0, 1]: 0 if the window is at the start of the axis, 1 if it is at the end.
    """
    T = len(profiles)
    from_middle = np.abs(np.arange(window) - (window - 1) / 2) / window   # Up to 1/2 at the edges.
    shown = np.lib.stride_tricks.sliding_window_view(profiles, window, axis=1) @ (1 - from_middle)   # (T, P)
    positions = np.arange(shown.shape[1])
    total = shown.sum(axis=0)
    middle = (shown.shape[1] - 1) / 2
    stationary = max(np.flatnonzero(total >= total.max() - 1e-9), key=lambda p: -abs(p - middle))
    if T == 1 or total[stationary] >= MIN_STATIONARY_SHARE * shown.max(axis=1).sum():
        return np.full(T, stationary / max(1, positions[-1]))
    penalty = MOTION_PENALTY / len(positions) * np.abs(positions[:, None] - positions[None, :])   # (to, from)
    loss, previous = -shown[0], np.zeros((T, len(positions)), dtype=np.int64)
    for t in range(1, T):   # Viterbi search.
        total_loss = loss[None, :] + penalty
        previous[t] = total_loss.argmin(axis=1)
        loss = total_loss[positions, previous[t]] - shown[t]
    path = np.zeros(T, dtype=np.int64)
    path[-1] = loss.argmin()
    for t in range(T - 1, 0, -1):
        path[t - 1] = previous[t, path[t]]
    for t in range(1, T):
        if abs(path[t] - path[t - 1]) <= DEAD_ZONE * window:
            path[t] = path[t - 1]
    smooth = gaussian_filter1d(path.astype(np.float64), SMOOTHING_S * SAMPLES_PER_S, mode="nearest")
    return smooth / max(1, positions[-1])


def remove_background(profiles: np.ndarray) -> np.ndarray:
    """Remove most of the permanent saliency of a shot, which is background, and normalize the rest.

    Args:
        profiles: (T, N) saliency of each cell along the axis.

    Returns:
        (T, N), scaled so that the 90th percentile of the row sums is 1.
    """
    foreground = profiles - BACKGROUND_SHARE * np.percentile(profiles, 20, axis=0)
    return foreground / max(float(np.percentile(foreground.sum(axis=1), 90)), 1e-9)


def saliency(frame: np.ndarray, previous: np.ndarray | None) -> np.ndarray:
    """Return the saliency of each pixel.

    Args:
        frame: (H, W, 3) float32 YCbCr.
        previous: the previous sample of the same shot; None for none.

    Returns:
        (H, W), >= 0; about 1 for strong contrast or motion.
    """
    center = gaussian_filter(frame, (CENTER_SIGMA_PX, CENTER_SIGMA_PX, 0))
    surround = gaussian_filter(frame, (SURROUND_SIGMA_PX, SURROUND_SIGMA_PX, 0))
    # Squared, so that a few strong regions outweigh many weak ones.
    result = ((center - surround) ** 2).sum(axis=2) / STRONG_DIFFERENCE**2
    if previous is not None:
        change = gaussian_filter(np.abs(frame[..., 0] - previous[..., 0]), CENTER_SIGMA_PX)
        motion = np.maximum(change - np.median(change), 0)   # The median is the motion of the background.
        result = result + MOTION_WEIGHT * np.where(motion > MIN_MOTION, motion, 0) / STRONG_DIFFERENCE
    return result


def _shot_profiles(frames: Frames, display: Display, start_s: Fraction,
                   along_x: bool) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """Yield, for each shot, its start in seconds, the times (T,) of its samples, and their profiles (T, N)."""
    times, differences, samples = [], [], []
    last_thumbnail, previous, next_sample_s = None, None, start_s
    for time_s, frame in frames:
        current_thumbnail = thumbnail(frame)
        difference = 0.0 if last_thumbnail is None else mean_difference(current_thumbnail, last_thumbnail)
        last_thumbnail = current_thumbnail
        times.append(time_s)
        differences.append(difference)
        if difference >= MIN_CUT_DIFFERENCE:
            previous, next_sample_s = None, time_s   # A shot may start here, so take a sample without motion.
        if time_s >= next_sample_s:
            sample = to_rgb(frame, display, SHORT_SIDE_PX).astype(np.float32) @ RGB_TO_YCBCR.T
            samples.append((time_s, _profile(saliency(sample, previous), along_x)))
            previous, next_sample_s = sample, time_s + Fraction(1, SAMPLES_PER_S)
    shot_starts = [*times[:1], *(times[i] for i in find_cuts(np.array(differences)))]
    for shot_s, until_s in itertools.zip_longest(shot_starts, shot_starts[1:]):
        inside = [(t, profile) for t, profile in samples if t >= shot_s and (until_s is None or t < until_s)]
        if inside:
            yield (float(shot_s), np.array([float(t) for t, _ in inside]),
                   remove_background(np.stack([profile for _, profile in inside])))


def _frames_of_piece(frames: Frames, start_s: Fraction, end_s: Fraction) -> Frames:
    """Yield the frames of a piece; if none starts with it, the frame on display comes first, at `start_s`."""
    on_display = None
    for time_s, frame in frames:
        if time_s >= end_s:
            break
        if time_s < start_s:
            on_display = frame
            continue
        if on_display is not None and time_s > start_s:
            yield start_s, on_display
        on_display = None
        yield time_s, frame
    if on_display is not None:
        yield start_s, on_display


def _profile(saliency_map: np.ndarray, along_x: bool) -> np.ndarray:
    """Return the saliency along an axis (N,), weighted towards the center of the frame, > 0."""
    profile = saliency_map.sum(axis=0 if along_x else 1)
    position = np.linspace(-0.5, 0.5, len(profile))
    profile = profile * (0.5 + 0.5 * np.exp(-0.5 * (position / CENTER_BIAS_SIGMA) ** 2))
    return profile + 1e-9
