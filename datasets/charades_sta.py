"""Charades-STA: one moment for every sentence."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

import numpy as np
import torch
from nncore.dataset import DATASETS
from torch import Tensor

from common.errors import InputError
from datasets.annotations.charades_sta import read_charades
from datasets.annotations.qvhighlights import LabelErrors, check_clip_len, raise_errors, read_valid
from datasets.eval.benchmarks import charades_scores

from .batches import outputs_by_item
from .eval import eval_charades
from .feature_dataset import FeatureDataset

PUNCTUATION = ".,;:!?\"'"
MAX_BEYOND_S = 10   # that a moment's end may lie after that of the features: some public ones do


@DATASETS.register()
class CharadesSTA(FeatureDataset):
    """Moments by sentences, with UMT's features: six rows of VGG a second; sound or optical flow beside.

    Args:
        label_path: see `read_charades`.
        video_path, audio_path, query_path, query_key, video_dims, normalize, cache: see `FeatureDataset`;
            `audio_path` may as well hold optical flow. A query's name is its line's number.
        glove_path: `glove.6B.300d.txt`, whose word vectors are the text features; in place of `query_path`.
        clip_len_s: seconds in a row of the features.

    Raises:
        InputError: faults in the labels, neither or both of query_path and glove_path.
    """

    def __init__(self, label_path: str, video_path: str | list[str], audio_path: str | None = None,
                 query_path: str | None = None, glove_path: str | None = None, query_key: str = "last_hidden_state",
                 clip_len_s: float = 1 / 6, video_dims: int | list[int] | None = None, normalize: bool = True,
                 cache: bool = False):
        if (query_path is None) == (glove_path is None):
            raise InputError("CharadesSTA: give query_path, a folder of text features, or glove_path, not both")
        check_clip_len(clip_len_s)
        numbered, faults = read_valid(read_charades, label_path)
        super().__init__([label for _, label in numbered], [f"line {line}" for line, _ in numbered], label_path,
                         video_path, audio_path, query_path, query_key=query_key, clip_len_s=clip_len_s,
                         video_dims=video_dims, normalize=normalize, cache=cache)
        self.words = None
        try:
            if glove_path is not None:
                self.words = read_glove(glove_path, {w for label in self.labels for w in words(label["query"])})
        except InputError as err:   # the features may have faults, too
            faults = LabelErrors("\n  ".join(str(e) for e in (faults, err) if e is not None), numbered)
        if faults is not None:
            faults.dataset = self
            raise faults

    def _saliency(self, label: dict) -> None:
        return None

    def _boundary(self, label: dict) -> Tensor:
        return torch.tensor(label["relevant_windows"], dtype=torch.float)

    def _query(self, label: dict) -> Tensor:
        if self.words is None:
            return super()._query(label)
        width = len(next(iter(self.words.values())))
        return torch.from_numpy(np.stack([self.words.get(w, np.zeros(width, np.float32))
                                          for w in words(label["query"])]))

    def expected_clips(self, label: dict) -> None:
        return None

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[str]:
        """See `FeatureDataset.check`; windows that begin after the features end, or end far after, too."""
        faults = super().check(progress)
        for place, label in zip(self.locations, self.labels, strict=True):
            try:
                end = self.num_clips(label) * self.clip_len_s
            except InputError:
                continue   # among the faults already
            start_s, end_s = label["relevant_windows"][0]
            if start_s >= end or end_s > end + MAX_BEYOND_S:
                faults.append(f"{label['vid']}: the window {[start_s, end_s]} begins or ends after the features' "
                              f"{end:.1f} s (for {self.label_path}, {place})")
        return faults

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Prediction lines `qid, query, vid`, `pred_relevant_windows` by falling score, four decimals."""
        lines = {}
        for label, outputs in outputs_by_item(blob, self.clip_len_s):
            windows = outputs["boundary"][np.argsort(-outputs["boundary"][:, 2], kind="stable")]
            lines.setdefault(label["qid"], dict(
                **{key: label[key] for key in ("qid", "query", "vid")},
                pred_relevant_windows=windows.round(4).tolist()))
        return list(lines.values())

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; windows end before a video's last labeled moment does, mean of 20 seeds."""
        nothing = [dict(qid=label["qid"], pred_relevant_windows=[]) for label in self.labels]
        scores = charades_scores(nothing, self.labels)
        return dict(random=scores.random(), oracle=scores.oracle())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """`Rank{1,5}@{0.5,0.7}` of `eval_charades`."""
        return eval_charades(self.predictions(blob), self.labels)


def words(sentence: str) -> list[str]:
    """Lower-case words without the punctuation around them; at least one.

    UMT takes off the sentence's last character alone, whatever it is, so words before a comma, which GloVe
    does not know, are zeros there and vectors here.
    """
    found = [w.strip(PUNCTUATION) for w in sentence.lower().split()]
    return [w for w in found if w] or [sentence.lower()]


def read_glove(path: str | os.PathLike, wanted: set[str]) -> dict[str, np.ndarray]:
    """Vectors of the wanted words from GloVe's text format (Pennington et al., 2014): a word and its numbers a line.

    Raises:
        InputError: no such file, another format, none of the words in it.
    """
    found: dict[str, np.ndarray] = {}
    faults = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                word, _, numbers = line.rstrip("\n").partition(" ")
                if word in wanted:
                    fault, vector = _vector(numbers, len(next(iter(found.values()), ())))
                    faults += [f"line {number}: {fault}"] if fault else []
                    found[word] = vector
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file; fetch https://nlp.stanford.edu/data/glove.6B.zip and unpack "
                         "glove.6B.300d.txt there, or give text features as query_path") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: not GloVe's text format ({err})") from err
    raise_errors(path, [f"not GloVe's text format, {fault}" for fault in faults])
    if not found:
        raise InputError(f"{path}: holds none of the {len(wanted)} words of the labels; name glove.6B.300d.txt")
    return found


def _vector(numbers: str, width: int) -> tuple[str, np.ndarray]:
    """What is wrong with a word's numbers, "" for nothing, and its vector; 0 is any width."""
    try:
        vector = np.array(numbers.split(), dtype=np.float32)
    except ValueError as err:
        return str(err), np.zeros(width, np.float32)
    if not len(vector) or width not in (0, len(vector)):
        return f"is of another length, {len(vector)}", np.zeros(width, np.float32)
    return "" if np.isfinite(vector).all() else "holds NaN or infinity", vector
