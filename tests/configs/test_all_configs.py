"""Every config is checked, built and run forward."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nncore.nn import MODELS
from nncore.parallel import NNDataParallel

import datasets
import models.encoders  # noqa: F401  Registers the encoders.
from common.build import build
from common.config import load_config
from common.paths import CONFIGS
from tests.paths import SHARED
from training.config import TRAINING_KEYS, check_config
from training.dry_run import dry_run_errors
from training.loaders import build_loader

LEAVES = sorted(p for p in CONFIGS.rglob("*.py") if "_base_" not in p.parts)
WITH_MODEL = [p for p in LEAVES if "model" in load_config(p)]
UMT = [p for p in WITH_MODEL if load_config(p).model.type == "UMT"]
CLIP_IT = [p for p in WITH_MODEL if load_config(p).model.type.startswith("CLIPIt")]
ONE_SAMPLE = SHARED / "data" / "qvhighlights" / "one_sample"
PUBLISHED = ["qvhighlights/umt_base_200e_qvhighlights", "qvhighlights/umt_base_pretrain_100e_asr",
             "qvhighlights/umt_base_finetune_200e_qvhighlights",
             *(f"tvsum/umt_small_500e_tvsum_{d}" for d in "bk bt ds fm ga ms pk pr vt vu".split()),
             *(f"youtube/umt_small_100e_youtube_{d}" for d in "dog gym par ska ski sur".split()),
             "charades/umt_base_va_100e_charades", "charades/umt_base_vo_100e_charades",
             "hotstar/umt_base_200e_hotstar_highlight_865"]


def config_id(path):
    return str(path.relative_to(CONFIGS))


def finite_losses(output):
    """Return the losses of a model's output, after checking that they are finite."""
    losses = {key: value for key, value in output.items() if key.endswith("loss")}
    assert all(torch.isfinite(value) for value in losses.values())
    return losses


def test_all_published_configs_exist():
    assert not {f"{name}.py" for name in PUBLISHED} - {config_id(p) for p in LEAVES}
    assert len(UMT) >= len(PUBLISHED) + 3


@pytest.mark.parametrize("path", LEAVES, ids=config_id)
def test_names_and_keys_are_known(path):
    datasets.register()
    cfg = load_config(path)
    check_config(cfg, str(path), required=TRAINING_KEYS if "model" in cfg else ("encoders",))


