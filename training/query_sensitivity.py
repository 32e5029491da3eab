"""Query sensitivity: how much better a summarizer finds a moment with its own query than with an unrelated query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from datasets.eval import eval_qvhighlights
from datasets.eval.baselines import random_baseline
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.summarizer import Summarizer

from .baselines import NUM_QUERY_DRAWS, draw_other_videos

METRICS = {"MR-full-R1@0.5": "R1@0.5", "MR-full-R1@0.7": "R1@0.7", "MR-full-mAP": "mAP"}
NUM_RANDOM_SEEDS = 20


def measure_query_sensitivity(summarizer: Summarizer, labels: Sequence[dict], encode: Callable[[str], EncodedVideo],
                              cues: Mapping[str, Sequence[Cue]] | None = None) -> dict:
    """Measure how well moments match the windows of a label, if found by its own query or by that of another video.

    A summarizer that ignores its queries gets the same metrics with both.

    Args:
        summarizer: the summarizer to measure.
        labels: dicts with `qid`, `query`, `vid`, `duration` and `relevant_windows`, as `read_labels` returns them.
        encode: function that returns the encoded video of a name.
        cues: subtitles by name of the video; None for no subtitles.

    Returns:
        R1@0.5, R1@0.7 and mAP in percent with `own` queries, with `other` queries (mean of 5 random assignments) and
        for `random` windows (mean of 20 seeds); the number of `queries`; `repeated` and `permuted`, True if a second
        call, and a call with each video's queries in reverse order, return exactly the same numbers.
    """
    video = cache(encode)
    subtitles = cues or {}

    def summarize(vid: str, queries: tuple[str, ...]):
        return summarizer.summarize(video(vid), queries, subtitles=subtitles.get(vid, ()))

    windows = cache(lambda vid, query: [[m.start_s, m.end_s, m.score] for m in summarize(vid, (query,)).moments])

    def metrics(queries: Sequence[str]) -> dict[str, float]:
        predictions = [dict(qid=label["qid"], pred_relevant_windows=windows(label["vid"], query))
                       for label, query in zip(labels, queries, strict=True)]
        brief = eval_qvhighlights(predictions, [_without_saliency(label) for label in labels])["brief"]
        return {name: brief[key] for key, name in METRICS.items()}

    queries = [label["query"] for label in labels]
    draws = [metrics([queries[i] for i in draw_other_videos([label["vid"] for label in labels], seed)])
             for seed in range(NUM_QUERY_DRAWS)]
    chance = random_baseline([_without_saliency(label) for label in labels], NUM_RANDOM_SEEDS)
    repeated, permuted = _check_determinism(summarize, labels)
    other = {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}
    return dict(own=metrics(queries), other=other,
                random={name: chance[key] for key, name in METRICS.items()}, queries=len(labels), repeated=repeated,
                permuted=permuted)


def _without_saliency(label: dict) -> dict:
    """Return a label without its saliency scores, which are not measured here."""
    return {key: label[key] for key in ("qid", "query", "vid", "duration", "relevant_windows")}


def _check_determinism(summarize: Callable, labels: Sequence[dict]) -> tuple[bool, bool]:
    """Return two flags: True if repeated queries, and if reordered queries, give identical results for all videos."""
    repeated = permuted = True
    for vid in dict.fromkeys(label["vid"] for label in labels):
        queries = tuple(dict.fromkeys(label["query"] for label in labels if label["vid"] == vid))
        first, again, reverse = summarize(vid, queries), summarize(vid, queries), summarize(vid, queries[::-1])
        repeated &= np.array_equal(first.scores_by_text, again.scores_by_text) and _is_same(first, again)
        permuted &= np.array_equal(first.scores_by_text, reverse.scores_by_text[::-1]) and _is_same(first, reverse)
    return repeated, permuted


def _is_same(a, b) -> bool:
    return (np.array_equal(a.scores, b.scores) and a.selected == b.selected and a.shots == b.shots
            and sorted(a.moments) == sorted(b.moments))
