"""TVSum's highlights by domain."""

from __future__ import annotations

import logging

import numpy as np
import torch
from nncore.dataset import DATASETS
from torch import Tensor

from datasets.annotations.domain_splits import SPLITS
from datasets.annotations.tvsum import MAX_RATING, MIN_RATING, read_tvsum
from datasets.eval import tvsum_top5_map
from datasets.eval.benchmarks import tvsum_evaluation
from datasets.eval.tvsum import pad_scores

from .domain_dataset import DomainDataset


@DATASETS.register()
class TVSum(DomainDataset):
    """One of TVSum's ten domains, four videos for training and one for validation (Song et al., CVPR 2015; UMT).

    Args:
        domain: BK BT DS FM GA MS PK PR VT or VU.
        split: `train` or `val`.
        label_path: see `datasets.annotations.tvsum.read_tvsum`.
        video_path, audio_path, query_path, query_key, clip_len_s, video_dims, normalize, cache: see
            `FeatureDataset`; the name of a query is the name of its video.
        split_path: see `DomainDataset`.
    """

    def __init__(self, domain: str, split: str, label_path: str, video_path: str | list[str],
                 audio_path: str | None = None, query_path: str | None = None, query_key: str = "last_hidden_state",
                 clip_len_s: float = 2, video_dims: int | list[int] | None = None, normalize: bool = False,
                 cache: bool = False, split_path: str = str(SPLITS / "tvsum.json")):
        self.clip_len_s = clip_len_s   # Set here already, because labels_by_vid needs it.
        super().__init__(domain, split, label_path, split_path, video_path=video_path, audio_path=audio_path,
                         query_path=query_path, query_key=query_key, clip_len_s=clip_len_s, video_dims=video_dims,
                         normalize=normalize, cache=cache)

    def labels_by_vid(self, path: str) -> dict[str, dict]:
        return {vid: dict(anno=rows.tolist()) for vid, rows in read_tvsum(path, self.clip_len_s).items()}

    def _saliency(self, label: dict) -> Tensor:
        """Return (clips,): the mean rating, scaled from 1..5 to 0..1."""
        mean = np.mean(label["anno"], axis=1)
        return torch.from_numpy((mean - MIN_RATING) / (MAX_RATING - MIN_RATING)).float()

    def expected_clips(self, label: dict) -> int:
        return len(label["anno"])

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; `random` is the mean of 20 seeds, `oracle` predicts the mean rating."""
        ratings = {label["vid"]: np.array(label["anno"]) for label in self.labels}
        evaluation = tvsum_evaluation({vid: np.zeros(len(rows)) for vid, rows in ratings.items()}, ratings)
        return dict(random=evaluation.random(), oracle=evaluation.oracle())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return `mAP`, see `tvsum_top5_map`; five decimals."""
        annotations = {label["vid"]: np.array(label["anno"]) for label in self.labels}
        scores = {line["vid"]: pad_scores(line["pred_saliency_scores"], len(annotations[line["vid"]]))
                  for line in self.predictions(blob)}
        return dict(mAP=round(tvsum_top5_map(scores, annotations), 5))
