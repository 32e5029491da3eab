"""Config validation: every misspelled type, key and invalid value is reported with its location before a training."""

import copy

import pytest
from nncore.dataset import DATASETS

import models  # noqa: F401  Registers the models.
import training.hooks  # noqa: F401  Registers the hooks.
from common.errors import InputError
from training.config import EVALUATION_KEYS, check_config, config_errors, is_within, uses_baselines


@DATASETS.register()
class CheckedDataset:
    def __init__(self, label_path, cache=False):
        pass


VALID = dict(
    model=dict(type="UMT", video_enc=dict(type="UniModalEncoder", dims=[4, 8]),
               pred_head=[dict(type="SaliencyHead", dims=[8, 1],
                               saliency_loss=dict(type="DynamicBCELoss", loss_weight=3))]),
    data=dict(train=dict(type="CheckedDataset", label_path="a", loader=dict(batch_size=2, shuffle=True)),
              val=dict(type="CheckedDataset", label_path="b")),
    stages=dict(epochs=3, optimizer=dict(type="Adam", lr=1e-3), validation=dict(interval=1)),
    hooks=[dict(type="EvalHook", interval=2)],
    seed=1)
LOADER = ["data", "train", "loader"]


def changed(path, value):
    """Return VALID with the value at `path` replaced."""
    cfg = copy.deepcopy(VALID)
    node = cfg
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return cfg


def case(path, value, message):
    """Return a test case named by the location that it changes."""
    return pytest.param(path, value, message, id=f"{'.'.join(map(str, path))}={value!r}")


def test_a_valid_config_passes():
    check_config(VALID, "c.py")


@pytest.mark.parametrize("path, value, message", [
    case(["modle"], {}, "unknown key 'modle'; did you mean 'model'?"),
    case(["model", "type"], "UTM", "model: no model is called 'UTM'; did you mean 'UMT'?"),
    case(["model", "video_enc", "dim"], 3,
         "model.video_enc: UniModalEncoder: unknown key 'dim'; did you mean 'dims'?"),
    case(["model", "pred_head", 0, "type"], "SalencyHead", "model.pred_head[0]: no model is called 'SalencyHead'"),
    case(["model", "pred_head", 0, "saliency_loss", "loss_wieght"], 1, "did you mean 'loss_weight'?"),
    case(["data", "train", "type"], "CheckdDataset",
         "data.train: no dataset is called 'CheckdDataset'; did you mean 'CheckedDataset'?"),
    case(["data", "train", "cahce"], True, "data.train: CheckedDataset: unknown key 'cahce'; did you mean 'cache'?"),
    case([*LOADER, "batchsize"], 2, "data.train.loader: unknown key 'batchsize'; did you mean 'batch_size'?"),
    case(["data", "trian"], dict(type="CheckedDataset"), "data.trian: unknown split; did you mean 'train'?"),
    case(["stages", "optimizer", "type"], "Adan", "no optimizer is called 'Adan'; did you mean 'Adam'?"),
    case(["stages", "optimizer", "learning_rate"], 1, "Adam: unknown key 'learning_rate'"),
    case(["stages", "epoch"], 1, "stages[0]: unknown key 'epoch'; did you mean 'epochs'?"),
    case(["stages", "validation", "intervall"], 1,
         "stages[0].validation: unknown key 'intervall'; did you mean 'interval'?"),
    case(["hooks", 0, "type"], "EvlHook", "hooks[0]: no hook is called 'EvlHook'; did you mean 'EvalHook'?"),
])
def test_a_misspelling_is_reported_with_its_location(path, value, message):
    with pytest.raises(InputError) as err:
        check_config(changed(path, value), "c.py")
    assert message in str(err.value)
    assert str(err.value).startswith("c.py: ")


