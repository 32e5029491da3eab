"""Moments and highlights by sentences, in the QVHighlights formats."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from nncore.dataset import DATASETS
from nncore.parallel import DataContainer
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import InputError

from .eval import eval_qvhighlights
from .features import read_matrix, read_video
from .labels import read_labels

MAX_SALIENCY = 4   # an annotator's highest score
MAX_PIECES = 8     # of a reordered video


@DATASETS.register()
class QVHighlights(Dataset):
    """Queries over videos, with features read from disk (Lei et al., NeurIPS 2021, and its public files).

    Args:
        label_path: JSON lines, see `datasets.labels.read_labels`.
        video_path: folders of `{vid}.npz` with `features` (T, width), side by side in this order.
        query_path: folder of `qid{qid}.npz` with `last_hidden_state` (L, width).
        audio_path: folder of `{vid}.npy` (T, width), or None.
        clip_len_s: seconds in a clip.
        video_dims: width that the folders have together, checked before training; None takes any.
        cache: keep the features in memory once read; for sets that fit.
        reorder: for training on few videos: at every reading cut the video into pieces, never inside a
            window, and join them in a random order, labels likewise.

    Raises:
        InputError: faults in the labels.
    """

    def __init__(self, label_path: str, video_path: str | list[str], query_path: str, audio_path: str | None = None,
                 clip_len_s: float = 2, video_dims: int | None = None, cache: bool = False,
                 reorder: bool = False):
        self.label_path = label_path
        self.labels = read_labels(label_path, clip_len_s)
        self.video_path = [video_path] if isinstance(video_path, str) else list(video_path)
        self.query_path, self.audio_path = query_path, audio_path
        self.clip_len_s, self.video_dims = clip_len_s, video_dims
        self.reorder = reorder
        self._cache: dict | None = {} if cache else None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """One query as nncore containers, which collate pads.

        Returns:
            `video` (T, V), `audio` (T, A) if any, `query` (L, D) padded with inf, `saliency` (T,) in
            [0, 1] padded with -1, `boundary` (W, 2) in seconds padded with -1, `meta` the label.
        """
        label = self.labels[index]
        video, audio = self._streams(label["vid"])
        saliency = self._saliency(label)
        streams = [s for s in (video, audio, saliency) if s is not None]
        num_clips = min(map(len, streams))   # files may have a row more or less than the label
        boundary, order = self._boundary(label), slice(num_clips)
        if self.reorder:
            order = random_order(boundary / self.clip_len_s, num_clips)
            boundary = moved_windows(boundary / self.clip_len_s, order) * self.clip_len_s
        item = dict(
            video=DataContainer(video[order]),
            query=DataContainer(self._query(label["qid"]), pad_value=float("inf")),
            saliency=DataContainer(saliency[order], pad_value=-1),
            boundary=DataContainer(boundary, pad_value=-1),
            meta=DataContainer(label, cpu_only=True))
        if audio is not None:
            item["audio"] = DataContainer(audio[order])
        return item

    def _streams(self, vid: str) -> tuple[Tensor, Tensor | None]:
        def read():
            video = torch.from_numpy(read_video(self.video_path, vid))
            audio = None if self.audio_path is None else torch.from_numpy(
                read_matrix(Path(self.audio_path) / f"{vid}.npy"))
            return video, audio
        return self._cached(("video", vid), read)

    def _query(self, qid: int | str) -> Tensor:
        path = Path(self.query_path) / f"qid{qid}.npz"
        return self._cached(("query", qid), lambda: torch.from_numpy(read_matrix(path, "last_hidden_state")))

    def _cached(self, key: tuple, read):
        if self._cache is None:
            return read()
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]

    def _saliency(self, label: dict) -> Tensor:
        """(clips,): the annotators' mean over its highest value; ones where there are no labels."""
        num_clips = self.num_clips(label)
        if "saliency_scores" not in label:
            return torch.ones(num_clips)
        saliency = torch.zeros(num_clips)
        for clip, scores in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
            saliency[clip] = sum(scores) / (MAX_SALIENCY * len(scores))
        return saliency

    def _boundary(self, label: dict) -> Tensor:
        windows = label.get("relevant_windows") or [[-1, -1]]   # as padding: nothing to find
        return torch.tensor(windows, dtype=torch.float)

    def num_clips(self, label: dict) -> int:
        """Clips of a labelled video; a last piece shorter than a clip does not count."""
        return max(int(label["duration"] / self.clip_len_s), 1)

    def check(self) -> list[str]:
        """Reads every file once and lists the faults, each with its file, before training meets them."""
        faults = {}
        for label in self.labels:
            for kind, key in (("video", label["vid"]), ("query", label["qid"])):
                if (kind, key) not in faults:
                    faults[kind, key] = self._fault(kind, key, label)
        return [fault for fault in faults.values() if fault]

    def _fault(self, kind: str, key: int | str, label: dict) -> str:
        try:
            if kind == "query":
                self._query(key)
                return ""
            video, audio = self._streams(key)
        except InputError as err:
            return str(err)
        folders = " + ".join(map(os.fspath, self.video_path))
        if self.video_dims is not None and video.size(1) != self.video_dims:
            return (f"{key}: {folders} are {video.size(1)} wide together, the config says {self.video_dims}; "
                    "name the folders that the model was made for, in its order")
        short = min(len(s) for s in (video, audio) if s is not None)
        if short < self.num_clips(label) - 1:
            return (f"{key}: features for {short} clips, but the label's {label['duration']} s have "
                    f"{self.num_clips(label)}; extract them again from this video")
        return ""

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Turns the model's collected `_out` into prediction lines.

        Args:
            blob: per batch `meta`, `saliency` (B, T) and perhaps `boundary` (B, N, 3).

        Returns:
            `qid, query, vid`, `pred_saliency_scores` of the video's own clips, `pred_relevant_windows`
            within its duration by falling score; four decimals.
        """
        lines = []
        for batch in blob:
            for i, label in enumerate(_labels_of(batch["meta"])):
                line = {key: label[key] for key in ("qid", "query", "vid")}
                if "saliency" in batch:
                    line["pred_saliency_scores"] = np.round(
                        batch["saliency"][i][:self.num_clips(label)].double().numpy(), 4).tolist()
                if "boundary" in batch:
                    windows = batch["boundary"][i].double().numpy().copy()
                    windows[:, :2] = windows[:, :2].clip(0, label["duration"])
                    windows = windows[windows[:, 1] > windows[:, 0]]
                    windows = windows[np.argsort(-windows[:, 2], kind="stable")]
                    line["pred_relevant_windows"] = np.round(windows, 4).tolist()
                lines.append(line)
        return lines

    def evaluate(self, blob: list[dict], logger: object = None) -> dict[str, float]:
        """The main metrics of the model's collected outputs, as `eval_qvhighlights` names them."""
        del logger
        return eval_qvhighlights(self.predictions(blob), self.labels, self.clip_len_s)["brief"]


