"""Encoders of images, audio and text; importing this package registers them in nncore's MODELS."""

from .base import Encoders, TextFeature, build_encoders
from .clip_image import CLIPImage
from .clip_text import CLIPText
from .cnn14 import Cnn14
from .efficient_net_conse import EfficientNetConSE
from .log_mel_statistics import LogMelStatistics
from .mini_lm_text import MiniLMText

__all__ = ["CLIPImage", "CLIPText", "Cnn14", "EfficientNetConSE", "Encoders", "LogMelStatistics",
           "MiniLMText", "TextFeature", "build_encoders"]
