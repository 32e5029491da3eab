"""Building blocks of UMT and CLIP-It; importing this package registers them in nncore's MODELS."""

from .attention import Attention
from .bottleneck_transformer import BottleneckTransformer
from .boundary_head import BoundaryHead
from .cross_modal_encoder import CrossModalEncoder
from .decoder_layer import DecoderLayer
from .encoder_layer import EncoderLayer
from .feed_forward import FeedForward
from .frame_context import FrameContext
from .position_embedding import PositionEmbedding
from .query_decoder import QueryDecoder
from .query_generator import QueryGenerator
from .saliency_head import SaliencyHead
from .standardize import Standardize
from .temporal_context import TemporalContext
from .uni_modal_encoder import UniModalEncoder

__all__ = [
    "Attention", "BottleneckTransformer", "BoundaryHead", "CrossModalEncoder", "DecoderLayer", "EncoderLayer",
    "FeedForward", "FrameContext", "PositionEmbedding", "QueryDecoder", "QueryGenerator",
    "SaliencyHead", "Standardize", "TemporalContext", "UniModalEncoder",
]
