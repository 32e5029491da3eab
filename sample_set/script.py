"""A video's script: which shot, sound and remark comes when, and where the camera stands at any frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .scenes import SCENES, photo_size_px

EDGE_SHARE = 0.06   # of the picture kept between camera and region, so that the sway never leaves it


@dataclass(frozen=True)
class Setting:
    """What a sample set is made from; the same setting makes the same set.

    Durations are multiples of `clip_len_s`, and a clip holds a whole number of frames.
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
    """Where the camera stands: middle of the picture and its width, in pixels of the photograph."""

    x: float
    y: float
    width: float


@dataclass(frozen=True)
class Shot:
    """Frames [first, last) that show one scene in one manner while the camera goes from `begin` to `end`.

    `light` is the brightness factor at both ends; `near` the subject's nearness at both ends, 0 for the
    widest view of the scene and 1 for the closest; `join` how it follows the shot before ("cut",
    "dissolve", "fade") over `join_frames`; `sway` (amplitude, hertz, phase x, phase y) the hand that holds
    the camera; `grain` the sensor's noise in grey levels.
    """

    scene: str
    look: str
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
class SoundSpan:
    """A sound from `start_s` to `end_s`, louder or softer along the way."""

    kind: str
    start_s: float
    end_s: float
    level_db: tuple[float, float]
    seed: int


@dataclass(frozen=True)
class Remark:
    """What somebody says from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Query:
    """What is asked for: a scene, a manner of filming, a sound, or two of them at once."""

    scene: str | None = None
    look: str | None = None
    sound: str | None = None

    @property
    def kind(self) -> str:
        """E.g. "scene", "scene+look", "sound"."""
        return "+".join(k for k in ("scene", "look", "sound") if getattr(self, k))


@dataclass(frozen=True)
class Script:
    """All of one video. `shots` follow each other without a gap from frame 0 to `n_frames`."""

    index: int
    vid: str
    split: str
    n_frames: int
    shots: tuple[Shot, ...]
    sounds: tuple[SoundSpan, ...]
    remarks: tuple[Remark, ...]
    queries: tuple[Query, ...]


def region_px(scene: str) -> np.ndarray:
    """(left, top, right, bottom) of a scene's region in pixels of its photograph."""
    width, height = photo_size_px(SCENES[scene].photo)
    return np.array(SCENES[scene].region) * [width, height, width, height]


def width_range_px(scene: str, aspect: float) -> tuple[float, float]:
    """Widths of the closest and the widest view of a scene, in pixels of its photograph."""
    left, top, right, bottom = region_px(scene)
    widest = (1 - EDGE_SHARE) * min(right - left, (bottom - top) * aspect)
    return float(max(0.5 * widest, min(90, 0.8 * widest))), float(widest)


def progress(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """How far the camera's move has gone at these frames, 0 to 1: it sets off and stops softly."""
    u = np.clip((frames - shot.first) / max(1, shot.last - 1 - shot.first), 0, 1)
    return 0.5 * u + 0.5 * u * u * (3 - 2 * u)


def nearness(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """The subject's nearness at these frames, 0 (widest view) to 1 (closest)."""
    return shot.near[0] + (shot.near[1] - shot.near[0]) * progress(shot, frames)


def light(shot: Shot, frames: np.ndarray) -> np.ndarray:
    """The brightness factor at these frames."""
    return shot.light[0] + (shot.light[1] - shot.light[0]) * progress(shot, frames)


def view_at(shot: Shot, frame: int, fps: int) -> View:
    """Where the camera stands at a frame, sway of the hand included. Nearness sets the width, evenly in log."""
    u = float(progress(shot, np.array(frame)))
    width = shot.begin.width * (shot.end.width / shot.begin.width) ** u
    amplitude, sway_hz, phase_x, phase_y = shot.sway
    turn = 2 * np.pi * sway_hz * frame / fps
    x = shot.begin.x + u * (shot.end.x - shot.begin.x) + amplitude * width * np.sin(turn + phase_x)
    y = shot.begin.y + u * (shot.end.y - shot.begin.y) + amplitude * width * np.sin(1.3 * turn + phase_y)
    return View(x, y, width)
