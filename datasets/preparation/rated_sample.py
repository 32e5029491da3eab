"""A made-up set of rated clips, in the shapes of a studio's, since rated episodes are private."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.files import atomic_path, make_folder, write_npy

CLIP_S = 150
ROWS = CLIP_S // 2
WIDTHS = dict(visual=512, audio=2048, text=512)
FOLDERS = dict(visual="features/clip_b32", audio="features/panns_cnn14", text="clip_text_b32")
RATERS = 3
SIGNAL_ROWS = (8, 40)     # of a good clip that show why it is one
SCENES = ("a chase through the market", "two friends talk at home", "the wedding dance", "a fight on the roof",
          "the family has dinner", "a secret is told", "the drive through the hills", "a song in the rain")
LIKED = (0, 2, 3, 7)      # scenes that people rate higher
MARK = "# Made-up ratings\n"
NOTE = MARK + """

Nothing here was rated by anybody or cut from any episode: `tools/make_rated_sample.py` drew the ratings, texts
and features by a seed, in the shapes and formats of a studio's set. Numbers measured on it say that the
workflow works, and nothing about real highlights.
"""


def make_rated_sample(out: str | os.PathLike, episodes: int = 40, clips: int = 30, seed: int = 0,
                      progress: Callable[[Iterable], Iterable] = iter) -> Path:
    """Writes `ratings.csv`, `features/` of every clip, (75, 512) pictures and (75, 2048) sound, and `clip_text_b32/`.

    The latter holds text tokens (n, 512) of every line, where a dataset in this folder reads them. Clips and
    videos are called made_up_e00, so that labels and predictions tell it. A clip's scene stands in its text and
    in some of its rows; three people rate it 1 to 5, higher for four of the eight scenes, with opinions of their
    own.

    Args:
        out: a folder, made if it is missing.
        episodes, clips: so many episodes, of so many rated clips each.
        seed: decides everything.
        progress: wraps the loop over episodes, e.g. tqdm.

    Returns:
        The table's path.

    Raises:
        InputError: less than two episodes or one clip; the folder cannot be written, or holds something else.
    """
    if episodes < 2 or clips < 1:
        raise InputError(f"{episodes} episodes of {clips} clips: give at least 2 and 1")
    out, r, note = make_folder(out), np.random.default_rng(seed), Path(out) / "README.md"
    if any(out.iterdir()) and not (note.is_file() and note.read_text(encoding="utf-8").startswith(MARK)):
        raise InputError(f"{out}: holds files that are not made up; name an empty or a new folder")
    looks, sounds, words = (r.normal(0, 1, (len(SCENES), width)) for width in WIDTHS.values())
    folders = {kind: make_folder(out / name) for kind, name in FOLDERS.items()}
    note.write_text(NOTE, encoding="utf-8")
    rows = []
    for episode in progress(range(episodes)):
        for clip in range(clips):
            name, scene = f"made_up_e{episode:02d}_{clip:02d}", int(r.integers(len(SCENES)))
            liking = 3.4 if scene in LIKED else 2.3
            ratings = np.clip(np.round(r.normal(liking, 0.9) + r.normal(0, 0.5, RATERS)), 1, 5).astype(int)
            length = int(r.integers(*SIGNAL_ROWS))
            start = int(r.integers(0, ROWS - length + 1))
            _write(folders["visual"] / f"{name}.npz", features=_rows(r, looks[scene], start, length))
            write_npy(folders["audio"] / f"{name}.npy", _rows(r, sounds[scene], start, length).astype(np.float16))
            tokens = words[scene] + r.normal(0, 0.5, (len(SCENES[scene].split()) + 2, WIDTHS["text"]))
            _write(folders["text"] / f"qid{len(rows) + 1}.npz", last_hidden_state=tokens,
                   pooler_output=tokens.mean(axis=0), text=np.array(SCENES[scene]))
            rows.append([name, f"made_up_e{episode:02d}", clip * CLIP_S, (clip + 1) * CLIP_S, SCENES[scene], *ratings])
    table = out / "ratings.csv"
    with atomic_path(table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip", "video", "start", "end", "text", *(f"rating_{i + 1}" for i in range(RATERS))])
        writer.writerows(rows)
    return table


def _rows(r: np.random.Generator, scene: np.ndarray, start: int, length: int) -> np.ndarray:
    rows = r.standard_normal((ROWS, len(scene)), dtype=np.float32)
    rows[start:start + length] += scene.astype(np.float32)
    return rows


def _write(path: Path, **arrays: np.ndarray) -> None:
    """An `.npz`, whole or not at all; numbers as float16."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{key: array.astype(np.float16) if array.dtype.kind == "f" else array
                          for key, array in arrays.items()})
