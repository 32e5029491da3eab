"""Rated clips of long videos: which of them are highlights, and where."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np
from nncore.dataset import DATASETS

from datasets.eval.rated_clips import eval_by_video, eval_clips

from .qvhighlights import QVHighlights

SEEDS = 20   # of random scores
KEYS = dict(positive=(bool, "true or false"), rating=((int, float), "a number"), video=(str, "what it was cut from"))


@DATASETS.register()
class HotstarHighlight865(QVHighlights):
    """Clips that people rated, in QVHighlights' formats, as `tools/process_feature_and_label.py` makes them.

    A label has `rating` too, the mean of its ratings, `positive`, whether that is over the threshold, and `video`,
    what the clip was cut from. A negative clip has no window and no salient part; it trains and is evaluated like
    the others. The options are those of `QVHighlights`.
    """

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[str]:
        """See `FeatureDataset.check`; labels without `positive`, `rating` or `video`, too."""
        return super().check(progress) + [
            f"{self.label_path}, {place}: no {key!r}, {what}; make it with tools/process_feature_and_label.py"
            for place, label in zip(self.locations, self.labels, strict=True)
            for key, (kind, what) in KEYS.items()
            if not isinstance(label.get(key), kind)]

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; the oracle's score of a clip is its rating."""
        draws = [self._scored(np.random.default_rng(seed).random(len(self.labels))) for seed in range(SEEDS)]
        found = super().baselines()
        return dict(random={**{key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]},
                            **_moments(found["random"])},
                    oracle={**self._scored(np.array([label["rating"] for label in self.labels])),
                            **_moments(found["oracle"])})

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """`eval_clips` and `eval_by_video` of the clips' mean scores against `positive`, and QVHighlights' of moments.

        QVHighlights' own highlight metrics rank the parts of one clip, which here have all one grade, so that any
        model would get the same; they are left out.
        """
        lines = {line["qid"]: line for line in self.predictions(blob)}
        scores = [np.mean(lines[label["qid"]]["pred_saliency_scores"]) for label in self.labels]
        return {**self._scored(np.array(scores)), **_moments(super().evaluate(blob, logger))}

    def _scored(self, scores: np.ndarray) -> dict[str, float]:
        """The metrics of one score (N,) per clip."""
        positive = np.array([label["positive"] for label in self.labels])
        return {**eval_clips(scores, positive),
                **eval_by_video(scores, positive, [label["video"] for label in self.labels])}


def _moments(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key.startswith("MR-")}
