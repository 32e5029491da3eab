"""Models, which importing this package registers in nncore's MODELS; `models.encoders` registers the encoders."""

from . import blocks
from .clip_it import CLIPIt
from .clip_it_modelscope import CLIPItModelScope
from .model import UMT

__all__ = ["UMT", "CLIPIt", "CLIPItModelScope", "blocks"]
