"""models/encoders/base.py: clips, crops, joined pieces, and building from a config."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from nncore.nn import MODELS
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from common.config import load_config
from common.errors import InputError
from common.temporal import num_clips
from models.device import cpu_has_bfloat16
from models.encoders import TextFeature, build_encoders
from models.encoders.base import autocast, crop_square, join_pieces, normalize_rows

OFFLINE_SOUND = dict(type="LogMelStatistics")


@pytest.mark.parametrize(("duration_s", "clips"), [
    (0, 1), (0.04, 1), (2, 1), (2.5, 1), (2.51, 2), (4, 2), (150, 75), (150.4, 75), (149.6, 75), (149, 75),
    (Fraction(30000, 1001), 15), (Fraction(5, 2), 1), (Fraction(2501, 1000), 2)])
def test_a_rest_of_a_quarter_clip_belongs_to_the_last(duration_s, clips):
    assert num_clips(duration_s, 2) == clips


def test_num_clips_of_other_lengths():
    assert [num_clips(10, length) for length in (1, 2.5, 4, 8, 100)] == [10, 4, 3, 1, 1]


SIZES = [(432, 768), (500, 211), (224, 224), (225, 224), (50, 333), (1, 1), (223, 1000)]


@pytest.mark.parametrize("size", SIZES)
def test_crop_is_that_of_torchvision(size):
    frame = np.random.default_rng(size).integers(0, 256, (*size, 3)).astype(np.uint8)
    official = Compose([Resize(224, interpolation=InterpolationMode.BICUBIC), CenterCrop(224)])
    assert np.array_equal(crop_square(frame, 224), np.asarray(official(Image.fromarray(frame))))


def test_crop_takes_views():
    frame = np.random.default_rng(0).integers(0, 256, (90, 60, 3)).astype(np.uint8)
    assert np.array_equal(crop_square(np.rot90(frame), 32), crop_square(np.rot90(frame).copy(), 32))


def test_pieces_join_in_order_and_weigh_by_their_tokens():
    one = TextFeature(np.full((3, 2), 1, np.float32), np.array([1, 0], np.float32))
    two = TextFeature(np.full((1, 2), 2, np.float32), np.array([0, 1], np.float32))
    joined = join_pieces([one, two])
    assert joined.last_hidden_state.tolist() == [[1, 1]] * 3 + [[2, 2]]
    np.testing.assert_allclose(joined.pooler_output, np.array([3, 1]) / 10**0.5, rtol=1e-6)
    assert joined.pooler_output.dtype == np.float32 and join_pieces([one]) is one


def test_unit_rows_keeps_zeros():
    assert normalize_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0, 0]]


def test_auto_precision_is_what_the_machine_is_fast_at():
    product = torch.ones(4, 4)
    with autocast(product.device, "auto"):
        assert (product @ product).dtype == (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
    with autocast(product.device, "float32"):
        assert (product @ product).dtype == torch.float32


def test_the_clip_config_names_registered_types_and_known_arguments(clip_file):
    for config, sound in (("clip", "Cnn14"), ("offline", "LogMelStatistics")):
        cfg = load_config(f"configs/zeroshot/{config}.py").encoders
        assert list(cfg) == ["visual", "text", "audio"] and cfg["audio"]["type"] == sound
        assert all(part["type"] in MODELS for part in cfg.values())
    cfg = load_config("configs/zeroshot/clip.py").encoders
    cfg = {kind: dict(cfg[kind], weights=str(clip_file)) for kind in ("visual", "text")}
    encoders = build_encoders(cfg)
    assert encoders.visual.network is encoders.text.network and encoders.audio is None
    assert not encoders.visual.training and not encoders.text.training


@pytest.mark.parametrize(("cfg", "message"), [
    (dict(visual=OFFLINE_SOUND), "encoders: no 'text'"),
    (dict(text=OFFLINE_SOUND, visual=None), "encoders: no 'visual'"),
    (dict(visual=OFFLINE_SOUND, text=OFFLINE_SOUND, vidoe=None), "encoders: unknown 'vidoe'"),
    (dict(visual=OFFLINE_SOUND, text=OFFLINE_SOUND), "encoders.visual: LogMelStatistics is no VisualEncoder"),
    (dict(visual=dict(type="CLIPimage"), text=OFFLINE_SOUND), "'CLIPimage'; did you mean 'CLIPImage'"),
    (dict(visual=dict(type="CLIPImage", archi=1), text=OFFLINE_SOUND), "no argument 'archi'; did you mean 'arch'"),
])
def test_faulty_configs_are_named(cfg, message):
    with pytest.raises(InputError, match=message):
        build_encoders(cfg)
