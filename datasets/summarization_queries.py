"""QVHighlights with sentence embeddings as queries, for models such as CLIP-It."""

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
    """`QVHighlights` whose queries are one sentence embedding, `pooler_output` (D,), instead of tokens.

    Args:
        query_path: folder of `qid{qid}.npz`; for the other arguments see `QVHighlights`.

    Raises:
        InputError: see `QVHighlights`; on access to an item: the text features have no sentence embedding.
    """

    def _query(self, label: dict) -> Tensor:
        """Return (1, D)."""
        return self._cached(("query", label["qid"]), lambda: self._sentence(label["qid"]))

    def _sentence(self, qid: int | str) -> Tensor:
        path = Path(str(self.query_path)) / f"qid{qid}.npz"
        embedding = read_array(path, "pooler_output")
        if embedding.ndim != 1:
            raise InputError(path, f"pooler_output has shape {embedding.shape}, not (width,)", "extract it again")
        return torch.from_numpy(embedding)[None]
