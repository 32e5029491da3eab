"""A synthetic data set in the formats and sizes of QVHighlights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

NUM_CLIPS, DURATION_S = 75, 150
VIDEO_DIMS = dict(slowfast_features=2304, clip_features=512)
AUDIO_DIMS, TEXT_DIMS = 2048, 512


def synthetic_labels(number: int, seed: int = 0) -> list[dict]:
    """Return labels of a number of queries, with one to three windows and three annotators each."""
    r = np.random.default_rng(seed)
    labels = []
    for qid in range(number):
        starts = np.sort(r.choice(np.arange(0, NUM_CLIPS - 8, 8), r.integers(1, 4), replace=False))
        windows = [[int(s) * 2, int(s + r.integers(1, 8)) * 2] for s in starts]
        if qid % 3 == 0:   # A third of the queries has one long window instead.
            windows = [[int(starts[0]) * 2, DURATION_S]]
        clips = [c for s, e in windows for c in range(s // 2, e // 2)]
        labels.append(dict(
            qid=qid, query="synthetic", vid=f"v{qid}", duration=DURATION_S, relevant_windows=windows,
            relevant_clip_ids=clips, saliency_scores=r.integers(0, 5, (len(clips), 3)).tolist()))
    return labels


def write_labels(path: Path, number: int) -> list[dict]:
    """Write `synthetic_labels` as JSON lines, and return them."""
    labels = synthetic_labels(number)
    path.write_text("".join(json.dumps(label) + "\n" for label in labels))
    return labels


def write_data_set(folder: Path, number: int) -> dict:
    """Write features and labels, and return the options of `QVHighlights` that read them."""
    r = np.random.default_rng(1)
    folder.mkdir(parents=True, exist_ok=True)
    labels = write_labels(folder / "labels.jsonl", number)
    for name in (*VIDEO_DIMS, "pann_features", "clip_text_features"):
        (folder / name).mkdir(parents=True)
    for label in labels:
        for name, dims in VIDEO_DIMS.items():
            features = r.normal(0, 1, (NUM_CLIPS, dims)).astype(np.float16)
            np.savez(folder / name / f"{label['vid']}.npz", features=features)
        audio = r.normal(0, 1, (NUM_CLIPS, AUDIO_DIMS)).astype(np.float32)
        np.save(folder / "pann_features" / f"{label['vid']}.npy", audio)
        tokens = r.normal(0, 1, (int(r.integers(6, 24)), TEXT_DIMS)).astype(np.float16)
        np.savez(folder / "clip_text_features" / f"qid{label['qid']}.npz", last_hidden_state=tokens)
    return dict(
        type="QVHighlights", label_path=str(folder / "labels.jsonl"), video_path=[str(folder / w) for w in VIDEO_DIMS],
        audio_path=str(folder / "pann_features"), query_path=str(folder / "clip_text_features"))


def pack_data_set(options: dict) -> dict:
    """Pack the features of a data set, and return the options of `QVHighlights` that read the packs."""
    from datasets.features.pack import pack_folder

    # Float32 is the type of the audio features, which packing would otherwise reduce to float16.
    return {**options, "video_path": [str(pack_folder(path)) for path in options["video_path"]],
            "query_path": str(pack_folder(options["query_path"])),
            "audio_path": str(pack_folder(options["audio_path"], dtype="float32"))}