@pytest.mark.parametrize("path, value, message", [
    case(["model"], None, "model: None is not a dict"),
    case(["data"], [1], "data: [1] is not a dict"),
    case(["data", "train"], 1, "data.train: 1 is not a dict"),
    case(["stages"], 3, "stages[0]: 3 is not a dict"),
    case(["data"], dict(train=VALID["data"]["train"]), "data: no 'val' split to select the best epoch on"),
    case(["data"], dict(val=VALID["data"]["val"]), "data: no 'train'"),
    case(["best_keys"], "mAP", "best_keys: 'mAP' is not a list"),
    case(["early_stop"], 5, "early_stop: 5 is not a dict of patience"),
    case(["seed"], "1", "seed: '1' is not"),
    case(["amp"], ["bf16"], "amp: ['bf16'] is not one of"),
    case(["keep"], dict(evry=1), "keep: unknown key 'evry'; did you mean 'every'?"),
    case(["keep"], dict(every=-1), "keep.every: -1"),
    case([*LOADER, "batch_size"], 0, "data.train.loader.batch_size: 0 is not an integer of at least 1"),
    case([*LOADER, "batch_size"], "4", "data.train.loader.batch_size: '4' is not"),
    case([*LOADER, "num_workers"], -1, "data.train.loader.num_workers: -1"),
    case([*LOADER, "persistent_workers"], True,
         "data.train.loader.persistent_workers: keeps the workers' random states"),
    case([*LOADER, "sampler"], 1, "data.train.loader: unknown key 'sampler'"),
    case(["stages", "epochs"], "2", "stages[0].epochs: '2' is not"),
    case(["stages", "epochs"], 0, "stages[0].epochs: 0 is not"),
    case(["stages", "optimizer"], dict(type="Adam", lr=-1), "stages[0].optimizer: Invalid learning rate: -1"),
    case(["stages", "optimizer"], "Adam", "stages[0].optimizer: 'Adam' is not a dict"),
    case(["stages", "lr_schedule"], dict(type="iter", policy="cosin"), "policy, one of cosine, exp"),
    case(["stages", "lr_schedule"], dict(type="iter", policy="exp"), "stages[0].lr_schedule: _exp() missing"),
    case(["stages", "lr_schedule"], dict(type="iter", policy="cosine", targt_lr=0), "did you mean 'target_lr'?"),
    case(["stages", "warmup"], dict(type="iter", policy="linear", steps=0, ratio=0.1), "stages[0].warmup.steps: 0"),
    case(["stages", "warmup"], dict(type="iter", policy="linear", steps=1), "stages[0].warmup: no 'ratio'"),
    case(["stages", "grad_clip"], dict(maxnorm=1),
         "stages[0].grad_clip: unknown key 'maxnorm'; did you mean 'max_norm'?"),
    case(["stages", "validation"], dict(interval=4), "stages: no epoch is validated"),
    case(["stages", "validation"], None, "no epoch is val"),
    case(["stages", "validation"], dict(interval=1.5), "stages[0].validation.interval: 1.5"),
    case(["stages", "validation"], dict(interval=1, offset=3), "stages: no epoch is validated"),
])
def test_an_invalid_value_is_reported_before_training(path, value, message):
    with pytest.raises(InputError) as err:
        check_config(changed(path, value), "c.py")
    assert message in str(err.value)


@pytest.mark.parametrize("path, value", [
    (["stages", "lr_schedule"], dict(type="epoch", policy="step", step=[2, 3])),
    (["stages", "warmup"], dict(type="iter", policy="linear", steps=500, ratio=0.001)),
    (["keep"], dict(last=False, every=5)),
    (["stages", "grad_clip"], dict(max_norm=1, norm_type=2)),
    (["stages", "validation"], dict(interval=1, offset=2)),
    (["data", "val", "loader"], dict(batch_size=8, num_workers="auto", persistent_workers=True)),
    (["early_stop"], dict(patience=2)),
    (["baselines"], True),
], ids=lambda value: ".".join(value) if isinstance(value, list) else "")
def test_valid_values_pass(path, value):
    check_config(changed(path, value), "c.py")


def test_the_deprecated_name_of_baselines_is_accepted():
    check_config(changed(["floors"], True), "c.py")
    assert uses_baselines(dict(floors=True))
    assert uses_baselines(dict(baselines=True))
    assert not uses_baselines({})
    assert not uses_baselines(dict(baselines=True, floors=False))   # The base sets the new key, the user the old one.


def test_a_model_without_masks_is_validated_without_padding():
    cfg = changed(["model", "mask_padding"], False)
    check_config(cfg, "c.py")
    cfg["data"]["val"]["loader"] = dict(batch_size=2)
    with pytest.raises(InputError, match="data.val.loader: padding .* with mask_padding=False; set same_length=True"):
        check_config(cfg, "c.py")
    cfg["data"]["val"]["loader"]["same_length"] = True
    check_config(cfg, "c.py")


def test_evaluation_needs_no_training_data():
    cfg = dict(model=VALID["model"], data=dict(test=VALID["data"]["val"]))
    check_config(cfg, "c.py", EVALUATION_KEYS)
    with pytest.raises(InputError, match="stages: missing.*\n  data: no 'train'.*\n  data: no 'val'"):
        check_config(cfg, "c.py")
    cfg["data"] = dict(train=VALID["data"]["train"])
    with pytest.raises(InputError, match="data: neither a 'val' nor a 'test' split"):
        check_config(cfg, "c.py", EVALUATION_KEYS)


def test_all_errors_are_listed_at_once():
    cfg = changed(["model", "type"], "UTM")
    cfg["sed"] = 1
    del cfg["stages"]["optimizer"]
    with pytest.raises(InputError) as err:
        check_config(cfg, "c.py")
    assert str(err.value).count("\n") == 2


def test_errors_carry_their_location():
    errors = config_errors(changed(["model", "video_enc", "dim"], 3))
    assert [(error.location, error.problem, error.hint) for error in errors] == [
        ("model.video_enc", "UniModalEncoder: unknown key 'dim'", "did you mean 'dims'?")]
    assert is_within(errors[0], "model")
    assert not is_within(errors[0], "mod")
    assert not is_within(errors[0], "model.video_enc.dim")
