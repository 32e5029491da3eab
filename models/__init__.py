"""Models and encoders; importing this registers them in nncore's MODELS."""

from . import blocks
from .clip_it import CLIPIt
from .clip_it_modelscope import CLIPItModelScope
from .model import UMT

__all__ = ["UMT", "CLIPIt", "CLIPItModelScope", "blocks"]
