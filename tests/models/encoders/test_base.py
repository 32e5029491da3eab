"""Clips, crops, chunks of texts, and encoders that are built from a config."""

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
from models.encoders.base import TextEncoder, autocast, join_chunks, normalize_rows, resize_and_crop

LOG_MEL = dict(type="LogMelStatistics")


@pytest.mark.parametrize(("duration_s", "clips"), [
    (0, 1), (0.04, 1), (2, 1), (2.5, 1), (2.51, 2), (4, 2), (150, 75), (150.4, 75), (149.6, 75), (149, 75),
    (Fraction(30000, 1001), 15), (Fraction(5, 2), 1), (Fraction(2501, 1000), 2)])
def test_a_remainder_of_a_quarter_clip_is_joined_to_the_last_clip(duration_s, clips):
    assert num_clips(duration_s, 2) == clips


def test_num_clips_of_other_clip_lengths():
    assert [num_clips(10, length) for length in (1, 2.5, 4, 8, 100)] == [10, 4, 3, 1, 1]


SIZES = [(432, 768), (500, 211), (224, 224), (225, 224), (50, 333), (1, 1), (223, 1000)]


@pytest.mark.parametrize("size", SIZES)
def test_resizing_and_cropping_equal_torchvisions(size):
    frame = np.random.default_rng(size).integers(0, 256, (*size, 3)).astype(np.uint8)
    official = Compose([Resize(224, interpolation=InterpolationMode.BICUBIC), CenterCrop(224)])
    assert np.array_equal(resize_and_crop(frame, 224), np.asarray(official(Image.fromarray(frame))))


def test_non_contiguous_frames_are_accepted():
    frame = np.random.default_rng(0).integers(0, 256, (90, 60, 3)).astype(np.uint8)
    assert np.array_equal(resize_and_crop(np.rot90(frame), 32), resize_and_crop(np.rot90(frame).copy(), 32))


def test_chunks_are_joined_in_order_and_weighted_by_their_tokens():
    one = TextFeature(np.full((3, 2), 1, np.float32), np.array([1, 0], np.float32))
    two = TextFeature(np.full((1, 2), 2, np.float32), np.array([0, 1], np.float32))
    joined = join_chunks([one, two])
    assert joined.last_hidden_state.tolist() == [[1, 1]] * 3 + [[2, 2]]
    np.testing.assert_allclose(joined.pooler_output, np.array([3, 1]) / 10**0.5, rtol=1e-6)
    assert joined.pooler_output.dtype == np.float32


def test_a_single_chunk_is_returned_unchanged():
    chunk = TextFeature(np.full((3, 2), 1, np.float32), np.array([1, 0], np.float32))
    assert join_chunks([chunk]) is chunk


def test_rows_have_unit_norm_and_zero_rows_stay():
    assert normalize_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0, 0]]


def test_auto_precision_is_bfloat16_where_the_cpu_supports_it():
    product = torch.ones(4, 4)
    with autocast(product.device, "auto"):
        assert (product @ product).dtype == (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
    with autocast(product.device, "float32"):
        assert (product @ product).dtype == torch.float32


@pytest.mark.parametrize("config, audio", [("clip", "Cnn14"), ("offline", "LogMelStatistics")])
def test_the_configs_name_registered_encoders(config, audio):
    cfg = load_config(f"configs/zeroshot/{config}.py").encoders
    assert list(cfg) == ["visual", "text", "audio"]
    assert cfg["audio"]["type"] == audio
    assert all(part["type"] in MODELS for part in cfg.values())


def test_the_clip_encoders_share_one_network_in_evaluation_mode(clip_file):
    cfg = load_config("configs/zeroshot/clip.py").encoders
    cfg = {kind: dict(cfg[kind], weights=str(clip_file)) for kind in ("visual", "text")}
    encoders = build_encoders(cfg)
    assert encoders.visual.network is encoders.text.network
    assert encoders.audio is None
    assert not encoders.visual.training
    assert not encoders.text.training


@pytest.mark.parametrize(("cfg", "message"), [
    pytest.param(dict(visual=LOG_MEL), "encoders: no 'text'", id="no_text"),
    pytest.param(dict(text=LOG_MEL, visual=None), "encoders: no 'visual'", id="no_visual"),
    pytest.param(dict(visual=LOG_MEL, text=LOG_MEL, vidoe=None), "encoders: unknown 'vidoe'", id="unknown_kind"),
    pytest.param(dict(visual=LOG_MEL, text=LOG_MEL), "encoders.visual: LogMelStatistics is not a VisualEncoder",
                 id="other_kind"),
    pytest.param(dict(visual=dict(type="CLIPimage"), text=LOG_MEL), "'CLIPimage'; did you mean 'CLIPImage'",
                 id="unknown_type"),
    pytest.param(dict(visual=dict(type="CLIPImage", archi=1), text=LOG_MEL),
                 "no argument 'archi'; did you mean 'arch'", id="unknown_argument"),
])
def test_an_invalid_config_is_refused(cfg, message):
    with pytest.raises(InputError, match=message):
        build_encoders(cfg)


def test_few_token_vectors_are_in_memory_while_texts_are_embedded():
    class Lengths(TextEncoder):
        batches = []   # noqa: RUF012

        def encode(self, texts):
            self.batches.append(len(texts))
            return [TextFeature(np.zeros((1, 1)), np.array([len(text)])) for text in texts]

    shares = []
    rows = Lengths().embed(["x" * (i % 7 + 1) for i in range(600)], shares.append)
    assert rows[:, 0].tolist() == [i % 7 + 1 for i in range(600)]
    assert Lengths.batches == [256, 256, 88]
    assert shares == [256 / 600, 512 / 600, 1]
