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
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.paths import ROOT
from common.progress import Progress, progress_reporter
from common.queries import check_queries
from models.encoders import Encoders, build_encoders
from pipelines.features.cache import encode_cached
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.cues import check_cue_limits
from pipelines.media.probe import VideoInfo
from pipelines.media.subtitles import Cue, embedded_subtitles
from pipelines.scoring.builder import (
    build_scorer,
    load_model,
    load_scoring_config,
    summarizer_options,
    zero_shot_scorer,
)
from pipelines.scoring.captions import Caption, Captioner, DeferredCaptioner, build_captioner, check_captioner
from pipelines.scoring.queries import user_queries, video_queries
from pipelines.scoring.scorers import Provenance, Scorer, Scores, main_features
from pipelines.selection.selector import Selector, visual_shots

from .options import ShortsOptions, budget_share, check_budget, check_min_budget, check_mode
from .result import Result

MAX_SHOT_S = 10.0   # Longer shots are split, so that a summary can keep a part of a shot.
TEXT_BAR_DELAY_S = 1.0   # The text of most videos is encoded before a progress bar would appear.


class Summarizer:
    """A summarizer that scores videos with or without text queries, and selects the parts that a summary keeps.

    Args:
        encoders: a visual encoder, a text encoder and optionally an audio encoder.
        scorer: scorer of clips and moments; None for zero-shot similarity to queries, and novelty if there are none.
        captioner: captioner of the shots, used if there is no query; None for no captions.
        max_shot_s: maximum duration of a shot; longer shots are split.
        config: name of the config, for the results.
        checkpoint: name of the checkpoint, for the results.

    Raises:
        InputError: the audio encoder and the visual encoder have different clip durations.
    """

    def __init__(self, encoders: Encoders, scorer: Scorer | None = None, captioner: Captioner | None = None, *,
                 max_shot_s: float = MAX_SHOT_S, config: str | None = None, checkpoint: str | None = None):
        if encoders.audio is not None and encoders.audio.clip_len_s != encoders.visual.clip_len_s:
            raise InputError("encoders", f"the audio encoder has clips of {encoders.audio.clip_len_s} s, but the "
                             f"visual encoder has clips of {encoders.visual.clip_len_s} s",
                             "set both to the same duration")
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
            inputs: (path, queries) of a video. The queries are a list, a string or None; "" also means no query.

        Returns:
            `{"output": [{"frame": [first, last], "timestamps": [start, end]}]}`, like `summary` in summary.json.

        Raises:
            InputError: `inputs` is invalid, or `encode` or `summarize` fails.
        """
        path, texts = _parse_inputs(inputs)
        video = self.encode(path, progress=False)
        return dict(output=self.summarize(video, texts, subtitles=embedded_subtitles(path)).to_json()["summary"])

    def encode(self, path: str | os.PathLike, progress: bool = True, *, sampling: str = "exact",
               cache_dir: str | os.PathLike | None = None, info: VideoInfo | None = None) -> EncodedVideo:
        """Decode and encode a video, which `summarize` can then summarize any number of times.

        Args:
            path: a video file.
            progress: show a progress bar on stderr.
            sampling: `exact` or `keyframes`, see `encode_video`.
            cache_dir: cache folder of encoded videos, see `encode_cached`; None disables the cache.
            info: result of `probe`; None to probe the video.

        Raises:
            InputError: the video cannot be decoded, or the cache folder cannot be written.
        """
        if cache_dir is None:
            return encode_video(path, self.encoders, progress, sampling=sampling, info=info)
        return encode_cached(path, self.encoders, cache_dir, progress, sampling=sampling, info=info)

    def check_options(self, texts: str | Sequence[str], budget: float | timedelta | str, mode: str,
                      duration_s: Fraction) -> None:
        """Check the options of `summarize`, and load what they require; this takes less time than to encode a video.

        Args:
            texts: see `summarize`.
            budget: see `summarize`.
            mode: see `summarize`.
            duration_s: duration of the video in seconds.

        Raises:
            InputError: an option is invalid, see `summarize`; or the files of the captioner are missing.
        """
        checked = check_queries(texts)
        self.scorer.check_queries(checked)
        if check_mode(mode) != "shorts":
            check_min_budget(budget, self.encoders.visual.clip_len_s, duration_s)
        if not checked and isinstance(self.captioner, DeferredCaptioner):
            self.captioner.load()

    def summarize(self, video: EncodedVideo, texts: str | Sequence[str] = (), budget: float | timedelta | str = 0.15,
                  subtitles: Sequence[Cue] = (), mode: str = "summary",
                  shorts: ShortsOptions | None = None, progress: Progress = False) -> Result:
        """Score the clips of a video, find its moments, and select the parts that the summary keeps.

        Args:
            video: the video, encoded with the encoders of this summarizer.
            texts: the queries; if there are none, the video is scored by importance or novelty.
            budget: maximum duration of the summary: a share of the video in (0, 1], or a time such as "60s", at least
                the duration of a clip. If a share is shorter than a clip, one clip is kept.
            subtitles: subtitles of the video. They are evidence for the queries; if there are no queries, they are
                used as queries. The ends of shorts avoid them.
            mode: `summary` selects shots within the budget, `moments` selects complete moments within the budget, and
                `shorts` selects the best pieces of a given length without a budget.
            shorts: number and length of the shorts; None for three shorts of 15 to 60 s.
            progress: True to show a progress bar on stderr if the text of the video takes more than a second to
                encode; a function is called with the finished share of this work, from 0 to 1.

        Raises:
            InputError: a query is empty; a query or the subtitles are too long; the budget or the mode is invalid; the
                video was encoded with other encoders; the scorer accepts no queries, or requires one; or its scores are
                not finite.
        """
        started_s = time.perf_counter()
        check_cue_limits(subtitles)
        query_texts, budget, mode = check_queries(texts), check_budget(budget), check_mode(mode)
        self._check_encoders(video)
        self.check_options(query_texts, budget, mode, video.info.duration_s)
        captions = [] if query_texts else self._captions(video)
        queries = user_queries(query_texts) if query_texts else video_queries(subtitles, captions)
        with progress_reporter(progress, "encoding text", TEXT_BAR_DELAY_S) as report:
            scores = self.scorer.score(video, queries, subtitles, report)
        self._check_finite(video, scores)
        share = budget_share(budget, video.info.duration_s)
        selector = Selector(video, main_features(video, self.encoders), scores.clips, scores.moments, self.max_shot_s)
        if mode == "shorts":
            selection = selector.shorts(shorts or ShortsOptions(), subtitles)
        else:
            selection = selector.moments(share) if mode == "moments" else selector.summary(share)
        edges_s = video.float_edges_s.tolist()
        return Result(
            video=video, texts=query_texts, budget=float(share), scores=scores.clips, moments=scores.moments,
            scores_by_text=scores.curves, mode=mode, pieces_s=selection.pieces_s, queries=scores.queries,
            shots=[(edges_s[first], edges_s[last + 1]) for first, last in selection.shots],
            selected=selection.selected.tolist(), provenance=self._provenance(scores.provenance),
            cues=tuple(subtitles), captions=tuple(captions),
            timings_s=dict(encode=video.encoding_s, score=time.perf_counter() - started_s))

    def _captions(self, video: EncodedVideo) -> list[Caption]:
        """Caption the shots, which are detected from visual features only."""
        if self.captioner is None:
            return []
        return self.captioner.captions(video, visual_shots(video, main_features(video, self.encoders)))

    def _provenance(self, provenance: Provenance) -> dict[str, str | None]:
        """Return the value of `scored_by` in summary.json."""
        audio = type(self.encoders.audio).__name__ if provenance.uses_audio else None
        blended = {} if provenance.blended_with is None else dict(beside=provenance.blended_with)
        return dict(config=self.config, checkpoint=self.checkpoint, kind=provenance.method, **blended,
                    visual=type(self.encoders.visual).__name__, text=type(self.encoders.text).__name__, audio=audio)

    def _check_encoders(self, video: EncodedVideo) -> None:
        expected = dict(visual=type(self.encoders.visual).__name__)
        if self.encoders.audio is not None:
            expected["audio"] = type(self.encoders.audio).__name__
        if video.encoders != expected or video.clip_len_s != self.encoders.visual.clip_len_s:
            raise InputError(video.info.path, f"was encoded with {video.encoders}, but this summarizer uses "
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
        config: a config with `encoders`, and with `model` if a trained model scores the videos; None for the embedded
            encoders and zero-shot scoring.
        checkpoint: weights of the trained model; required if and only if the config has a `model`.
        captioner: `vocabulary` or `blip`, see `build_captioner`; None for no captions. It is built when it is needed,
            because a summary with queries has no captions.
        importance: use of the shipped importance model in zero-shot scoring, if the model fits the encoders. With
            `blend`, importance is 20 % of the score if there is a query, and the complete score if there is none.
            `only` ignores queries. `off` uses novelty instead of importance.

    Raises:
        InputError: the config is invalid, the checkpoint does not fit the config, a model is given without a checkpoint
            or vice versa, or the encoders and the model have different feature dimensions.
    """
    if captioner is not None:
        check_captioner(captioner)
    cfg = load_scoring_config(config, checkpoint)
    _, options = summarizer_options(cfg)
    model = load_model(cfg, checkpoint)   # Load it before the encoders to report a wrong checkpoint at once.
    encoders = build_encoders(cfg.encoders)
    return Summarizer(encoders, build_scorer(cfg, encoders, model, importance),
                      None if captioner is None else DeferredCaptioner(partial(build_captioner, captioner, encoders)),
                      config=_config_name(Path(cfg.filename)),
                      checkpoint=None if checkpoint is None else str(checkpoint), **options)


def _config_name(path: Path) -> str:
    """Return the path of a config relative to this checkout, or unchanged if the config is outside of it."""
    return str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else str(path)


def _parse_inputs(inputs: object) -> tuple[str | os.PathLike, list[str]]:
    """Return the path and the queries of `Summarizer.__call__`."""
    if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
        raise InputError(None, f"{inputs!r} is not a pair", "pass (path of the video, queries)")
    path, texts = inputs
    is_list = isinstance(texts, (list, tuple)) and all(isinstance(text, str) for text in texts)
    if not isinstance(path, (str, os.PathLike)) or not (is_list or texts is None or isinstance(texts, str)):
        raise InputError(None, f"{inputs!r} is not a video with its queries",
                         "pass the path of a video, and a query, a list of queries or None")
    listed = [texts] if isinstance(texts, str) else list(texts or ())
    return path, [] if listed == [""] else listed
