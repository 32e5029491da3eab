"""Score videos with a model that was trained on short windows, such as UMT, by sliding it over the video."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn as nn

from common.progress import ReportProgress
from common.temporal import soft_nms
from models.device import move_to_device
from models.encoders import Encoders
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .evidence import Evidence, combined_match
from .moments import Moment
from .queries import Query, user_queries
from .scorers import DEFAULT_OPTIONS, Provenance, Scorer, Scores, ScoringOptions, no_curves

WINDOW_CLIPS = 75            # Clips per window: 150 s, as in QVHighlights.
SOFT_NMS_SIGMA = 0.4         # Lowers a moment that two windows found to 0.08 of its score, below MIN_RELATIVE_SCORE.
MIN_RELATIVE_SCORE = 0.1     # Moments below this share of the best score are dropped.
WINDOW_MARGIN = 0.25         # Share of the window distance by which windows may report each other's moments.
MIN_MOMENT_EVIDENCE = 0.5    # Evidence from this value on forms moments in addition to the model's.


class SlidingWindowScorer(Scorer):
    """A scorer of clips and moments with a trained model, in windows that overlap by half.

    Args:
        model: UMT or a model with the same interface, in evaluation mode.
        encoders: the encoders that the model was trained with.
        parts: the parts of the visual features that the model expects, in order.
        window_clips: clips in a window, as in the training.
        evidence: sources of text that support queries; None for subtitles.
        options: limits on moments.
    """

    def __init__(self, model: nn.Module, encoders: Encoders, parts: Sequence[str], window_clips: int = WINDOW_CLIPS,
                 evidence: Sequence[Evidence] | None = None, options: ScoringOptions = DEFAULT_OPTIONS):
        super().__init__(encoders, evidence, options)
        self.model, self.parts, self.window_clips = model, tuple(parts), window_clips
        self.accepts_text, self.requires_text = bool(model.accepts_text), bool(model.requires_text)

    def score_by_text(self, video: EncodedVideo, texts: Sequence[str], cues: Sequence[Cue],
                      report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_by_text`; each query is scored separately."""
        features = self.encoders.text.encode(list(texts))
        scored = [self._run(video, feature.last_hidden_state, text)
                  for feature, text in zip(features, texts, strict=True)]
        curves, moments = np.stack([curve for curve, _ in scored]), [found for _, found in scored]
        evidence = combined_match(self.evidence, video, texts, cues, report_progress)
        if evidence is not None:
            curves = np.maximum(curves, evidence)
            strong = np.where(evidence >= MIN_MOMENT_EVIDENCE, evidence, 0)
            moments = [found + self.moments_in(video, row, text)
                       for found, row, text in zip(moments, strong, texts, strict=True)]
        return Scores(curves.max(axis=0), curves, self.ranked_moments(moments), user_queries(texts),
                      self._provenance(video))

    def score_without_text(self, video: EncodedVideo, queries: Sequence[Query],
                           report_progress: ReportProgress = None) -> Scores:
        """See `Scorer.score_without_text`; sentences from the video are not used."""
        curve, moments = self._run(video, None, "")
        return Scores(curve, no_curves(video), self.best_moments(moments), (), self._provenance(video))

    def _run(self, video: EncodedVideo, query: np.ndarray | None, text: str) -> tuple[np.ndarray, list[Moment]]:
        """Return the curve (T,) and the moments of one query (L, D), or without a query."""
        audio = video.audio
        if audio is None and self.encoders.audio is not None:   # Training does the same for videos without audio.
            audio = np.zeros((video.n_clips, self.encoders.audio.dims), dtype=np.float32)
        visual = np.concatenate([video.visual[part] for part in self.parts], axis=1)
        curve, found = score_windows(self.model, visual, audio, query, self.window_clips, video.clip_len_s)
        end_s = float(video.info.duration_s)
        moments = [Moment(max(0.0, start), min(stop, end_s), score, text) for start, stop, score in found
                   if start < end_s]
        return curve, moments or self.moments_in(video, curve, text)

    def _provenance(self, video: EncodedVideo) -> Provenance:
        uses_audio = getattr(self.model, "audio_enc", None) is not None and video.audio is not None
        return Provenance(type(self.model).__name__, uses_audio)


