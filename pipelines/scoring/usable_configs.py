"""Suggest configs that can score videos, for the error message of a config that cannot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nncore import Config

from common.config import load_config
from common.paths import CONFIGS, ROOT

# Widths of the visual, audio and text features of the encoders in configs/_base_/encoders.
ENCODER_WIDTHS = dict(clip=(512, 2048, 512), offline=(1664, 256, 384))


def suggest_config(cfg: Config) -> str:
    """Return what to do if a config lacks the encoders that compute the features of its model from a video.

    Args:
        cfg: a config without encoders, or with encoders whose features have other dimensions than its model expects.

    Returns:
        A shipped config with the same model and its encoders; or the encoders that fit the model; or, if no encoder
        computes such features, e.g. for SlowFast, I3D or VGG, all shipped configs that can be used.
    """
    usable = usable_configs()
    same = [path for path, other in usable.items() if _as_text(other.get("model")) == _as_text(cfg.get("model"))]
    if same:
        return f"use {_shown(same[0])}, which has the same model with its encoders"
    widths = model_widths(cfg.get("model") or {})
    fitting = fitting_encoders(widths)
    if any(widths) and fitting:
        base = CONFIGS / "_base_" / "encoders" / f"{fitting[0]}.py"
        if "encoders" in cfg:
            return f"use the encoders of {_shown(base)}, which fit its model"
        return f"use a copy of it that has {os.path.relpath(base, Path(cfg.filename).parent)!r} in its _base_"
    unavailable = f"no encoder here computes features of {describe_widths(widths)}; " if any(widths) else ""
    listed = ", ".join(map(_shown, usable))
    return (f"{unavailable}use one of {listed} with a checkpoint that was trained with it, or leave out config and "
            "checkpoint for a summary without a trained model")


def usable_configs() -> dict[Path, Config]:
    """Return the shipped configs that have a model and the encoders of its features."""
    paths = sorted(path for path in CONFIGS.rglob("*.py") if "_base_" not in path.parts)
    loaded = {path: load_config(path) for path in paths}
    return {path: cfg for path, cfg in loaded.items()
            if "encoders" in cfg and "model" in cfg and fitting_encoders(model_widths(cfg["model"]))}


def fitting_encoders(widths: tuple[int | None, int | None, int | None]) -> list[str]:
    """Return the encoders in configs/_base_/encoders that make features of the given widths; None fits any width."""
    return [name for name, available in ENCODER_WIDTHS.items()
            if all(width in (None, made) for width, made in zip(widths, available, strict=True))]


def model_widths(model: Mapping) -> tuple[int | None, int | None, int | None]:
    """Return the widths of the visual, audio and text features that the model of a config reads; None for unknown."""
    if "video_dims" in model:   # CLIP-It
        return model["video_dims"], None, model.get("text_dims")
    visual, audio, text = (((model.get(name) or {}).get("dims") or [None])[0]
                           for name in ("video_enc", "audio_enc", "query_gen"))
    return visual, audio, text


def describe_widths(widths: tuple[int | None, int | None, int | None]) -> str:
    """Return text such as `2816 (visual), 2048 (audio) and 512 (text) dimensions`."""
    named = [f"{width} ({name})" for width, name in zip(widths, ("visual", "audio", "text"), strict=True) if width]
    return f"{' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))} dimensions"


def _as_text(model: object) -> str:
    """Return a text that is equal for equal configs; nncore's nodes cannot be compared."""
    return repr(model)


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT))
