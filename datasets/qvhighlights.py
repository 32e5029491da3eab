"""Moments and highlights by sentences, in the QVHighlights formats."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from nncore.dataset import DATASETS
from torch import Tensor

from common.temporal import num_complete_clips
from datasets.annotations.qvhighlights import MAX_SALIENCY, check_clip_len, read_numbered_labels, read_valid
from datasets.eval.baselines import oracle, random_baseline

from .batches import outputs_by_item
from .eval import eval_qvhighlights
from .feature_dataset import FeatureDataset

MAX_PIECES = 8     # of a reordered video


@DATASETS.register()
class QVHighlights(FeatureDataset):
    """Queries over videos, with features read from disk (Lei et al., NeurIPS 2021, and its public files).

    Args:
        label_path: JSON lines, see `datasets.annotations.qvhighlights.read_labels`.
        video_path, query_path, audio_path: see `FeatureDataset`.
        clip_len_s: seconds in a clip.
        reorder: for training on few videos: at every reading cut the video into pieces, never inside a
            window, and join them in a random order, labels likewise.
        video_dims, normalize, cache: see `FeatureDataset`.

    Raises:
        InputError: faults in the labels; from items, faults of their feature files.
    """

    def __init__(self, label_path: str, video_path: str | list[str], query_path: str, audio_path: str | None = None,
                 clip_len_s: float = 2, video_dims: int | list[int] | None = None, normalize: bool = False,
                 cache: bool = False, reorder: bool = False):
        check_clip_len(clip_len_s)
        numbered, faults = read_valid(read_numbered_labels, label_path, clip_len_s)
        super().__init__([label for _, label in numbered], [f"line {line}" for line, _ in numbered], label_path,
                         video_path, audio_path, query_path, clip_len_s=clip_len_s, video_dims=video_dims,
                         normalize=normalize, cache=cache)
        self.reorder = reorder
        if faults is not None:
            faults.dataset = self
            raise faults

    def _order(self, boundary: Tensor, T: int) -> tuple[Tensor, slice | Tensor]:
        if not self.reorder:
            return super()._order(boundary, T)
        order = random_order(boundary / self.clip_len_s, T)
        return moved_windows(boundary / self.clip_len_s, order) * self.clip_len_s, order

    def _saliency(self, label: dict) -> Tensor:
        """(clips,): the annotators' mean over its highest value; ones where there are no labels."""
        T = self.expected_clips(label)
        if "saliency_scores" not in label:
            return torch.ones(T)
        saliency = torch.zeros(T)
        rated = [sum(scores) / (MAX_SALIENCY * len(scores)) for scores in label["saliency_scores"]]
        saliency[label["relevant_clip_ids"]] = torch.tensor(rated)
        return saliency

    def _boundary(self, label: dict) -> Tensor:
        windows = label.get("relevant_windows") or [[-1, -1]]   # as padding: nothing to find
        return torch.tensor(windows, dtype=torch.float)

    def expected_clips(self, label: dict) -> int:
        """Clips of a labelled video; a last piece shorter than a clip does not count."""
        return num_complete_clips(label["duration"], self.clip_len_s)

    def missing_annotations(self) -> list[str]:
        """See `FeatureDataset.missing_annotations`; a file has them in all lines or in none."""
        return [key for key in ("relevant_windows", "saliency_scores") if self.labels and key not in self.labels[0]]

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Turns the model's collected `_out` into prediction lines.

        Args:
            blob: see `outputs_by_item`.

        Returns:
            `qid, query, vid`, `pred_saliency_scores` of the video's own clips, `pred_relevant_windows`
            within its duration by falling score; four decimals. A query that comes again, as samplers
            of several processes repeat some, is left out.
        """
        lines = {}
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
        """See `FeatureDataset.baselines`; random is the mean of 20 seeds."""
        return dict(random=random_baseline(self.labels, clip_len_s=self.clip_len_s),
                    oracle=oracle(self.labels, self.clip_len_s))

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """The main metrics of the model's collected outputs, as `eval_qvhighlights` names them.

        A split without labels, as a test split may be, has none; the log says so.
        """
        if not any(key in label for label in self.labels for key in ("relevant_windows", "saliency_scores")):
            (logger or logging.getLogger(__name__)).warning(f"{self.label_path} holds no answers, so nothing is scored")
            return {}
        return eval_qvhighlights(self.predictions(blob), self.labels, self.clip_len_s)["brief"]


def random_order(windows: Tensor, num_clips: int) -> Tensor:
    """An order of clips (num_clips,) that moves pieces of the video, drawn by torch's generator.

    Args:
        windows: (W, 2) in clips, [start, end); no piece ends inside one. Below 0 is padding.
    """
    free = torch.ones(num_clips + 1, dtype=torch.bool)
    for start, end in windows.tolist():
        if start >= 0:
            free[math.floor(start) + 1:math.ceil(end)] = False
    free[0] = free[num_clips] = False
    locations = torch.nonzero(free).squeeze(-1)
    chosen = locations[torch.randperm(len(locations))[:int(torch.randint(2, MAX_PIECES + 1, ())) - 1]]
    bounds = [0, *sorted(chosen.tolist()), num_clips]
    pieces = [torch.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    return torch.cat([pieces[i] for i in torch.randperm(len(pieces)).tolist()])


def moved_windows(windows: Tensor, order: Tensor) -> Tensor:
    """Where windows (W, 2) in clips lie after `random_order`; those that now touch become one."""
    place = torch.argsort(order)   # old clip -> new clip
    moved = []
    for start, end in windows.tolist():
        if start < 0:
            moved.append([start, end])
            continue
        first = math.floor(start)
        new = float(place[min(first, len(order) - 1)]) + start - first
        new_end = new + end - start
        moved.append([new, new_end])
    moved.sort()
    joined = [moved[0]]
    for start, end in moved[1:]:
        if start <= joined[-1][1] and start >= 0:
            joined[-1] = [joined[-1][0], max(end, joined[-1][1])]
        else:
            joined.append([start, end])
    return torch.tensor(joined)
