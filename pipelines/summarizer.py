"""Encode a video once, ask it many times.

    summarizer = build_summarizer()
    video = summarizer.encode("match.mp4")
    result = summarizer.summarize(video, ["a goal", "the crowd cheers"], budget=0.15)
    result.save_video("summary.mp4"); result.save_report("report.html"); result.save_json("summary.json")
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from types import NoneType

import numpy as np
import torch.nn as nn
from nncore.nn import MODELS

from common.build import build, suggest
from common.config import load_config
from common.errors import InputError
from common.paths import ROOT
from common.queries import check_queries
from models.checkpoint import load_checkpoint
from models.device import best_device
from models.encoders import Encoders, build_encoders
from pipelines.features.cache import encode_cached
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue, embedded_subtitles
from pipelines.scoring.captions import Caption, Captioner, build_captioner
from pipelines.scoring.clip_it import run_clip_it
from pipelines.scoring.curves import SIGMA_CLIPS
from pipelines.scoring.importance import VISUAL_PARTS, domain_familiarity, load_importance_model
from pipelines.scoring.model_inputs import check_asked, parts_read, reads_sentences
from pipelines.scoring.moments import MAX_MOMENTS, Moment, find_moments, suppress_overlaps
from pipelines.scoring.novelty import has_variation, novelty
from pipelines.scoring.queries import SUBTITLES, Query, embed_texts, user_queries, video_queries
from pipelines.scoring.relevance import map_rows, query_scores
from pipelines.scoring.sliding_window import score_windows
from pipelines.scoring.subtitle_evidence import UNRELATED_SENTENCES, centrality, cue_similarity, max_over_cues
from pipelines.selection.selector import Selection, Selector, visual_shots

from .options import Shorts, budget_share, check_budget, check_mode
from .result import Result
from .summary import ZERO_SHOT

DEFAULT_CONFIG = ROOT / "configs/zeroshot/offline.py"
BY_HEAD = "CLIP-It, trained on TVSum"
WORDS_SHARE = 0.8   # of a clip's score when something is asked; the rest is what matters in the video
SAID_SHARE = 0.1    # of a clip's score when nothing is asked: how central to all that is said what is said then is
HEARD = 0.5   # from this likeness on a spoken line is a moment of its own, beside a trained model's


@dataclass(frozen=True)
class Settings:
    """`summarizer=dict(...)` in a config.

    Attributes:
        sigma_clips: zero-shot scores are smoothed over so many clips.
        max_shot_s: the longest piece that the cut takes or leaves as one.
        max_iou: of two moments that overlap by more than this, the better one stays.
        max_moments: the most moments per sentence.
    """

    sigma_clips: float = SIGMA_CLIPS
    max_shot_s: float = 10.0
    max_iou: float = 0.5
    max_moments: int = MAX_MOMENTS


class Summarizer:
    """Scores videos against sentences and chooses what a cut keeps.

    Args:
        encoders: of pictures, words and perhaps sound.
        model: a trained model in evaluation mode, or None for zero-shot scores.
        parts: the parts of the visual features that the model reads, in its order.
        window_clips: clips that the model was trained on.
        names: what the report says it was scored by: `kind`, `config`, `checkpoint`.
        captioner: says what shots show when nothing is asked; None says nothing.
        head: scores clips by their importance, see `pipelines.scoring.importance`: where there is no model, it
            decides as far as it may be trusted when nothing is asked, and weighs a little beside the words
            when something is. None takes what stands out from the rest.
    """

    def __init__(self, encoders: Encoders, model: nn.Module | None = None, parts: Sequence[str] = (),
                 window_clips: int = 75, settings: Settings = Settings(),
                 names: dict[str, str | None] | None = None, captioner: Captioner | None = None,
                 head: nn.Module | None = None):
        self.captioner, self.head = captioner, head
        self.encoders, self.model, self.parts = encoders, model, tuple(parts)
        self.window_clips, self.settings = window_clips, settings
        self.names = names or dict(kind=ZERO_SHOT if model is None else type(model).__name__)
        if encoders.audio is not None and encoders.audio.clip_len_s != encoders.visual.clip_len_s:
            raise InputError(f"encoders: sound in clips of {encoders.audio.clip_len_s} s, pictures of "
                             f"{encoders.visual.clip_len_s} s; make them equal")

    def __call__(self, inputs: tuple[str | os.PathLike, Sequence[str] | str | None]) -> dict[str, list[dict]]:
        """As ModelScope's pipeline is called.

        Args:
            inputs: a video's path, and sentences; none of them, or an empty one alone, for what stands out.

        Returns:
            `{"output": [{"frame": [first, last], "timestamps": [from, to]}]}`, as `summary` in summary.json.

        Raises:
            InputError: as `encode` and `summarize`, or other inputs.
        """
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise InputError(f"{inputs!r}: give (path of the video, sentences)")
        path, sentences = inputs
        several = isinstance(sentences, (list, tuple)) and all(isinstance(text, str) for text in sentences)
        if not isinstance(path, (str, os.PathLike)) or not (several or isinstance(sentences, (str, NoneType))):
            raise InputError(f"{inputs!r}: give the path of a video, and a sentence, a list of sentences or None")
        texts = [sentences] if isinstance(sentences, str) else list(sentences or ())
        texts = [] if texts == [""] else texts
        video = self.encode(path, progress=False)
        return dict(output=self.summarize(video, texts, subtitles=embedded_subtitles(path)).to_json()["summary"])

    def encode(self, path: str | os.PathLike, progress: bool = True, *, sampling: str = "exact",
               cache_dir: str | os.PathLike | None = None) -> EncodedVideo:
        """Decodes and encodes a video, once for all questions; see `encode_video` and `encode_cached`.

        Args:
            cache_dir: a folder in which encoded videos are kept; None keeps none.
        """
        if cache_dir is None:
            return encode_video(path, self.encoders, progress, sampling=sampling)
        return encode_cached(path, self.encoders, cache_dir, progress, sampling=sampling)

    def summarize(self, video: EncodedVideo, texts: Sequence[str] = (), budget: float | timedelta | str = 0.15,
                  subtitles: Sequence[Cue] = (), mode: str = "summary", shorts: Shorts | None = None) -> Result:
        """Scores a video's clips, finds the moments and chooses what to keep.

        Args:
            video: from `encode`, with the same encoders.
            texts: what to look for; none for what stands out.
            budget: what the cut may take: a share of the video in (0, 1], or a time such as "60s"; at
                least one clip is kept.
            subtitles: lines spoken in the video, which are cut along. A sentence is looked for in them too; where
                none is given, they are the sentences, and without them the captions are.
            mode: `summary` keeps shots within the budget, `moments` whole moments within it, `shorts`
                the best pieces of a length, without a budget.
            shorts: how many pieces and how long; None for three of 15 to 60 s.

        Raises:
            InputError: an empty sentence, a budget or mode that is none, a video encoded by other
                encoders, a question to a model that takes none (or none to one that needs it), or a model
                that scores NaN.
        """
        started_s = time.perf_counter()
        texts, budget, mode = check_queries(texts), check_budget(budget), check_mode(mode)
        self._check(video, texts)
        captions = self._captions(video) if not texts else []
        sentences = user_queries(texts) if texts else self._from_video(video, subtitles, captions)
        if texts:
            scores, curves, moments = self._score(video, texts, subtitles)
        else:
            scores, moments = self._score_unasked(video, sentences)
            curves = scores[None]
        self._check_finite(video, np.vstack([scores, curves]))
        joins = self.model is None and self.head is not None
        if texts and joins:
            scores = WORDS_SHARE * scores + (1 - WORDS_SHARE) * self._what_matters(video)
        share = budget_share(budget, video.info.duration_s)
        choice = self._choose(video, scores, moments, share, subtitles, mode, shorts or Shorts())
        edges_s = video.float_edges_s.tolist()
        visual = self.encoders.visual
        matters = {}
        if joins:
            matters = dict(beside=self._by(video) or "what stands out") if texts else dict(
                kind=self._by(video) or ZERO_SHOT)
        names = dict(config=None, checkpoint=None) | self.names | matters | dict(
            visual=type(visual).__name__, text=type(self.encoders.text).__name__,
            audio=type(self.encoders.audio).__name__ if self._listens(video, texts) else None)
        return Result(
            video=video, texts=texts, budget=float(share), scores=scores, moments=moments,
            scores_by_text=curves if texts else curves[:0], mode=mode, pieces_s=choice.pieces_s, queries=sentences,
            shots=[(edges_s[first], edges_s[last + 1]) for first, last in choice.shots],
            selected=choice.selected.tolist(), provenance=names, cues=tuple(subtitles), captions=tuple(captions),
            timings_s=dict(encode=video.encoding_s, score=time.perf_counter() - started_s))

    def _choose(self, video: EncodedVideo, scores: np.ndarray, moments: list[Moment], share: Fraction,
                cues: Sequence[Cue], mode: str, shorts: Shorts) -> Selection:
        chooser = Selector(video, self._main_part(video), scores, moments, self.settings.max_shot_s)
        if mode == "shorts":
            return chooser.shorts(shorts, cues)
        return chooser.moments(share) if mode == "moments" else chooser.summary(share)

    def _listens(self, video: EncodedVideo, texts: tuple[str, ...]) -> bool:
        """Whether the scores depend on sound: not by words alone, and not by the head alone."""
        if self.model is None:
            stands_out = not texts or self.head is not None
            return stands_out and self._trust(video) < 1 and video.audio is not None
        return getattr(self.model, "audio_enc", None) is not None and video.audio is not None

    def _check(self, video: EncodedVideo, texts: tuple[str, ...]) -> None:
        own = dict(visual=type(self.encoders.visual).__name__)
        if self.encoders.audio is not None:
            own["audio"] = type(self.encoders.audio).__name__
        if video.encoders != own or video.clip_len_s != self.encoders.visual.clip_len_s:
            raise InputError(f"{video.info.path}: encoded by {video.encoders}, asked with {own}; encode it "
                             "with this summarizer")
        check_asked(self.model, texts)

    def _check_finite(self, video: EncodedVideo, curves: np.ndarray) -> None:
        odd = ~np.isfinite(curves).all(axis=0)
        if odd.any():
            by = self.names.get("checkpoint") or self.names["kind"]
            raise InputError(f"{video.info.path}: {odd.sum()} of {odd.size} scores are no finite numbers; what scores "
                             f"them ({by}) is damaged or was trained on other features")

    def _score(self, video: EncodedVideo, texts: tuple[str, ...],
               cues: Sequence[Cue]) -> tuple[np.ndarray, np.ndarray, list[Moment]]:
        """Scores (T,), those by sentence (Q, T), all in [0, 1], and the moments of all sentences by falling score."""
        heard = self._heard(video, texts, cues) if cues else None
        if reads_sentences(self.model):
            curves = np.stack([run_clip_it(self.model, video, self.encoders, [text]) for text in texts])
            scores = curves[0] if len(texts) == 1 else run_clip_it(self.model, video, self.encoders, texts)
            if heard is not None:
                scores, curves = np.maximum(scores, heard.max(axis=0)), np.maximum(curves, heard)
            return scores, curves, self._found([self._moments_in(video, curve, text)
                                                for curve, text in zip(curves, texts, strict=True)])
        features = self.encoders.text.encode(list(texts))
        if self.model is None:
            curves = self._cosines(video, np.stack([f.pooler_output for f in features]))
            curves = query_scores(curves, heard, self.settings.sigma_clips)
            found = [self._moments_in(video, curve, text) for curve, text in zip(curves, texts, strict=True)]
        else:
            scored = [self._run_model(video, feature.last_hidden_state, text)
                      for feature, text in zip(features, texts, strict=True)]
            curves, found = np.stack([curve for curve, _ in scored]), [moments for _, moments in scored]
            if heard is not None:
                curves = np.maximum(curves, heard)
                found = [moments + self._moments_in(video, np.where(row >= HEARD, row, 0), text)
                         for moments, row, text in zip(found, heard, texts, strict=True)]
        return curves.max(axis=0), curves, self._found(found)

    def _found(self, by_text: Sequence[list[Moment]]) -> list[Moment]:
        """The best moments of each sentence, by falling score; those of one score in one order too."""
        kept = [moment for moments in by_text for moment in self._best(moments)]
        return sorted(kept, key=lambda m: (-m.score, m.start_s, m.end_s, m.text))

    def _captions(self, video: EncodedVideo) -> list[Caption]:
        """What the shots show, which the video falls into by its looks alone; none without a captioner."""
        if self.captioner is None:
            return []
        return self.captioner.captions(video, visual_shots(video, self._main_part(video)))

    def _from_video(self, video: EncodedVideo, cues: Sequence[Cue],
                    captions: Sequence[Caption]) -> tuple[Query, ...]:
        """The video's own sentences, as far as anything that scores reads them."""
        if self.model is not None:
            return video_queries(cues, captions) if reads_sentences(self.model) else ()
        return video_queries(cues, captions if self._trust(video) > 0 else ())

    def _score_unasked(self, video: EncodedVideo, sentences: tuple[Query, ...]) -> tuple[np.ndarray, list[Moment]]:
        """Scores (T,) in [0, 1] by the video's own sentences, and moments."""
        if self.model is not None and not reads_sentences(self.model):
            curve, moments = self._run_model(video, None, "")
            return curve, self._best(moments)
        texts = sorted({sentence.text for sentence in sentences})
        rows = embed_texts(self.encoders, texts) if texts else np.empty((0, 0))
        if self.model is not None:
            curve = run_clip_it(self.model, video, self.encoders, rows)
        else:
            curve = self._what_matters(video, rows)
            if sentences and sentences[0].source == SUBTITLES:
                said = rows[[texts.index(sentence.text) for sentence in sentences]]
                curve = (1 - SAID_SHARE) * curve + SAID_SHARE * centrality(said, sentences, video.float_edges_s)
        return curve, self._best(self._moments_in(video, curve, ""))

    def _by(self, video: EncodedVideo) -> str | None:
        """What `_what_matters` goes by, for the report; None where that is what stands out alone."""
        share = self._trust(video)
        return None if share == 0 else BY_HEAD if share == 1 else f"{BY_HEAD}, and what stands out"

    def _trust(self, video: EncodedVideo) -> float:
        return 0.0 if self.head is None else domain_familiarity(self._main_part(video))

    def _what_matters(self, video: EncodedVideo, sentences: np.ndarray | Sequence[str] = ()) -> np.ndarray:
        """(T,) in [0, 1]: the head's scores as far as it is trusted, by its own sentences, then what stands out."""
        share, curve = self._trust(video), np.zeros(video.n_clips)
        if share < 1:
            curve += (1 - share) * novelty(self._main_part(video), video.audio, video.blank_clips,
                                                self.settings.sigma_clips)
        if share > 0:
            curve += share * np.where(video.blank_clips, 0, run_clip_it(self.head, video, self.encoders, sentences))
        return curve

    def _best(self, moments: list[Moment]) -> list[Moment]:
        return suppress_overlaps(moments, self.settings.max_iou, self.settings.max_moments)

    def _cosines(self, video: EncodedVideo, sentences: np.ndarray) -> np.ndarray:
        """(T, Q); zeros for a video that shows one thing all the time, where differences are noise."""
        shared = video.visual[self.encoders.visual.shared_part]
        if not has_variation(shared):
            return np.zeros((len(shared), len(sentences)))
        return map_rows(lambda sentence: self.encoders.visual.similarity(shared, sentence).T, sentences).T

    def _heard(self, video: EncodedVideo, texts: tuple[str, ...], cues: Sequence[Cue]) -> np.ndarray:
        cues = [cue for cue in cues if cue.text.strip()]
        if not cues:
            return np.zeros((len(texts), video.n_clips))
        encoded = self.encoders.text.encode([*texts, *UNRELATED_SENTENCES, *(cue.text for cue in cues)])
        rows = np.stack([f.pooler_output for f in encoded])
        sentences, unrelated, lines = np.split(rows, [len(texts), len(texts) + len(UNRELATED_SENTENCES)])
        likeness = cue_similarity(sentences, lines, unrelated)
        return max_over_cues(likeness, cues, video.float_edges_s)

    def _run_model(self, video: EncodedVideo, query: np.ndarray | None,
                   text: str) -> tuple[np.ndarray, list[Moment]]:
        assert self.model is not None
        audio = video.audio
        if audio is None and self.encoders.audio is not None:
            audio = np.zeros((video.n_clips, self.encoders.audio.dims), dtype=np.float32)   # as in training
        visual = np.concatenate([video.visual[part] for part in self.parts], axis=1)
        curve, found = score_windows(self.model, visual, audio, query, self.window_clips, video.clip_len_s)
        end_s = float(video.info.duration_s)
        moments = [Moment(max(0.0, start), min(stop, end_s), score, text) for start, stop, score in found
                   if start < end_s]
        return curve, moments or self._moments_in(video, curve, text)

    def _moments_in(self, video: EncodedVideo, curve: np.ndarray, text: str) -> list[Moment]:
        edges_s = video.edges_s
        return [Moment(float(edges_s[first]), float(edges_s[last + 1]), score, text)
                for first, last, score in find_moments(curve, self.settings.max_moments)]

    def _main_part(self, video: EncodedVideo) -> np.ndarray:
        return video.visual[next(iter(self.encoders.visual.parts))]


