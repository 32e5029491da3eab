"""pipelines/selection/shorts.py: the best pieces of complete shots, whose ends do not cut off words."""

import itertools
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.selection.shorts import closest_ends, refine_shorts, select_pieces
from tests.media import RATE_HZ, write_video

CLIP_S = 2


def edges(n: int) -> list[Fraction]:
    return [Fraction(CLIP_S * i) for i in range(n + 1)]


def shots_from(boundaries, n):
    return np.array([(a, b - 1) for a, b in itertools.pairwise([*boundaries, n])])


def all_selections(boundaries, n, options):
    """Yield all sets of at most `count` disjoint pieces of complete shots with a permitted length."""
    long_shots = [(a, b) for a, b in itertools.pairwise([*boundaries, n]) if CLIP_S * (b - a) > options.max_length_s]
    cuts = sorted({*boundaries, n, *(edge for a, b in long_shots for edge in range(a, b))})
    pieces = [(a, b) for a, b in itertools.combinations(cuts, 2)
              if options.min_length_s <= CLIP_S * (b - a) <= options.max_length_s]
    for size in range(1, options.count + 1):
        for selected in itertools.combinations(pieces, size):
            if all(x[1] <= y[0] for x, y in itertools.pairwise(selected)):
                yield selected


@pytest.mark.parametrize("seed", range(12))
def test_pieces_equal_exhaustive_search(seed):
    rng = np.random.default_rng(seed)
    n = 30
    boundaries = sorted({0, *rng.choice(np.arange(1, n), 8, replace=False).tolist()})
    weights, options = rng.random(n) ** 3, ShortsOptions(int(rng.integers(1, 4)), Fraction(6), Fraction(20))
    values = (weights - weights.max() / 2) * CLIP_S
    candidates = list(all_selections(boundaries, n, options))
    pieces = select_pieces(shots_from(boundaries, n), weights, edges(n), options)
    assert tuple((a, b + 1) for a, b in pieces) in candidates
    max_count = max(map(len, candidates))
    best = max(sum(values[a:b].sum() for a, b in c) for c in candidates if len(c) == max_count)
    assert len(pieces) == max_count
    assert sum(values[a:b + 1].sum() for a, b in pieces) == pytest.approx(best)


def test_a_video_shorter_than_a_piece_is_one_piece():
    assert select_pieces(shots_from([0, 3], 7), np.ones(7), edges(7), ShortsOptions()) == [(0, 6)]


def test_the_best_part_of_a_shot_longer_than_a_piece_is_selected():
    weights = np.zeros(600)
    weights[400:415] = 1
    (first, last), = select_pieces(shots_from([0], 600), weights, edges(600), ShortsOptions(1))
    assert (first, last) == (400, 414)


def test_shots_are_divided_if_no_sequence_of_them_has_a_permitted_length():
    options = ShortsOptions(1, Fraction(14), Fraction(18))
    (first, last), = select_pieces(shots_from([0, 5, 15], 20), np.ones(20), edges(20), options)
    assert 14 <= CLIP_S * (last - first + 1) <= 18


