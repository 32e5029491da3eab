"""Plots of a training's losses and metrics."""

import json

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from training.plots import compare_curves, curves_figure, draw_curves, read_log

AP = [50.0, 61.5, 58.0]


@pytest.fixture
def work(tmp_path):
    """Create the work dir of a training on rated clips that monitors AP, which is best in the second epoch."""
    lines = []
    for epoch in (1, 2, 3):
        metrics = {"MR-full-mAP": 20.0, "ROC-AUC": 70.0, "AP": AP[epoch - 1], "HD-videos": 8}
        lines += [dict(mode="train", epoch=epoch, iter=9, loss=1 / epoch, lr=0.1),
                  dict(mode="val", epoch=epoch, iter=9, loss=0.5 + 0.1 * epoch, **metrics)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "history.json").write_text(json.dumps(dict(best_epoch=2, monitor="AP", epochs=[])))
    return tmp_path


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_the_monitored_metric_comes_first_and_its_best_epoch_is_marked(work):
    loss, metrics, _ = curves_figure({"": (read_log(work / "log.jsonl"), 2)}, ("MR-full-mAP", "AP"), "AP").axes
    drawn = {line.get_label(): (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
             for line in metrics.lines}
    assert list(drawn)[:2] == ["AP (monitored)", "MR-full-mAP"]
    assert drawn["AP (monitored)"] == ([1, 2, 3], AP)
    assert drawn["best AP: 61.50"] == ([2], [61.5])
    assert drawn["best epoch 2"][0] == [2, 2]
    assert [line.get_label() for line in loss.lines] == ["training", "validation", "best epoch 2"]


@pytest.mark.slow
@pytest.mark.parametrize("key", ["monitor", pytest.param("watched", id="deprecated name")])
def test_the_figure_of_a_rated_dataset_shows_its_metrics(work, key):
    (work / "history.json").write_text(json.dumps({"best_epoch": 2, key: "AP", "epochs": []}))
    draw_curves(work / "log.jsonl", work / "a.png", 2, "AP")
    draw_curves(work / "log.jsonl", work / "b.png", 2)
    monitored, other = pixels(work / "a.png"), pixels(work / "b.png")
    assert monitored.shape == other.shape
    assert abs(monitored - other).max() > 100
    compare_curves([work], work / "c.png")
    np.testing.assert_array_equal(pixels(work / "c.png"), monitored)


def test_an_unknown_metric_is_reported(work):
    with pytest.raises(InputError, match="--metric APP: no run has this metric; did you mean 'AP'"):
        compare_curves([work], work / "d.png", ["APP"])
