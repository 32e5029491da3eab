"""Cross-validation rescoring: score a trained fold's test videos with other sentences than their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

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
from pipelines.scoring.queries import embed_texts
from pipelines.shots.segmentation import change_points, shots_from_change_points

OWN_SENTENCES = "own"
SENTENCE_SOURCES = dict(
    own="the video's own sentences",
    other="the sentences of the fold's next video, which are unrelated",
    none="no sentences",
    captions="captions of the video's shots, which the product uses when there is no query")


def check_sentences(name: str) -> None:
    """Check the name of a sentence source.

    Raises:
        InputError: the name is not in `SENTENCE_SOURCES`.
    """
    if name not in SENTENCE_SOURCES:
        raise InputError(None, f"--sentences {name!r}: unknown choice", suggest(name, SENTENCE_SOURCES))


def rescore_videos(folder: Path, videos: Mapping[str, SummarizedVideo], sentences: str) -> dict[str, np.ndarray]:
    """Score a fold's test videos with the best weights of its training.

    Args:
        folder: work dir of the training, with `config.py` and `best.pth`.
        videos: the test videos with the features that the model reads; `own` and `other` also need their sentences.
        sentences: a key of `SENTENCE_SOURCES`.

    Returns:
        (T,) scores by video, rounded to six decimals.

    Raises:
        InputError: the videos have no sentences, or the config has no encoders for captions.
    """
    cfg, names = load_config(folder / "config.py"), list(videos)
    without_text = [name for name in names if videos[name].text is None]
    if sentences in (OWN_SENTENCES, "other") and without_text:
        raise InputError(None, f"--sentences {sentences}: {without_text[0]} has no sentences in the h5 file",
                         "specify their key as `text` in the config's data")
    encoders = None
    if sentences == "captions":
        if "encoders" not in cfg:
            raise InputError(folder / "config.py", "has no encoders, which --sentences captions needs",
                             "add a base from configs/_base_/encoders")
        encoders = build_encoders({kind: cfg.encoders[kind] for kind in ("visual", "text")})
    model = build(cfg.model, MODELS, location="model").eval()
    load_checkpoint(model, folder / "best.pth")
    scores = {}
    for i, name in enumerate(names):
        shift = 1 if sentences == "other" else 0
        query = None if sentences == "none" else videos[names[(i + shift) % len(names)]].text
        if encoders is not None:
            query = caption_embeddings(videos[name].features, encoders)
        video = torch.from_numpy(videos[name].features)[None]
        data = dict(video=video, saliency=torch.ones(1, video.size(1)))
        if query is not None:
            data["query"] = torch.from_numpy(np.asarray(query, dtype=np.float32))[None]
        with torch.inference_mode():
            scores[name] = model(data, mode="test")["_out"]["saliency"][0].numpy().astype(np.float64).round(6)
    return scores


def caption_embeddings(features: np.ndarray, encoders: Encoders) -> np.ndarray | None:
    """Caption the shots of a video, which KTS finds, and embed the captions.

    Args:
        features: (T, V) visual features, the parts of the visual encoder concatenated.
        encoders: visual and text encoder.

    Returns:
        (N, D), one row per different caption; None if no shot can be captioned.
    """
    parts = encoders.visual.parts
    columns = np.split(features, np.cumsum(list(parts.values()))[:-1], axis=1)
    visual, blank = dict(zip(parts, columns, strict=True)), np.zeros(len(features), dtype=bool)
    shots = shots_from_change_points(change_points(normalize_rows(columns[0])), len(features))
    sentences = VocabularyCaptioner(encoders).describe_features(visual, blank, shots)
    captions = {text for text in sentences if text not in (UNNAMED, BLANK)}
    return embed_texts(encoders, list(captions)) if captions else None
