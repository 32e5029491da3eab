"""Moments and highlights by sentences, in the QVHighlights formats."""

from __future__ import annotations

import logging
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
from .features import read_matrix
from .labels import MAX_SALIENCY, num_clips, read_numbered_labels

MAX_ROWS_OFF = 2   # that feature files may be longer or shorter than the label says
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
        video_dims: the width that each folder has, in their order, so that swapped folders are found; or
            the width that they have together; None takes any, as long as all files of a folder agree.
        cache: keep the features in memory once read; for sets that fit.
        reorder: for training on few videos: at every reading cut the video into pieces, never inside a
            window, and join them in a random order, labels likewise.

    Raises:
        InputError: faults in the labels; from items, a feature file that is missing, unreadable, of
            another width, or more than two clips longer or shorter than the label's video.
    """

    def __init__(self, label_path: str, video_path: str | list[str], query_path: str, audio_path: str | None = None,
                 clip_len_s: float = 2, video_dims: int | list[int] | None = None, cache: bool = False,
                 reorder: bool = False):
        self.label_path = label_path
        numbered = read_numbered_labels(label_path, clip_len_s)
        self.lines, self.labels = [line for line, _ in numbered], [label for _, label in numbered]
        self.video_path = [video_path] if isinstance(video_path, str) else list(video_path)
        self.query_path, self.audio_path = query_path, audio_path
        self.clip_len_s, self.video_dims = clip_len_s, video_dims
        self.reorder = reorder
        self._cache: dict | None = {} if cache else None
        self._widths: dict[Path, tuple[int, str]] = {}   # of a folder, and the file that it is known by

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict:
        """One query as nncore containers, which collate pads.

        Returns:
            `video` (T, V), `audio` (T, A) if any, `query` (L, D) padded with inf, `saliency` (T,) in
            [0, 1] padded with -1, `boundary` (W, 2) in seconds padded with -1, `meta` the label.
        """
        label = self.labels[index]
        video, audio = self._streams(label)
        saliency = self._saliency(label)
        streams = [s for s in (video, audio, saliency) if s is not None]
        T = min(map(len, streams))   # files may have a row more or less than the label
        boundary, order = self._boundary(label), slice(T)
        if self.reorder:
            order = random_order(boundary / self.clip_len_s, T)
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

    def _streams(self, label: dict) -> tuple[Tensor, Tensor | None]:
        """Video (T, V) and audio (T', A) of a label's video, as long as their files are."""
        vid = label["vid"]
        video, audio = self._cached(("video", vid), lambda: (self._video(vid), self._audio(vid)))
        short, expected = min(len(s) for s in (video, audio) if s is not None), self.num_clips(label)
        if abs(short - expected) > MAX_ROWS_OFF:
            raise InputError(f"{vid}: features for {short} clips, but the label's {label['duration']} s have "
                             f"{expected}; extract them again from this video")
        return video, audio

    def _video(self, vid: int | str) -> Tensor:
        parts = [self._matrix(folder, f"{vid}.npz", "features") for folder in self.video_path]
        widths, expected = [part.shape[1] for part in parts], self.video_dims
        fits = expected in (None, sum(widths)) or (not isinstance(expected, int) and list(expected) == widths)
        if not fits:
            found = " + ".join(f"{folder} ({width})" for folder, width in zip(self.video_path, widths, strict=True))
            raise InputError(f"{vid}: {found} are {sum(widths)} wide together, but video_dims in the config says "
                             f"{expected}; name the folders that the model was made for, in its order")
        T = min(map(len, parts))
        return torch.from_numpy(np.concatenate([part[:T] for part in parts], axis=1))

    def _audio(self, vid: int | str) -> Tensor | None:
        return None if self.audio_path is None else torch.from_numpy(self._matrix(self.audio_path, f"{vid}.npy"))

    def _query(self, qid: int | str) -> Tensor:
        return self._cached(("query", qid), lambda: torch.from_numpy(
            self._matrix(self.query_path, f"qid{qid}.npz", "last_hidden_state")))

    def _matrix(self, folder: str | os.PathLike, name: str, key: str | None = None) -> np.ndarray:
        """A feature file (rows, width), as wide as the first one that was read from its folder."""
        matrix = read_matrix(Path(folder) / name, key)
        width, known_by = self._widths.setdefault(Path(folder), (matrix.shape[1], name))
        if matrix.shape[1] != width:
            raise InputError(f"{Path(folder) / name}: {matrix.shape[1]} wide, but {known_by} beside it {width}; "
                             "make both with one encoder")
        return matrix

    def _cached(self, key: tuple, read):
        if self._cache is None:
            return read()
        if key not in self._cache:
            self._cache[key] = read()
        return self._cache[key]

    def _saliency(self, label: dict) -> Tensor:
        """(clips,): the annotators' mean over its highest value; ones where there are no labels."""
        T = self.num_clips(label)
        if "saliency_scores" not in label:
            return torch.ones(T)
        saliency = torch.zeros(T)
        for clip, scores in zip(label["relevant_clip_ids"], label["saliency_scores"], strict=True):
            saliency[clip] = sum(scores) / (MAX_SALIENCY * len(scores))
        return saliency

    def _boundary(self, label: dict) -> Tensor:
        windows = label.get("relevant_windows") or [[-1, -1]]   # as padding: nothing to find
        return torch.tensor(windows, dtype=torch.float)

    def num_clips(self, label: dict) -> int:
        """Clips of a labelled video; a last piece shorter than a clip does not count."""
        return num_clips(label["duration"], self.clip_len_s)

    def check(self) -> list[str]:
        """Reads every file once and lists the faults, each with its file and the first line that needs it."""
        faults, seen = [], set()
        for line, label in zip(self.lines, self.labels, strict=True):
            for key, read, argument in ((("video", label["vid"], label["duration"]), self._streams, label),
                                        (("query", label["qid"]), self._query, label["qid"])):
                try:
                    if key not in seen:
                        read(argument)
                except InputError as err:
                    faults.append(f"{err} (for {self.label_path}, line {line})")
                seen.add(key)
        return faults

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Turns the model's collected `_out` into prediction lines.

        Args:
            blob: per batch `meta`, `saliency` (B, T) and perhaps `boundary` (B, N, 3).

        Returns:
            `qid, query, vid`, `pred_saliency_scores` of the video's own clips, `pred_relevant_windows`
            within its duration by falling score; four decimals. A query that comes again, as samplers
            of several processes repeat some, is left out.
        """
        lines, seen = [], set()
        for batch in blob:
            for i, label in enumerate(_labels_of(batch["meta"])):
                if label["qid"] in seen:
                    continue
                seen.add(label["qid"])
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

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """The main metrics of the model's collected outputs, as `eval_qvhighlights` names them.

        A split without labels, as a test split may be, has none; the log says so.
        """
        if not any(key in label for label in self.labels for key in ("relevant_windows", "saliency_scores")):
            (logger or logging.getLogger(__name__)).warning(f"{self.label_path} holds no answers, so nothing is scored")
            return {}
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


def _labels_of(meta: DataContainer | dict | list) -> list[dict]:
    """Labels of a batch, however deep nncore's containers have nested them."""
    if isinstance(meta, dict):
        return [meta]
    if isinstance(meta, DataContainer):
        meta = meta.data
    return [label for part in meta for label in _labels_of(part)]
