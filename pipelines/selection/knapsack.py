"""Which shots a summary keeps: the 0/1 knapsack under a budget."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from common.errors import InputError
from pipelines.options import check_budget


def knapsack(values: np.ndarray, sizes: np.ndarray, capacity: int) -> np.ndarray:
    """The most valuable set of items that fits, exactly, by dynamic programming.

    An item is taken only where it makes the set strictly better, so worthless items stay out.

    Args:
        values: (S,) floats.
        sizes: (S,) whole numbers >= 0.
        capacity: whole number, what the sizes may sum to.

    Returns:
        (K,) ascending indices.
    """
    best, buffer, better = np.zeros(capacity + 1), np.empty(capacity + 1), np.empty(capacity + 1, dtype=bool)
    taken = []   # per item, one bit per capacity
    for value, size in zip(values, sizes, strict=True):
        better[:size] = False
        if size <= capacity:
            without, with_it = best[size:], buffer[:capacity + 1 - size]
            np.add(best[:capacity + 1 - size], value, out=with_it)
            np.greater(with_it, without, out=better[size:])
            np.maximum(with_it, without, out=without)
        taken.append(np.packbits(better))
    chosen, room = [], capacity
    for i in range(len(taken) - 1, -1, -1):
        if taken[i][room // 8] >> (7 - room % 8) & 1:
            chosen.append(i)
            room -= int(sizes[i])
    return np.array(chosen[::-1], dtype=np.int64)


def frame_scores(scores: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """Scores (n_frames,) of all frames, each that of the last picked frame at or before it.

    Args:
        scores: (T,), of the picked frames.
        picks: (T,) ascending frame indices. Frames before the first score 0.
    """
    scores, picks = np.asarray(scores, dtype=np.float64), np.asarray(picks)
    if scores.shape != picks.shape or scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"scores {scores.shape} and picks {picks.shape} must be one number per picked frame")
    last_pick = np.searchsorted(picks, np.arange(n_frames), side="right") - 1
    return np.where(last_pick < 0, 0.0, scores[last_pick])


def key_shots(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
              budget: float = 0.15) -> np.ndarray:
    """The key-shots of a video, as TVSum (Song et al., CVPR 2015) defines them.

    A shot is worth the mean score of its frames and costs its length; the budget is
    `int(budget * n_frames)` frames.

    Args:
        shots: (S, 2) frames, first and last inclusive.
        scores: (T,), of the picked frames.
        picks: (T,) ascending frame indices that the scores belong to.
        n_frames: frames in the video.
        budget: share of the video, in (0, 1].

    Returns:
        (K,) ascending indices of shots, never empty. When no shot fits the budget, the one index is
        of the best shot, which is longer than the budget; `key_frames` gives the part that fits.

    Raises:
        InputError: the budget is no share, or scores that are no finite numbers.
        ValueError: no shots, shots beyond the video, or scores and picks of other lengths.
    """
    return _select(shots, scores, picks, n_frames, budget)[0]


def key_frames(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
               budget: float = 0.15) -> np.ndarray:
    """As `key_shots`, but returns frames (K, 2), first and last inclusive, never over the budget.

    Where no shot fits, that is the best part of the best shot; a budget below one frame counts as one.
    """
    chosen, frames = _select(shots, scores, picks, n_frames, budget)
    kept = np.asarray(shots)[chosen]
    room = max(1, int(budget * n_frames))
    first, last = map(int, kept[0])
    if last - first + 1 > room:
        kept = np.array([best_window(first, last, frames, room)])
    return kept


def best_window(first: int, last: int, frames: np.ndarray, length: int) -> tuple[int, int]:
    """The `length` frames inside [first, last] of the greatest sum, inclusive; the earliest of equals."""
    sums = np.concatenate([[0], np.cumsum(frames[first:last + 1])])
    start = first + int(np.argmax(sums[length:] - sums[:-length]))
    return start, start + length - 1


def clip_weights(scores: np.ndarray, shots: np.ndarray, spans: Sequence[tuple[int, int]],
                favoured: Sequence[bool]) -> np.ndarray:
    """How much the cut wants each clip: what was asked first, then some of every moment, then the rest.

    A clip weighs its squared score; 1 more inside a moment, another 1 in the moment's best shot, and
    another 1 there if the moment is favoured.

    Args:
        scores: (T,) in [0, 1].
        shots: (S, 2) clips, first and last inclusive.
        spans: first and last clip, inclusive, of every moment.
        favoured: of every moment, e.g. whether it is its sentence's best.

    Returns:
        (T,), >= 0.
    """
    weights = scores**2
    means = np.array([scores[first:last + 1].mean() for first, last in shots])
    inside, in_best, in_favoured = (np.zeros(len(scores), dtype=bool) for _ in range(3))
    for (start, end), favours in zip(spans, favoured, strict=True):
        inside[start:end + 1] = True
        touching = (shots[:, 0] <= end) & (shots[:, 1] >= start)
        first, last = shots[int(np.argmax(np.where(touching, means, -1)))]
        in_best[first:last + 1] = True
        in_favoured[first:last + 1] |= favours
    return weights + inside + in_best + in_favoured


def select_shots(shots: np.ndarray, weights: np.ndarray, edges_s: Sequence[Fraction],
                 budget: float | Fraction) -> np.ndarray:
    """The shots that a cut keeps: the greatest weight times duration that fits into the budget.

    Unlike the benchmark's `key_shots`, a shot is worth its mean times its length, so that short shots
    are no bargain. The sum is exact in twentieths of the first clip, lengths rounded up.

    Args:
        shots: (S, 2) clips, first and last inclusive.
        weights: (T,) of the clips, >= 0.
        edges_s: T + 1 times that bound the clips.
        budget: share of the duration, in (0, 1]; 1 keeps everything.

    Returns:
        (K,) ascending indices, never empty: when no shot fits, the one of the greatest mean weight.
    """
    if check_budget(budget) == 1:
        return np.arange(len(shots))
    tick_s = (edges_s[1] - edges_s[0]) / 20
    room = math.floor(_exact(budget) * edges_s[-1] / tick_s)
    clip_ticks = np.array([float((end - start) / tick_s) for start, end in itertools.pairwise(edges_s)])
    sizes = [math.ceil((edges_s[last + 1] - edges_s[first]) / tick_s) for first, last in shots]
    values = np.array([(weights * clip_ticks)[first:last + 1].sum() for first, last in shots])
    chosen = knapsack(values, np.array(sizes), room)
    if len(chosen) == 0:
        chosen = np.array([int(np.argmax([weights[first:last + 1].mean() for first, last in shots]))])
    return chosen


def select_moments(spans: Sequence[tuple[int, int]], scores: np.ndarray, edges_s: Sequence[Fraction],
                   budget: float | Fraction) -> list[tuple[int, int]]:
    """The moments that a cut keeps whole: one after the other, each if it still fits into the budget.

    Of a first moment that is over the budget alone, the best part is kept, and nothing else.

    Args:
        spans: first and last clip, inclusive, of every moment, the most wanted first.
        scores: (T,) of the clips, by which a part is the best.
        edges_s: T + 1 times that bound the clips.
        budget: share of the duration, in (0, 1].

    Returns:
        (first, last) clips, ascending, apart and not adjacent; none without moments.
    """
    check_budget(budget)
    room_s = _exact(budget) * edges_s[-1]
    kept: list[tuple[int, int]] = []
    if spans and edges_s[spans[0][1] + 1] - edges_s[spans[0][0]] > room_s:
        return [best_window(*spans[0], scores, max(1, math.floor(room_s / (edges_s[1] - edges_s[0]))))]
    for span in spans:
        joined = _union([*kept, span])
        if sum(edges_s[last + 1] - edges_s[first] for first, last in joined) <= room_s:
            kept = joined
    return kept


def _union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _exact(budget: float | Fraction) -> Fraction:
    return budget if isinstance(budget, Fraction) else Fraction(budget).limit_denominator(10**6)


def _select(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
            budget: float) -> tuple[np.ndarray, np.ndarray]:
    check_budget(budget)
    shots = np.asarray(shots)
    if shots.ndim != 2 or shots.shape[1:] != (2,) or len(shots) == 0:
        raise ValueError(f"shots must be (S, 2) with S >= 1, not {shots.shape}")
    if shots.min() < 0 or shots.max() >= n_frames or (shots[:, 1] < shots[:, 0]).any():
        raise ValueError(f"shots must be [first, last] within 0..{n_frames - 1}")
    if not np.isfinite(scores).all():
        odd = np.count_nonzero(~np.isfinite(scores))
        raise InputError(f"{odd} of {len(scores)} scores are no finite numbers, so no shot is better than another; "
                         "look at what made them")
    frames = frame_scores(scores, picks, n_frames)
    values = np.array([frames[first:last + 1].mean() for first, last in shots])
    sizes = shots[:, 1] - shots[:, 0] + 1
    room = int(budget * n_frames)
    chosen = knapsack(values, sizes, room)
    if len(chosen) == 0:   # nothing fits, or nothing that fits is worth more than 0
        fits = sizes <= room
        chosen = np.array([int(np.argmax(np.where(fits, values, -np.inf) if fits.any() else values))])
    return chosen, frames
