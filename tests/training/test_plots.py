import json

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from training.plots import compare_curves, curves_figure, draw_curves, read_log

AP = [50.0, 61.5, 58.0]


@pytest.fixture
def work(tmp_path):
    """A training of rated clips, chosen by AP, whose second epoch is the best."""
    lines = []
    for epoch in (1, 2, 3):
        lines += [dict(mode="train", epoch=epoch, iter=9, loss=1 / epoch, lr=0.1), dict(mode="val", epoch=epoch, iter=9, loss=0.5 + 0.1 * epoch, **{
            "MR-full-mAP": 20.0, "ROC-AUC": 70.0, "AP": AP[epoch - 1], "HD-videos": 8})]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "history.json").write_text(json.dumps(dict(best_epoch=2, watched="AP", epochs=[])))
    return tmp_path


def test_the_metric_that_chooses_comes_first_and_its_best_epoch_is_marked(work):
    loss, metrics, _ = curves_figure({"": (read_log(work / "log.jsonl"), 2)}, ("MR-full-mAP", "AP"), "AP").axes
    drawn = {line.get_label(): (list(map(float, line.get_xdata())), list(map(float, line.get_ydata()))) for line in metrics.lines}
    assert list(drawn)[:2] == ["AP (chooses)", "MR-full-mAP"] and drawn["AP (chooses)"] == ([1, 2, 3], AP)
    assert drawn["best AP: 61.50"] == ([2], [61.5]) and drawn["best epoch 2"][0] == [2, 2]
    assert [line.get_label() for line in loss.lines] == ["training", "validation", "best epoch 2"]


def test_a_rated_sets_picture_holds_its_metrics(work):
    draw_curves(work / "log.jsonl", work / "a.png", 2, "AP")
    draw_curves(work / "log.jsonl", work / "b.png", 2)
    one, other = (np.asarray(Image.open(work / name).convert("RGB")).astype(int) for name in ("a.png", "b.png"))
    assert one.shape == other.shape and abs(one - other).max() > 100
    compare_curves([work], work / "c.png")
    np.testing.assert_array_equal(np.asarray(Image.open(work / "c.png").convert("RGB")), one)
    with pytest.raises(InputError, match="--metric APP: none of the runs has it"):
        compare_curves([work], work / "d.png", ["APP"])
