"""pipelines/selection/selector.py: what a cut keeps of a video whose shots, scores and moments are known."""

from fractions import Fraction

import numpy as np
import pytest

from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.scoring.moments import Moment
from pipelines.selection import selector as module
from pipelines.selection.selector import Selector, visual_shots
from tests.pipelines.videos import encoded_video

SHOT_LENGTHS = (5, 3, 10, 2, 20)   # In clips of 2 s: 40 clips, 80 s.
STARTS = [0, 5, 8, 18, 20]


def rows(lengths=SHOT_LENGTHS):
    """Return features that are constant within each shot and orthogonal between shots."""
    return np.repeat(np.eye(len(lengths), dtype=np.float32), lengths, axis=0)


def selector(scores, moments=(), max_shot_s=1000, **options):
    video = encoded_video(rows(), **options)
    return Selector(video, video.visual["color"], np.asarray(scores, dtype=float), moments, max_shot_s)


def clips_of(selection):
    """Return the indices of the selected clips."""
    return [clip for i in selection.selected for clip in range(selection.shots[i][0], selection.shots[i][1] + 1)]


def test_shots_are_found_in_the_features():
    video = encoded_video(rows())
    assert visual_shots(video, video.visual["color"])[:, 0].tolist() == STARTS
    assert visual_shots(video, 5 * video.visual["color"])[:, 0].tolist() == STARTS   # The norm does not matter.


@pytest.mark.parametrize(("n_clips", "limit"), [
    pytest.param(10, 120, id="short"), pytest.param(1799, 120, id="below-1800-clips"),
    pytest.param(1815, 121, id="one-per-15-clips"), pytest.param(4514, 300, id="at-most-300"),
    pytest.param(9000, 300, id="long"),
])
def test_the_number_of_change_points_grows_with_the_video(monkeypatch, n_clips, limit):
    received = {}

    def change_points(features, max_change_points):
        received.update(norms=np.linalg.norm(features, axis=1), limit=max_change_points)
        return np.array([], dtype=int)

    monkeypatch.setattr(module, "change_points", change_points)
    module._find_change_points(np.full((n_clips, 2), 3.0))
    assert received["limit"] == limit
    assert received["norms"] == pytest.approx(1)


def test_the_summary_keeps_the_best_shots_within_the_budget():
    scores = np.repeat([0.1, 0.9, 0.2, 0.8, 0.3], SHOT_LENGTHS)
    selection = selector(scores).summary(Fraction(20, 80))   # 10 clips, so that a shot has at most 3.
    assert clips_of(selection) == [5, 6, 7, 18, 19, *clips_of(selection)[5:]]
    assert len(clips_of(selection)) <= 10
    lengths = selection.shots[:, 1] - selection.shots[:, 0] + 1
    assert lengths.max() == 3
    assert set(STARTS) <= set(selection.shots[:, 0].tolist())


@pytest.mark.parametrize(("max_shot_s", "share", "longest"), [
    pytest.param(1000, Fraction(1), 13, id="a-third-of-the-budget"),       # 80 s / 3 are 13 complete clips.
    pytest.param(8, Fraction(1), 4, id="max_shot_s"),
    pytest.param(9.9, Fraction(1), 4, id="max_shot_s-is-rounded-down"),
    pytest.param(0.5, Fraction(1), 1, id="at-least-one-clip"),
    pytest.param(1000, Fraction(1, 80), 1, id="tiny-budget"),
])
def test_the_length_of_a_shot_is_limited(max_shot_s, share, longest):
    shots = selector(np.ones(40), max_shot_s=max_shot_s).summary(share).shots
    assert (shots[:, 1] - shots[:, 0] + 1).max() <= longest
    assert (shots[:, 1] - shots[:, 0] + 1).max() > longest - 4
    assert selector(np.ones(40), max_shot_s=max_shot_s).summary(Fraction(1)).shots[-1, 1] == 39


def test_shots_are_split_at_the_moments_of_queries_only():
    moments = [Moment(24, 28, 0.9, "red"), Moment(50, 60, 0.8, "")]
    shots = selector(np.linspace(0, 1, 40), moments).summary(Fraction(1)).shots
    assert {12, 14} <= set(shots[:, 0].tolist())
    without_query = selector(np.linspace(0, 1, 40), moments[1:]).summary(Fraction(1)).shots
    assert not {25, 30} & set(without_query[:, 0].tolist()) - set(np.linspace(20, 40, 3).astype(int).tolist())


def test_the_best_moment_of_a_query_outweighs_higher_scores():
    scores = np.full(40, 0.2)
    scores[20:40] = 0.9
    moments = [Moment(10, 16, 0.6, "red")]   # The second shot.
    selection = selector(scores, moments).summary(Fraction(6, 80))
    assert clips_of(selection) == [5, 6, 7][:len(clips_of(selection))] or set(clips_of(selection)) <= {5, 6, 7}
    assert clips_of(selector(scores).summary(Fraction(6, 80)))[0] >= 20


