"""Baselines to compare a model's metrics with: shuffled queries, random scores, zero-shot similarity, an oracle."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from nncore import Config
from nncore.engine import Engine
from torch.utils.data import Dataset

from datasets.eval import eval_qvhighlights
from datasets.features.folder import read_array, read_matrix
from models.encoders import build_encoders
from pipelines.scoring.moments import find_moments
from pipelines.scoring.relevance import query_scores

from .evaluation import predict
from .loaders import make_loader

NUM_QUERY_DRAWS = 5   # The shuffled-query baseline is the mean of this many random assignments.
CORRELATIONS = ("kendall", "spearman")   # The table shows three decimals of these, and two of percentages.
MAIN_METRICS = ("AP", "ROC-AUC", "HD-mAP-by-video", "HD-HIT@1-by-video", "MR-full-R1@0.5", "MR-full-R1@0.7",
                "MR-full-mAP", "HL-min-VeryGood-mAP", "HL-min-VeryGood-Hit1")
COLUMN_TITLES = dict(shuffled="shuffled queries", zeroshot="zero-shot")   # The other columns are titled by their key.


class MismatchedQueries(Dataset):
    """A dataset in which every item has the query of another video.

    Args:
        dataset: items with `query`, labels with `vid`.
        seed: random seed of the assignment.
    """

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset, self.labels, self.num_clips = dataset, dataset.labels, dataset.num_clips
        self.query_indices = draw_other_videos([str(label["vid"]) for label in dataset.labels], seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict:
        return {**self.dataset[index], "query": self.dataset[self.query_indices[index]]["query"]}


def draw_other_videos(vids: Sequence[str], seed: int) -> list[int]:
    """Return for each item the index of a random item of another video, or its own index if there is none."""
    draw = random.Random(seed)
    return [draw.choice([j for j, other in enumerate(vids) if other != vid] or [i]) for i, vid in enumerate(vids)]


def compute_baselines(engine: Engine, cfg: Config, split: str) -> dict[str, dict[str, float]]:
    """Compute a split's metrics for every baseline that applies to its dataset.

    Args:
        engine: the engine that holds the trained model.
        cfg: config of the model.
        split: name of the split.

    Returns:
        Metrics by baseline, the oracle last: `shuffled`, the model with another video's query (mean of 5 draws);
        `random` scores and windows, and `oracle`, the labels themselves, if the dataset defines them; `zeroshot`, the
        encoders' similarity, if the features contain their shared embedding space.
    """
    dataset = engine.data_loaders[split].dataset
    columns = {}
    if dataset.query_path is not None:
        columns["shuffled"] = _mismatched_query_metrics(engine, dataset, cfg.data[split].get("loader", {}))
    dataset_baselines = dataset.baselines()
    if "random" in dataset_baselines:
        columns["random"] = dataset_baselines["random"]
    if "encoders" in cfg:
        columns.update(_zero_shot_metrics(cfg.encoders, dataset))
    return {**columns, **dataset_baselines}


def _mismatched_query_metrics(engine: Engine, dataset: Dataset, loader_options: dict) -> dict[str, float]:
    draws = []
    for seed in range(NUM_QUERY_DRAWS):
        loader = make_loader(MismatchedQueries(dataset, seed), loader_options, seed)
        draws.append(dataset.evaluate(predict(engine, loader)))
    return {key: round(float(np.mean([d[key] for d in draws])), 2) for key in draws[0]}


def _zero_shot_metrics(cfg: dict, dataset: Dataset) -> dict[str, dict[str, float]]:
    """Compute the metrics of clip-query similarity without training.

    Returns:
        `zeroshot`, or nothing if the features were not made by these encoders or lack their shared space.
    """
    encoders = build_encoders({kind: cfg[kind] for kind in ("visual", "text")})
    folders = {Path(folder).name: Path(folder) for folder in dataset.video_path}
    if encoders.visual.shared_part not in folders or Path(dataset.query_path).name != encoders.text.name:
        return {}
    clips = cache(lambda vid: read_matrix(folders[encoders.visual.shared_part] / f"{vid}.npz", "features"))
    predictions = []
    for label in dataset.labels:
        query = read_array(Path(dataset.query_path) / f"qid{label['qid']}.npz", "pooler_output")
        scores = query_scores(encoders.visual.similarity(clips(label["vid"]), query[None]))[0]
        windows = [[first * dataset.clip_len_s, min((last + 1) * dataset.clip_len_s, label["duration"]), score]
                   for first, last, score in find_moments(scores)]
        predictions.append(dict(qid=label["qid"], pred_saliency_scores=scores.tolist(),
                                pred_relevant_windows=windows or [[0, label["duration"], 0]]))
    return dict(zeroshot=eval_qvhighlights(predictions, dataset.labels, dataset.clip_len_s)["brief"])


def format_table(columns: Mapping[str, Mapping[str, float]], title: str) -> str:
    """Format metrics as a table with the main metrics as rows.

    Args:
        columns: metrics by column; `model` is the first.
        title: shown at the top left, e.g. the split.
    """
    keys = [key for key in MAIN_METRICS if key in columns["model"]] or sorted(columns["model"])
    width = max(len(key) for key in [*keys, title]) + 2
    titles = [COLUMN_TITLES.get(name, name) for name in columns]
    column_widths = [max(11, len(name) + 2) for name in titles]
    lines = [title.ljust(width) + "".join(name.rjust(w) for name, w in zip(titles, column_widths, strict=True))]
    for key in keys:
        digits = 3 if key in CORRELATIONS else 2
        cells = [f"{column[key]:.{digits}f}" if key in column else "-" for column in columns.values()]
        lines.append(key.ljust(width) + "".join(c.rjust(w) for c, w in zip(cells, column_widths, strict=True)))
    return "\n".join(lines)
