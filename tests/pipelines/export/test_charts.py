import json
import re

import numpy as np
import pytest

from pipelines.export.charts import chart_row
from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def summary(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("chart") / "a film.mp4", ["grey"] * 4 + ["red"] * 4 + ["grey"] * 4)
    video = encode_video(path, color_encoders(), progress=False)
    return Summarizer(color_encoders()).summarize(video, ["red"], 0.5)


def heights(svg: str) -> list[list[float]]:
    """The height of each curve's points, without the two at the ends."""
    curves = re.findall(r'<polyline class="curve[^"]*" points="([^"]+)"', svg)
    return [[float(point.split(",")[1]) for point in curve.split()][1:-1] for curve in curves]


def test_a_second_curve_stands_on_the_same_scale(summary):
    one, = heights(chart_row(summary, summary.scores, "red", "red"))
    both = heights(chart_row(summary, summary.scores, "red", "red", 1 - summary.scores))
    assert both[0] == one
    np.testing.assert_allclose(np.add(*both), 2 * (91 - 3) - (91 - 8), atol=0.2)   # the heights of s and 1 - s


def test_files_may_call_the_video_otherwise_than_its_path(summary, tmp_path):
    options = ExportOptions(edit_lists=("otio", "edl", "csv"))
    write_export(summary, plan_export(summary, options, display_name="Mein Film.mp4"), tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["video"] == "Mein Film.mp4"
    assert '"Mein%20Film.mp4"' in (tmp_path / "summary.otio").read_text()
    for name in ("summary.json", "summary.otio", "summary.edl", "summary.csv", "report.html"):
        assert "a film" not in (tmp_path / name).read_text()
