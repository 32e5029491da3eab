"""What trained models read, and how they may be asked."""

from __future__ import annotations

from pathlib import Path

import torch.nn as nn
from nncore import Config

from common.errors import InputError
from models.encoders import Encoders


def reads_sentences(model: nn.Module | None) -> bool:
    """Whether the model reads a whole video and any number of sentences at once, none too, as CLIP-It does."""
    return bool(getattr(model, "scores_whole_video", False))


def takes_text(model: nn.Module) -> bool:
    """Whether the model was trained to be asked in words."""
    return bool(getattr(model, "accepts_text", False))


def needs_text(model: nn.Module) -> bool:
    """Whether the model says nothing unless it is asked in words."""
    return bool(getattr(model, "requires_text", False))


def check_asked(model: nn.Module | None, texts: tuple[str, ...]) -> None:
    """Raises an InputError for sentences to a model that takes none, or none to one that needs them."""
    if model is not None and texts and not takes_text(model):
        raise InputError("this model was trained without words and cannot be asked; leave the sentences out")
    if model is not None and not texts and needs_text(model):
        raise InputError("this model looks for what is asked; give a sentence, or leave config and checkpoint out for "
                         "a summary without words")


def parts_read(model: nn.Module, cfg: Config, encoders: Encoders, path: Path) -> list[str]:
    """The parts that a config's model reads, in the order of its feature folders, if these are known.

    Raises:
        InputError: the encoders make features of another width than the model takes.
    """
    splits = cfg.get("data", {}).values()
    folders: str | list[str] = next((split["video_path"] for split in splits if "video_path" in split), [])
    parts = [Path(folder).name for folder in ([folders] if isinstance(folders, str) else folders)]
    if not parts or not set(parts) <= set(encoders.visual.parts):
        parts = list(encoders.visual.parts)
    pictures = sum(encoders.visual.parts[part] for part in parts)
    made = dict(video_enc=pictures, audio_enc=None if encoders.audio is None else encoders.audio.dims,
                query_gen=encoders.text.dims)
    takes = {name: ((cfg.model.get(name) or {}).get("dims") or [None])[0] for name in made}
    if reads_sentences(model):
        made = dict(video_dims=pictures, text_dims=encoders.text.dims)
        takes = {name: getattr(model, name) for name in made}
    for name, width in made.items():
        if takes[name] is not None and takes[name] != width:
            raise InputError(f"{path}: model.{name} takes features {takes[name]} wide, the config's encoders make "
                             f"{width or 'none'}; name the encoders that the model was trained with")
    return parts
