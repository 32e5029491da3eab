"""The benchmark compares like with like: its plain ways give our numbers."""

import json

import pytest
import torch

import models  # noqa: F401  registers them
from common.config import load_config
from datasets.eval import eval_qvhighlights
from models.blocks import BoundaryHead
from tools import benchmark
from tools.benchmarks import Row
from tools.benchmarks.evaluation import made_up_predictions, plain_metrics
from tools.benchmarks.synthetic import made_up_labels
from tools.benchmarks.training import CONFIG, plain_targets, plain_way


def test_the_plain_metrics_are_ours():
    labels, predictions = made_up_labels(60), made_up_predictions(60)
    ours = eval_qvhighlights(predictions, labels)["brief"]
    plain = plain_metrics(predictions, labels)
    assert len(plain) == 14 and {key: ours[key] for key in plain} == plain


def test_the_plain_targets_are_ours():
    head = BoundaryHead([8, 1])
    boundary = torch.tensor([[[0.0, 8], [20, 60]], [[3, 5], [-1, -1]], [[100, 150], [0, 150]]])
    for ours, plain in zip(head.targets(boundary, 75), plain_targets(head, boundary, 75), strict=True):
        torch.testing.assert_close(ours, plain)


def test_the_plain_model_is_ours():
    from nncore.nn import MODELS

    from common.build import build
    torch.manual_seed(0)
    model = build(load_config(CONFIG).model, MODELS).eval()
    data = dict(video=torch.randn(2, 20, 2816), audio=torch.randn(2, 20, 2048), query=torch.randn(2, 5, 512),
                saliency=torch.rand(2, 20), boundary=torch.tensor([[[2.0, 10]], [[4, 30]]]), meta=None)
    data["saliency"][1, 15:] = -1
    ours = model(data, mode="val")
    with plain_way():
        plain = model(data, mode="val")
    for key in ours:
        if key.endswith("loss"):
            torch.testing.assert_close(ours[key], plain[key], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours["_out"]["saliency"], plain["_out"]["saliency"], atol=1e-5, rtol=1e-4)


def test_rows_are_printed_and_kept(monkeypatch, tmp_path, capsys):
    class Subject:
        @staticmethod
        def measure():
            return [Row("sorting", 3.0, 1.5, "same"), Row("alone", None, 2.0)]

    monkeypatch.setattr(benchmark.importlib, "import_module", lambda name: Subject)
    assert benchmark.main(["training", "--out", str(tmp_path / "b.json")]) == 0
    assert "2.0x  same" in capsys.readouterr().out
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [row["ratio"] for row in rows] == [pytest.approx(2), None]


def test_only_films_have_a_length(monkeypatch, capsys):
    asked = []

    def module(name):
        class Subject:
            @staticmethod
            def measure(minutes=None):
                asked.append((name.split(".")[-1], minutes))
                return []
        if "long" in name:
            Subject.MINUTES = 10
        return Subject

    monkeypatch.setattr(benchmark.importlib, "import_module", module)
    assert benchmark.main(["all", "--minutes", "3"]) == 0
    assert ("long", 3) in asked and ("evaluation", None) in asked and not {"film", "made_up"} & {s for s, _ in asked}
    assert benchmark.main(["long"]) == 0 and asked[-1] == ("long", None)
    assert benchmark.main(["long", "--minutes", "0"]) == 2
    assert "--minutes 0: give at least 1" in capsys.readouterr().err
