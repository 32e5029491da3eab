"""YouTube Highlights by domain."""

from __future__ import annotations

import logging

import torch
from nncore.dataset import DATASETS
from torch import Tensor

from datasets.annotations.domain_splits import SPLITS
from datasets.annotations.youtube_highlights import read_youtube
from datasets.eval import youtube_map
from datasets.eval.benchmarks import youtube_evaluation

from .domain_dataset import DomainDataset


@DATASETS.register()
class YouTubeHighlights(DomainDataset):
    """One of the six domains of YouTube Highlights (Sun et al., ECCV 2014; features and labels of UMT).

    Args:
        domain: dog gymnastics parkour skating skiing or surfing; or gym par ska ski sur for short.
        split: `train` or `val`.
        label_path: see `read_youtube`.
        video_path, audio_path, query_path, query_key, clip_len_s, video_dims, normalize, cache: see
            `FeatureDataset`; the name of a query is the name of its video.
        split_path: see `DomainDataset`.
    """

    def __init__(self, domain: str, split: str, label_path: str, video_path: str | list[str],
                 audio_path: str | None = None, query_path: str | None = None, query_key: str = "last_hidden_state",
                 clip_len_s: float = 2, video_dims: int | list[int] | None = None, normalize: bool = False,
                 cache: bool = False, split_path: str = str(SPLITS / "youtube.json")):
        super().__init__(domain, split, label_path, split_path, video_path=video_path, audio_path=audio_path,
                         query_path=query_path, query_key=query_key, clip_len_s=clip_len_s, video_dims=video_dims,
                         normalize=normalize, cache=cache)

    def labels_by_vid(self, path: str) -> dict[str, dict]:
        return {vid: dict(match=match) for vid, match in read_youtube(path).items()}

    def _saliency(self, label: dict) -> Tensor:
        """Return (clips,): 1 where the match is above 0, else 0."""
        return (torch.tensor(label["match"]) > 0).float()

    def expected_clips(self, label: dict) -> int:
        return len(label["match"])

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; over the features' clips, mean of 20 seeds."""
        matches = {label["vid"]: label["match"][:self.num_clips(label)] for label in self.labels}
        evaluation = youtube_evaluation({vid: [0] * len(match) for vid, match in matches.items()}, matches)
        return dict(random=evaluation.random(), oracle=evaluation.oracle())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return `mAP`, see `youtube_map`, over the features' clips; five decimals."""
        scores = {line["vid"]: line["pred_saliency_scores"] for line in self.predictions(blob)}
        matches = {label["vid"]: label["match"][:len(scores[label["vid"]])] for label in self.labels}
        return dict(mAP=round(youtube_map(scores, matches), 5))
