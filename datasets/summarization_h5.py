"""Summarization by key-shots: TVSum and SumMe in the field's h5 files."""

from __future__ import annotations

import logging

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.parallel import DataContainer
from torch.utils.data import Dataset

from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo, fold_names, read_summarization_h5
from datasets.eval.agreement import rank_correlation
from datasets.eval.summarization import REDUCTIONS, annotator_scores

from .batches import outputs_by_item

TARGETS = ("ranks", "gtscore")


@DATASETS.register()
class SummarizationH5(Dataset):
    """Videos with people's scores (TVSum: Song et al., CVPR 2015; SumMe: Gygli et al., ECCV 2014).

    Args:
        h5_path: in the schema of DSNet (Zhu et al., TIP 2021) and PGL-SUM, or with ModelScope's keys.
        split_path: the field's split file; may be left out when `part` is `all`.
        fold: of the split file.
        part: `train`, `test` or `all`.
        features: keys of the features, side by side; ModelScope's is `features_clip_image`.
        text: key of the sentences, e.g. of the title, or ModelScope's `features_clip_txt`; None for none.
        target: what is learned: `ranks`, the mean over annotators of their standardised ranks, which
            correlates best with all of them, where the file has `user_scores`; or `gtscore`.
        f1: how cross-validation reports the F-scores of several users: `avg`, the mean over them, as on TVSum;
            `max`, the nearest one, as on SumMe.

    Raises:
        InputError: see `read_summarization_h5` and `fold_names`; another target or `f1`.
    """

    def __init__(self, h5_path: str, split_path: str | None = None, fold: int = 0, part: str = "all",
                 features: str | list[str] = "features", text: str | None = None, target: str = "ranks",
                 f1: str = "avg"):
        if target not in TARGETS:
            raise InputError(f"target={target!r}; it must be one of {', '.join(TARGETS)}")
        if f1 not in REDUCTIONS:
            raise InputError(f"f1={f1!r}; it must be one of {', '.join(REDUCTIONS)}")
        if part != "all" and split_path is None:
            raise InputError(f"part={part!r} needs split_path, a JSON list of train_keys and test_keys")
        names = fold_names(split_path or "", fold, part)
        keys = (features,) if isinstance(features, str) else tuple(features)
        self.videos = read_summarization_h5(h5_path, names, keys, text)
        self.labels = [dict(vid=name, qid=name, query=video.title) for name, video in self.videos.items()]
        self.targets = {name: rank_target(video) if target == "ranks" and video.user_scores is not None
                        else scaled(video.gtscore) for name, video in self.videos.items()}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """`video` (T, V), `query` (N, D) padded with inf if any, `saliency` (T,) in [0, 1] padded with -1, `meta`."""
        label = self.labels[index]
        video = self.videos[label["vid"]]
        item = dict(video=DataContainer(torch.from_numpy(video.features)),
                    saliency=DataContainer(torch.from_numpy(self.targets[label["vid"]]).float(), pad_value=-1),
                    meta=DataContainer(label, cpu_only=True))
        if video.text is not None:
            item["query"] = DataContainer(torch.from_numpy(video.text), pad_value=float("inf"))
        return item

    def num_clips(self, label: dict) -> int:
        """Rows of a video."""
        return len(self.videos[label["vid"]].features)

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Prediction lines `vid`, `pred_saliency_scores` of the picked frames; six decimals."""
        lines = {}
        for label, outputs in outputs_by_item(blob):
            scores = outputs["saliency"][:self.num_clips(label)].round(6)
            lines.setdefault(label["vid"], dict(vid=label["vid"], pred_saliency_scores=scores.tolist()))
        return list(lines.values())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Kendall's tau and Spearman's rho with each annotator, mean over annotators, then videos.

        Without `user_scores` the one annotator is `gtscore`, which gives higher numbers; the log says so.
        """
        pairs = []
        for line in self.predictions(blob):
            video = self.videos[line["vid"]]
            if video.user_scores is None:
                (logger or logging.getLogger(__name__)).warning(f"{line['vid']}: no user_scores, so gtscore counts")
            pairs.append(rank_correlation(np.array(line["pred_saliency_scores"]), annotator_scores(video)))
        tau, rho = np.mean(pairs, axis=0)
        return dict(kendall=round(float(tau), 4), spearman=round(float(rho), 4))


def rank_target(video: SummarizedVideo) -> np.ndarray:
    """(T,) in [0, 1]: the mean over annotators of their ranks, standardised; who rates all alike is left out.

    Spearman's rho is Pearson's correlation of ranks, so of all scores this has the greatest mean rho.
    """
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(row) for row in video.user_scores])
    ranks -= ranks.mean(axis=1, keepdims=True)
    deviations = ranks.std(axis=1, keepdims=True)
    ordered = deviations[:, 0] > 0
    if not ordered.any():
        raise InputError(f"{video.name}: every annotator's user_scores are all alike, so there is no order to learn")
    return scaled((ranks[ordered] / deviations[ordered]).mean(axis=0))


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scores brought into [0, 1]."""
    low, high = scores.min(), scores.max()
    return (scores - low) / max(high - low, 1e-12)
