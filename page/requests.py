"""A question as people put it on the page, and its answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from common.errors import InputError
from pipelines.export.options import ExportOptions, parse_aspect
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.options import MODES, ShortsOptions, parse_budget, parse_shorts
from pipelines.result import Result

from .limits import Limits
from .model_catalog import Catalogue, Model

MOST_SHORTS = 20
LISTS = ("csv", "edl", "otio")   # edit lists that always come along


@dataclass(frozen=True)
class Question:
    """What is asked of a video.

    Attributes:
        texts: sentences; none for what stands out.
        model: that scores.
        other: a second one, whose curve is drawn too; None for no comparison.
        budget: as `Summarizer.summarize`; so are `mode` and `shorts`.
        form: of the files.
    """

    texts: tuple[str, ...]
    model: Model
    other: Model | None = None
    budget: float | timedelta = 0.15
    mode: str = "summary"
    shorts: ShortsOptions = field(default_factory=ShortsOptions)
    form: ExportOptions = field(default_factory=lambda: ExportOptions(edit_lists=LISTS))

    @property
    def models(self) -> list[Model]:
        return [self.model] if self.other is None else [self.model, self.other]


@dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
        summary: by the question's model.
        other: by its other model.
        took_s: from the question to the answer.
    """

    summary: Result
    other: Result | None
    took_s: float = 0.0


def read_question(catalogue: Catalogue, limits: Limits, sentences: str | list[str] = "", mode: str = "summary",
                  budget: str = "15%", count: float = 3, length: str = "15-60", model: str = "", compare: str = "",
                  shape: str = "") -> Question:
    """Checks what somebody typed and chose.

    Args:
        catalogue: of models; an empty `model` takes its first, an empty `compare` none.
        limits: on sentences.
        sentences: a sentence a line, or a list.
        mode: of `MODES`.
        budget: a share or a time, not for shorts.
        count: how many shorts.
        length: of shorts, in seconds.
        model: key of a model.
        compare: key of another.
        shape: width and height such as 9:16, to which the cut is cropped; "" for none.

    Raises:
        InputError: any of it cannot be used.
    """
    texts = limits.read_sentences(sentences)
    if mode not in MODES:
        raise InputError(f"There is no mode {str(mode)[:40]!r}; choose {', '.join(MODES)}")
    chosen = catalogue.find(model) if model else catalogue.default
    other = catalogue.find(compare) if compare and compare != chosen.key else None
    shorts, asked_for = ShortsOptions(), 0.15
    if mode == "shorts":
        if not isinstance(count, (int, float)) or not 1 <= count <= MOST_SHORTS or count != int(count):
            raise InputError(f"Ask for 1 to {MOST_SHORTS} shorts")
        shorts = _read_shorts(int(count), str(length))
    else:
        asked_for = _read_budget(str(budget))
    form = ExportOptions(aspect=parse_aspect(shape) if shape else None, edit_lists=LISTS)
    return Question(texts, chosen, other, asked_for, mode, shorts, form)


def _read_budget(text: str) -> float | timedelta:
    """A bare number from 1 on is neither a share nor a time, though people write it for either."""
    try:
        return parse_budget(text)
    except InputError as err:
        raise InputError(f"How much of it, “{text[:40]}”? Write a share such as 15% or a time such as 60s") from err


def _read_shorts(count: int, text: str) -> ShortsOptions:
    """The exact ends of the pieces are the cut's work."""
    try:
        return replace(parse_shorts(count, text), refine=False)
    except InputError as err:
        raise InputError(f"How many seconds each, “{text[:40]}”? Write the shortest and the longest, such as 15-60, "
                         "with room between them") from err


def check_fit(question: Question, catalogue: Catalogue) -> None:
    """Raises an InputError for sentences to a model that takes none, or none to one that needs them."""
    for model in question.models:
        summarizer = catalogue.load(model)
        if question.texts and (model.wordless or not summarizer.accepts_text):
            raise InputError(f"“{model.name}” takes no words. Leave the sentences out, or choose another model")
        if not question.texts and summarizer.requires_text:
            raise InputError(f"“{model.name}” looks for what is asked. Write a sentence, or choose another model")


def ask(question: Question, catalogue: Catalogue, videos: dict[str, EncodedVideo], cues: list[Cue]) -> Answer:
    """Scores an encoded video.

    Args:
        question: that `check_fit` let pass.
        catalogue: of models.
        videos: the video as encoded by each of the models' recipes.
        cues: its subtitles.
    """
    found = [catalogue.load(model).summarize(videos[model.recipe], question.texts, question.budget, cues,
                                             question.mode, question.shorts) for model in question.models]
    return Answer(found[0], found[1] if len(found) > 1 else None)


