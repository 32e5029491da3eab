"""The best short pieces of a long video, whole shots that break off no word."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue
from pipelines.options import Shorts
from pipelines.shots.boundaries import hard_cuts

from .speech_pauses import find_speech_pauses

REACH_S = Fraction(5)         # an end moves at most so far
INSIDE_S = Fraction(5)        # and rather so much farther than to the inside of a shot
STEP_S = Fraction(1, 2)       # and else in steps of so much, to keep its length
N_STEPS = int(REACH_S / STEP_S)
MARGIN_S = Fraction(8, 100)   # left of a pause on the far side of a border


def select_pieces(shots: np.ndarray, weights: np.ndarray, edges_s: Sequence[Fraction],
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


def refine_shorts(info: VideoInfo, pieces_s: Sequence[Interval], wish: Shorts, cues: Sequence[Cue],
           clip_len_s: float) -> list[Interval]:
    """Moves the ends of pieces to the exact pictures at which shots begin, and off the words that are spoken.

    Args:
        info: of the file.
        pieces_s: [start, end), exact to a clip and apart; the best first, which others give way to.
        wish: the lengths that the pieces keep.
        cues: the video's subtitles, if any; else pauses in its sound tell.
        clip_len_s: a shot's true border lies at most so far away.

    Returns:
        The pieces, ascending and apart. Where no time nearby is free of words, the shot's border stays. A
        piece that a better one leaves too little room is left out.
    """
    settled: list[Interval] = []
    for start_s, end_s in pieces_s:
        earliest_s = max((b for a, b in settled if a + b < start_s + end_s), default=Fraction(0))
        latest_s = min((a for a, b in settled if a + b > start_s + end_s), default=info.duration_s)
        starts, ends = (_places(info, border_s, cues, clip_len_s) for border_s in (start_s, end_s))
        piece = _nearest(starts, ends, (max(start_s, earliest_s), min(end_s, latest_s)), (earliest_s, latest_s), wish)
        if piece[1] - piece[0] >= min(wish.shortest_s, info.duration_s):
            settled.append(piece)
    return sorted(settled)


def _places(info: VideoInfo, border_s: Fraction, cues: Sequence[Cue],
            clip_len_s: float) -> list[tuple[Fraction, Fraction]]:
    """Where a border may go: (how far from where a shot ends, time)."""
    if border_s in (0, info.duration_s):
        return [(Fraction(0), border_s)]
    from_s, until_s = max(Fraction(0), border_s - REACH_S), min(info.duration_s, border_s + REACH_S)
    cuts = hard_cuts(info, from_s, until_s)
    exact_s = min(cuts, key=lambda t: abs(t - border_s), default=border_s)
    if abs(exact_s - border_s) > clip_len_s:
        exact_s = border_s                           # the shots change softly there
    calm = find_speech_pauses(info, from_s, until_s, cues)
    if calm is None:
        calm = [(from_s, until_s)]
    places = [] if calm else [(Fraction(0), exact_s)]
    for begin_s, end_s in calm:
        margin_s = Fraction(0) if cues else min(MARGIN_S, (end_s - begin_s) / 2)
        low_s, high_s = begin_s + margin_s, end_s - margin_s
        for cut_s in {exact_s, *cuts}:
            place_s = min(max(cut_s, low_s), high_s)
            places.append((abs(place_s - cut_s) + abs(cut_s - exact_s), place_s))
        others = (exact_s + i * STEP_S for i in range(-N_STEPS, N_STEPS + 1))
        places += [(INSIDE_S + abs(t - exact_s), t) for t in others if low_s <= t <= high_s]
    return places


def _nearest(starts: list[tuple[Fraction, Fraction]], ends: list[tuple[Fraction, Fraction]], piece: Interval,
             room: Interval, wish: Shorts) -> Interval:
    """The pair of places that moves least, keeps the length and stays in the room; else the piece as it is."""
    pairs = [(moved + further, start_s, end_s) for moved, start_s in starts for further, end_s in ends
             if room[0] <= start_s and end_s <= room[1] and wish.shortest_s <= end_s - start_s <= wish.longest_s]
    return min(pairs)[1:] if pairs else piece
