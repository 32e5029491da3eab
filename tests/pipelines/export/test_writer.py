"""The files of an export."""

import json

import pytest

from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = write_video(tmp_path_factory.mktemp("chart") / "a film.mp4", ["grey"] * 4 + ["red"] * 4 + ["grey"] * 4)
    video = encode_video(path, color_encoders(), progress=False)
    return Summarizer(color_encoders()).summarize(video, ["red"], 0.5)


def test_files_contain_the_display_name_instead_of_the_path(result, tmp_path):
    options = ExportOptions(edit_lists=("otio", "edl", "csv"))
    write_export(result, plan_export(result, options, display_name="Mein Film.mp4"), tmp_path)
    assert json.loads((tmp_path / "summary.json").read_text())["video"] == "Mein Film.mp4"
    assert '"Mein%20Film.mp4"' in (tmp_path / "summary.otio").read_text()
    for name in ("summary.json", "summary.otio", "summary.edl", "summary.csv", "report.html"):
        assert "a film" not in (tmp_path / name).read_text()


def test_an_export_changes_neither_the_result_nor_the_plan(result, tmp_path):
    before = result.to_json()
    plan = plan_export(result)
    pieces_s = plan.pieces_s
    export = write_export(result, plan, tmp_path)
    assert result.to_json() == before
    assert plan.pieces_s == pieces_s
    assert export.files == ("summary.mp4", "report.html", "summary.json")
    assert export.to_json() == json.loads((tmp_path / "summary.json").read_text())