@pytest.mark.parametrize("path", LEAVES, ids=config_id)
def test_a_config_is_short_and_headed_by_its_command(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 30
    assert lines[0].startswith(("# ./run.sh ", "# python tools/"))


@pytest.mark.parametrize("path", UMT, ids=config_id)
def test_umt_builds_and_runs_forward_on_the_feature_widths_of_its_data(path):
    torch.manual_seed(0)
    cfg = load_config(path)
    model = build(cfg.model, MODELS)
    B, T, L = 2, 30, 6
    dims = cfg.data["train"]["video_dims"]
    video_dims = dims if isinstance(dims, int) else sum(dims)
    data = dict(video=torch.randn(B, T, video_dims), saliency=torch.rand(B, T), meta=[{}, {}])
    data["saliency"][1, 20:] = -1
    data["boundary"] = torch.tensor([[[0.0, 4], [3, 5]], [[1, 3], [-1, -1]]])
    if cfg.data["train"].get("audio_path"):
        data["audio"] = torch.randn(B, T, cfg.model.audio_enc.dims[0])
    if cfg.data["train"].get("query_path") or cfg.data["train"].get("glove_path"):
        data["query"] = torch.randn(B, L, cfg.model.query_gen.dims[0])
        data["query"][1, 4:] = torch.inf
    output = model(data, mode="val")
    assert finite_losses(output)
    heads = cfg.model.pred_head if isinstance(cfg.model.pred_head, list) else [cfg.model.pred_head]
    types = {head["type"] for head in heads}
    if "SaliencyHead" in types:
        saliency = output["_out"]["saliency"]
        assert saliency.shape == (B, T)
        assert not saliency[1, 20:].any()
    if "BoundaryHead" in types:
        windows = output["_out"]["boundary"]
        assert windows.shape == (B, T, 3)
        assert (windows[..., 1] >= windows[..., 0]).all()


def test_every_config_with_a_model_is_run():
    assert {*UMT, *CLIP_IT} == set(WITH_MODEL)
    assert len(CLIP_IT) >= 4


@pytest.mark.parametrize("path", CLIP_IT, ids=config_id)
def test_clip_it_scores_every_frame(path):
    """Score two videos of different lengths with three sentences, or with the seven that ModelScope's model reads."""
    torch.manual_seed(0)
    model = build(load_config(path).model, MODELS).eval()
    N = getattr(model, "sentences", 3)
    data = dict(video=F.normalize(torch.randn(2, 30, model.video_dims), dim=-1), saliency=torch.rand(2, 30),
                query=F.normalize(torch.randn(2, N, model.text_dims), dim=-1), meta=[dict(vid="a"), dict(vid="b")])
    data["saliency"][1, 20:], data["video"][1, 20:] = -1, 0
    output = model(data, mode="val")
    scores = output["_out"]["saliency"]
    assert finite_losses(output)
    assert scores.shape == (2, 30)
    assert torch.isfinite(scores).all()
    assert not scores[1, 20:].any()
    assert len(scores[0].unique()) > 1 or model.axes.any() == 0   # The first training fits the axes.


@pytest.mark.skipif(not ONE_SAMPLE.is_dir(), reason="needs ../shared/data/qvhighlights/one_sample")
@pytest.mark.parametrize("name", ["umt_base_200e_qvhighlights", "umt_base_200e_qvhighlights_clip"])
def test_the_published_config_reads_public_features(tmp_path, name):
    """Read the public features of one sample with only the folders changed; the audio features are synthetic."""
    datasets.register()
    cfg = load_config(CONFIGS / "qvhighlights" / f"{name}.py")
    label = json.loads((ONE_SAMPLE / "label.jsonl").read_text())
    np.save(tmp_path / f"{label['vid']}.npy", np.random.default_rng(0).random((75, 2048), np.float32))
    data = cfg.data["val"]
    data.label_path, data.query_path = str(ONE_SAMPLE / "label.jsonl"), str(ONE_SAMPLE / "clip_text_features")
    sample_folders = dict(slowfast_features="slowfast_video_features", clip_features="clip_video_features")
    folders = [data.video_path] if isinstance(data.video_path, str) else data.video_path
    data.video_path = [str(ONE_SAMPLE / sample_folders.get(Path(f).name, "clip_video_features")) for f in folders]
    if data.get("audio_path"):
        data.audio_path = str(tmp_path)
    loader = build_loader(data, 0)
    model = build(cfg.model, MODELS).eval()
    assert loader.dataset.check() == []
    assert dry_run_errors(model, {"val": loader}, ["MR-full-mAP"]) == []
    with torch.no_grad():
        lines = loader.dataset.predictions([NNDataParallel(model)(batch, mode="test")["_out"] for batch in loader])
    assert [line["qid"] for line in lines] == [label["qid"]]
    assert len(lines[0]["pred_saliency_scores"]) == 75
    assert all(0 <= start < end <= 150 for start, end, _ in lines[0]["pred_relevant_windows"])


def test_pretraining_and_fine_tuning_have_the_same_weights():
    """Guarantee that a pretrained checkpoint loads for fine-tuning."""
    folder = CONFIGS / "qvhighlights"
    shapes = [{k: v.shape for k, v in build(load_config(folder / f"{name}.py").model, MODELS).state_dict().items()}
              for name in ("umt_base_pretrain_100e_asr", "umt_base_finetune_200e_qvhighlights")]
    assert shapes[0] == shapes[1]
    heads = load_config(folder / "umt_base_pretrain_100e_asr.py").model.pred_head
    assert heads[0].saliency_loss.loss_weight == 0
    assert heads[1].type == "BoundaryHead"


def test_windows_on_charades_are_in_sixths_of_a_second():
    head = load_config(CONFIGS / "charades" / "umt_base_va_100e_charades.py").model.pred_head
    assert (head.unit, head.window_loss.loss_weight, head.offset_loss.loss_weight) == (1 / 6, 0.05, 0.5)
