"""The best short pieces of a long video, whole shots that break off no word."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from .calm import Span, calm_spans, hard_cut
from .probe import VideoInfo
from .question import Shorts
from .subtitles import Cue

REACH_S = Fraction(5)         # an end moves at most so far to break off no word
MARGIN_S = Fraction(8, 100)   # left of a pause on the far side of a border


def best_pieces(shots: np.ndarray, weights: np.ndarray, edges_s: Sequence[Fraction],
                wish: Shorts) -> list[tuple[int, int]]:
    """The pieces of whole shots that are worth most together, by dynamic programming over shot borders.

    A piece is worth its clips' weights above half of the greatest one, times their lengths: clips of
    less make it poorer, so it is as long as what it shows. Shots longer than a piece may be are
    divided at clips; so are all if no run of whole shots has a length that was asked for.

    Args:
        shots: (S, 2) clips, first and last inclusive, without gaps.
        weights: (T,) of the clips, >= 0.
        edges_s: T + 1 times that bound the clips.
        wish: how many, and how long.

    Returns:
        At most `wish.count` of (first, last) clips, inclusive, ascending and apart; the whole video
        where it is shorter than a piece.
    """
    if edges_s[-1] <= wish.shortest_s:
        return [(0, len(weights) - 1)]
    long_shots = [(a, b) for a, b in shots if edges_s[b + 1] - edges_s[a] > wish.longest_s]
    inner = {int(edge) for a, b in long_shots for edge in range(a, b + 1)}
    for borders in ({int(a) for a, _ in shots} | inner, set(range(len(weights)))):
        found = _best_runs(sorted({*borders, len(weights)}), weights, edges_s, wish)
        if found:
            return found
    last = max((i for i in range(len(weights)) if edges_s[i + 1] <= wish.longest_s), default=0)
    return [(0, last)]


def _best_runs(borders: list[int], weights: np.ndarray, edges_s: Sequence[Fraction],
               wish: Shorts) -> list[tuple[int, int]]:
    lengths_s = np.array([float(end - start) for start, end in itertools.pairwise(edges_s)])
    sums = np.concatenate([[0], np.cumsum((weights - weights.max() / 2) * lengths_s)])
    best = np.full((wish.count + 1, len(borders)), -np.inf)   # [m, j]: m pieces before border j
    best[0] = 0
    begins = np.full(best.shape, -1)                          # of the m-th piece if it ends at j, else -1
    for j in range(1, len(borders)):
        best[1:, j] = best[1:, j - 1]
        for i in range(j - 1, -1, -1):
            length_s = edges_s[borders[j]] - edges_s[borders[i]]
            if length_s > wish.longest_s:
                break
            if length_s >= wish.shortest_s:
                total = best[:-1, i] + sums[borders[j]] - sums[borders[i]]
                better = total > best[1:, j]
                best[1:, j] = np.where(better, total, best[1:, j])
                begins[1:, j] = np.where(better, i, begins[1:, j])
    m, j, found = int(np.flatnonzero(np.isfinite(best[:, -1]))[-1]), len(borders) - 1, []
    while m:
        if begins[m, j] < 0:
            j -= 1
            continue
        found.append((borders[begins[m, j]], borders[j] - 1))
        j, m = int(begins[m, j]), m - 1
    return found[::-1]


def settle(info: VideoInfo, pieces_s: Sequence[Span], wish: Shorts, cues: Sequence[Cue],
           clip_len_s: float) -> list[Span]:
    """Moves the ends of pieces to the exact pictures at which shots begin, and off the words that are spoken.

    Args:
        info: of the file.
        pieces_s: [start, end), ascending and apart, exact to a clip.
        wish: the lengths that the pieces keep.
        cues: the video's subtitles, if any; else pauses in its sound tell.
        clip_len_s: a shot's true border lies at most so far away.

    Returns:
        As many pieces, ascending and apart. Where no time nearby is free of words, the shot's border stays.
    """
    settled: list[Span] = []
    for number, (start_s, end_s) in enumerate(pieces_s):
        earliest_s = settled[-1][1] if settled else Fraction(0)
        latest_s = pieces_s[number + 1][0] if number + 1 < len(pieces_s) else info.duration_s
        latest_s = max(latest_s, end_s)
        starts = _places(info, start_s, cues, clip_len_s)
        ends = _places(info, end_s, cues, clip_len_s)
        settled.append(_nearest(starts, ends, (max(start_s, earliest_s), end_s), (earliest_s, latest_s), wish))
    return settled


def _places(info: VideoInfo, border_s: Fraction, cues: Sequence[Cue],
            clip_len_s: float) -> list[tuple[Fraction, Fraction]]:
    """Where a border may go: (distance from where the shot ends, time), the nearest first."""
    if border_s in (0, info.duration_s):
        return [(Fraction(0), border_s)]
    exact_s = hard_cut(info, border_s, Fraction(clip_len_s)) or border_s
    from_s, until_s = max(Fraction(0), exact_s - REACH_S), min(info.duration_s, exact_s + REACH_S)
    calm = calm_spans(info, from_s, until_s, cues)
    if calm is None:
        return [(Fraction(0), exact_s)]
    places = []
    for begin_s, end_s in calm:
        margin_s = Fraction(0) if cues else min(MARGIN_S, (end_s - begin_s) / 2)
        place_s = min(max(exact_s, begin_s + margin_s), end_s - margin_s)
        places.append((abs(place_s - exact_s), place_s))
    return sorted(places) or [(Fraction(0), exact_s)]


def _nearest(starts: list[tuple[Fraction, Fraction]], ends: list[tuple[Fraction, Fraction]], piece: Span,
             room: Span, wish: Shorts) -> Span:
    """The pair of places that moves least, keeps the length and stays in the room; else the piece as it is."""
    whole = room[1] - room[0] < wish.shortest_s
    pairs = [(moved + further, start_s, end_s) for moved, start_s in starts for further, end_s in ends
             if room[0] <= start_s < end_s <= room[1]
             and (whole or wish.shortest_s <= end_s - start_s <= wish.longest_s)]
    return min(pairs)[1:] if pairs else piece