def random_order(windows: Tensor, num_clips: int) -> Tensor:
    """An order of clips (num_clips,) that moves pieces of the video, drawn by torch's generator.

    Args:
        windows: (W, 2) in clips, [start, end); no piece ends inside one. Below 0 is padding.
    """
    free = torch.ones(num_clips + 1, dtype=torch.bool)
    for start, end in windows.tolist():
        if start >= 0:
            free[math.floor(start) + 1:math.ceil(end)] = False
    free[0] = free[num_clips] = False
    places = torch.nonzero(free).squeeze(-1)
    chosen = places[torch.randperm(len(places))[:int(torch.randint(2, MAX_PIECES + 1, ())) - 1]]
    bounds = [0, *sorted(chosen.tolist()), num_clips]
    pieces = [torch.arange(a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    return torch.cat([pieces[i] for i in torch.randperm(len(pieces)).tolist()])


def moved_windows(windows: Tensor, order: Tensor) -> Tensor:
    """Where windows (W, 2) in clips lie after `random_order`; those that now touch become one."""
    place = torch.argsort(order)   # old clip -> new clip
    moved = []
    for start, end in windows.tolist():
        if start < 0:
            moved.append([start, end])
            continue
        first = math.floor(start)
        new = float(place[min(first, len(order) - 1)]) + start - first
        new_end = new + end - start
        moved.append([new, new_end])
    moved.sort()
    joined = [moved[0]]
    for start, end in moved[1:]:
        if start <= joined[-1][1] and start >= 0:
            joined[-1] = [joined[-1][0], max(end, joined[-1][1])]
        else:
            joined.append([start, end])
    return torch.tensor(joined)


def _labels_of(meta: object) -> list[dict]:
    """Labels of a batch, however deep nncore's containers have nested them."""
    if isinstance(meta, dict):
        return [meta]
    if isinstance(meta, DataContainer):
        meta = meta.data
    return [label for part in meta for label in _labels_of(part)]
