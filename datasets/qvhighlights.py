"""QVHighlights: moments and highlights for sentence queries."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from nncore.dataset import DATASETS
from torch import Tensor

from common.temporal import num_complete_clips
from datasets.annotations.qvhighlights import MAX_SALIENCY, check_clip_len, read_numbered_labels, read_valid
from datasets.eval import eval_qvhighlights
from datasets.eval.baselines import oracle_baseline, random_baseline

from .batches import outputs_by_item
from .feature_dataset import FeatureDataset

MAX_SEGMENTS = 8   # Number of segments into which the augmentation cuts a video at most.


@DATASETS.register()
class QVHighlights(FeatureDataset):
    """Queries over videos, with features that are read from disk (Lei et al., NeurIPS 2021, and its public files).

    Args:
        label_path: JSON lines, see `datasets.annotations.qvhighlights.read_labels`.
        video_path, query_path, audio_path: see `FeatureDataset`.
        clip_len_s: seconds per clip.
        reorder: augmentation for training on few videos. Each access cuts the video into segments, never inside a
            window, and concatenates them in random order, with their labels.
        video_dims, normalize, cache: see `FeatureDataset`.

    Raises:
        InputError: errors in the labels; on access to an item, errors in its feature files.
    """

    def __init__(self, label_path: str, video_path: str | list[str], query_path: str, audio_path: str | None = None,
                 clip_len_s: float = 2, video_dims: int | list[int] | None = None, normalize: bool = False,
                 cache: bool = False, reorder: bool = False):
        check_clip_len(clip_len_s)
        numbered, errors = read_valid(read_numbered_labels, label_path, clip_len_s)
        super().__init__([label for _, label in numbered], [f"line {line}" for line, _ in numbered], label_path,
                         video_path, audio_path, query_path, clip_len_s=clip_len_s, video_dims=video_dims,
                         normalize=normalize, cache=cache)
        self.reorder = reorder
        if errors is not None:
            errors.dataset = self
            raise errors

    def _order(self, boundary: Tensor | None, T: int) -> tuple[Tensor | None, slice | Tensor]:
        if not self.reorder or boundary is None:
            return super()._order(boundary, T)
        order = random_order(boundary / self.clip_len_s, T)
        return reorder_windows(boundary / self.clip_len_s, order) * self.clip_len_s, order

    def _saliency(self, label: dict) -> Tensor:
        """Return (clips,): the annotators' mean score, scaled to [0, 1]; ones if the label has no scores."""
        T = self.expected_clips(label)
        if "saliency_scores" not in label:
            return torch.ones(T)
        saliency = torch.zeros(T)
        rated = [sum(scores) / (MAX_SALIENCY * len(scores)) for scores in label["saliency_scores"]]
        saliency[label["relevant_clip_ids"]] = torch.tensor(rated)
        return saliency

    def _boundary(self, label: dict) -> Tensor:
        windows = label.get("relevant_windows") or [[-1, -1]]   # The padding value: no window to find.
        return torch.tensor(windows, dtype=torch.float)

    def expected_clips(self, label: dict) -> int:
        """Return the number of complete clips of a labeled video."""
        return num_complete_clips(label["duration"], self.clip_len_s)

    def missing_annotations(self) -> list[str]:
        """See `FeatureDataset.missing_annotations`; all lines of a label file have the same keys."""
        return [key for key in ("relevant_windows", "saliency_scores") if self.labels and key not in self.labels[0]]

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Convert the model's collected `_out` to prediction lines.

        Args:
            blob: see `outputs_by_item`.

        Returns:
            `qid, query, vid`, `pred_saliency_scores` of the video's clips, and `pred_relevant_windows` within its
            duration by descending score; four decimals. Repeated queries, which the samplers of several processes
            add, are removed.
        """
        lines: dict[int | str, dict] = {}
        for label, outputs in outputs_by_item(blob, self.clip_len_s):
            line = {key: label[key] for key in ("qid", "query", "vid")}
            if "saliency" in outputs:
                line["pred_saliency_scores"] = np.round(outputs["saliency"][:self.expected_clips(label)], 4).tolist()
            if "boundary" in outputs:
                windows = outputs["boundary"].copy()
                windows[:, :2] = windows[:, :2].clip(0, label["duration"])
                windows = windows[windows[:, 1] > windows[:, 0]]
                windows = windows[np.argsort(-windows[:, 2], kind="stable")]
                line["pred_relevant_windows"] = np.round(windows, 4).tolist()
            lines.setdefault(label["qid"], line)
        return list(lines.values())

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; `random` is the mean of 20 seeds."""
        return dict(random=random_baseline(self.labels, clip_len_s=self.clip_len_s),
                    oracle=oracle_baseline(self.labels, self.clip_len_s))

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return the main metrics of the model's collected outputs, named as in `eval_qvhighlights`.

        A split without annotations, such as a test split, has no metrics; this is logged as a warning.
        """
        if not any(key in label for label in self.labels for key in ("relevant_windows", "saliency_scores")):
            (logger or logging.getLogger(__name__)).warning(
                f"{self.label_path} has neither relevant_windows nor saliency_scores; no metrics are computed")
            return {}
        return eval_qvhighlights(self.predictions(blob), self.labels, self.clip_len_s)["brief"]


def random_order(windows: Tensor, num_clips: int) -> Tensor:
    """Return a random order of clips (num_clips,) that permutes segments of a video, drawn with torch's generator.

    Args:
        windows: (W, 2) in clips, [start, end); segments never end inside one. Negative values are padding.
        num_clips: number of clips of the video.
    """
    can_cut = torch.ones(num_clips + 1, dtype=torch.bool)
    for start, end in windows.tolist():
        if start >= 0:
            can_cut[math.floor(start) + 1:math.ceil(end)] = False
    can_cut[0] = can_cut[num_clips] = False
    candidates = torch.nonzero(can_cut).squeeze(-1)
    shuffled = candidates[torch.randperm(len(candidates))]   # Drawn before the number, as in earlier seeded runs.
    cuts = shuffled[:int(torch.randint(2, MAX_SEGMENTS + 1, ())) - 1]
    bounds = [0, *sorted(cuts.tolist()), num_clips]
    segments = [torch.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    return torch.cat([segments[i] for i in torch.randperm(len(segments)).tolist()])


def reorder_windows(windows: Tensor, order: Tensor) -> Tensor:
    """Map windows (W, 2) in clips to a `random_order`; windows that touch afterwards are merged."""
    new_index = torch.argsort(order)   # From the old index of a clip to its new index.
    moved = []
    for start, end in windows.tolist():
        if start < 0:
            moved.append([start, end])
            continue
        first = math.floor(start)
        new_start = float(new_index[min(first, len(order) - 1)]) + start - first
        moved.append([new_start, new_start + end - start])
    moved.sort()
    merged = [moved[0]]
    for start, end in moved[1:]:
        if start <= merged[-1][1] and start >= 0:
            merged[-1] = [merged[-1][0], max(end, merged[-1][1])]
        else:
            merged.append([start, end])
    return torch.tensor(merged)
