"""Short pieces: the best of all that are whole shots, and ends that break off no word."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.subtitles import Cue
from pipelines.media.video_reader import probe
from pipelines.options import Shorts
from pipelines.selection.shorts import _nearest, refine_shorts, select_pieces
from tests.media import RATE_HZ, write_video

STEP = 2   # seconds in a clip


def edges(n: int) -> list[Fraction]:
    return [Fraction(STEP * i) for i in range(n + 1)]


def shots_of(borders, n):
    return np.array([(a, b - 1) for a, b in itertools.pairwise([*borders, n])])


def every_choice(borders, n, wish):
    """The slow twin: all sets of at most `count` pieces of whole shots with a good length."""
    long = [(a, b) for a, b in itertools.pairwise([*borders, n]) if STEP * (b - a) > wish.longest_s]
    marks = sorted({*borders, n, *(edge for a, b in long for edge in range(a, b))})
    runs = [(a, b) for a, b in itertools.combinations(marks, 2) if wish.shortest_s <= STEP * (b - a) <= wish.longest_s]
    for size in range(1, wish.count + 1):
        for chosen in itertools.combinations(runs, size):
            if all(x[1] <= y[0] for x, y in itertools.pairwise(chosen)):
                yield chosen


@pytest.mark.parametrize("seed", range(12))
def test_pieces_are_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    n = 30
    borders = sorted({0, *rng.choice(np.arange(1, n), 8, replace=False).tolist()})
    weights, wish = rng.random(n) ** 3, Shorts(int(rng.integers(1, 4)), Fraction(6), Fraction(20))
    worth = (weights - weights.max() / 2) * STEP
    every = list(every_choice(borders, n, wish))
    found = select_pieces(shots_of(borders, n), weights, edges(n), wish)
    assert tuple((a, b + 1) for a, b in found) in every
    most = max(map(len, every))
    best = max(sum(worth[a:b].sum() for a, b in c) for c in every if len(c) == most)
    assert len(found) == most
    assert sum(worth[a:b + 1].sum() for a, b in found) == pytest.approx(best)


def test_a_video_shorter_than_a_piece_is_one_piece():
    assert select_pieces(shots_of([0, 3], 7), np.ones(7), edges(7), Shorts()) == [(0, 6)]


def test_a_shot_that_is_too_long_is_divided_and_the_best_of_it_is_taken():
    weights = np.zeros(600)
    weights[400:415] = 1
    (first, last), = select_pieces(shots_of([0], 600), weights, edges(600), Shorts(1))
    assert (first, last) == (400, 414)


def test_where_no_run_of_shots_fits_clips_do():
    (first, last), = select_pieces(shots_of([0, 5, 15], 20), np.ones(20), edges(20), Shorts(1, Fraction(14), Fraction(18)))
    assert 14 <= STEP * (last - first + 1) <= 18


def shot_picture(index, size):
    """Moving bars whose colours change at pictures 53, 260 and 413."""
    level = 40 + 60 * sum(index >= border for border in (53, 260, 413))
    return np.full((size[1], size[0], 3), level, np.uint8) + (np.arange(size[0])[None, :, None] // 8 + index // 4).astype(np.uint8) % 3


def speech(spoken_s, duration_s):
    """Noise in the band of speech where it is spoken, faint hiss elsewhere."""
    rng = np.random.default_rng(0)
    n = int(duration_s * RATE_HZ)
    sound = 0.0005 * rng.standard_normal(n)
    times = np.arange(n) / RATE_HZ
    for start, end in spoken_s:
        inside = (times >= start) & (times < end)
        sound[inside] += 0.2 * np.sin(2 * np.pi * 700 * times[inside])
    return sound.astype(np.float32)


WORDS = [(0.4, 1.9), (2.6, 5.0), (5.4, 9.0), (9.5, 12.0), (12.4, 16.0), (16.6, 19.5)]


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    return probe(write_video(tmp_path_factory.mktemp("s") / "silent.mp4", 500, render=shot_picture))


@pytest.fixture(scope="module")
def talk(tmp_path_factory):
    path = tmp_path_factory.mktemp("s") / "talk.mp4"
    return probe(write_video(path, 500, render=shot_picture, audio=speech(WORDS, 20)))


LIMITS = Shorts(1, Fraction(5), Fraction(18))


def test_ends_move_to_the_pictures_at_which_shots_begin(silent):
    assert refine_shorts(silent, [(Fraction(2), Fraction(10))], LIMITS, [], 2) == [(Fraction(53, 25), Fraction(260, 25))]
    assert refine_shorts(silent, [(Fraction(0), Fraction(16))], LIMITS, [], 2) == [(Fraction(0), Fraction(413, 25))]
    assert refine_shorts(silent, [(Fraction(6), Fraction(20))], LIMITS, [], 2) == [(Fraction(6), Fraction(20))]   # soft, and the end


def test_a_piece_that_is_too_short_goes_on_to_the_next_shot(silent):
    assert refine_shorts(silent, [(Fraction(10), Fraction(14))], LIMITS, [], 2) == [(Fraction(260, 25), Fraction(413, 25))]


def test_ends_keep_off_subtitles(silent):
    cues = [Cue(1.5, 3.2, "a"), Cue(3.2, 4, "b"), Cue(9.9, 10.6, "c"), Cue(12, 13, "d")]
    (start, end), = refine_shorts(silent, [(Fraction(2), Fraction(10))], LIMITS, cues, 2)
    assert start == Fraction(3, 2)                # 2.12 s is in a line that begins at 1.5 and ends at 3.2
    assert end == Fraction(53, 5)                 # 10.4 s is nearer to 10.6 than to 9.9
    pieces = [(Fraction(2), Fraction(10)), (Fraction(10), Fraction(16))]
    first, second = refine_shorts(silent, pieces, LIMITS, cues, 2)
    assert first[1] <= second[0]
    assert not any(c.start_s < t < c.end_s for c in cues for t in (*first, *second))


def test_ends_keep_off_words_that_are_heard(talk):
    (start, end), = refine_shorts(talk, [(Fraction(2), Fraction(10))], LIMITS, [], 2)
    assert start == Fraction(53, 25)                       # 2.12 s lies in the pause from 1.9 to 2.6
    assert 9.0 < end < 9.5                                 # 10.4 s in a word, and this pause is the nearest
    assert not any(a < t < b for a, b in WORDS for t in (start, end))


def test_a_piece_keeps_its_length_whatever_is_said(talk, silent):
    cues = [Cue(0, 19.9, "without end")]
    assert refine_shorts(silent, [(Fraction(6), Fraction(12))], LIMITS, cues, 2) == [(Fraction(6), Fraction(12))]
    narrow = Shorts(1, Fraction(8), Fraction(12))
    (start, end), = refine_shorts(talk, [(Fraction(2), Fraction(10))], narrow, [], 2)
    assert 8 <= end - start <= 12 and not any(a < t < b for a, b in WORDS for t in (start, end))


def test_others_give_way_to_the_best(silent):
    cues = [Cue(5.2, 6.6, "a")]
    best, other = (Fraction(6), Fraction(14)), (Fraction(0), Fraction(6))
    assert refine_shorts(silent, [best, other], Shorts(2, Fraction(5), Fraction(18)), cues, 2) == [
        (0, Fraction(33, 5)), (Fraction(33, 5), Fraction(14))]
    assert refine_shorts(silent, [other, best], Shorts(2, Fraction(5), Fraction(18)), [Cue(5.6, 6.2, "a")], 2) == [
        (0, Fraction(31, 5)), (Fraction(31, 5), Fraction(14))]
    assert refine_shorts(silent, [best, other], Shorts(2, Fraction(11, 2), Fraction(18)), [Cue(5.4, 7, "a")], 2) == [
        (Fraction(27, 5), Fraction(14))]                   # 5.4 s are left for the other, too short


def test_the_pair_that_moves_least():
    starts = [(Fraction(0), Fraction(10)), (Fraction(2), Fraction(8))]
    ends = [(Fraction(1), Fraction(24)), (Fraction(1), Fraction(26))]
    room, piece = (Fraction(0), Fraction(30)), (Fraction(10), Fraction(25))
    assert _nearest(starts, ends, piece, room, Shorts(1, Fraction(14), Fraction(20))) == (10, 24)
    assert _nearest(starts, ends, piece, room, Shorts(1, Fraction(15), Fraction(20))) == (10, 26)
    assert _nearest(starts, ends, piece, room, Shorts(1, Fraction(17), Fraction(21))) == (8, 26)
    assert _nearest(starts, ends, piece, (Fraction(9), Fraction(25)), Shorts(1, Fraction(15), Fraction(20))) == piece
