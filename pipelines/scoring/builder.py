"""Build scorers from configs."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import torch.nn as nn
from nncore import Config
from nncore.nn import MODELS

from common.build import build, suggest
from common.config import load_config
from common.errors import ConfigError, InputError
from common.paths import CONFIGS
from models.checkpoint import load_checkpoint
from models.device import best_device
from models.encoders import Encoders

from .blend import BlendedScorer
from .clip_it import CLIPItScorer
from .importance import VISUAL_PARTS, load_importance_model
from .model_inputs import model_parts
from .query_free import ImportanceScorer, NoveltyScorer
from .scorers import DEFAULT_OPTIONS, Scorer, ScoringOptions
from .sliding_window import WINDOW_CLIPS, SlidingWindowScorer
from .usable_configs import suggest_config
from .zero_shot import ZeroShotScorer

DEFAULT_CONFIG = CONFIGS / "zeroshot/offline.py"
IMPORTANCE_USES = ("blend", "only", "off")


def load_scoring_config(config: str | os.PathLike | None, checkpoint: str | os.PathLike | None) -> Config:
    """Load the config of a summarizer and check that it fits the checkpoint.

    Args:
        config: a config file; None for the embedded encoders without a trained model.
        checkpoint: the weights of its model, or None.

    Raises:
        InputError: the config has no `encoders`, or only one of model and checkpoint is given.
    """
    if checkpoint is not None and config is None:
        raise InputError(checkpoint, "a checkpoint needs the config that it was trained with", "give the config, too")
    path = Path(DEFAULT_CONFIG if config is None else config)
    cfg = load_config(path)
    if "encoders" not in cfg:
        raise InputError(path, "has no 'encoders', which extract features from a video", suggest_config(cfg))
    if "model" in cfg and checkpoint is None:
        raise InputError(path, "has a model, which needs its weights", "give the checkpoint")
    if "model" not in cfg and checkpoint is not None:
        raise InputError(path, f"has no model to load {checkpoint} into", "give the config that it was trained with")
    return cfg


def load_model(cfg: Config, checkpoint: str | os.PathLike | None) -> nn.Module | None:
    """Build the model of a config and load its weights; None without a checkpoint."""
    if checkpoint is None:
        return None
    model = build(cfg.model, MODELS, location="model").eval().to(best_device())
    load_checkpoint(model, checkpoint)
    return model


def build_scorer(cfg: Config, encoders: Encoders, model: nn.Module | None, importance: str = "blend") -> Scorer:
    """Build the scorer of a config.

    Args:
        cfg: the config.
        encoders: the encoders of the config.
        model: the trained model of the config; None for zero-shot scores.
        importance: use of the shipped importance model in zero-shot scoring, see `build_summarizer`.

    Raises:
        InputError: the model expects features of other dimensions than the encoders make.
    """
    if importance not in IMPORTANCE_USES:
        raise ValueError(f"importance={importance!r} is none of {', '.join(IMPORTANCE_USES)}")
    options, _ = summarizer_options(cfg)
    if model is not None:
        parts = model_parts(model, cfg, encoders)
        if model.scores_whole_video:
            return CLIPItScorer(model, encoders, options=options)
        return SlidingWindowScorer(model, encoders, parts, cfg.get("window_clips", WINDOW_CLIPS), options=options)
    if importance == "off" or dict(encoders.visual.parts) != VISUAL_PARTS:
        return zero_shot_scorer(encoders, None, options)
    importance_model = load_importance_model()
    if importance == "only":
        return ImportanceScorer(importance_model, encoders, options=options)
    return zero_shot_scorer(encoders, importance_model, options)


def zero_shot_scorer(encoders: Encoders, importance_model: nn.Module | None = None,
                     options: ScoringOptions = DEFAULT_OPTIONS) -> BlendedScorer:
    """Build a scorer that scores by zero-shot similarity with a query, and by importance or novelty without.

    Args:
        encoders: the encoders of the videos to score.
        importance_model: contributes 20 % of the score with a query, and decides without; None for novelty without
            a query, and no contribution with one.
        options: smoothing, and limits on moments.
    """
    relevance = ZeroShotScorer(encoders, options=options)
    if importance_model is None:
        return BlendedScorer(relevance, NoveltyScorer(encoders, options=options), relevance_weight=1)
    return BlendedScorer(relevance, ImportanceScorer(importance_model, encoders, options=options))


def summarizer_options(cfg: Config) -> tuple[ScoringOptions, dict]:
    """Return the options of the scorer and of the summarizer in `summarizer=dict(...)` of a config.

    Raises:
        ConfigError: an unknown option.
    """
    given = dict(cfg.get("summarizer") or {})
    scoring = [field.name for field in fields(ScoringOptions)]
    known = [*scoring, "max_shot_s"]
    for key in given:
        if key not in known:
            raise ConfigError(f"{cfg.filename}: summarizer", f"unknown option {key!r}", suggest(key, known))
    of_scorer = {key: value for key, value in given.items() if key in scoring}
    return ScoringOptions(**of_scorer), {key: value for key, value in given.items() if key not in scoring}
