"""The chart of scores over time, and its time axis."""

import re

import numpy as np
import pytest

from pipelines.export.charts import evenly_spaced, format_duration, render_chart_row, render_time_axis
from pipelines.features.encode import encode_video
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("chart") / "a film.mp4", ["grey"] * 4 + ["red"] * 4 + ["grey"] * 4)
    video = encode_video(path, color_encoders(), progress=False)
    return Summarizer(color_encoders()).summarize(video, ["red"], 0.5)


def heights(svg: str) -> list[list[float]]:
    """Return the y coordinates of each curve, without the two points at the ends."""
    curves = re.findall(r'<polyline class="curve[^"]*" points="([^"]+)"', svg)
    return [[float(point.split(",")[1]) for point in curve.split()][1:-1] for curve in curves]


def test_a_comparison_curve_has_the_same_scale(result):
    one, = heights(render_chart_row(result, result.scores, "red", "red"))
    both = heights(render_chart_row(result, result.scores, "red", "red", 1 - result.scores))
    assert both[0] == one
    np.testing.assert_allclose(np.add(*both), 2 * (91 - 3) - (91 - 8), atol=0.2)   # The heights of s and 1 - s.


@pytest.mark.parametrize(("end_s", "texts"), [
    pytest.param(0.04, ["0:00", "0.04 s"], id="one-frame"),
    pytest.param(25, ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25"], id="seconds"),
    pytest.param(139.4, ["0:00", *(f"{s // 60}:{s % 60:02}" for s in range(15, 130, 15)), "2:19"], id="minutes"),
    pytest.param(400_000, ["0:00", *(f"{h}:00:00" for h in range(12, 101, 12)), "111:06:40"], id="days")])
def test_ticks_of_the_time_axis(end_s, texts):
    assert re.findall(r">([^<]+)</span>", render_time_axis(end_s)) == texts


def test_evenly_spaced_indices():
    assert evenly_spaced(3, 10) == [0, 1, 2]
    assert evenly_spaced(10, 2) == [2, 7]


@pytest.mark.parametrize(("duration_s", "text"), [
    pytest.param(0.04, "0.04 s", id="below-a-second"), pytest.param(12.34, "12.3 s", id="seconds"),
    pytest.param(65.9, "1:05", id="minutes")])
def test_format_duration(duration_s, text):
    assert format_duration(duration_s) == text
