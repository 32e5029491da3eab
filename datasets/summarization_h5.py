"""Key-shot summarization on the h5 files of TVSum and SumMe."""

from __future__ import annotations

import logging

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.parallel import DataContainer
from torch.utils.data import Dataset

from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo, fold_names, read_summarization_h5
from datasets.eval.agreement import REDUCTIONS, rank_correlation
from datasets.eval.summarization import annotator_scores

from .batches import outputs_by_item

TARGETS = ("ranks", "gtscore")


@DATASETS.register()
class SummarizationH5(Dataset):
    """Videos with annotators' scores (TVSum: Song et al., CVPR 2015; SumMe: Gygli et al., ECCV 2014).

    Args:
        h5_path: file in the schema of DSNet (Zhu et al., TIP 2021) and PGL-SUM, or with ModelScope's keys.
        split_path: split file, see `read_folds`; optional if `part` is `all`.
        fold: index of a fold in the split file.
        part: `train`, `test` or `all`.
        features: keys of the features, which are concatenated; ModelScope's is `features_clip_image`.
        text: key of the sentence embeddings, e.g. of the title, or ModelScope's `features_clip_txt`; None for none.
        target: training target. `ranks` is the mean over annotators of their standardized ranks, which has the
            highest mean correlation with the annotators; it needs `user_scores`, and videos without them use
            `gtscore`. `gtscore` is the file's mean score.
        f1: reduction of the F-scores over users in cross-validation: `avg`, their mean, as on TVSum; `max`, the
            best match, as on SumMe.

    Raises:
        InputError: see `read_summarization_h5` and `fold_names`; an unknown target or `f1`.
    """

    def __init__(self, h5_path: str, split_path: str | None = None, fold: int = 0, part: str = "all",
                 features: str | list[str] = "features", text: str | None = None, target: str = "ranks",
                 f1: str = "avg"):
        if target not in TARGETS:
            raise InputError(None, f"target={target!r}", f"use one of {', '.join(TARGETS)}")
        if f1 not in REDUCTIONS:
            raise InputError(None, f"f1={f1!r}", f"use one of {', '.join(REDUCTIONS)}")
        if part != "all" and split_path is None:
            raise InputError(None, f"part={part!r} needs split_path, a JSON list of train_keys and test_keys")
        names = fold_names(split_path or "", fold, part)
        keys = (features,) if isinstance(features, str) else tuple(features)
        self.videos = read_summarization_h5(h5_path, names, keys, text)
        self.labels = [dict(vid=name, qid=name, query=video.title) for name, video in self.videos.items()]
        self.targets = {name: rank_target(video) if target == "ranks" and video.user_scores is not None
                        else min_max_scaled(video.gtscore) for name, video in self.videos.items()}

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """Return one item in nncore's containers, which define its padding.

        Returns:
            `video` (T, V), `query` (N, D) padded with inf if any, `saliency` (T,) in [0, 1] padded with -1, and
            `meta`, the label.
        """
        label = self.labels[index]
        video = self.videos[label["vid"]]
        item = dict(video=DataContainer(torch.from_numpy(video.features)),
                    saliency=DataContainer(torch.from_numpy(self.targets[label["vid"]]).float(), pad_value=-1),
                    meta=DataContainer(label, cpu_only=True))
        if video.text is not None:
            item["query"] = DataContainer(torch.from_numpy(video.text), pad_value=float("inf"))
        return item

    def num_clips(self, label: dict) -> int:
        """Return the number of feature rows of a video."""
        return len(self.videos[label["vid"]].features)

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Return prediction lines `vid`, `pred_saliency_scores` of the sampled frames; six decimals."""
        lines: dict[str, dict] = {}
        for label, outputs in outputs_by_item(blob):
            scores = outputs["saliency"][:self.num_clips(label)].round(6)
            lines.setdefault(label["vid"], dict(vid=label["vid"], pred_saliency_scores=scores.tolist()))
        return list(lines.values())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return Kendall's tau and Spearman's rho with each annotator, averaged over annotators, then videos.

        Videos without `user_scores` are compared with `gtscore`, which yields higher numbers; this is logged.
        """
        pairs = []
        for line in self.predictions(blob):
            video = self.videos[line["vid"]]
            if video.user_scores is None:
                (logger or logging.getLogger(__name__)).warning(
                    f"{line['vid']}: no user_scores; the ranking is compared with gtscore")
            pairs.append(rank_correlation(np.array(line["pred_saliency_scores"]), annotator_scores(video)))
        tau, rho = np.mean(pairs, axis=0)
        return dict(kendall=round(float(tau), 4), spearman=round(float(rho), 4))


def rank_target(video: SummarizedVideo) -> np.ndarray:
    """Return (T,) in [0, 1]: the mean of the annotators' standardized ranks, scaled to [0, 1].

    Annotators whose scores are all equal are excluded. Spearman's rho is Pearson's correlation of ranks, so this
    target has the highest possible mean rho.
    """
    from scipy.stats import rankdata  # Slow to import.

    assert video.user_scores is not None
    ranks = np.stack([rankdata(row) for row in video.user_scores])
    ranks -= ranks.mean(axis=1, keepdims=True)
    deviations = ranks.std(axis=1, keepdims=True)
    has_ranking = deviations[:, 0] > 0
    if not has_ranking.any():
        raise InputError(video.name, "the user_scores of each annotator are all equal, so there is no ranking to learn")
    return min_max_scaled((ranks[has_ranking] / deviations[has_ranking]).mean(axis=0))


def min_max_scaled(scores: np.ndarray) -> np.ndarray:
    """Return scores, scaled to [0, 1]."""
    low, high = scores.min(), scores.max()
    return (scores - low) / max(high - low, 1e-12)
