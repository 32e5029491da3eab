"""Models and encoders; importing this registers them in nncore's MODELS."""

from . import blocks, encoders
from .model import UMT

__all__ = ["UMT", "blocks", "encoders"]
