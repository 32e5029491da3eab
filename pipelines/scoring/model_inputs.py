"""Determine the features that a trained model expects, and check that the encoders make them."""

from __future__ import annotations

from pathlib import Path

import torch.nn as nn
from nncore import Config

from common.errors import ConfigError
from models.encoders import Encoders

from .usable_configs import suggest_config


def model_parts(model: nn.Module, cfg: Config, encoders: Encoders) -> list[str]:
    """Return the parts of the visual features that the model of a config expects, in order.

    The order is that of the feature folders in `data`. If these are not named after parts of the encoder, the model
    expects all parts in the order of the encoder.

    Raises:
        ConfigError: the encoders make features of other dimensions than the model expects.
    """
    splits = cfg.get("data", {}).values()
    folders: str | list[str] = next((split["video_path"] for split in splits if "video_path" in split), [])
    parts = [Path(folder).name for folder in ([folders] if isinstance(folders, str) else folders)]
    if not parts or not set(parts) <= set(encoders.visual.parts):
        parts = list(encoders.visual.parts)
    _check_dimensions(model, cfg, encoders, sum(encoders.visual.parts[part] for part in parts))
    return parts


def _check_dimensions(model: nn.Module, cfg: Config, encoders: Encoders, visual_dims: int) -> None:
    """Compare the feature dimensions of the encoders with those that the model expects, where these are known."""
    available: dict[str, int | None]
    if model.scores_whole_video:
        available = dict(video_dims=visual_dims, text_dims=encoders.text.dims)
        expected = {name: getattr(model, name) for name in available}
    else:
        available = dict(video_enc=visual_dims, audio_enc=None if encoders.audio is None else encoders.audio.dims,
                         query_gen=encoders.text.dims)
        expected = {name: ((cfg.model.get(name) or {}).get("dims") or [None])[0] for name in available}
    for name, dims in available.items():
        if expected[name] is not None and expected[name] != dims:
            raise ConfigError(f"{cfg.filename}: model.{name}", f"expects features of {expected[name]} dimensions, but "
                              f"the encoders of the config make {dims or 'none'}", suggest_config(cfg))
