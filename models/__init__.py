"""Models and encoders; importing this registers them in nncore's MODELS."""

from . import blocks
from .model import UMT

__all__ = ["UMT", "blocks"]
