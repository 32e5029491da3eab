"""Moving textured scenes, and transitions between them, for tests that know every frame."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates, zoom

from tests.media import write_video

TRANSITIONS = ("dissolve", "black", "white", "wipe")


def scene(seed: int, speed_px: tuple[float, float] = (0.0, 0.0), growth: float = 0.0,
          size: tuple[int, int] = (64, 36)) -> Callable[[float], np.ndarray]:
    """Return a function of the time in seconds that renders a camera motion over a random texture, (H, W, 3) float.

    Args:
        seed: seed of the texture.
        speed_px: speed of the camera along x and y, in pixels per second.
        growth: share by which the scene is magnified per second.
        size: width and height of the frames in pixels.
    """
    rng, (width, height) = np.random.default_rng(seed), size
    coarse, fine = (zoom(rng.uniform(0, 255, (rows, 2 * rows, 3)), (3 * height / rows, 3 * width / 2 / rows, 1), order=1)
                    for rows in (6, 18))
    texture = np.clip(0.6 * coarse + 0.4 * fine, 0, 255)

    def render(time_s: float) -> np.ndarray:
        scale = 1 + growth * time_s
        rows = (np.arange(height) - height / 2) / scale + texture.shape[0] / 2 + speed_px[1] * time_s
        columns = (np.arange(width) - width / 2) / scale + texture.shape[1] / 2 + speed_px[0] * time_s
        grid = np.meshgrid(rows, columns, indexing="ij")
        return np.stack([map_coordinates(texture[..., c], grid, order=1, mode="mirror") for c in range(3)], axis=-1)

    return render


def blend(kind: str, share: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the frame of a transition that has progressed by a share of its length."""
    if kind == "dissolve":
        return (1 - share) * a + share * b
    if kind == "wipe":
        return np.where(np.arange(a.shape[1])[None, :, None] < share * a.shape[1], b, a)
    uniform = np.full_like(a, dict(black=16, white=240)[kind])
    return blend("dissolve", 2 * share, a, uniform) if share < 0.5 else blend("dissolve", 2 * share - 1, uniform, b)


def joined(kind: str, fps: int, first: int, length: int, n_frames: int, a: Callable[[float], np.ndarray],
           b: Callable[[float], np.ndarray]) -> np.ndarray:
    """Return frames (T, H, W, 3) of two scenes with a transition that fills the frames [first, first + length)."""
    frames = []
    for i in range(n_frames):
        share = min(1.0, max(0.0, (i - first + 1) / (length + 1)))
        # The scenes are rendered only where they are visible.
        shots = [shot(i / fps) if weight else 0.0 for shot, weight in ((a, share < 1), (b, share > 0))]
        frames.append(blend(kind, share, *shots) if 0 < share < 1 else shots[int(share)])
    return np.clip(np.rint(frames), 0, 255).astype(np.int16)


def write_frames(path: Path, frames: np.ndarray, fps: int, options: dict[str, str] | None = None) -> Path:
    """Write frames (T, H, W, 3) as a video; the default is H.264 with a constant quality."""
    size = frames.shape[2], frames.shape[1]
    return write_video(path, len(frames), fps=Fraction(fps), size=size, options=options or {"crf": "18"},
                       render=lambda index, _: frames[index].astype(np.uint8))
