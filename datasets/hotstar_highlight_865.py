"""The Hotstar dataset of rated clips: which clips of long videos are highlights, and where in them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import numpy as np
from nncore.dataset import DATASETS

from common.errors import InputError
from datasets.eval.rated_clips import eval_by_video, eval_clips

from .qvhighlights import QVHighlights

NUM_RANDOM_SEEDS = 20
RATING_KEYS: dict[str, tuple[type | tuple[type, ...], str]] = dict(
    positive=(bool, "true or false"), rating=((int, float), "a number"), video=(str, "the source video of the clip"))


@DATASETS.register()
class HotstarHighlight865(QVHighlights):
    """Rated clips in QVHighlights' formats, as created by `tools/process_feature_and_label.py`.

    A label also has `rating`, the mean of its ratings; `positive`, true if that exceeds the threshold; and `video`,
    the source video of the clip. A negative clip has no windows and no salient parts; it is used for training and
    evaluation like the others. The arguments are those of `QVHighlights`.
    """

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[InputError]:
        """See `FeatureDataset.check`; includes labels without `positive`, `rating` or `video`."""
        return super().check(progress) + [
            InputError(f"{self.label_path}, {location}", f"no {key!r}, {description}",
                       "create the labels with tools/process_feature_and_label.py")
            for location, label in zip(self.locations, self.labels, strict=True)
            for key, (kind, description) in RATING_KEYS.items()
            if not isinstance(label.get(key), kind)]

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; `oracle` predicts the rating of each clip."""
        draws = [self._clip_metrics(np.random.default_rng(seed).random(len(self.labels)))
                 for seed in range(NUM_RANDOM_SEEDS)]
        baselines = super().baselines()
        return dict(random={**{key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]},
                            **_moment_metrics(baselines["random"])},
                    oracle={**self._clip_metrics(np.array([label["rating"] for label in self.labels])),
                            **_moment_metrics(baselines["oracle"])})

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return `eval_clips` and `eval_by_video` of the clips' mean scores, and QVHighlights' moment metrics.

        QVHighlights' highlight metrics are excluded. They rank the parts of one clip, and all parts of a rated clip
        have the same grade, so every model would get the same value.
        """
        lines = {line["qid"]: line for line in self.predictions(blob)}
        scores = [np.mean(lines[label["qid"]]["pred_saliency_scores"]) for label in self.labels]
        return {**self._clip_metrics(np.array(scores)), **_moment_metrics(super().evaluate(blob, logger))}

    def _clip_metrics(self, scores: np.ndarray) -> dict[str, float]:
        """Return the metrics of scores (N,), one per clip."""
        positive = np.array([label["positive"] for label in self.labels])
        return {**eval_clips(scores, positive),
                **eval_by_video(scores, positive, [label["video"] for label in self.labels])}


def _moment_metrics(metrics: dict[str, float]) -> dict[str, float]:
    return {key: value for key, value in metrics.items() if key.startswith("MR-")}
