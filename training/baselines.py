"""What a metric is worth: the same metric for chance, for other words, without training, and for the labels."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
from nncore.engine import Engine
from torch.utils.data import Dataset

from datasets.eval import eval_qvhighlights
from datasets.features.folder import read_array, read_matrix
from models.encoders import build_encoders
from pipelines.scoring.relevance import find_moments, sentence_scores

from .evaluation import predict
from .loaders import make_loader

SHUFFLES = 5
CORRELATIONS = ("kendall", "spearman")   # shown with three decimals, the others are in per cent
SHOWN = ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video", "MR-full-R1@0.5", "MR-full-R1@0.7",
         "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1")


class ShuffledQueries(Dataset):
    """A dataset whose items are asked for with the query of another video.

    Args:
        dataset: items with `query`, labels with `vid`.
        seed: which other video.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset, self.labels, self.num_clips = dataset, dataset.labels, dataset.num_clips
        self.others = other_videos([label["vid"] for label in dataset.labels], seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        return {**self.dataset[index], "query": self.dataset[self.others[index]]["query"]}


def other_videos(vids: list[str], seed: int) -> list[int]:
    """For every item the index of one, drawn by the seed, whose video is another."""
    draw = random.Random(seed)
    return [draw.choice([j for j, other in enumerate(vids) if other != vid] or [i]) for i, vid in enumerate(vids)]


def beside(engine: Engine, cfg: dict, split: str) -> dict[str, dict[str, float]]:
    """The split's metrics for what the model is to be compared with.

    Args:
        engine: holds the trained model.
        cfg: its config.
        split: whose labels count.

    Returns:
        Metrics by column: `shuffled`, the model asked with another video's query (mean of 5 draws);
        `random` scores and windows and `oracle`, the labels themselves, where the dataset knows them;
        `zeroshot`, where the features hold the encoders' shared space.
    """
    dataset = engine.data_loaders[split].dataset
    columns = {}
    if dataset.query_path is not None:
        columns["shuffled"] = _shuffled(engine, dataset, cfg.data[split].get("loader", {}))
    known = dataset.floors()
    if "random" in known:
        columns["random"] = known["random"]
    if "encoders" in cfg:
        columns.update(_zero_shot(cfg.encoders, dataset))
    return {**columns, **known}   # the oracle last


def _shuffled(engine: Engine, dataset: Dataset, loader: dict) -> dict[str, float]:
    draws = []
    for seed in range(SHUFFLES):
        shuffled = make_loader(ShuffledQueries(dataset, seed), loader, seed)
        draws.append(dataset.evaluate(predict(engine, shuffled)))
    return {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}


def _zero_shot(cfg: dict, dataset: Dataset) -> dict[str, dict[str, float]]:
    """The metrics of clip-sentence similarity without training; none where the features lack the shared space."""
    encoders = build_encoders({kind: cfg[kind] for kind in ("visual", "text")})
    folders = {Path(folder).name: Path(folder) for folder in dataset.video_path}
    if encoders.visual.shared_part not in folders or Path(dataset.query_path).name != encoders.text.name:
        return {}
    clips = cache(lambda vid: read_matrix(folders[encoders.visual.shared_part] / f"{vid}.npz", "features"))
    lines = []
    for label in dataset.labels:
        sentence = read_array(Path(dataset.query_path) / f"qid{label['qid']}.npz", "pooler_output")
        curve = sentence_scores(encoders.visual.similarity(clips(label["vid"]), sentence[None]))[0]
        windows = [[first * dataset.clip_len_s, min((last + 1) * dataset.clip_len_s, label["duration"]), score]
                   for first, last, score in find_moments(curve)]
        lines.append(dict(qid=label["qid"], pred_saliency_scores=curve.tolist(),
                          pred_relevant_windows=windows or [[0, label["duration"], 0]]))
    return dict(zeroshot=eval_qvhighlights(lines, dataset.labels, dataset.clip_len_s)["brief"])


def format_table(columns: dict[str, dict[str, float]], title: str) -> str:
    """The main metrics as rows, the columns as given, for the screen."""
    keys = [key for key in SHOWN if key in columns["model"]] or sorted(columns["model"])
    width = max(len(key) for key in [*keys, title]) + 2
    lines = [title.ljust(width) + "".join(name.rjust(11) for name in columns)]
    for key in keys:
        digits = 3 if key in CORRELATIONS else 2
        lines.append(key.ljust(width) + "".join(
            (f"{column[key]:.{digits}f}" if key in column else "-").rjust(11) for column in columns.values()))
    return "\n".join(lines)
