"""Base class of highlight datasets that are divided into domains, each with its own training and validation split."""

from __future__ import annotations

import logging
import os

from common.errors import InputError
from datasets.annotations.domain_splits import domain_videos
from datasets.annotations.qvhighlights import read_valid

from .batches import outputs_by_item
from .feature_dataset import FeatureDataset


class DomainDataset(FeatureDataset):
    """Videos of one domain; subclasses define their labels with `labels_by_vid`.

    Args:
        domain: a domain of the split file.
        split: `train` or `val`.
        label_path: labels of all domains.
        split_path: JSON, domain -> split -> videos. Videos without a label are skipped with a warning in the log.
        options: keyword arguments of `FeatureDataset`.

    Raises:
        InputError: there is no such domain or split, none of its videos is labeled, or the labels have errors.
    """

    def __init__(self, domain: str, split: str, label_path: str, split_path: str | os.PathLike, **options):
        wanted = domain_videos(split_path, domain, split)
        known, errors = read_valid(self.labels_by_vid, label_path)
        vids = [vid for vid in wanted if vid in known]
        if not vids and errors is not None:
            raise errors
        if not vids:
            raise InputError(label_path, f"no labels for the {len(wanted)} videos of {domain}, {split}, which "
                                         f"{split_path} names")
        if len(vids) < len(wanted):
            logging.getLogger(__name__).warning(
                f"{label_path}: no labels for {len(wanted) - len(vids)} of the {len(wanted)} videos of "
                f"{domain}, {split}")
        self.domain, self.split = domain, split
        labels = [dict(vid=vid, qid=vid, **known[vid]) for vid in vids]
        super().__init__(labels, [f"video {vid}" for vid in vids], label_path, **options)
        if errors is not None:
            errors.dataset = self
            raise errors

    def labels_by_vid(self, path: str) -> dict[str, dict]:
        """Return the label of each video.

        Raises:
            InputError: the labels have errors.
        """
        raise NotImplementedError

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Return prediction lines `vid`, `pred_saliency_scores` of the features' clips; six decimals."""
        lines: dict[str, dict] = {}
        for label, outputs in outputs_by_item(blob):
            scores = outputs["saliency"][:self.num_clips(label)]
            lines.setdefault(label["vid"], dict(vid=label["vid"], pred_saliency_scores=scores.round(6).tolist()))
        return list(lines.values())