def window_starts(n_clips: int, window_clips: int) -> list[int]:
    """Return the first clips of windows that are half a window apart; the last window ends with the video."""
    if n_clips <= window_clips:
        return [0]
    return [*range(0, n_clips - window_clips, max(1, window_clips // 2)), n_clips - window_clips]


def score_windows(
    model: nn.Module, visual: np.ndarray, audio: np.ndarray | None, query: np.ndarray | None,
    window_clips: int, clip_len_s: float,
) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """Run a model over a video in overlapping windows.

    Saliency is averaged over windows with triangular weights, which avoids steps at window boundaries. A moment is
    accepted from the windows whose centers are approximately closest to it, because those see most of its context.
    `merge_moments` merges the moments that several windows found.

    Args:
        model: UMT or a model with the same interface, on any device.
        visual: (T, V) visual features.
        audio: (T, A) audio features, or None.
        query: (L, D) token embeddings of a query, or None.
        window_clips: clips in a window; a shorter video is one window.
        clip_len_s: duration of a clip in seconds.

    Returns:
        (T,) saliency in [0, 1], and moments (start_s, end_s, score) by descending score. There are no moments if the
        model has no boundary head.
    """
    n_clips = len(visual)
    starts = window_starts(n_clips, window_clips)
    length = min(window_clips, n_clips)
    lower, upper = _center_limits(np.array(starts) + length / 2)
    position = np.arange(length)
    weight = np.minimum(position + 1, length - position).astype(np.float64)
    total, weights = np.zeros(n_clips), np.zeros(n_clips)
    moments = []
    for i, start in enumerate(starts):
        rows = slice(start, start + length)
        out = _forward(model, visual[rows], None if audio is None else audio[rows], query)
        total[rows] += weight * out["saliency"][0].numpy()
        weights[rows] += weight
        for begin_s, end_s, score in out["boundary"][0].tolist() if "boundary" in out else []:
            center = start + (begin_s + end_s) / 2 / clip_len_s
            if lower[i] <= center < upper[i]:
                moments.append((begin_s + start * clip_len_s, end_s + start * clip_len_s, score))
    return total / weights, merge_moments(moments)


def merge_moments(moments: list[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Merge the moments that overlapping windows found for one query.

    Soft-NMS (Bodla et al., ICCV 2017) lowers the scores of moments that overlap better ones. Then moments below a
    tenth of the best score are dropped.

    Args:
        moments: (start, end, score >= 0).

    Returns:
        (start, end, score) by descending score.
    """
    kept = soft_nms(np.array(moments, dtype=np.float64).reshape(-1, 3), SOFT_NMS_SIGMA)
    return [(start, end, score) for start, end, score in kept.tolist() if score >= MIN_RELATIVE_SCORE * kept[0, 2]]


def _center_limits(centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the range of moment centers, in clips, that each window reports.

    The ranges meet halfway between neighboring windows and are extended by a margin on both sides.
    """
    distance = np.diff(centers)
    halfway = centers[:-1] + distance / 2
    return (np.append(-np.inf, halfway - WINDOW_MARGIN * distance),
            np.append(halfway + WINDOW_MARGIN * distance, np.inf))


def _forward(model: nn.Module, visual: np.ndarray, audio: np.ndarray | None,
             query: np.ndarray | None) -> dict:
    """Run a model on one window and return its output `_out`."""
    data = dict(video=_batch_of_one(visual), saliency=torch.ones(1, len(visual)))
    if audio is not None:
        data["audio"] = _batch_of_one(audio)
    if query is not None:
        data["query"] = _batch_of_one(query)
    with torch.inference_mode():
        return model(move_to_device(data, model), mode="test")["_out"]


def _batch_of_one(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).unsqueeze(0)