@pytest.mark.parametrize(("start_s", "end_s", "span"), [
    (10, 16, (5, 7)), (11, 15, (5, 7)), (10.1, 12, (5, 5)), (9.9, 12.1, (4, 6)), (0, 80, (0, 39)), (0, 2, (0, 0)),
    (78, 80, (39, 39)),
])
def test_a_moment_spans_all_clips_that_it_touches(start_s, end_s, span):
    assert selector(np.ones(40))._span(Moment(start_s, end_s, 1, "")) == span


def test_moments_far_below_the_best_of_their_query_are_ignored():
    moments = [Moment(0, 2, 0.9, "a"), Moment(10, 12, 0.45, "a"), Moment(20, 22, 0.44, "a"), Moment(30, 32, 0.2, "b")]
    chosen = selector(np.ones(40), moments)
    assert chosen.candidates == [moments[0], moments[1], moments[3]]
    assert chosen.is_best == [True, False, True]


def test_moments_are_selected_completely_in_their_order():
    moments = [Moment(20, 28, 0.9, "a"), Moment(60, 80, 0.8, "a"), Moment(0, 6, 0.7, "a")]
    chosen = selector(np.ones(40), moments)
    assert clips_of(chosen.moments(Fraction(15, 80))) == [0, 1, 2, 10, 11, 12, 13]
    assert clips_of(chosen.moments(Fraction(8, 80))) == [10, 11, 12, 13]
    assert clips_of(chosen.moments(Fraction(1))) == [0, 1, 2, 10, 11, 12, 13, *range(30, 40)]


def test_without_moments_shots_are_selected():
    scores = np.repeat([0.1, 0.9, 0.2, 0.8, 0.3], SHOT_LENGTHS)
    assert clips_of(selector(scores).moments(Fraction(1, 4))) == clips_of(selector(scores).summary(Fraction(1, 4)))


def test_frozen_clips_are_never_selected():
    """Clips 5 to 7 are inside a gap of the time stamps."""
    gap = dict(gaps_s=[(10.0, 16.0)])
    moments = [Moment(10, 16, 0.9, "a"), Moment(14, 18, 0.8, "a"), Moment(40, 44, 0.7, "a")]
    chosen = selector(np.ones(40), moments, **gap)
    assert chosen.candidates == moments[1:]   # The second one ends after the gap.
    assert chosen.scores[4:9].tolist() == [1, 0, 0, 0, 1]
    assert chosen.is_best == [False, False]
    assert selector(np.ones(40), moments).candidates == moments
    assert clips_of(selector(np.ones(40), moments[:1], **gap).moments(Fraction(6, 80))) != [5, 6, 7]


def test_shorts_are_the_best_pieces_of_complete_shots():
    scores = np.repeat([0.1, 0.9, 0.2, 0.8, 0.3], SHOT_LENGTHS)
    options = ShortsOptions(1, Fraction(4), Fraction(10), refine=False)
    selection = selector(scores).shorts(options, [])
    assert selection.pieces_s == [(Fraction(10), Fraction(16))]
    assert clips_of(selection) == [5, 6, 7]
    two = selector(scores).shorts(ShortsOptions(2, Fraction(4), Fraction(10), refine=False), [])
    assert two.pieces_s == [(10, 16), (36, 40)]
    assert clips_of(two) == [5, 6, 7, 18, 19]


def test_shorts_prefer_moments_even_without_a_query():
    scores = np.repeat([0.1, 0.5, 0.2, 0.6, 0.3], SHOT_LENGTHS)
    options = ShortsOptions(1, Fraction(4), Fraction(10), refine=False)
    assert selector(scores).shorts(options, []).pieces_s == [(36, 40)]
    assert selector(scores, [Moment(10, 16, 0.5, "")]).shorts(options, []).pieces_s == [(10, 16)]


def test_the_ends_of_shorts_are_refined_best_first(monkeypatch):
    received = []

    def refine(info, pieces_s, options, cues, clip_len_s):
        received.append((list(pieces_s), cues, clip_len_s))
        return [(a + 1, b + 1) for a, b in pieces_s]

    monkeypatch.setattr(module, "refine_shorts", refine)
    scores, cues = np.repeat([0.1, 0.7, 0.2, 0.9, 0.3], SHOT_LENGTHS), [Cue(0, 1, "x")]
    selection = selector(scores).shorts(ShortsOptions(2, Fraction(4), Fraction(10)), cues)
    assert received == [([(36, 40), (10, 16)], cues, 2)]
    assert selection.pieces_s == [(11, 17), (37, 41)]
