"""Draw the inputs of the goldens from seeds, and read the goldens, whose format `make.py` describes."""

from __future__ import annotations

import json
import zlib

import numpy as np

from common.paths import ROOT

FOLDER = ROOT / "tests" / "golden"
SEED = 11
UMT_CONFIGS = {
    "qvhighlights_base": "configs/qvhighlights/umt_base_200e_qvhighlights.py",
    "tvsum_small": "configs/tvsum/umt_small_500e_tvsum_bk.py",
    "youtube_small": "configs/youtube/umt_small_100e_youtube_dog.py",
}
NUM_CLIPS, NUM_TOKENS = (75, 60), (12, 7)   # Of the two items in the batch.
MODELSCOPE_DIMS, MODELSCOPE_SENTENCES = 512, 7
CLIP_S = 2


def read_golden(name: str) -> dict:
    """Read a golden file; it is part of the repository, so a missing file is an error."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def checksum(shapes: dict) -> int:
    """Return a checksum of the names and shapes in a state dict, in its order."""
    return zlib.crc32("\n".join(f"{key} {list(shape)}" for key, shape in shapes.items()).encode())


def draw_weight(key: str, shape: list[int]) -> np.ndarray:
    """Draw a float32 weight by its name; layer norms are centered at 1."""
    value = np.random.default_rng([SEED, zlib.crc32(key.encode())]).normal(0, 0.05, shape).astype(np.float32)
    return value + np.float32("norm" in key and key.endswith("weight"))


def umt_inputs(name: str) -> dict[str, np.ndarray]:
    """Draw a batch of two items for a config, without and with padding, as float32."""
    width, clips, tokens = (2816 if name == "qvhighlights_base" else 2048), max(NUM_CLIPS), max(NUM_TOKENS)
    data = dict(video=np.zeros((2, clips, width)), audio=np.zeros((2, clips, 2048)),
                saliency=np.full((2, clips), -1.0), query=np.full((2, tokens, 512), np.inf))
    for b, (n, n_tokens) in enumerate(zip(NUM_CLIPS, NUM_TOKENS, strict=True)):
        r = np.random.default_rng([SEED, 100 + b])
        data["video"][b, :n] = r.normal(0, 1, (n, width))
        data["audio"][b, :n] = abs(r.normal(0, 1, (n, 2048)))
        data["saliency"][b, :n] = r.random(n).round(3)
        data["query"][b, :n_tokens] = r.normal(0, 0.5, (n_tokens, 512))
    if name == "youtube_small":
        del data["query"]
    if name == "qvhighlights_base":
        data["boundary"] = np.array([[[10, 40], [60, 74]], [[20, 96], [-1, -1]]])
    return {key: value.astype(np.float32) for key, value in data.items()}


def modelscope_inputs(stream: int, T: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw frame features (1, T, C) and concatenated queries (1, 1, sentences * C), each of unit norm."""
    r = np.random.default_rng([SEED, stream])
    frames = r.normal(0, 1, (1, T, MODELSCOPE_DIMS)).astype(np.float32)
    text = r.normal(0, 1, (1, 1, MODELSCOPE_SENTENCES * MODELSCOPE_DIMS)).astype(np.float32)
    frames, text = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (frames, text))
    return frames, text


def kts_features(T: int, d: int, nseg: int, stream: int) -> np.ndarray:
    """Draw the features (T, d) of a video with a number of segments: unit rows around a center per segment."""
    r = np.random.default_rng([SEED, stream])
    cuts = np.sort(r.choice(np.arange(1, T), nseg - 1, replace=False))
    starts = np.zeros(T, dtype=int)
    starts[cuts] = 1
    centers = r.normal(0, 1, (nseg, d))
    features = centers[starts.cumsum()] + 0.5 * r.normal(0, 1, (T, d))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def qvhighlights_pairs() -> tuple[list[dict], list[dict]]:
    """Draw predictions and labels of 40 queries; windows are whole clips, so that many IoUs equal a threshold."""
    r = np.random.default_rng([SEED, 300])
    predictions, labels = [], []
    for qid in range(40):
        clips = int(r.integers(20, 76))
        windows = np.sort(r.choice(clips + 1, 2 * int(r.integers(1, 4)), replace=False)).reshape(-1, 2)
        ids = [clip for first, end in windows.tolist() for clip in range(first, end)]
        labels.append(dict(qid=qid, duration=CLIP_S * clips, relevant_windows=(CLIP_S * windows).tolist(),
                           relevant_clip_ids=ids, saliency_scores=r.integers(0, 5, (len(ids), 3)).tolist()))
        near = windows[r.integers(0, len(windows), 13)] + r.integers(-3, 4, (13, 2))
        first = near[:, 0].clip(0, clips - 1)
        bounds_s = CLIP_S * np.stack([first, np.maximum(near[:, 1], first + 1).clip(1, clips)], axis=1)
        predictions.append(dict(
            qid=qid, pred_relevant_windows=[[*pair, score] for pair, score in zip(
                bounds_s.tolist(), r.random(13).tolist(), strict=True)],
            pred_saliency_scores=r.integers(0, 9, clips).tolist()))
    return predictions, labels


def tvsum_pairs() -> tuple[dict[str, list[float]], dict[str, list[list[int]]]]:
    """Draw scores and the ratings by 20 annotators of five videos."""
    r = np.random.default_rng([SEED, 301])
    lengths = {f"video {i}": int(r.integers(4, 60)) for i in range(5)}
    ratings = {vid: r.integers(1, 6, (n, 20)).tolist() for vid, n in lengths.items()}
    return {vid: r.random(n).tolist() for vid, n in lengths.items()}, ratings


def youtube_pairs() -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Draw scores and matches of six videos, the last of which has no highlight."""
    r = np.random.default_rng([SEED, 302])
    lengths = {f"video {i}": int(r.integers(4, 60)) for i in range(6)}
    matches = {vid: r.integers(-1, 1 if vid == "video 5" else 2, n).tolist() for vid, n in lengths.items()}
    return {vid: r.random(n).tolist() for vid, n in lengths.items()}, matches


def charades_pairs() -> tuple[list[dict], list[dict]]:
    """Draw predictions and labels of 60 queries; windows are whole seconds, so that many IoUs equal a threshold."""
    r = np.random.default_rng([SEED, 303])
    predictions, labels = [], []
    for qid in range(60):
        first = int(r.integers(0, 20))
        window = np.array([first, first + int(r.integers(2, 13))])
        labels.append(dict(qid=qid, relevant_windows=[window.tolist()]))
        starts = np.maximum(0, window[0] + r.integers(-9, 10, 8))
        lengths = r.integers(1, 13, 8)
        predictions.append(dict(qid=qid, pred_relevant_windows=[[int(a), int(a + n), float(score)] for a, n, score in zip(
            starts, lengths, r.random(8), strict=True)]))
    return predictions, labels


def key_shot_case(case: dict) -> dict:
    """Complete a case of `key_shots`: `picks`, and shots as first and last frame, inclusive."""
    last = np.append(np.array(case["shot_starts"][1:]), case["n_frames"]) - 1
    return {**case, "shots": np.stack([case["shot_starts"], last], axis=1),
            "picks": np.arange(0, case["n_frames"], case["pick_interval"])}
