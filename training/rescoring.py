"""A trained fold's videos scored with other sentences than their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from nncore.nn import MODELS

from common.build import build, suggest
from common.config import load_config
from common.errors import InputError
from datasets.annotations.summarization_h5 import SummarizedVideo
from models.checkpoint import load_checkpoint
from models.encoders import Encoders, build_encoders
from models.encoders.base import normalize_rows
from pipelines.scoring.captions import BLANK, UNNAMED, VocabularyCaptioner
from pipelines.scoring.importance import embedded
from pipelines.shots.segmentation import change_points, shots_from_change_points

OWN = "own"
SENTENCES = dict(own="the video's own", other="those of the next video of the fold, which tell nothing of it",
                 none="none", captions="what the embedded captioner says of its shots, as where nothing is asked")


def check_sentences(name: str) -> None:
    """Raises an InputError for a name that is none of `SENTENCES`."""
    if name not in SENTENCES:
        raise InputError(f"--sentences {name!r}: no such choice; {suggest(name, SENTENCES)}")


def rescored(folder: Path, videos: Mapping[str, SummarizedVideo], sentences: str) -> dict[str, np.ndarray]:
    """Scores of the tested videos by a training's best weights.

    Args:
        folder: of the training: `config.py`, `best.pth`.
        videos: the tested ones, with the features that the model reads and, but for `none` and `captions`, sentences.
        sentences: of `SENTENCES`.

    Raises:
        InputError: the videos have no sentences, or the config no encoders that captions could be made with.
    """
    cfg, names = load_config(folder / "config.py"), list(videos)
    lacking = [name for name in names if videos[name].text is None]
    if sentences in (OWN, "other") and lacking:
        raise InputError(f"--sentences {sentences}: {lacking[0]} has no sentences in the h5 file; name their key in "
                         "the config's data, text=")
    encoders = None
    if sentences == "captions":
        if "encoders" not in cfg:
            raise InputError(f"--sentences captions: {folder / 'config.py'} has no encoders, whose names captions are")
        encoders = build_encoders({kind: cfg.encoders[kind] for kind in ("visual", "text")})
    model = build(cfg.model, MODELS, location="model").eval()
    load_checkpoint(model, folder / "best.pth")
    scores = {}
    for i, name in enumerate(names):
        said = None if sentences == "none" else videos[names[(i + (sentences == "other")) % len(names)]].text
        if encoders is not None:
            said = captions(videos[name].features, encoders)
        video = torch.from_numpy(videos[name].features)[None]
        data = dict(video=video, saliency=torch.ones(1, video.size(1)))
        if said is not None:
            data["query"] = torch.from_numpy(np.asarray(said, dtype=np.float32))[None]
        with torch.inference_mode():
            scores[name] = model(data, mode="test")["_out"]["saliency"][0].numpy().astype(np.float64).round(6)
    return scores


def captions(features: np.ndarray, encoders: Encoders) -> np.ndarray | None:
    """(N, D) embeddings of what the embedded captioner says of a video's shots by KTS; None where it says nothing.

    Args:
        features: (T, V), the encoders' parts side by side.
    """
    parts = encoders.visual.parts
    columns = np.split(features, np.cumsum(list(parts.values()))[:-1], axis=1)
    video = SimpleNamespace(visual=dict(zip(parts, columns, strict=True)),
                            blank=lambda: np.zeros(len(features), dtype=bool))
    shots = shots_from_change_points(change_points(normalize_rows(columns[0])), len(features))
    told = {text for text in VocabularyCaptioner(encoders).sentences(video, shots) if text not in (UNNAMED, BLANK)}
    return embedded(encoders, list(told)) if told else None
