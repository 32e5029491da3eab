"""summary.json: the keys that other programs read."""

import json
from fractions import Fraction

import pytest

from pipelines.export.plan import ExportPlan
from pipelines.export.summary_json import summary_to_json

from .summaries import make_result


def test_keys_and_values(video, tmp_path):
    make_result(video, ["red", "blau <ü>"]).save_json(tmp_path / "summary.json")
    found = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert found["video"] == str(video.info.path)
    assert found["text"] == ["red", "blau <ü>"]
    assert found["duration"] == pytest.approx(20, abs=0.1)
    assert found["fps"] == 10
    assert found["clips"][3] == dict(start=6, end=8, score=0.3333)
    assert len(found["clips"]) == 10
    assert found["moments"][0] == dict(start=7, end=9, score=0.9, text="red")
    assert found["summary"] == [dict(frame=[20, 39], timestamps=["00:00:02.000", "00:00:04.000"]),
                                dict(frame=[60, 99], timestamps=["00:00:06.000", "00:00:10.000"])]
    assert [shot["selected"] for shot in found["shots"]] == [i in (1, 3, 4) for i in range(10)]


def test_aspect_of_the_export(video):
    assert summary_to_json(make_result(video), ExportPlan(aspect=Fraction(9, 16)))["aspect"] == "9:16"
