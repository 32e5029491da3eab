"""A synthetic set of rated clips with the format and array shapes of a studio's data, which is confidential."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path, make_folder, write_npy

CLIP_LEN_S = 150
NUM_ROWS = CLIP_LEN_S // 2
WIDTHS = dict(visual=512, audio=2048, text=512)
FOLDERS = dict(visual="features/clip_b32", audio="features/panns_cnn14", text="clip_text_b32")
NUM_RATERS = 3
SIGNAL_ROWS = (8, 40)     # Minimum and exclusive maximum number of feature rows that contain the scene.
SCENES = ("a chase through the market", "two friends talk at home", "the wedding dance", "a fight on the roof",
          "the family has dinner", "a secret is told", "the drive through the hills", "a song in the rain")
HIGHLIGHT_SCENES = (0, 2, 3, 7)   # Indices of the scenes with higher ratings.
NAME_PREFIX = "made_up"   # Prefix of all clip and video names, which marks labels and predictions as synthetic.
TITLE = "# Synthetic ratings\n"
OLD_TITLE = "# Made-up ratings\n"   # Title that earlier versions wrote; their folders may be overwritten, too.
README = TITLE + """

These ratings do not come from people, and these clips do not come from episodes. `tools/make_rated_sample.py` drew
the ratings, texts and features at random with a seed, in the shapes and formats of a studio's set. Metrics on this
set show that the workflow works; they say nothing about real highlights.
"""


def make_rated_sample(out: str | os.PathLike, episodes: int = 40, clips: int = 30, seed: int = 0,
                      progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Write a synthetic ratings table and features.

    `ratings.csv` has one row per clip. `features/` contains visual features (75, 512) and audio features (75, 2048) of
    each clip. `clip_text_b32/` contains text tokens (n, 512) for each row of the table, in the folder where the dataset
    configs expect them. Each clip shows one of eight scenes, which determines its text and the signal in some of its
    feature rows. Each of three raters rates the clip from 1 to 5 with individual noise; four of the scenes get higher
    ratings. All clip and video names start with `made_up`.

    Args:
        out: output folder, which is created if it is missing.
        episodes: number of episodes, at least 2.
        clips: number of rated clips per episode, at least 1.
        seed: seed of all random numbers.
        progress: progress bar, e.g. tqdm, that wraps the iterable of episodes.

    Returns:
        The path of the table.

    Raises:
        InputError: there are too few episodes or clips, or the folder cannot be written or contains other files.
    """
    if episodes < 2 or clips < 1:
        raise InputError(None, f"{episodes} episodes of {clips} clips are too few", "use at least 2 episodes of 1 clip")
    out, rng = make_folder(out), np.random.default_rng(seed)
    readme = out / "README.md"
    if any(out.iterdir()) and not (readme.is_file()
                                   and readme.read_text(encoding="utf-8").startswith((TITLE, OLD_TITLE))):
        raise InputError(out, "contains files that are not a synthetic set", "specify a new or empty folder")
    visual, audio, text = (rng.normal(0, 1, (len(SCENES), width)) for width in WIDTHS.values())
    folders = {kind: make_folder(out / name) for kind, name in FOLDERS.items()}
    readme.write_text(README, encoding="utf-8")
    rows: list[list] = []
    for episode in progress(range(episodes)):
        video = f"{NAME_PREFIX}_e{episode:02d}"
        for clip in range(clips):
            name, scene = f"{video}_{clip:02d}", int(rng.integers(len(SCENES)))
            mean_rating = 3.4 if scene in HIGHLIGHT_SCENES else 2.3
            ratings = np.clip(np.round(rng.normal(mean_rating, 0.9) + rng.normal(0, 0.5, NUM_RATERS)), 1, 5).astype(int)
            length = int(rng.integers(*SIGNAL_ROWS))
            start = int(rng.integers(0, NUM_ROWS - length + 1))
            _write_npz(folders["visual"] / f"{name}.npz", features=_clip_rows(rng, visual[scene], start, length))
            write_npy(folders["audio"] / f"{name}.npy", _clip_rows(rng, audio[scene], start, length).astype(np.float16))
            tokens = text[scene] + rng.normal(0, 0.5, (len(SCENES[scene].split()) + 2, WIDTHS["text"]))
            _write_npz(folders["text"] / f"qid{len(rows) + 1}.npz", last_hidden_state=tokens,
                       pooler_output=tokens.mean(axis=0), text=np.array(SCENES[scene]))
            rows.append([name, video, clip * CLIP_LEN_S, (clip + 1) * CLIP_LEN_S, SCENES[scene], *ratings])
    return _write_table(out / "ratings.csv", rows)


def _write_table(path: Path, rows: list[list]) -> Path:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "video", "start", "end", "text", *(f"rating_{i + 1}" for i in range(NUM_RATERS))])
        writer.writerows(rows)
    return path


def _clip_rows(rng: np.random.Generator, scene: np.ndarray, start: int, length: int) -> np.ndarray:
    """Return noise (rows, width) with the scene's vector added to some rows."""
    rows = rng.standard_normal((NUM_ROWS, len(scene)), dtype=np.float32)
    rows[start:start + length] += scene.astype(np.float32)
    return rows


def _write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Write an `.npz` file atomically, with floating-point arrays as float16."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        converted = {key: array.astype(np.float16) if array.dtype.kind == "f" else array
                     for key, array in arrays.items()}
        np.savez(file, **converted)  # type: ignore[arg-type]  # No array is named like the option `allow_pickle`.