def build_summarizer(config: str | os.PathLike | None = None,
                     checkpoint: str | os.PathLike | None = None, captioner: str | None = "vocabulary") -> Summarizer:
    """Builds a summarizer from a config.

    Args:
        config: with `encoders`, and with `model` for a trained model; None for the embedded encoders,
            zero-shot.
        checkpoint: the trained model's weights; given exactly when the config has a `model`.
        captioner: see `build_captioner`; None for no captions.

    Raises:
        InputError: a checkpoint without its config or the other way round, a faulty config, weights
            of another model, or features of other widths than the model's.
    """
    if checkpoint is not None and config is None:
        raise InputError(f"{checkpoint}: a checkpoint needs the config that it was trained with; name it too")
    path = Path(config) if config is not None else DEFAULT_CONFIG
    cfg = load_config(path)
    if "encoders" not in cfg:
        raise InputError(f"{path}: has no 'encoders', so nothing makes features from a video; give a config "
                         "that has, e.g. one with ../_base_/encoders/offline.py among its _base_")
    if "model" in cfg and checkpoint is None:
        raise InputError(f"{path}: has a model, which needs its weights; name the checkpoint")
    if "model" not in cfg and checkpoint is not None:
        raise InputError(f"{path}: has no model to load {checkpoint} into; name the config that it was "
                         "trained with")
    settings = dict(cfg.get("summarizer") or {})
    known = [f.name for f in fields(Settings)]
    for key in settings:
        if key not in known:
            raise InputError(f"{path}: summarizer: unknown key {key!r}; {suggest(key, known)}")
    model, parts = None, []
    if checkpoint is not None:   # the model first: a wrong checkpoint should not wait for the encoders
        model = build(cfg.model, MODELS, location="model").eval().to(best_device())
        load_checkpoint(model, checkpoint)
    encoders = build_encoders(cfg.encoders)
    if model is not None:
        parts = parts_read(model, cfg, encoders, path)
    names = dict(kind=ZERO_SHOT if model is None else type(model).__name__, config=_from_root(path),
                 checkpoint=None if checkpoint is None else str(checkpoint))
    head = load_importance_model() if model is None and dict(encoders.visual.parts) == VISUAL_PARTS else None
    return Summarizer(encoders, model, parts, cfg.get("window_clips", 75), Settings(**settings), names,
                      None if captioner is None else build_captioner(captioner, encoders), head)


def _from_root(path: Path) -> str:
    """A config of this program by its name within it, another one as given."""
    return str(path.resolve().relative_to(ROOT)) if path.resolve().is_relative_to(ROOT) else str(path)
