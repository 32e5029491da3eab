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
    data=dict(train=dict(type="CheckedDataset", label_path="a", loader=dict(batch_size=2, shuffle=True)),
              val=dict(type="CheckedDataset", label_path="b")),
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


@pytest.mark.parametrize("path, value, message", [
    (["model"], None, "model: None is not a dict"), (["data"], [1], "data: [1] is not a dict"),
    (["data", "train"], 1, "data.train: 1 is not a dict"), (["stages"], 3, "stages[0]: 3 is not a dict"),
    (["data"], dict(train=GOOD["data"]["train"]), "data: no 'val', on which the best epoch is chosen"),
    (["data"], dict(val=GOOD["data"]["val"]), "data: no 'train'"),
    (["best_keys"], "mAP", "best_keys: 'mAP' is not a list"), (["early_stop"], 5, "early_stop: 5 is not a dict of patience"),
    (["seed"], "1", "seed: '1' is not"), (["amp"], ["bf16"], "amp: ['bf16'] is none of"),
    (["keep"], dict(evry=1), "keep: unknown key 'evry'; did you mean 'every'?"), (["keep"], dict(every=-1), "keep.every: -1"),
    (["data", "train", "loader", "batch_size"], 0, "data.train.loader.batch_size: 0 is not a whole number above 0"),
    (["data", "train", "loader", "batch_size"], "4", "data.train.loader.batch_size: '4' is not"),
    (["data", "train", "loader", "num_workers"], -1, "data.train.loader.num_workers: -1"),
    (["data", "train", "loader", "persistent_workers"], True, "data.train.loader.persistent_workers: would keep"),
    (["data", "train", "loader", "sampler"], 1, "data.train.loader: unknown key 'sampler'"),
    (["stages", "epochs"], "2", "stages[0].epochs: '2' is not"), (["stages", "epochs"], 0, "stages[0].epochs: 0 is not"),
    (["stages", "optimizer"], dict(type="Adam", lr=-1), "stages[0].optimizer: Invalid learning rate: -1"),
    (["stages", "optimizer"], "Adam", "stages[0].optimizer: 'Adam' is not a dict"),
    (["stages", "lr_schedule"], dict(type="iter", policy="cosin"), "policy, one of cosine, exp"),
    (["stages", "lr_schedule"], dict(type="iter", policy="exp"), "stages[0].lr_schedule: _exp() missing"),
    (["stages", "lr_schedule"], dict(type="iter", policy="cosine", targt_lr=0), "did you mean 'target_lr'?"),
    (["stages", "warmup"], dict(type="iter", policy="linear", steps=0, ratio=0.1), "stages[0].warmup.steps: 0"),
    (["stages", "warmup"], dict(type="iter", policy="linear", steps=1), "stages[0].warmup: no 'ratio'"),
    (["stages", "grad_clip"], dict(maxnorm=1), "stages[0].grad_clip: unknown key 'maxnorm'; did you mean 'max_norm'?"),
    (["stages", "validation"], dict(interval=4), "stages: no epoch is validated"), (["stages", "validation"], None, "no epoch is val"),
    (["stages", "validation"], dict(interval=1.5), "stages[0].validation.interval: 1.5"),
    (["stages", "validation"], dict(interval=1, offset=3), "stages: no epoch is validated"),
])
def test_a_value_that_cannot_be_is_named_before_training(path, value, message):
    with pytest.raises(InputError) as err:
        check_config(changed(path, value), "c.py")
    assert message in str(err.value)


@pytest.mark.parametrize("path, value", [
    (["stages", "lr_schedule"], dict(type="epoch", policy="step", step=[2, 3])),
    (["stages", "warmup"], dict(type="iter", policy="linear", steps=500, ratio=0.001)), (["keep"], dict(last=False, every=5)),
    (["stages", "grad_clip"], dict(max_norm=1, norm_type=2)), (["stages", "validation"], dict(interval=1, offset=2)),
    (["data", "val", "loader"], dict(batch_size=8, num_workers="auto", persistent_workers=True)), (["early_stop"], dict(patience=2))])
def test_values_that_can_be_pass(path, value):
    check_config(changed(path, value), "c.py")


def test_what_trains_on_no_masks_is_validated_without_padding():
    cfg = changed(["model", "mask_padding"], False)
    check_config(cfg, "c.py")
    cfg["data"]["val"]["loader"] = dict(batch_size=2)
    with pytest.raises(InputError, match="data.val.loader: a model with mask_padding=False .* same_length=True"):
        check_config(cfg, "c.py")
    cfg["data"]["val"]["loader"]["same_length"] = True
    check_config(cfg, "c.py")


def test_evaluation_needs_no_training_data():
    cfg = dict(model=GOOD["model"], data=dict(test=GOOD["data"]["val"]))
    check_config(cfg, "c.py", required=("model", "data"))
    with pytest.raises(InputError, match="no 'stages'.*\n  data: no 'train'.*\n  data: no 'val'"):
        check_config(cfg, "c.py")
    cfg["data"] = dict(train=GOOD["data"]["train"])
    with pytest.raises(InputError, match="data: neither 'val' nor 'test'"):
        check_config(cfg, "c.py", required=("model", "data"))


def test_all_faults_are_listed_at_once():
    cfg = changed(["model", "type"], "UTM")
    cfg["sed"] = 1
    del cfg["stages"]["optimizer"]
    with pytest.raises(InputError) as err:
        check_config(cfg, "c.py")
    assert str(err.value).count("\n") == 2
