"""The example video of the web page: one minute of colorful, easily recognized photographs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import make_folder

from .make import render_one
from .scenes import PLAIN, SCENES, photo_size_px
from .script import EDGE_SHARE, AudioEvent, Remark, Script, Setting, Shot, View, region_px, width_range_px

SETTING = Setting(videos=1, min_duration_s=60, max_duration_s=60, width_px=640, height_px=360, fps=8)
NAME = "example"
SCENE_LENGTHS_S = (("temple", 8), ("coffee", 8), ("cat", 10), ("flower", 8), ("rocket", 10), ("astronaut", 8),
                   ("motorcycle", 8))
AUDIO_EVENTS = (AudioEvent("birds", 0.5, 7.5, (-3, -9), 1), AudioEvent("voice", 8.5, 15.5, (-1, -4), 2),
          AudioEvent("music", 18, 25.5, (-8, -2), 3), AudioEvent("voice", 35, 43.5, (-1, -3), 4),
          AudioEvent("applause", 45, 51, (-2, -8), 5), AudioEvent("engine", 52.5, 59.5, (-9, -1), 6))
REMARKS = (Remark(9, 11.5, "This one is still hot."), Remark(12, 15, "They bake the cups themselves here."),
           Remark(36, 38.5, "It was due to go up at six."), Remark(39.5, 43, "Nine engines, all at the bottom."))
QUERIES = ("a cat", "a rocket on the launch pad")
RENDERING_PACKAGES = ("av", "numpy", "scikit-image", "scikit-learn", "scipy", "pillow")
POSTER_S = 20.0   # The middle of a shot of the cat.


@dataclass(frozen=True)
class ExampleFiles:
    """The files of the rendered example.

    Attributes:
        video: the mp4 file.
        subtitles: SRT file of the video.
        queries: queries for which the video has a clear answer.
        poster_s: time of a frame that represents the video.
    """

    video: Path
    subtitles: Path
    queries: tuple[str, ...]
    poster_s: float


def render_example(folder: Path) -> ExampleFiles:
    """Render the example into a folder; every call renders the same video.

    Args:
        folder: output folder, created if necessary.
    """
    for name in ("videos", "subtitles"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    render_one(example_script(), SETTING, folder)
    return _example_files(folder)


def cached_example(cache_dir: Path, folder: Path) -> ExampleFiles:
    """Return the example from a cache folder; render it if the cache does not contain it yet.

    Args:
        cache_dir: the cache folder, created if necessary. Each version of the code has its own entry.
        folder: output folder if the cache folder cannot be written.
    """
    entry = cache_dir / f"example-{_version_key()}"
    if not entry.is_dir():
        try:
            rendered = Path(tempfile.mkdtemp(prefix=".example-", dir=make_folder(cache_dir)))
        except (InputError, OSError):
            return render_example(folder)
        try:
            render_example(rendered)
            os.rename(rendered, entry)   # It fails if another process has created the entry in the meantime.
        except (InputError, OSError):
            if not entry.is_dir():   # E.g. the disk is full.
                return render_example(folder)
        finally:
            shutil.rmtree(rendered, ignore_errors=True)
    return _example_files(entry)


def _version_key() -> str:
    """Return a text that changes with everything that the rendered files depend on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for name in RENDERING_PACKAGES:
        digest.update(f"{name} {importlib.metadata.version(name)}".encode())
    return digest.hexdigest()[:16]


def _example_files(folder: Path) -> ExampleFiles:
    return ExampleFiles(folder / f"videos/{NAME}.mp4", folder / f"subtitles/{NAME}.srt", QUERIES, POSTER_S)


def example_script() -> Script:
    """Return the script: each scene once, with a slow zoom, joined by cuts and dissolves."""
    shots: list[Shot] = []
    first = 0
    for number, (scene, length_s) in enumerate(SCENE_LENGTHS_S):
        last = first + length_s * SETTING.fps
        shots.append(_shot(scene, first, last, number))
        first = last
    return Script(0, NAME, "test", first, tuple(shots), AUDIO_EVENTS, REMARKS, queries=())


def _shot(scene: str, first: int, last: int, number: int) -> Shot:
    near = (0.05, 0.55) if number % 2 == 0 else (0.55, 0.05)   # Zoom in and out in turn.
    begin, end = (_view(scene, value) for value in near)
    return Shot(scene, PLAIN, first, last, begin, end, near=near, light=(1.0, 1.0), sway=(0.004, 0.25, 0.0, 1.5),
                grain=0.8, join="dissolve" if number in (3, 5) else "cut", join_frames=SETTING.fps // 2, seed=number)


def _view(scene: str, near: float) -> View:
    """Return the camera's view of a scene, centered on the subject, but inside the region."""
    left, top, right, bottom = region_px(scene)
    closest, widest = width_range_px(scene, SETTING.aspect)
    width = widest * (closest / widest) ** near
    half = np.array([width, width / SETTING.aspect]) / 2 / (1 - EDGE_SHARE)
    low, high = np.array([left, top]) + half, np.array([right, bottom]) - half
    focus = np.array(SCENES[scene].focus or (0.5, 0.5)) * photo_size_px(SCENES[scene].photo)
    x, y = np.clip(focus, low, np.maximum(low, high))
    return View(float(x), float(y), float(width))
