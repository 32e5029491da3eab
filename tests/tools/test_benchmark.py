"""tools/benchmark.py: the reference implementations compute the same results as the product."""

import json

import pytest
import torch

import models  # noqa: F401  Registers the models.
from common.config import load_config
from datasets.eval import eval_qvhighlights
from models.blocks import BoundaryHead
from tools import benchmark
from tools.benchmarks import Row
from tools.benchmarks.evaluation import reference_metrics, synthetic_predictions
from tools.benchmarks.synthetic import synthetic_labels
from tools.benchmarks.training import CONFIG, PATCHES, reference_targets, replaced


def test_reference_metrics_equal_the_products():
    labels, predictions = synthetic_labels(60), synthetic_predictions(60)
    product = eval_qvhighlights(predictions, labels)["brief"]
    reference = reference_metrics(predictions, labels)
    assert len(reference) == 14
    assert {key: product[key] for key in reference} == reference


def test_reference_targets_equal_the_products():
    head = BoundaryHead([8, 1])
    boundary = torch.tensor([[[0.0, 8], [20, 60]], [[3, 5], [-1, -1]], [[100, 150], [0, 150]]])
    for product, reference in zip(head.targets(boundary, 75), reference_targets(head, boundary, 75), strict=True):
        torch.testing.assert_close(product, reference)


@pytest.mark.parametrize("names", [tuple(PATCHES), *((name,) for name in PATCHES)], ids=", ".join)
def test_the_reference_model_equals_the_products(names):
    from nncore.nn import MODELS

    from common.build import build
    torch.manual_seed(0)
    model = build(load_config(CONFIG).model, MODELS).eval()
    data = dict(video=torch.randn(2, 20, 2816), audio=torch.randn(2, 20, 2048), query=torch.randn(2, 5, 512),
                saliency=torch.rand(2, 20), boundary=torch.tensor([[[2.0, 10]], [[4, 30]]]), meta=None)
    data["saliency"][1, 15:] = -1   # Padding.
    product = model(data, mode="val")
    with replaced(*names):
        reference = model(data, mode="val")
    for key in product:
        if key.endswith("loss"):
            torch.testing.assert_close(product[key], reference[key], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(product["_out"]["saliency"], reference["_out"]["saliency"], atol=1e-5, rtol=1e-4)


class SortingSubject:
    """A subject with a row with a reference and one without."""

    @staticmethod
    def measure():
        return [Row("sorting", 3.0, 1.5, "same"), Row("alone", None, 2.0)]


def test_rows_are_printed_and_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark.importlib, "import_module", lambda name: SortingSubject)
    assert benchmark.main(["training", "--out", str(tmp_path / "b.json")]) == 0
    printed = capsys.readouterr().out.splitlines()[1:]   # The first line describes the machine.
    assert [" ".join(line.split()) for line in printed] == [
        "sorting 3.000 s reference 1.500 s product 2.0x same", "alone - s reference 2.000 s product -"]
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert [row["ratio"] for row in rows] == [pytest.approx(2), None]
    assert rows[0] == dict(subject="training", name="sorting", plain_s=3.0, fast_s=1.5, note="same", memory=[],
                           ratio=2.0)


@pytest.fixture
def measured(monkeypatch):
    """Replace all subjects; return the list of (subject, minutes) that are measured."""
    measured = []

    def module(name):
        class Subject:
            @staticmethod
            def measure(minutes=None):
                measured.append((name.split(".")[-1], minutes))
                return []
        if "long" in name:
            Subject.MINUTES = 10
        return Subject

    monkeypatch.setattr(benchmark.importlib, "import_module", module)
    return measured


def test_minutes_apply_to_the_subjects_that_process_a_video(measured):
    assert benchmark.main(["all", "--minutes", "3"]) == 0
    assert ("long", 3) in measured
    assert ("evaluation", None) in measured


def test_helper_modules_are_not_subjects(measured):
    assert benchmark.main(["all"]) == 0
    assert [subject for subject, _ in measured] == [
        "evaluation", "features", "long", "optimizations", "page", "shots", "training"]


def test_the_default_length_is_the_subjects(measured):
    assert benchmark.main(["long"]) == 0
    assert measured[-1] == ("long", None)


def test_a_length_below_a_minute_is_rejected(measured, capsys):
    assert benchmark.main(["long", "--minutes", "0"]) == 2
    assert "--minutes 0 is too short; give at least 1" in capsys.readouterr().err
