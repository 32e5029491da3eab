"""The data of a summary: frames, queries of pieces, and files."""

from dataclasses import FrozenInstanceError
from fractions import Fraction

import pytest

from pipelines.features.encode import encode_video
from pipelines.scoring.moments import Moment
from pipelines.summary import frame_range
from tests.pipelines.export.summaries import make_result, make_shorts
from tests.pipelines.fakes import color_encoders, write_video

NTSC = Fraction(30000, 1001)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("v") / "a.mp4", ["red"] * 10 + ["blue"] * 10)
    return encode_video(path, color_encoders(), progress=False)


def test_a_result_is_immutable(video):
    with pytest.raises(FrozenInstanceError):
        make_result(video).mode = "shorts"


def test_adjacent_shots_are_one_piece(video):
    result = make_result(video)
    assert result.intervals_s == [(2, 4), (6, 10)]
    assert result.frames == [[20, 39], [60, 99]]
    assert result.duration_s == 6


def test_each_short_is_a_file_and_the_best_is_first(video):
    pieces = make_shorts(video).pieces
    assert [piece.file for piece in pieces] == ["short-1.mp4", "short-2.mp4"]
    assert pieces[0].start_s == 12
    assert pieces[0].score == pytest.approx((6 + 7 + 8) / 27, abs=1e-6)


def test_a_piece_is_titled_with_the_query_that_covers_it_best(video):
    moments = [Moment(2, 3, 0.9, "short"), Moment(2, 5, 0.5, "long"), Moment(7, 9, 0.2, "x" * 200)]
    result = make_result(video, ["short", "long", "x" * 200], moments)
    assert [result.best_text(*interval_s) for interval_s in result.intervals_s] == ["long", "x" * 200]
    assert result.chapter_titles(result.intervals_s) == ["long (0:02)", "x" * 80 + " (0:06)"]


def test_a_piece_without_a_moment_is_titled_with_its_time(video):
    moments = [Moment(2, 3, 0.9, "short"), Moment(2, 5, 0.5, "long"), Moment(7, 9, 0.2, "x" * 200)]
    result = make_result(video, ["short", "long", "x" * 200], moments)
    assert result.chapter_titles([(Fraction(12), Fraction(14))]) == ["0:12"]
    assert result.best_text(12, 14) == ""


@pytest.mark.parametrize(("start_s", "end_s", "fps", "n_frames", "frames"), [
    pytest.param(0, 2, NTSC, 600, (0, 59), id="ntsc"),                # Frame 59 is at 1.97 s, frame 60 at 2.002 s.
    pytest.param(2, 4, NTSC, 600, (60, 119), id="ntsc-next-interval"),   # No frame is repeated or left out.
    pytest.param(4, 9, Fraction(10), 60, (40, 59), id="past-the-end"),
    pytest.param(0, Fraction(1, 25), Fraction(25), 1, (0, 0), id="one-frame")])
def test_frame_range(start_s, end_s, fps, n_frames, frames):
    assert frame_range(Fraction(start_s), Fraction(end_s), fps, n_frames) == frames
