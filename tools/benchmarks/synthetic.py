"""A made-up set in QVHighlights' formats and sizes, for measuring."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

CLIPS, DURATION_S = 75, 150
WIDTHS = dict(slowfast_features=2304, clip_features=512)
SOUND, TEXT = 2048, 512


def made_up_labels(number: int, seed: int = 0) -> list[dict]:
    """Labels of as many queries: one to three windows, three annotators."""
    r = np.random.default_rng(seed)
    labels = []
    for qid in range(number):
        starts = np.sort(r.choice(np.arange(0, CLIPS - 8, 8), r.integers(1, 4), replace=False))
        windows = [[int(s) * 2, int(s + r.integers(1, 8)) * 2] for s in starts]
        if qid % 3 == 0:   # a long one alone
            windows = [[int(starts[0]) * 2, DURATION_S]]
        clips = [c for s, e in windows for c in range(s // 2, e // 2)]
        labels.append(dict(
            qid=qid, query="made up", vid=f"v{qid}", duration=DURATION_S, relevant_windows=windows,
            relevant_clip_ids=clips, saliency_scores=r.integers(0, 5, (len(clips), 3)).tolist()))
    return labels


def write_labels(path: Path, number: int) -> list[dict]:
    """Writes `made_up_labels` as JSON lines, and returns them."""
    labels = made_up_labels(number)
    path.write_text("".join(json.dumps(label) + "\n" for label in labels))
    return labels


def made_up_set(folder: Path, number: int) -> dict:
    """Writes features and labels; returns the options of `QVHighlights` that read them."""
    r = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    labels = write_labels(folder / "labels.jsonl", number)
    for name in (*WIDTHS, "pann_features", "clip_text_features"):
        (folder / name).mkdir(parents=True)
    for label in labels:
        for name, width in WIDTHS.items():
            np.savez(folder / name / f"{label['vid']}.npz", features=r.normal(0, 1, (CLIPS, width)).astype(np.float16))
        np.save(folder / "pann_features" / f"{label['vid']}.npy", r.normal(0, 1, (CLIPS, SOUND)).astype(np.float32))
        words = r.normal(0, 1, (int(r.integers(6, 24)), TEXT)).astype(np.float16)
        np.savez(folder / "clip_text_features" / f"qid{label['qid']}.npz", last_hidden_state=words)
    return dict(
        type="QVHighlights", label_path=str(folder / "labels.jsonl"), video_path=[str(folder / w) for w in WIDTHS],
        audio_path=str(folder / "pann_features"), query_path=str(folder / "clip_text_features"))
