"""Score clips with CLIP-It: one forward pass over the complete video and all queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn

from common.errors import InputError
from common.progress import ReportProgress
from models.device import move_to_device
from models.encoders import Encoders
from models.encoders.base import normalize_rows
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .evidence import Evidence, combined_match
from .queries import Query, embed_queries, embed_texts, user_queries
from .scorers import DEFAULT_OPTIONS, Provenance, Scorer, Scores, ScoringOptions, no_curves


class CLIPItScorer(Scorer):
    """A scorer with a trained CLIP-It, or another model that scores a complete video for any number of queries.

    Without a query, the model is guided by the subtitles or the captions of the video.

    Args:
        model: the model, in evaluation mode.
        encoders: the encoders that the model was trained with.
        evidence: sources of text that support queries; None for subtitles.
        options: limits on moments.
    """

    def __init__(self, model: nn.Module, encoders: Encoders, evidence: Sequence[Evidence] | None = None,
                 options: ScoringOptions = DEFAULT_OPTIONS):
        super().__init__(encoders, evidence, options)
        self.model = model
        self.accepts_text, self.requires_text = bool(model.accepts_text), bool(model.requires_text)

    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_by_text`; the clips are scored by all queries jointly, the curves by one query each."""
        curves = np.stack([run_clip_it(self.model, video, self.encoders, [text]) for text in texts])
        clips = curves[0] if len(texts) == 1 else run_clip_it(self.model, video, self.encoders, texts)
        evidence = combined_match(self.evidence, video, texts, cues, report_progress)
        if evidence is not None:
            clips, curves = np.maximum(clips, evidence.max(axis=0)), np.maximum(curves, evidence)
        moments = [self.moments_in(video, curve, text) for curve, text in zip(curves, texts, strict=True)]
        return Scores(clips, curves, self.ranked_moments(moments), user_queries(texts), self._provenance)

    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_without_text`."""
        rows = embed_queries(self.encoders, queries, report_progress).distinct_rows
        curve = run_clip_it(self.model, video, self.encoders, rows)
        moments = self.best_moments(self.moments_in(video, curve))
        return Scores(curve, no_curves(video), moments, tuple(queries), self._provenance)

    @property
    def _provenance(self) -> Provenance:
        return Provenance(type(self.model).__name__)


def run_clip_it(model: nn.Module, video: EncodedVideo, encoders: Encoders,
                texts: str | Sequence[str] | np.ndarray = ()) -> np.ndarray:
    """Score all clips of a video in one forward pass.

    Args:
        model: a model that scores complete videos, such as `CLIPIt`.
        video: the video, encoded by `encoders`.
        encoders: the encoders that the model was trained with.
        texts: a sentence or sentences to score by, or embeddings (N, D); may be empty. Their order has no effect, not
            even on the last digit.

    Returns:
        (T,) float64 in (0, 1), relative to the other clips of this video; not comparable between videos.

    Raises:
        InputError: the visual features or the sentence embeddings do not have the width that the model expects.
    """
    rows = np.concatenate([video.visual[part] for part in encoders.visual.parts if part in video.visual], axis=1)
    width = model.video_dims
    if rows.shape[1] != width:
        raise InputError(video.info.path, f"its visual features have {rows.shape[1]} dimensions "
                         f"({', '.join(video.visual)}), but the model expects {width}",
                         "encode it with the encoders that the model was trained with")
    if getattr(model, "expects_unit_norm", False):
        rows = normalize_rows(rows)
    data = dict(video=torch.from_numpy(rows).float()[None], saliency=torch.ones(1, len(rows)), row_s=video.clip_len_s)
    if len(texts):
        query = texts if isinstance(texts, np.ndarray) else embed_texts(encoders, texts)
        if query.shape[1] != model.text_dims:
            raise InputError(None, f"the sentence embeddings have {query.shape[1]} dimensions, but the model expects "
                             f"{model.text_dims}", "use the text encoder that the model was trained with")
        data["query"] = torch.from_numpy(query).float()[None]
    with torch.inference_mode():
        return model(move_to_device(data, model), mode="test")["_out"]["saliency"][0].double().numpy()
