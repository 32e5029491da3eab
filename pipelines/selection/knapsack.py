"""Select shots or moments within a budget: the 0/1 knapsack, TVSum's key shots, and the selection for a cut."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from common.errors import InputError
from pipelines.options import check_budget

TICKS_PER_CLIP = 20   # The knapsack's unit of time; durations are rounded up to it.


def knapsack(values: np.ndarray, sizes: np.ndarray, capacity: int) -> np.ndarray:
    """Solve the 0/1 knapsack problem exactly by dynamic programming.

    An item is selected only if it increases the total value, so items without value are left out.

    Args:
        values: (S,) floats.
        sizes: (S,) integers >= 0.
        capacity: the maximum total size, an integer.

    Returns:
        (K,) ascending indices of the selected items.
    """
    best, buffer, better = np.zeros(capacity + 1), np.empty(capacity + 1), np.empty(capacity + 1, dtype=bool)
    selected_bits = []   # One bit per capacity for each item, which takes an eighth of the memory of booleans.
    for value, size in zip(values, sizes, strict=True):
        better[:size] = False
        if size <= capacity:
            without_item, with_item = best[size:], buffer[:capacity + 1 - size]
            np.add(best[:capacity + 1 - size], value, out=with_item)
            np.greater(with_item, without_item, out=better[size:])
            np.maximum(with_item, without_item, out=without_item)
        selected_bits.append(np.packbits(better))
    selected, remaining = [], capacity
    for i in range(len(selected_bits) - 1, -1, -1):
        if selected_bits[i][remaining // 8] >> (7 - remaining % 8) & 1:
            selected.append(i)
            remaining -= int(sizes[i])
    return np.array(selected[::-1], dtype=np.int64)


def frame_scores(scores: np.ndarray, picks: np.ndarray, n_frames: int) -> np.ndarray:
    """Return scores (n_frames,) of all frames: each has the score of the last sampled frame at or before it.

    Args:
        scores: (T,) scores of the sampled frames.
        picks: (T,) ascending indices of the sampled frames. Frames before the first one have the score 0.
        n_frames: number of frames in the video.

    Raises:
        ValueError: scores and picks do not have the same length, or are empty.
    """
    scores, picks = np.asarray(scores, dtype=np.float64), np.asarray(picks)
    if scores.shape != picks.shape or scores.ndim != 1 or len(scores) == 0:
        raise ValueError(f"scores {scores.shape} and picks {picks.shape} must be one number per picked frame")
    last_pick = np.searchsorted(picks, np.arange(n_frames), side="right") - 1
    return np.where(last_pick < 0, 0.0, scores[last_pick])


def key_shots(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
              budget: float = 0.15) -> np.ndarray:
    """Select the key shots of a video, as TVSum (Song et al., CVPR 2015) defines them.

    The value of a shot is the mean score of its frames, its size is its number of frames, and the capacity is
    `int(budget * n_frames)` frames.

    Args:
        shots: (S, 2) frames, first and last inclusive.
        scores: (T,) scores of the sampled frames.
        picks: (T,) ascending indices of the sampled frames.
        n_frames: number of frames in the video.
        budget: share of the video, in (0, 1].

    Returns:
        (K,) ascending indices of shots, never empty. If no shot fits the budget, it is the index of the best shot,
        which exceeds the budget; `key_frames` returns the part that fits.

    Raises:
        InputError: the budget is outside (0, 1], or a score is NaN or infinite.
        ValueError: no shots, shots outside the video, or scores and picks of different lengths.
    """
    return _select_key_shots(shots, scores, picks, n_frames, budget)[0]


def key_frames(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
               budget: float = 0.15) -> np.ndarray:
    """Select key shots like `key_shots`, but return frames (K, 2), first and last inclusive, never over the budget.

    If no shot fits the budget, the result is the best part of the best shot. A budget below one frame counts as one.
    """
    selected, scores_by_frame = _select_key_shots(shots, scores, picks, n_frames, budget)
    frames = np.asarray(shots)[selected]
    capacity = max(1, int(budget * n_frames))
    first, last = map(int, frames[0])
    if last - first + 1 > capacity:
        frames = np.array([best_window(first, last, scores_by_frame, capacity)])
    return frames


def best_window(first: int, last: int, scores: np.ndarray, length: int) -> tuple[int, int]:
    """Return the window of `length` rows inside [first, last] with the greatest sum, both ends inclusive.

    Among equal sums, the earliest window wins.
    """
    sums = np.concatenate([[0], np.cumsum(scores[first:last + 1])])
    start = first + int(np.argmax(sums[length:] - sums[:-length]))
    return start, start + length - 1


def clip_weights(scores: np.ndarray, shots: np.ndarray, moments: Sequence[tuple[int, int]],
                 is_best: Sequence[bool]) -> np.ndarray:
    """Return the weight of each clip in a cut: the best moments first, then a part of every moment, then other clips.

    The weight is the squared score, plus 1 inside a moment, plus 1 in the best shot of a moment, plus 1 there if the
    moment is the best one of its query.

    Args:
        scores: (T,) in [0, 1].
        shots: (S, 2) clips, first and last inclusive.
        moments: first and last clip, inclusive, of every moment.
        is_best: for every moment, True if it is the best one of its query.

    Returns:
        (T,), >= 0.
    """
    weights = scores**2
    means = np.array([scores[first:last + 1].mean() for first, last in shots])
    in_moment, in_best_shot, in_best_moment = (np.zeros(len(scores), dtype=bool) for _ in range(3))
    for (start, end), best in zip(moments, is_best, strict=True):
        in_moment[start:end + 1] = True
        touching = (shots[:, 0] <= end) & (shots[:, 1] >= start)
        first, last = shots[int(np.argmax(np.where(touching, means, -1)))]
        in_best_shot[first:last + 1] = True
        in_best_moment[first:last + 1] |= best
    return weights + in_moment + in_best_shot + in_best_moment


def select_shots(shots: np.ndarray, weights: np.ndarray, edges_s: Sequence[Fraction],
                 budget: float | Fraction) -> np.ndarray:
    """Select the shots of a cut, with the greatest sum of weight times duration that fits the budget.

    Unlike the benchmark's `key_shots`, the value of a shot is its mean weight times its length, so that short shots
    have no advantage. The optimum is exact for durations rounded up to 1/20 of the first clip.

    Args:
        shots: (S, 2) clips, first and last inclusive.
        weights: (T,) of the clips, >= 0.
        edges_s: T + 1 times that bound the clips.
        budget: share of the duration, in (0, 1]; 1 selects all shots.

    Returns:
        (K,) ascending indices, never empty: if no shot fits, the one with the greatest mean weight.
    """
    if check_budget(budget) == 1:
        return np.arange(len(shots))
    tick_s = (edges_s[1] - edges_s[0]) / TICKS_PER_CLIP
    capacity = math.floor(_exact(budget) * edges_s[-1] / tick_s)
    clip_ticks = np.array([float((end - start) / tick_s) for start, end in itertools.pairwise(edges_s)])
    sizes = [math.ceil((edges_s[last + 1] - edges_s[first]) / tick_s) for first, last in shots]
    values = np.array([(weights * clip_ticks)[first:last + 1].sum() for first, last in shots])
    selected = knapsack(values, np.array(sizes), capacity)
    if len(selected) == 0:
        selected = np.array([int(np.argmax([weights[first:last + 1].mean() for first, last in shots]))])
    return selected


def select_moments(moments: Sequence[tuple[int, int]], scores: np.ndarray, edges_s: Sequence[Fraction],
                   budget: float | Fraction) -> list[tuple[int, int]]:
    """Select complete moments greedily: each one, in the given order, if it still fits the budget.

    If the first moment alone exceeds the budget, the result is only its best part.

    Args:
        moments: first and last clip, inclusive, of every moment, in descending order of priority.
        scores: (T,) of the clips, which determine the best part.
        edges_s: T + 1 times that bound the clips.
        budget: share of the duration, in (0, 1].

    Returns:
        (first, last) clips, inclusive, ascending, disjoint and not adjacent; empty without moments.
    """
    check_budget(budget)
    room_s = _exact(budget) * edges_s[-1]
    selected: list[tuple[int, int]] = []
    if moments and edges_s[moments[0][1] + 1] - edges_s[moments[0][0]] > room_s:
        return [best_window(*moments[0], scores, max(1, math.floor(room_s / (edges_s[1] - edges_s[0]))))]
    for moment in moments:
        merged = _merge([*selected, moment])
        if sum(edges_s[last + 1] - edges_s[first] for first, last in merged) <= room_s:
            selected = merged
    return selected


def _merge(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge overlapping and adjacent inclusive ranges."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _exact(budget: float | Fraction) -> Fraction:
    return budget if isinstance(budget, Fraction) else Fraction(budget).limit_denominator(10**6)


def _select_key_shots(shots: np.ndarray, scores: np.ndarray, picks: np.ndarray, n_frames: int,
                      budget: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the key shots, and the scores (n_frames,) of all frames."""
    check_budget(budget)
    shots = np.asarray(shots)
    if shots.ndim != 2 or shots.shape[1:] != (2,) or len(shots) == 0:
        raise ValueError(f"shots must be (S, 2) with S >= 1, not {shots.shape}")
    if shots.min() < 0 or shots.max() >= n_frames or (shots[:, 1] < shots[:, 0]).any():
        raise ValueError(f"shots must be [first, last] within 0..{n_frames - 1}")
    if not np.isfinite(scores).all():
        n_invalid = np.count_nonzero(~np.isfinite(scores))
        raise InputError(None, f"{n_invalid} of {len(scores)} scores are NaN or infinite, so shots cannot be ranked",
                         "check the model or the file that the scores come from")
    scores_by_frame = frame_scores(scores, picks, n_frames)
    values = np.array([scores_by_frame[first:last + 1].mean() for first, last in shots])
    sizes = shots[:, 1] - shots[:, 0] + 1
    capacity = int(budget * n_frames)
    selected = knapsack(values, sizes, capacity)
    if len(selected) == 0:   # No shot fits, or no shot that fits has a positive value.
        fits = sizes <= capacity
        selected = np.array([int(np.argmax(np.where(fits, values, -np.inf) if fits.any() else values))])
    return selected, scores_by_frame
