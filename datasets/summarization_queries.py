"""Queries as whole sentences: QVHighlights' labels and features for models that read sentences, as CLIP-It does."""

from __future__ import annotations

from pathlib import Path

import torch
from nncore.dataset import DATASETS
from torch import Tensor

from common.errors import InputError
from datasets.features.folder import read_array
from datasets.qvhighlights import QVHighlights


@DATASETS.register()
class SummarizationQueries(QVHighlights):
    """As `QVHighlights`, but a query is one sentence, `pooler_output` (D,) of its text features, and not its words.

    Args:
        query_path: folder of `qid{qid}.npz`; the others: see `QVHighlights`.

    Raises:
        InputError: as `QVHighlights`, or a text feature that is no sentence.
    """

    def _query(self, label: dict) -> Tensor:
        """(1, D)."""
        return self._cached(("query", label["qid"]), lambda: self._sentence(label["qid"]))

    def _sentence(self, qid: int | str) -> Tensor:
        path = Path(self.query_path) / f"qid{qid}.npz"
        sentence = read_array(path, "pooler_output")
        if sentence.ndim != 1:
            raise InputError(f"{path}: pooler_output of shape {sentence.shape}, not one sentence; extract it again")
        return torch.from_numpy(sentence)[None]
