"""Do words steer? What a summarizer finds when asked, beside what it finds when asked for something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from datasets.eval import eval_qvhighlights
from datasets.eval.baselines import random_floor
from pipelines.features.encode import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.summarizer import Summarizer

from .baselines import SHUFFLES, other_videos

SHOWN = {"MR-full-R1@0.5": "R1@0.5", "MR-full-R1@0.7": "R1@0.7", "MR-full-mAP": "mAP"}
RANDOM_SEEDS = 20


def steering(summarizer: Summarizer, labels: Sequence[dict], encode: Callable[[str], EncodedVideo],
             cues: Mapping[str, Sequence[Cue]] | None = None) -> dict:
    """Moments found with a label's own query, and with the query of another video, against the label's windows.

    A summarizer that ignores the words scores as high with another's as with the own.

    Args:
        labels: `qid`, `query`, `vid`, `duration`, `relevant_windows`, as `read_labels` gives them.
        encode: name of a video -> what the encoders saw in it.
        cues: subtitles by video, which are looked through too; None for none.

    Returns:
        `own`, `other` (the mean of five draws of the other video) and `random` (uniform windows, 20 seeds): R1@0.5,
        R1@0.7 and mAP in per cent; `queries`; `repeated` and `permuted`: whether a second call, and one with all
        of a video's queries in another order, gave the very same numbers.
    """
    video = cache(encode)
    spoken = cues or {}

    def ask(vid: str, texts: tuple[str, ...]):
        return summarizer.summarize(video(vid), texts, subtitles=spoken.get(vid, ()))

    windows = cache(lambda vid, text: [[m.start_s, m.end_s, m.score] for m in ask(vid, (text,)).moments])

    def metrics(queries: Sequence[str]) -> dict[str, float]:
        lines = [dict(qid=label["qid"], pred_relevant_windows=windows(label["vid"], query))
                 for label, query in zip(labels, queries, strict=True)]
        brief = eval_qvhighlights(lines, [_moments_alone(label) for label in labels])["brief"]
        return {name: brief[key] for key, name in SHOWN.items()}

    queries = [label["query"] for label in labels]
    draws = [metrics([queries[i] for i in other_videos([label["vid"] for label in labels], seed)])
             for seed in range(SHUFFLES)]
    chance = random_floor([_moments_alone(label) for label in labels], RANDOM_SEEDS)
    repeated, permuted = _unmoved(ask, labels)
    other = {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}
    return dict(own=metrics(queries), other=other,
                random={name: chance[key] for key, name in SHOWN.items()}, queries=len(labels), repeated=repeated,
                permuted=permuted)


def _moments_alone(label: dict) -> dict:
    """Without the scores of clips, which are not measured here."""
    return {key: label[key] for key in ("qid", "query", "vid", "duration", "relevant_windows")}


def _unmoved(ask: Callable, labels: Sequence[dict]) -> tuple[bool, bool]:
    """Whether asking again, and asking in another order, gave the very same scores, moments and cut, of all videos."""
    repeated = permuted = True
    for vid in dict.fromkeys(label["vid"] for label in labels):
        texts = tuple(dict.fromkeys(label["query"] for label in labels if label["vid"] == vid))
        first, again, turned = ask(vid, texts), ask(vid, texts), ask(vid, texts[::-1])
        repeated &= np.array_equal(first.scores_by_text, again.scores_by_text) and _same(first, again)
        permuted &= np.array_equal(first.scores_by_text, turned.scores_by_text[::-1]) and _same(first, turned)
    return repeated, permuted


def _same(a, b) -> bool:
    return (np.array_equal(a.scores, b.scores) and a.selected == b.selected and a.shots == b.shots
            and sorted(a.moments) == sorted(b.moments))
