"""Highlights of videos that fall into domains, each with its own training and validation videos."""

from __future__ import annotations

import logging
import os

from common.errors import InputError
from datasets.annotations.domain_splits import domain_videos
from datasets.annotations.qvhighlights import read_valid

from .batches import outputs_by_item
from .feature_dataset import FeatureDataset


class DomainDataset(FeatureDataset):
    """Videos of one domain; `labels_by_vid` of a subclass says what a video's label is.

    Args:
        domain: of the split file.
        split: `train` or `val`.
        label_path: the labels of all domains.
        split_path: JSON, domain -> split -> videos; videos without a label are left out, and the log says so.
        options: of `FeatureDataset`.

    Raises:
        InputError: no such domain or split, none of its videos is labelled, faults in the labels.
    """

    def __init__(self, domain: str, split: str, label_path: str, split_path: str | os.PathLike, **options):
        wanted = domain_videos(split_path, domain, split)
        known, faults = read_valid(self.labels_by_vid, label_path)
        vids = [vid for vid in wanted if vid in known]
        if not vids and faults is not None:
            raise faults
        if not vids:
            raise InputError(f"{label_path}: labels none of the {len(wanted)} videos of {domain}, {split}, which "
                             f"{split_path} names")
        if len(vids) < len(wanted):
            logging.getLogger(__name__).warning(
                f"{label_path}: lacks {len(wanted) - len(vids)} of the {len(wanted)} videos of {domain}, {split}")
        self.domain, self.split = domain, split
        labels = [dict(vid=vid, qid=vid, **known[vid]) for vid in vids]
        super().__init__(labels, [f"video {vid}" for vid in vids], label_path, **options)
        if faults is not None:
            faults.dataset = self
            raise faults

    @staticmethod
    def labels_by_vid(path: str) -> dict[str, dict]:
        """Every video's label.

        Raises:
            InputError: faults in the labels.
        """
        raise NotImplementedError

    def predictions(self, blob: list[dict]) -> list[dict]:
        """Prediction lines `vid`, `pred_saliency_scores` of the clips that the features hold; six decimals."""
        lines = {}
        for label, outputs in outputs_by_item(blob):
            scores = outputs["saliency"][:self.num_clips(label)]
            lines.setdefault(label["vid"], dict(vid=label["vid"], pred_saliency_scores=scores.round(6).tolist()))
        return list(lines.values())
