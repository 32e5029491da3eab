"""Every misspelt type or key of a config is named with its place and the nearest known name."""

import copy

import pytest
from nncore.dataset import DATASETS

import models  # noqa: F401
import training.hooks  # noqa: F401
from common.errors import InputError
from training.config import check_config


@DATASETS.register()
class CheckedDataset:
    def __init__(self, label_path, cache=False):
        pass


GOOD = dict(
    model=dict(type="UMT", video_enc=dict(type="UniModalEncoder", dims=[4, 8]),
               pred_head=[dict(type="SaliencyHead", dims=[8, 1], saliency_loss=dict(type="DynamicBCELoss", loss_weight=3))]),
    data=dict(train=dict(type="CheckedDataset", label_path="a", loader=dict(batch_size=2, shuffle=True))),
    stages=dict(epochs=3, optimizer=dict(type="Adam", lr=1e-3), validation=dict(interval=1)),
    hooks=[dict(type="EvalHook", interval=2)],
    seed=1)


def changed(path, value):
    cfg = copy.deepcopy(GOOD)
    node = cfg
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return cfg


def test_a_good_config_passes():
    check_config(GOOD, "c.py")


@pytest.mark.parametrize("path, value, message", [
    (["modle"], {}, "unknown key 'modle'; did you mean 'model'?"),
    (["model", "type"], "UTM", "model: no model is called 'UTM'; did you mean 'UMT'?"),
    (["model", "video_enc", "dim"], 3, "model.video_enc: UniModalEncoder: unknown key 'dim'; did you mean 'dims'?"),
    (["model", "pred_head", 0, "type"], "SalencyHead", "model.pred_head[0]: no model is called 'SalencyHead'"),
    (["model", "pred_head", 0, "saliency_loss", "loss_wieght"], 1, "did you mean 'loss_weight'?"),
    (["data", "train", "type"], "CheckdDataset", "data.train: no dataset is called 'CheckdDataset'; did you mean 'CheckedDataset'?"),
    (["data", "train", "cahce"], True, "data.train: CheckedDataset: unknown key 'cahce'; did you mean 'cache'?"),
    (["data", "train", "loader", "batchsize"], 2, "data.train.loader: unknown key 'batchsize'; did you mean 'batch_size'?"),
    (["data", "trian"], dict(type="CheckedDataset"), "data.trian: unknown split; did you mean 'train'?"),
    (["stages", "optimizer", "type"], "Adan", "no optimizer is called 'Adan'; did you mean 'Adam'?"),
    (["stages", "optimizer", "learning_rate"], 1, "Adam: unknown key 'learning_rate'"),
    (["stages", "epoch"], 1, "stages[0]: unknown key 'epoch'; did you mean 'epochs'?"),
    (["stages", "validation", "intervall"], 1, "stages[0].validation: unknown key 'intervall'; did you mean 'interval'?"),
    (["hooks", 0, "type"], "EvlHook", "hooks[0]: no hook is called 'EvlHook'; did you mean 'EvalHook'?"),
])
def test_a_misspelling_is_named_with_its_place(path, value, message):
    with pytest.raises(InputError) as err:
        check_config(changed(path, value), "c.py")
    assert message in str(err.value)
    assert str(err.value).startswith("c.py: ")


def test_all_faults_are_listed_at_once():
    cfg = changed(["model", "type"], "UTM")
    cfg["sed"] = 1
    del cfg["stages"]["optimizer"]
    with pytest.raises(InputError) as err:
        check_config(cfg, "c.py")
    assert str(err.value).count("\n") == 2
