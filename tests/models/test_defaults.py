"""The default hyperparameters are the published ones; checkpoints and configs rely on them."""

import inspect

import pytest
import torch

from models import UMT
from models.blocks import boundary_head
from models.blocks.attention import Attention
from models.blocks.bottleneck_transformer import BottleneckTransformer
from models.blocks.boundary_head import BoundaryHead
from models.blocks.decoder_layer import DecoderLayer
from models.blocks.encoder_layer import EncoderLayer
from models.blocks.feed_forward import FeedForward
from models.blocks.frame_context import FrameContext
from models.blocks.position_embedding import PositionEmbedding
from models.blocks.query_generator import NUM_EMPTY_TOKENS, QueryGenerator
from models.blocks.standardize import Standardize
from models.blocks.temporal_context import TemporalContext
from models.blocks.uni_modal_encoder import UniModalEncoder
from models.clip_it import RELEVANCE_SCALE, CLIPIt
from models.clip_it_modelscope import LAYER_NORM_EPS, CLIPItModelScope

DEFAULTS = {
    Attention: dict(heads=8, p=0.1),
    BottleneckTransformer: dict(num_tokens=4, num_layers=1, heads=8, ratio=4, p=0.1),
    BoundaryHead: dict(radius_factor=0.2, sigma_factor=0.2, kernel=1, unit=2, max_num_moments=100),
    CLIPIt: dict(dims=8, shared=0, heads=2, layers=1, p=0.2, noise=0.125, p_text=0.1, smooth_s=5, row_s=1, window=1024,
                 members=1, cache=False, axes=0, propagation=0),
    CLIPItModelScope: dict(dims=512, sentences=7, layers=6, hidden=2048, heads=8, head_dims=256, text_heads=4,
                           positions=4000, p=0.5),
    DecoderLayer: dict(heads=8, ratio=4, p=0.1),
    EncoderLayer: dict(heads=8, ratio=4, p=0.1),
    FeedForward: dict(ratio=4, p=0.1),
    FrameContext: dict(smooth_s=5),
    PositionEmbedding: dict(p=0.1, max_len=5000),
    QueryGenerator: dict(p=0.3),
    Standardize: dict(noise=0),
    TemporalContext: dict(layers=3, kernel=5, p=0.1),
    UMT: dict(mask_padding=True),
    UniModalEncoder: dict(p=0.5, standardize=False, noise=0),
}


@pytest.mark.parametrize("component", DEFAULTS, ids=lambda component: component.__name__)
def test_default_hyperparameters(component):
    parameters = inspect.signature(component.__init__).parameters
    assert {name: parameters[name].default for name in DEFAULTS[component]} == DEFAULTS[component]


def test_constants_of_the_published_code():
    assert (NUM_EMPTY_TOKENS, RELEVANCE_SCALE, LAYER_NORM_EPS) == (10, 5, 1e-6)
    head = boundary_head.BoundaryHead([4, 1])
    assert head.window_loss.loss_weight == 0.1
    assert head.offset_loss.loss_weight == 1


def test_initial_tokens_have_the_published_scale():
    torch.manual_seed(0)
    assert BottleneckTransformer(64, num_tokens=200).token.std().item() == pytest.approx(1 / 8, rel=0.02)
