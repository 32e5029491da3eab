"""The script of a video: shots, audio events and remarks with their times, and the camera view of each frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scenes import SCENES, photo_size_px

EDGE_SHARE = 0.06   # Margin between view and region, relative to the view, so that the sway stays in the region.


@dataclass(frozen=True)
class Setting:
    """The parameters of a sample set; equal settings generate equal sets.

    Durations are multiples of `clip_len_s`, and a clip contains an integer number of frames.
    """

    seed: int = 0
    videos: int = 48
    min_duration_s: int = 90
    max_duration_s: int = 150
    width_px: int = 320
    height_px: int = 180
    fps: int = 8
    clip_len_s: int = 2
    rate_hz: int = 32000

    @property
    def frames_per_clip(self) -> int:
        return self.fps * self.clip_len_s

    @property
    def aspect(self) -> float:
        return self.width_px / self.height_px


@dataclass(frozen=True)
class View:
    """A camera view: its center and its width, in pixels of the photograph."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Shot:
    """A shot of one scene in one style while the camera moves from one view to another.

    Attributes:
        scene: a key of `SCENES`.
        style: a key of `STYLES`.
        first: index of the first frame; the shot is [first, last).
        last: index of the frame after the last one.
        begin: view at the first frame.
        end: view at the last frame.
        near: nearness of the subject at both ends, 0 for the widest view of the scene and 1 for the closest.
        light: brightness factor at both ends.
        sway: movement of a hand-held camera: amplitude, frequency in hertz, phase x, phase y.
        grain: standard deviation of the sensor noise in gray levels.
        join: transition from the previous shot: "cut", "dissolve" or "fade".
        join_frames: length of the transition.
        seed: seed of the sensor noise.
    """

    scene: str
    style: str
    first: int
    last: int
    begin: View
    end: View
    near: tuple[float, float]
    light: tuple[float, float]
    sway: tuple[float, float, float, float]
    grain: float
    join: str
    join_frames: int
    seed: int


@dataclass(frozen=True)
class AudioEvent:
    """An audio event from `start_s` to `end_s`, whose level changes from `level_db[0]` to `level_db[1]`."""

    kind: str
    start_s: float
    end_s: float
    level_db: tuple[float, float]
    seed: int


@dataclass(frozen=True)
class Remark:
    """A spoken sentence from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Query:
    """A query for a scene, a style, an audio class, or two of them at the same time."""

    scene: str | None = None
    style: str | None = None
    audio: str | None = None

    @property
    def kind(self) -> str:
        """The kind in the label files, e.g. "scene", "scene+look" or "sound"."""
        parts = dict(scene=self.scene, look=self.style, sound=self.audio)
        return "+".join(name for name, value in parts.items() if value)


@dataclass(frozen=True)
class Script:
    """The complete script of a video. `shots` are contiguous from frame 0 to `n_frames`."""

    index: int
    vid: str
    split: str
    n_frames: int
    shots: tuple[Shot, ...]
    audio_events: tuple[AudioEvent, ...]
    remarks: tuple[Remark, ...]
    queries: tuple[Query, ...]


def region_px(scene: str) -> np.ndarray:
    """Return (left, top, right, bottom) of the region of a scene, in pixels of its photograph."""
    width, height = photo_size_px(SCENES[scene].photo)
    return np.array(SCENES[scene].region) * [width, height, width, height]


def width_range_px(scene: str, aspect: float) -> tuple[float, float]:
    """Return the widths of the closest and the widest view of a scene, in pixels of its photograph."""
    left, top, right, bottom = region_px(scene)
    widest = (1 - EDGE_SHARE) * min(right - left, (bottom - top) * aspect)
    return float(max(0.5 * widest, min(90, 0.8 * widest))), float(widest)


def progress(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """Return the progress of the camera movement at frames, from 0 to 1; it accelerates and slows down smoothly."""
    u = np.clip((frames - shot.first) / max(1, shot.last - 1 - shot.first), 0, 1)
    return 0.5 * u + 0.5 * u * u * (3 - 2 * u)


def nearness(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """Return the nearness of the subject at frames, from 0 (widest view) to 1 (closest)."""
    return shot.near[0] + (shot.near[1] - shot.near[0]) * progress(shot, frames)


def light(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """Return the brightness factor at frames."""
    return shot.light[0] + (shot.light[1] - shot.light[0]) * progress(shot, frames)


def view_at(shot: Shot, frame: int, fps: int) -> View:
    """Return the view at a frame, including the sway. The width changes evenly on a logarithmic scale."""
    u = float(progress(shot, np.array(frame)))
    width = shot.begin.width * (shot.end.width / shot.begin.width) ** u
    amplitude, sway_hz, phase_x, phase_y = shot.sway
    turn = 2 * np.pi * sway_hz * frame / fps
    x = shot.begin.x + u * (shot.end.x - shot.begin.x) + amplitude * width * np.sin(turn + phase_x)
    y = shot.begin.y + u * (shot.end.y - shot.begin.y) + amplitude * width * np.sin(1.3 * turn + phase_y)
    return View(x, y, width)
