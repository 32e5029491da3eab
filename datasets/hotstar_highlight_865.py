"""Rated clips of long videos: which of them are highlights, and where."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np
from nncore.dataset import DATASETS

from .eval.clips import eval_clips
from .qvhighlights import QVHighlights

SEEDS = 20   # of random scores


@DATASETS.register()
class HotstarHighlight865(QVHighlights):
    """Clips that people rated, in QVHighlights' formats, as `tools/process_feature_and_label.py` makes them.

    A label has `rating` too, the mean of its ratings, and `positive`, whether that is over the threshold.
    A negative clip has no window and no salient part; it trains and is evaluated like the others. The
    options are those of `QVHighlights`.
    """

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[str]:
        """See `FeatureDataset.check`; labels without `positive`, too."""
        return super().check(progress) + [
            f"{self.label_path}, {place}: no 'positive', true or false; make it with tools/process_feature_and_label.py"
            for place, label in zip(self.places, self.labels, strict=True)
            if not isinstance(label.get("positive"), bool)]

    def floors(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.floors`; the oracle's score of a clip is its rating."""
        positive = np.array([label["positive"] for label in self.labels])
        draws = [eval_clips(np.random.default_rng(seed).random(len(positive)), positive) for seed in range(SEEDS)]
        found = super().floors()
        return dict(random={**{key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]},
                            **found["random"]},
                    oracle={**eval_clips(np.array([label["rating"] for label in self.labels]), positive),
                            **found["oracle"]})

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """QVHighlights' metrics, and `AP` and `ROC-AUC` of the clips' mean scores against `positive`."""
        lines = {line["qid"]: line for line in self.predictions(blob)}
        scores = [np.mean(lines[label["qid"]]["pred_saliency_scores"]) for label in self.labels]
        return {**eval_clips(np.array(scores), np.array([label["positive"] for label in self.labels])),
                **super().evaluate(blob, logger)}
