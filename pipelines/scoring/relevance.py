"""How well every clip fits the words, or how much it stands out, and the moments in such a curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from common.temporal import temporal_iou
from models.encoders.base import normalize_rows
from pipelines.media.subtitles import Cue

SIGMA_CLIPS = 1.0        # spread of the smoothing over time
NEIGHBOURS = 5           # how many other clips a clip is compared with
SOUND_WEIGHT = 0.5       # of what stands out by ear, beside 1 for the eye
CUE_WEIGHT = 4.0         # spreads of the picture's curve that a line repeating the sentence is worth
MIN_SPREAD = 1e-3        # features closer together than this show one thing all the time
MAX_MOMENTS = 10         # per sentence
BLOCK = 256              # clips that are compared at once
UNRELATED = (            # what a sentence's likeness to a spoken line is measured against
    "Good morning, how are you?", "It will cost about twenty dollars.", "Yes, of course.",
    "I think we should wait until Tuesday.", "She wrote a long letter to the bank.",
    "The train leaves from platform nine.", "Nobody told me about the new rules.",
    "Let us talk about something else.",
)


class Moment(NamedTuple):
    """A stretch of the video: [start_s, end_s), its score in [0, 1] and the sentence, "" without one."""

    start_s: float
    end_s: float
    score: float
    text: str


def smooth(curves: np.ndarray, sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """Gaussian smoothing over the last axis, the clips; the ends are held. 0 changes nothing."""
    curves = np.asarray(curves, dtype=np.float64)
    return gaussian_filter1d(curves, sigma_clips, axis=-1, mode="nearest") if sigma_clips > 0 else curves


def standardise(curves: np.ndarray) -> np.ndarray:
    """Each curve (.., T) minus its mean, over its standard deviation; zeros where it does not vary."""
    curves = np.asarray(curves, dtype=np.float64)
    spread = curves.std(axis=-1, keepdims=True)
    flat = spread < 1e-6
    return np.where(flat, 0.0, (curves - curves.mean(axis=-1, keepdims=True)) / np.where(flat, 1.0, spread))


def to_unit(curves: np.ndarray) -> np.ndarray:
    """Shifts and scales all curves together to [0, 1]; 0.5 everywhere where nothing varies."""
    low, high = float(curves.min()), float(curves.max())
    return (curves - low) / (high - low) if high - low > 1e-6 else np.full(curves.shape, 0.5)


def varies(features: np.ndarray) -> bool:
    """Whether the clips (T, D) show more than one thing: their directions spread by over 0.001."""
    mean, squares = np.zeros(features.shape[1]), 0.0
    for begin in range(0, len(features), BLOCK):
        unit = normalize_rows(np.asarray(features[begin:begin + BLOCK], dtype=np.float64))
        mean += unit.sum(axis=0) / len(features)
        squares += float(np.square(unit).sum()) / len(features)
    return bool(squares - mean @ mean > MIN_SPREAD**2)


def sentence_scores(cosines: np.ndarray, heard: np.ndarray | None = None,
                    sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """Zero-shot scores of the clips for each sentence.

    Each sentence's cosines are smoothed over time and standardised over the video, since one sentence
    lies closer to all pictures than another. What is said adds to that: a line that repeats the
    sentence raises its clips by four standard deviations, a line less like it by as much less.

    Args:
        cosines: (T, Q), between clips and sentences.
        heard: (Q, T) in [0, 1], how like the sentence the line spoken then is; None without subtitles.

    Returns:
        (Q, T) in [0, 1], all on one scale, so that the greatest over sentences is the clip's score.
    """
    curves = standardise(smooth(cosines.T, sigma_clips))
    if heard is not None:
        curves = curves + CUE_WEIGHT * heard
    return to_unit(curves)


def cue_likeness(sentences: np.ndarray, lines: np.ndarray, unrelated: np.ndarray) -> np.ndarray:
    """How much spoken lines say what the sentences say, by the cosine of their embeddings.

    Text encoders differ in how alike unrelated texts look to them, so the scale begins for each
    sentence at its cosine to the nearest of some unrelated ones.

    Args:
        sentences: (Q, D); lines: (C, D); unrelated: (U, D), none of length 0.

    Returns:
        (Q, C) in [0, 1]: 0 as like as an unrelated sentence or less, 1 the same.
    """
    sentences, lines, unrelated = normalize_rows(sentences), normalize_rows(lines), normalize_rows(unrelated)
    floor = each_alone(lambda row: row @ unrelated.T, sentences).max(axis=1, keepdims=True).clip(0, 0.9)   # (Q, 1)
    return ((each_alone(lambda row: row @ lines.T, sentences) - floor) / (1 - floor)).clip(0, 1)


def each_alone(compute: Callable[[np.ndarray], np.ndarray], rows: np.ndarray) -> np.ndarray:
    """The same of every row (1, D) -> (1, N), one after the other, as (Q, N) float64.

    A product of two matrices rounds a row by its place among the others, so that the order of sentences, or one
    sentence more, would change the last digits of all.
    """
    return np.concatenate([np.asarray(compute(row[None]), dtype=np.float64) for row in rows])


def likeness_by_clip(likeness: np.ndarray, cues: Sequence[Cue], edges_s: np.ndarray) -> np.ndarray:
    """Spreads the lines' likeness over the clips that they are spoken in.

    Args:
        likeness: (Q, C), per line.
        cues: C of them.
        edges_s: (T + 1,), clip i is [edges_s[i], edges_s[i + 1]).

    Returns:
        (Q, T), the greatest of the lines that overlap the clip, 0 where none does.
    """
    by_clip = np.zeros((len(likeness), len(edges_s) - 1))
    for column, cue in enumerate(cues):
        inside = (edges_s[:-1] < cue.end_s) & (edges_s[1:] > cue.start_s)
        by_clip[:, inside] = np.maximum(by_clip[:, inside], likeness[:, column:column + 1])
    return by_clip


def standing_out(visual: np.ndarray, audio: np.ndarray | None = None, blank: np.ndarray | None = None,
                 sigma_clips: float = SIGMA_CLIPS) -> np.ndarray:
    """How much each clip stands out from the rest, when nothing was asked.

    A clip stands out as far as even its five most alike other clips look different from it (mean of
    1 - cosine); sound, each feature standardised over the video, counts likewise at half the weight.
    Blank pictures, which are unlike all others, score lowest.

    Args:
        visual: (T, D) features of the pictures.
        audio: (T, A) features of the sound, or None.
        blank: (T,) bool, clips that show nothing, as before a fade; None for none.

    Returns:
        (T,) in [0, 1]; 0.5 everywhere in a video that shows and sounds one thing all the time.
    """
    curve = np.zeros(len(visual))
    shown = np.ones(len(visual), dtype=bool) if blank is None or blank.all() else ~blank
    if varies(visual[shown]):
        lonely = np.zeros(len(visual))
        lonely[shown] = _loneliness(visual[shown])
        lonely[~shown] = lonely[shown].min()
        curve = standardise(smooth(lonely, sigma_clips))
    if audio is not None:
        curve = curve + SOUND_WEIGHT * standardise(smooth(_loneliness(standardise(audio.T).T), sigma_clips))
    return to_unit(np.where(shown, curve, curve[shown].min()))


def find_moments(curve: np.ndarray, max_moments: int = MAX_MOMENTS) -> list[tuple[int, int, float]]:
    """Contiguous stretches of a curve that reach at least half of the way from its median to its peak.

    Args:
        curve: (T,) in [0, 1].

    Returns:
        At most `max_moments` of (first clip, last clip inclusive, mean score), by falling score;
        none where the curve does not vary.
    """
    median, peak = float(np.median(curve)), float(curve.max())
    if peak - float(curve.min()) < 1e-6:
        return []
    inside = curve >= (median + peak) / 2
    steps = np.diff(np.concatenate([[0], inside.astype(np.int8), [0]]))
    starts, ends = np.nonzero(steps == 1)[0], np.nonzero(steps == -1)[0]
    stretches = [(int(a), int(b) - 1, float(curve[a:b].mean())) for a, b in zip(starts, ends, strict=True)]
    return sorted(stretches, key=lambda s: -s[2])[:max_moments]


def suppress(moments: Sequence[Moment], max_iou: float = 0.5, max_moments: int = MAX_MOMENTS) -> list[Moment]:
    """Non-maximum suppression: keeps the better of moments whose overlap over union exceeds `max_iou`."""
    kept: list[Moment] = []
    for moment in sorted(moments, key=lambda m: -m.score):
        if not kept or temporal_iou(np.array(moment[:2]), np.array([other[:2] for other in kept])).max() <= max_iou:
            kept.append(moment)
        if len(kept) == max_moments:
            break
    return kept


def _loneliness(features: np.ndarray) -> np.ndarray:
    """(T,), each row's mean of 1 - cosine to its nearest others; in blocks, so that no T x T is held."""
    unit = normalize_rows(features)
    T = len(unit)
    k = min(NEIGHBOURS, T - 1)
    lonely = np.zeros(T)
    if k == 0:
        return lonely
    for begin in range(0, T, BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, T))
        distance = 1 - unit[rows] @ unit.T                    # (block, T)
        distance[np.arange(len(rows)), rows] = np.inf         # a clip is no neighbour of its own
        lonely[rows] = np.partition(distance, k - 1, axis=1)[:, :k].mean(axis=1)
    return lonely
