"""Select the best short pieces of a video, and refine their ends to shot boundaries and speech pauses."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from common.temporal import Interval
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.shots.transitions import gradual_transitions, shot_changes

from .speech_pauses import find_speech_pauses

MAX_SHIFT_S = Fraction(5)            # An end moves by at most this much.
MID_SHOT_PENALTY_S = Fraction(5)     # Additional cost of an end inside a shot, in seconds of shift.
GRID_S = Fraction(1, 2)              # Ends inside a shot are tried in steps of this length.
GRID_STEPS = int(MAX_SHIFT_S / GRID_S)
PAUSE_MARGIN_S = Fraction(8, 100)    # Silence that is kept between a word and an end.
MIN_SHOT_S = Fraction(1)             # A shorter part of another shot, before or after a transition, is a flash.

EndCandidate = tuple[Fraction, Fraction]   # The cost in seconds, and the time.


def select_pieces(shots: np.ndarray, weights: np.ndarray, edges_s: Sequence[Fraction],
                  options: ShortsOptions) -> list[tuple[int, int]]:
    """Select the pieces with the greatest total value, by dynamic programming over shot boundaries.

    The value of a piece is the sum, over its clips, of the weight minus half of the greatest weight, times the
    duration. Clips with a low weight thus lower the value, so that a piece is no longer than its content.

    Pieces consist of complete shots, except that shots longer than a piece are divided at clips. If no sequence of
    complete shots has a permitted length, all shots are divided at clips.

    Args:
        shots: (S, 2) clips, first and last inclusive, without gaps.
        weights: (T,) of the clips, >= 0.
        edges_s: T + 1 times that bound the clips.
        options: number and length of the pieces.

    Returns:
        At most `options.count` of (first, last) clips, inclusive, ascending and disjoint; the complete video if it is
        shorter than a piece.
    """
    if edges_s[-1] <= options.min_length_s:
        return [(0, len(weights) - 1)]
    long_shots = [(a, b) for a, b in shots if edges_s[b + 1] - edges_s[a] > options.max_length_s]
    clips_in_long_shots = {int(clip) for a, b in long_shots for clip in range(a, b + 1)}
    for boundaries in ({int(a) for a, _ in shots} | clips_in_long_shots, set(range(len(weights)))):
        pieces = _best_pieces(sorted({*boundaries, len(weights)}), weights, edges_s, options)
        if pieces:
            return pieces
    last = max((i for i in range(len(weights)) if edges_s[i + 1] <= options.max_length_s), default=0)
    return [(0, last)]


def _best_pieces(boundaries: list[int], weights: np.ndarray, edges_s: Sequence[Fraction],
                 options: ShortsOptions) -> list[tuple[int, int]]:
    """Return as many disjoint pieces between boundaries as possible, up to the count, with the greatest total value."""
    lengths_s = np.array([float(end - start) for start, end in itertools.pairwise(edges_s)])
    sums = np.concatenate([[0], np.cumsum((weights - weights.max() / 2) * lengths_s)])
    best = np.full((options.count + 1, len(boundaries)), -np.inf)   # [m, j]: value of m pieces before boundary j.
    best[0] = 0
    starts = np.full(best.shape, -1)   # [m, j]: the start of the m-th piece if it ends at boundary j, else -1.
    for j in range(1, len(boundaries)):
        best[1:, j] = best[1:, j - 1]
        for i in range(j - 1, -1, -1):
            length_s = edges_s[boundaries[j]] - edges_s[boundaries[i]]
            if length_s > options.max_length_s:
                break
            if length_s >= options.min_length_s:
                total = best[:-1, i] + sums[boundaries[j]] - sums[boundaries[i]]
                better = total > best[1:, j]
                best[1:, j] = np.where(better, total, best[1:, j])
                starts[1:, j] = np.where(better, i, starts[1:, j])
    m, j, pieces = int(np.flatnonzero(np.isfinite(best[:, -1]))[-1]), len(boundaries) - 1, []
    while m:
        if starts[m, j] < 0:
            j -= 1
            continue
        pieces.append((boundaries[starts[m, j]], boundaries[j] - 1))
        j, m = int(starts[m, j]), m - 1
    return pieces[::-1]


def refine_shorts(info: VideoInfo, pieces_s: Sequence[Interval], options: ShortsOptions, cues: Sequence[Cue],
                  clip_len_s: float) -> list[Interval]:
    """Move the ends of pieces to shot boundaries, exact to the frame, and out of speech.

    A shot boundary is a hard cut or a gradual transition, which no piece starts or ends in.

    Args:
        info: properties of the video.
        pieces_s: [start, end), exact to a clip and disjoint, in descending order of priority: later pieces make room
            for earlier ones.
        options: the lengths that the pieces keep.
        cues: the video's subtitles, if any; without them, speech pauses are detected in the audio.
        clip_len_s: the maximum distance between a clip edge and the hard cut that it approximates.

    Returns:
        The pieces, ascending and disjoint. An end without a speech pause nearby stays at its shot boundary. Pieces
        without enough room beside the others are dropped.
    """
    refined: list[Interval] = []
    for start_s, end_s in pieces_s:
        earliest_s = max((b for a, b in refined if a + b < start_s + end_s), default=Fraction(0))
        latest_s = min((a for a, b in refined if a + b > start_s + end_s), default=info.duration_s)
        starts, first_s = _end_candidates(info, start_s, True, cues, clip_len_s)
        ends, last_s = _end_candidates(info, end_s, False, cues, clip_len_s)
        fallback = (max(first_s, earliest_s), min(last_s, latest_s))
        if fallback[1] - fallback[0] < options.min_length_s:
            fallback = (max(start_s, earliest_s), min(end_s, latest_s))
        piece = closest_ends(starts, ends, fallback, (earliest_s, latest_s), options)
        if piece[1] - piece[0] >= min(options.min_length_s, info.duration_s):
            refined.append(piece)
    return sorted(refined)


def _end_candidates(info: VideoInfo, end_s: Fraction, is_start: bool, cues: Sequence[Cue],
                    clip_len_s: float) -> tuple[list[EndCandidate], Fraction]:
    """Return the times that a start or end of a piece may move to with their costs, and the time if it stays in place.

    A time in place is moved only out of a gradual transition.
    """
    from_s, until_s = max(Fraction(0), end_s - MAX_SHIFT_S), min(info.duration_s, end_s + MAX_SHIFT_S)
    if end_s in (0, info.duration_s):   # There is no cut, but there may be a fade.
        changes = gradual_transitions(info, max(from_s, end_s - MIN_SHOT_S), min(until_s, end_s + MIN_SHOT_S))
        clean_s = _moved_out(end_s, is_start, _excluded(changes, is_start))
        return [(Fraction(0), clean_s)], clean_s
    changes = shot_changes(info, from_s, until_s)
    cuts, excluded = [change[1 if is_start else 0] for change in changes], _excluded(changes, is_start)
    clean_s = _moved_out(end_s, is_start, excluded)
    boundary_s = min(cuts, key=lambda t: abs(t - clean_s), default=clean_s)
    if abs(boundary_s - clean_s) > clip_len_s:
        boundary_s = clean_s   # There is no shot boundary at this end.
    pauses = find_speech_pauses(info, from_s, until_s, cues)
    if pauses is None:
        pauses = [(from_s, until_s)]
    permitted = []
    for pause_start_s, pause_end_s in pauses:
        margin_s = Fraction(0) if cues else min(PAUSE_MARGIN_S, (pause_end_s - pause_start_s) / 2)
        permitted += _without((pause_start_s + margin_s, pause_end_s - margin_s), excluded)
    candidates = [] if permitted else [(Fraction(0), boundary_s)]
    for low_s, high_s in permitted:
        for cut_s in {boundary_s, *cuts}:
            time_s = min(max(cut_s, low_s), high_s)
            candidates.append((abs(time_s - cut_s) + abs(cut_s - boundary_s), time_s))
        grid = (boundary_s + i * GRID_S for i in range(-GRID_STEPS, GRID_STEPS + 1))
        candidates += [(MID_SHOT_PENALTY_S + abs(t - boundary_s), t) for t in grid if low_s <= t <= high_s]
    return candidates, clean_s


def _excluded(changes: Sequence[Interval], is_start: bool) -> list[Interval]:
    """Return the open intervals in which an end would show a transition, or only a flash of the shot beyond it."""
    gradual = [(start_s, end_s) for start_s, end_s in changes if start_s < end_s]
    if is_start:
        return [(start_s - MIN_SHOT_S, end_s) for start_s, end_s in gradual]
    return [(start_s, end_s + MIN_SHOT_S) for start_s, end_s in gradual]


def _moved_out(time_s: Fraction, is_start: bool, excluded: Sequence[Interval]) -> Fraction:
    """Return the time of an end after moving it out of excluded intervals, into its piece."""
    for start_s, end_s in excluded if is_start else reversed(excluded):
        if start_s < time_s < end_s:
            time_s = end_s if is_start else start_s
    return time_s


def _without(interval: Interval, excluded: Sequence[Interval]) -> list[Interval]:
    """Return the parts of a closed interval outside of ascending open intervals."""
    parts, (from_s, until_s) = [], interval
    for start_s, end_s in excluded:
        if start_s < until_s and end_s > from_s:
            if from_s <= start_s:
                parts.append((from_s, start_s))
            from_s = end_s
    return [*parts, (from_s, until_s)] if from_s <= until_s else parts


def closest_ends(starts: list[EndCandidate], ends: list[EndCandidate], fallback: Interval, room: Interval,
                 options: ShortsOptions) -> Interval:
    """Return the start and end with the least total cost that keep the length and stay within the room.

    Args:
        starts: candidates for the start.
        ends: candidates for the end.
        fallback: returned if no pair is valid.
        room: the earliest start and the latest end.
        options: the permitted lengths.
    """
    pairs = [(start_cost + end_cost, start_s, end_s) for start_cost, start_s in starts for end_cost, end_s in ends
             if room[0] <= start_s and end_s <= room[1]
             and options.min_length_s <= end_s - start_s <= options.max_length_s]
    return min(pairs)[1:] if pairs else fallback
