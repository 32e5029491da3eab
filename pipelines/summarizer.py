"""Summarize videos: encode a video once, then summarize it for any number of queries.

Example:
    summarizer = build_summarizer()
    video = summarizer.encode("match.mp4")
    result = summarizer.summarize(video, ["a goal", "the crowd cheers"], budget=0.15)
    result.save_video("summary.mp4"); result.save_report("report.html"); result.save_json("summary.json")
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.paths import ROOT
from common.queries import check_queries
from models.encoders import Encoders, build_encoders
from pipelines.features.cache import encode_cached
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, embedded_subtitles
from pipelines.scoring.builder import (
    build_scorer,
    load_model,
    load_scoring_config,
    summarizer_options,
    zero_shot_scorer,
)
from pipelines.scoring.captions import Caption, Captioner, build_captioner
from pipelines.scoring.queries import user_queries, video_queries
from pipelines.scoring.scorers import Provenance, Scorer, Scores, main_features
from pipelines.selection.selector import Selector, visual_shots

from .options import ShortsOptions, budget_share, check_budget, check_mode
from .result import Result

MAX_SHOT_S = 10.0   # Longer shots are split, so that a summary can keep a part of one.


class Summarizer:
    """Scores videos by text queries, or without, and selects what a summary keeps.

    Args:
        encoders: the visual and the text encoder, and optionally an audio encoder.
        scorer: scores the clips and finds the moments; None for zero-shot similarity with novelty as the fallback
            without a query.
        captioner: describes the shots if there is no query; None for no captions.
        max_shot_s: maximum duration of a shot that is kept or dropped as one.
        config: name of the config, recorded in results.
        checkpoint: name of the checkpoint, recorded in results.

    Raises:
        InputError: the audio and the visual encoder have clips of different duration.
    """

    def __init__(self, encoders: Encoders, scorer: Scorer | None = None, captioner: Captioner | None = None, *,
                 max_shot_s: float = MAX_SHOT_S, config: str | None = None, checkpoint: str | None = None):
        if encoders.audio is not None and encoders.audio.clip_len_s != encoders.visual.clip_len_s:
            raise InputError("encoders", f"the audio encoder has clips of {encoders.audio.clip_len_s} s, the visual "
                             f"encoder of {encoders.visual.clip_len_s} s", "make them equal")
        self.encoders, self.captioner, self.max_shot_s = encoders, captioner, max_shot_s
        self.scorer = zero_shot_scorer(encoders) if scorer is None else scorer
        self.config, self.checkpoint = config, checkpoint

    @property
    def accepts_text(self) -> bool:
        """True if `summarize` accepts queries."""
        return self.scorer.accepts_text

    @property
    def requires_text(self) -> bool:
        """True if `summarize` requires a query."""
        return self.scorer.requires_text

    def __call__(self, inputs: tuple[str | os.PathLike, Sequence[str] | str | None]) -> dict[str, list[dict]]:
        """Encode and summarize a video with the interface of ModelScope's pipeline.

        Args:
            inputs: the path of a video, and its queries: a list, a string or None. A single empty string is no query.

        Returns:
            `{"output": [{"frame": [first, last], "timestamps": [start, end]}]}`, as `summary` in summary.json.

        Raises:
            InputError: `inputs` has another form, or as `encode` and `summarize`.
        """
        path, texts = _parse_inputs(inputs)
        video = self.encode(path, progress=False)
        return dict(output=self.summarize(video, texts, subtitles=embedded_subtitles(path)).to_json()["summary"])

    def encode(self, path: str | os.PathLike, progress: bool = True, *, sampling: str = "exact",
               cache_dir: str | os.PathLike | None = None, info: VideoInfo | None = None) -> EncodedVideo:
        """Decode and encode a video; the result serves any number of calls of `summarize`.

        Args:
            path: a video file.
            progress: show a progress bar on stderr.
            sampling: `exact` or `keyframes`, see `encode_video`.
            cache_dir: folder for encoded videos, see `encode_cached`; None disables the cache.
            info: the result of `probe`, if the video has been probed already.

        Raises:
            InputError: the video cannot be decoded, or the folder cannot be written.
        """
        if cache_dir is None:
            return encode_video(path, self.encoders, progress, sampling=sampling, info=info)
        return encode_cached(path, self.encoders, cache_dir, progress, sampling=sampling, info=info)

    def summarize(self, video: EncodedVideo, texts: Sequence[str] = (), budget: float | timedelta | str = 0.15,
                  subtitles: Sequence[Cue] = (), mode: str = "summary",
                  shorts: ShortsOptions | None = None) -> Result:
        """Score the clips of a video, find its moments, and select what the summary keeps.

        Args:
            video: the video, encoded by the same encoders.
            texts: the queries; without any, the video is scored by importance or novelty.
            budget: maximum duration of the summary: a share of the video in (0, 1], or a time such as "60s". At
                least one clip is kept.
            subtitles: subtitles of the video. They support the queries, or replace them if there are none, and
                cuts avoid them.
            mode: `summary` selects shots within the budget, `moments` selects complete moments within it, `shorts`
                selects the best pieces of a given length without a budget.
            shorts: number and length of the shorts; None for three of 15 to 60 s.

        Raises:
            InputError: a query is empty, the budget or the mode is invalid, other encoders encoded the video, the
                scorer accepts no queries or requires one, or its scores are not finite.
        """
        started_s = time.perf_counter()
        queries_text, budget, mode = check_queries(texts), check_budget(budget), check_mode(mode)
        self._check_encoders(video)
        self.scorer.check_queries(queries_text)
        captions = [] if queries_text else self._captions(video)
        queries = user_queries(queries_text) if queries_text else video_queries(subtitles, captions)
        scores = self.scorer.score(video, queries, subtitles)
        self._check_finite(video, scores)
        share = budget_share(budget, video.info.duration_s)
        selector = Selector(video, main_features(video, self.encoders), scores.clips, scores.moments, self.max_shot_s)
        if mode == "shorts":
            selection = selector.shorts(shorts or ShortsOptions(), subtitles)
        else:
            selection = selector.moments(share) if mode == "moments" else selector.summary(share)
        edges_s = video.float_edges_s.tolist()
        return Result(
            video=video, texts=queries_text, budget=float(share), scores=scores.clips, moments=scores.moments,
            scores_by_text=scores.curves, mode=mode, pieces_s=selection.pieces_s, queries=scores.queries,
            shots=[(edges_s[first], edges_s[last + 1]) for first, last in selection.shots],
            selected=selection.selected.tolist(), provenance=self._provenance(scores.provenance),
            cues=tuple(subtitles), captions=tuple(captions),
            timings_s=dict(encode=video.encoding_s, score=time.perf_counter() - started_s))

    def _captions(self, video: EncodedVideo) -> list[Caption]:
        """Caption the shots, which are detected by visual features alone."""
        if self.captioner is None:
            return []
        return self.captioner.captions(video, visual_shots(video, main_features(video, self.encoders)))

    def _provenance(self, provenance: Provenance) -> dict[str, str | None]:
        """Return `scored_by` of summary.json."""
        audio = type(self.encoders.audio).__name__ if provenance.uses_audio else None
        blended = {} if provenance.blended_with is None else dict(beside=provenance.blended_with)
        return dict(config=self.config, checkpoint=self.checkpoint, kind=provenance.method, **blended,
                    visual=type(self.encoders.visual).__name__, text=type(self.encoders.text).__name__, audio=audio)

    def _check_encoders(self, video: EncodedVideo) -> None:
        expected = dict(visual=type(self.encoders.visual).__name__)
        if self.encoders.audio is not None:
            expected["audio"] = type(self.encoders.audio).__name__
        if video.encoders != expected or video.clip_len_s != self.encoders.visual.clip_len_s:
            raise InputError(video.info.path, f"it was encoded by {video.encoders}, but this summarizer uses "
                             f"{expected}", "encode it with this summarizer")

    def _check_finite(self, video: EncodedVideo, scores: Scores) -> None:
        invalid = ~np.isfinite(np.vstack([scores.clips, scores.curves])).all(axis=0)
        if invalid.any():
            source = self.checkpoint or scores.provenance.method
            raise InputError(video.info.path, f"{invalid.sum()} of {invalid.size} scores are NaN or infinite",
                             f"check that {source} is not damaged and was trained on these features")


def build_summarizer(config: str | os.PathLike | None = None, checkpoint: str | os.PathLike | None = None,
                     captioner: str | None = "vocabulary", *, importance: str = "blend") -> Summarizer:
    """Build a summarizer from a config.

    Args:
        config: a config with `encoders`, and with `model` for a trained model; None for the embedded encoders and
            zero-shot scores.
        checkpoint: the weights of the trained model; required if and only if the config has a `model`.
        captioner: `vocabulary` or `blip`, see `build_captioner`; None for no captions.
        importance: use of the shipped importance model in zero-shot scoring, if it fits the encoders: `blend` for
            20 % of the score with a query and all of it without; `only` to ignore queries; `off` for novelty instead.

    Raises:
        InputError: the config is invalid, the checkpoint does not belong to it, one is given without the other, or
            the encoders and the model have different feature dimensions.
    """
    cfg = load_scoring_config(config, checkpoint)
    _, options = summarizer_options(cfg)
    model = load_model(cfg, checkpoint)   # Before the encoders, so that a wrong checkpoint is reported at once.
    encoders = build_encoders(cfg.encoders)
    return Summarizer(encoders, build_scorer(cfg, encoders, model, importance),
                      None if captioner is None else build_captioner(captioner, encoders),
                      config=_config_name(Path(cfg.filename)),
                      checkpoint=None if checkpoint is None else str(checkpoint), **options)


def _config_name(path: Path) -> str:
    """Return the path of a config relative to this checkout, or unchanged outside of it."""
    return str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else str(path)


def _parse_inputs(inputs: object) -> tuple[str | os.PathLike, list[str]]:
    """Return the path and the queries of `Summarizer.__call__`."""
    if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
        raise InputError(None, f"{inputs!r} is not a pair", "give (path of the video, sentences)")
    path, texts = inputs
    is_list = isinstance(texts, (list, tuple)) and all(isinstance(text, str) for text in texts)
    if not isinstance(path, (str, os.PathLike)) or not (is_list or texts is None or isinstance(texts, str)):
        raise InputError(None, f"{inputs!r} is not a video with its queries",
                         "give the path of a video, and a sentence, a list of sentences or None")
    listed = [texts] if isinstance(texts, str) else list(texts or ())
    return path, [] if listed == [""] else listed