def render_shots(index, size):
    """Return faint moving bars on a gray level that changes at frames 53, 260 and 413."""
    level = 40 + 60 * sum(index >= cut for cut in (53, 260, 413))
    bars = (np.arange(size[0])[None, :, None] // 8 + index // 4).astype(np.uint8) % 3
    return np.full((size[1], size[0], 3), level, np.uint8) + bars


def speech(words_s, duration_s):
    """Return a tone in the speech band during the words and faint noise elsewhere."""
    rng = np.random.default_rng(0)
    n = int(duration_s * RATE_HZ)
    audio = 0.0005 * rng.standard_normal(n)
    times = np.arange(n) / RATE_HZ
    for start, end in words_s:
        inside = (times >= start) & (times < end)
        audio[inside] += 0.2 * np.sin(2 * np.pi * 700 * times[inside])
    return audio.astype(np.float32)


WORDS_S = [(0.4, 1.9), (2.6, 5.0), (5.4, 9.0), (9.5, 12.0), (12.4, 16.0), (16.6, 19.5)]


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    """Return the info of a video of 20 s without audio, with hard cuts at 2.12, 10.4 and 16.52 s."""
    return probe(write_video(tmp_path_factory.mktemp("s") / "silent.mp4", 500, render=render_shots))


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    """Return the info of the same video with speech during `WORDS_S`."""
    path = tmp_path_factory.mktemp("s") / "talk.mp4"
    return probe(write_video(path, 500, render=render_shots, audio=speech(WORDS_S, 20)))


LIMITS = ShortsOptions(1, Fraction(5), Fraction(18))


@pytest.mark.parametrize(("piece", "refined"), [
    pytest.param((2, 10), (Fraction(53, 25), Fraction(260, 25)), id="both-ends-near-cuts"),
    pytest.param((0, 16), (0, Fraction(413, 25)), id="start-of-the-video"),
    pytest.param((6, 20), (6, 20), id="no-cut-nearby-and-end-of-the-video"),
    pytest.param((10, 14), (Fraction(260, 25), Fraction(413, 25)), id="too-short-extends-to-the-next-shot"),
])
def test_ends_move_to_hard_cuts(silent, piece, refined):
    start, end = map(Fraction, piece)
    assert refine_shorts(silent, [(start, end)], LIMITS, [], 2) == [refined]


def test_ends_move_out_of_subtitles(silent):
    cues = [Cue(1.5, 3.2, "a"), Cue(3.2, 4, "b"), Cue(9.9, 10.6, "c"), Cue(12, 13, "d")]
    (start, end), = refine_shorts(silent, [(Fraction(2), Fraction(10))], LIMITS, cues, 2)
    assert start == Fraction(3, 2)   # The cut at 2.12 s is inside the line from 1.5 to 3.2 s.
    assert end == Fraction(53, 5)    # The cut at 10.4 s is closer to 10.6 than to 9.9 s.
    pieces = [(Fraction(2), Fraction(10)), (Fraction(10), Fraction(16))]
    first, second = refine_shorts(silent, pieces, LIMITS, cues, 2)
    assert first[1] <= second[0]
    assert not any(c.start_s < t < c.end_s for c in cues for t in (*first, *second))


def test_ends_move_out_of_words_in_the_audio(talk):
    (start, end), = refine_shorts(talk, [(Fraction(2), Fraction(10))], LIMITS, [], 2)
    assert start == Fraction(53, 25)   # The cut at 2.12 s is in the pause from 1.9 to 2.6 s.
    assert 9.0 < end < 9.5             # The cut at 10.4 s is in a word; this is the nearest pause.
    assert not any(a < t < b for a, b in WORDS_S for t in (start, end))


def test_pieces_keep_their_length(talk, silent):
    cues = [Cue(0, 19.9, "without a pause")]
    assert refine_shorts(silent, [(Fraction(6), Fraction(12))], LIMITS, cues, 2) == [(Fraction(6), Fraction(12))]
    narrow = ShortsOptions(1, Fraction(8), Fraction(12))
    (start, end), = refine_shorts(talk, [(Fraction(2), Fraction(10))], narrow, [], 2)
    assert 8 <= end - start <= 12
    assert not any(a < t < b for a, b in WORDS_S for t in (start, end))


def test_later_pieces_make_room_for_earlier_ones(silent):
    early, late = (Fraction(0), Fraction(6)), (Fraction(6), Fraction(14))
    options = ShortsOptions(2, Fraction(5), Fraction(18))
    assert refine_shorts(silent, [late, early], options, [Cue(5.2, 6.6, "a")], 2) == [
        (0, Fraction(33, 5)), (Fraction(33, 5), Fraction(14))]
    assert refine_shorts(silent, [early, late], options, [Cue(5.6, 6.2, "a")], 2) == [
        (0, Fraction(31, 5)), (Fraction(31, 5), Fraction(14))]


def test_a_piece_without_enough_room_is_dropped(silent):
    early, late = (Fraction(0), Fraction(6)), (Fraction(6), Fraction(14))
    options = ShortsOptions(2, Fraction(11, 2), Fraction(18))
    # 5.4 s are left for the early piece, which is less than 5.5 s.
    assert refine_shorts(silent, [late, early], options, [Cue(5.4, 7, "a")], 2) == [(Fraction(27, 5), Fraction(14))]


@pytest.mark.parametrize(("room", "lengths", "expected"), [
    pytest.param((0, 30), (14, 20), (10, 24), id="cheapest-pair"),
    pytest.param((0, 30), (15, 20), (10, 26), id="later-end-for-the-minimum-length"),
    pytest.param((0, 30), (17, 21), (8, 26), id="earlier-start-for-the-minimum-length"),
    pytest.param((9, 25), (15, 20), (10, 25), id="no-pair-fits-the-room"),
])
def test_closest_ends(room, lengths, expected):
    starts = [(Fraction(0), Fraction(10)), (Fraction(2), Fraction(8))]
    ends = [(Fraction(1), Fraction(24)), (Fraction(1), Fraction(26))]
    fallback = (Fraction(10), Fraction(25))
    room = tuple(map(Fraction, room))
    assert closest_ends(starts, ends, fallback, room, ShortsOptions(1, *map(Fraction, lengths))) == expected


@pytest.mark.parametrize(("moved", "expected"), [
    pytest.param((3, 12), (3, 12), id="moved-ends"), pytest.param((7, 11), (2, 14), id="too-short-after-moving"),
    pytest.param((3, 8), (3, 8), id="exactly-the-minimum"),
])
def test_ends_that_cannot_move_stay_outside_of_transitions_if_the_piece_keeps_its_length(monkeypatch, moved, expected):
    monkeypatch.setattr("pipelines.selection.shorts._end_candidates", lambda info, end_s, is_start, cues, clip_len_s: (
        [], Fraction(moved[0] if is_start else moved[1])))
    info = SimpleNamespace(duration_s=Fraction(20))
    assert refine_shorts(info, [(Fraction(2), Fraction(14))], LIMITS, [], 2) == [expected]
