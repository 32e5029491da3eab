"""Charades-STA: one moment per sentence."""

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
from datasets.annotations.qvhighlights import check_clip_len, read_valid
from datasets.errors import LabelErrors, LineError, raise_errors
from datasets.eval import eval_charades
from datasets.eval.benchmarks import charades_evaluation

from .batches import outputs_by_item
from .feature_dataset import FeatureDataset

PUNCTUATION = ".,;:!?\"'"
MAX_OVERRUN_S = 10   # A moment may end at most this long after the features; some public ones do.
GLOVE_URL = "https://nlp.stanford.edu/data/glove.6B.zip"


@DATASETS.register()
class CharadesSTA(FeatureDataset):
    """Moments for sentence queries, with UMT's features: six rows of VGG per second, with audio or optical flow.

    Args:
        label_path: see `read_charades`.
        video_path, audio_path, query_path, query_key, video_dims, normalize, cache: see `FeatureDataset`. `audio_path`
            may contain optical flow instead. The name of a query is its line number.
        glove_path: `glove.6B.300d.txt`, whose word vectors are the text features; alternative to `query_path`.
        clip_len_s: seconds per row of the features.

    Raises:
        InputError: errors in the labels; neither or both of query_path and glove_path are given.
    """

    def __init__(self, label_path: str, video_path: str | list[str], audio_path: str | None = None,
                 query_path: str | None = None, glove_path: str | None = None, query_key: str = "last_hidden_state",
                 clip_len_s: float = 1 / 6, video_dims: int | list[int] | None = None, normalize: bool = True,
                 cache: bool = False):
        if (query_path is None) == (glove_path is None):
            raise InputError(None, "CharadesSTA needs either query_path or glove_path",
                             "give query_path, a folder of text features, or glove_path, not both")
        check_clip_len(clip_len_s)
        numbered, errors = read_valid(read_charades, label_path)
        super().__init__([label for _, label in numbered], [f"line {line}" for line, _ in numbered], label_path,
                         video_path, audio_path, query_path, query_key=query_key, clip_len_s=clip_len_s,
                         video_dims=video_dims, normalize=normalize, cache=cache)
        self.word_vectors: dict[str, np.ndarray] | None = None
        try:
            if glove_path is not None:
                vocabulary = {word for label in self.labels for word in tokenize(label["query"])}
                self.word_vectors = read_glove(glove_path, vocabulary)
        except InputError as err:   # Deferred, because the features may have errors, too.
            errors = LabelErrors(None, [e for e in (errors, err) if e is not None], numbered)
        if errors is not None:
            errors.dataset = self
            raise errors

    def _saliency(self, label: dict) -> None:
        return None

    def _boundary(self, label: dict) -> Tensor:
        return torch.tensor(label["relevant_windows"], dtype=torch.float)

    def _query(self, label: dict) -> Tensor | None:
        vectors = self.word_vectors
        if vectors is None:
            return super()._query(label)
        unknown = np.zeros(len(next(iter(vectors.values()))), np.float32)
        return torch.from_numpy(np.stack([vectors.get(word, unknown) for word in tokenize(label["query"])]))

    def expected_clips(self, label: dict) -> None:
        return None

    def check(self, progress: Callable[[Iterable], Iterable] = iter) -> list[InputError]:
        """See `FeatureDataset.check`; includes windows that start after the features end, or end long after them."""
        errors = super().check(progress)
        for location, label in zip(self.locations, self.labels, strict=True):
            try:
                features_end_s = self.num_clips(label) * self.clip_len_s
            except InputError:
                continue   # The check above has found this error.
            start_s, end_s = label["relevant_windows"][0]
            if start_s >= features_end_s or end_s > features_end_s + MAX_OVERRUN_S:
                errors.append(InputError(
                    label["vid"], f"window {[start_s, end_s]} starts or ends after the features, which end at "
                                  f"{features_end_s:.1f} s (needed by {self.label_path}, {location})"))
        return errors

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Return prediction lines `qid, query, vid`, `pred_relevant_windows` by descending score, four decimals."""
        lines: dict[int, dict] = {}
        for label, outputs in outputs_by_item(blob, self.clip_len_s):
            windows = outputs["boundary"][np.argsort(-outputs["boundary"][:, 2], kind="stable")]
            lines.setdefault(label["qid"], dict(
                **{key: label[key] for key in ("qid", "query", "vid")},
                pred_relevant_windows=windows.round(4).tolist()))
        return list(lines.values())

    def baselines(self) -> dict[str, dict[str, float]]:
        """See `FeatureDataset.baselines`; windows end before the video's last labeled moment, mean of 20 seeds."""
        no_windows = [dict(qid=label["qid"], pred_relevant_windows=[]) for label in self.labels]
        evaluation = charades_evaluation(no_windows, self.labels)
        return dict(random=evaluation.random(), oracle=evaluation.oracle())

    def evaluate(self, blob: list[dict], logger: logging.Logger | None = None) -> dict[str, float]:
        """Return `Rank{1,5}@{0.5,0.7}`, see `eval_charades`."""
        return eval_charades(self.predictions(blob), self.labels)


def tokenize(sentence: str) -> list[str]:
    """Split a sentence into lower-case words without surrounding punctuation; at least one.

    UMT only removes the last character of a sentence, whatever it is. It therefore reads a word before a comma as a
    zero vector, because GloVe has no such word; here it has its vector.
    """
    words = [word.strip(PUNCTUATION) for word in sentence.lower().split()]
    return [word for word in words if word] or [sentence.lower()]


def read_glove(path: str | os.PathLike, vocabulary: set[str]) -> dict[str, np.ndarray]:
    """Read word vectors from GloVe's text format (Pennington et al., 2014): one line per word with its numbers.

    Args:
        path: text file.
        vocabulary: words to read; others are skipped.

    Raises:
        InputError: the file does not exist, has another format, or contains none of the words.
    """
    vectors: dict[str, np.ndarray] = {}
    errors = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                word, _, numbers = line.rstrip("\n").partition(" ")
                if word in vocabulary:
                    problem, vector = _parse_vector(numbers, len(next(iter(vectors.values()), ())))
                    errors += [LineError(number, f"not GloVe's text format ({problem})")] if problem else []
                    vectors[word] = vector
    except FileNotFoundError as err:
        raise InputError(path, "no such file", f"download {GLOVE_URL} and extract glove.6B.300d.txt there, or give "
                                               "text features as query_path") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"not GloVe's text format ({err})") from err
    raise_errors(path, errors)
    if not vectors:
        raise InputError(path, f"contains none of the {len(vocabulary)} words of the labels",
                         "specify glove.6B.300d.txt")
    return vectors


def _parse_vector(numbers: str, width: int) -> tuple[str, np.ndarray]:
    """Parse the vector of a word.

    Args:
        numbers: text of the line after the word.
        width: expected number of values; 0 accepts any.

    Returns:
        The problem, "" if there is none; and the vector, zeros if it cannot be parsed.
    """
    try:
        vector = np.array(numbers.split(), dtype=np.float32)
    except ValueError as err:
        return f"{err}", np.zeros(width, np.float32)
    if not len(vector) or width not in (0, len(vector)):
        return f"{len(vector)} values instead of {width or 'at least 1'}", np.zeros(width, np.float32)
    return "" if np.isfinite(vector).all() else "NaN or infinity", vector
