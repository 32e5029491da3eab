"""Take the collated batches of nncore apart: labels and model outputs of each item."""

from __future__ import annotations

import numpy as np
from nncore.parallel import DataContainer

PLACEHOLDER_LABEL = dict(qid=None, vid=None)   # Label of a filler item, for a process whose share of a batch is empty.


def unpack_labels(meta: DataContainer | dict | list) -> list[dict]:
    """Return the labels of a batch, at any nesting depth of nncore's containers."""
    if isinstance(meta, dict):
        return [meta]
    if isinstance(meta, DataContainer):
        meta = meta.data
    return [label for part in meta for label in unpack_labels(part)]


def outputs_by_item(blob: list[dict], clip_len_s: float = 2) -> list[tuple[dict, dict[str, np.ndarray]]]:
    """Split collected batches into items, and remove the padding that depends on the composition of each batch.

    Args:
        blob: per batch `meta`, and `saliency` (B, T), `boundary` (B, N, 3) or both. If the model also returns `clips`
            (B,), the number of clips of each item, predictions beyond them are removed.
        clip_len_s: seconds per clip.

    Returns:
        Label and outputs of every item, without the batch dimension, float64; windows of length 0 are removed if
        `clips` is given.
    """
    items = []
    for batch in blob:
        arrays = {key: batch[key].double().numpy() for key in ("saliency", "boundary") if key in batch}
        num_clips = batch["clips"].tolist() if "clips" in batch else None
        for i, label in enumerate(unpack_labels(batch["meta"])):
            if label == PLACEHOLDER_LABEL:
                continue
            outputs = {key: array[i] for key, array in arrays.items()}
            if num_clips is not None and "saliency" in outputs:
                outputs["saliency"] = outputs["saliency"][:num_clips[i]]
            if num_clips is not None and "boundary" in outputs:
                outputs["boundary"] = _clamp_windows(outputs["boundary"], num_clips[i], clip_len_s)
            items.append((label, outputs))
    return items


def _clamp_windows(windows: np.ndarray, num_clips: int, clip_len_s: float) -> np.ndarray:
    """Clamp windows (N, 3) as the model clamps those of an unpadded item: start in its last clip, end with it."""
    last_start_s, end_s = (num_clips - 1) * clip_len_s, num_clips * clip_len_s
    windows = np.column_stack(
        [windows[:, 0].clip(max=last_start_s), windows[:, 1].clip(max=end_s), windows[:, 2]])
    return windows[windows[:, 1] > windows[:, 0]]
