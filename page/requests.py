"""A user's request for a summary, and the response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from urllib.parse import quote

from common.errors import InputError
from common.progress import ReportProgress
from common.temporal import Interval
from pipelines.export.options import ExportOptions, parse_aspect
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.options import MODES, ShortsOptions, parse_budget, parse_shorts
from pipelines.result import Result
from pipelines.summarizer import Summarizer

from .limits import Limits
from .model_catalog import CatalogEntry, ModelCatalog, load_summarizer

MAX_SHORTS = 20
MAX_OPTION_CHARACTERS = 300   # The names of options and models are shorter.
EDIT_LISTS = ("csv", "edl", "otio")   # Edit lists are always written.


@dataclass(frozen=True)
class SummaryRequest:
    """A request for a summary of a video.

    Attributes:
        queries: text queries; empty for the most important moments.
        model: the model that scores the video.
        compared: a second model, whose curve is drawn too; None for no comparison.
        budget: fraction of the video or duration, as in `Summarizer.summarize`.
        mode: one of `MODES`.
        shorts: number and length of the shorts in mode `shorts`.
        options: export options.
    """

    queries: tuple[str, ...]
    model: CatalogEntry
    compared: CatalogEntry | None = None
    budget: float | timedelta = 0.15
    mode: str = "summary"
    shorts: ShortsOptions = field(default_factory=ShortsOptions)
    options: ExportOptions = field(default_factory=lambda: ExportOptions(edit_lists=EDIT_LISTS))

    @property
    def models(self) -> list[CatalogEntry]:
        return [self.model] if self.compared is None else [self.model, self.compared]


@dataclass(frozen=True)
class SummaryResponse:
    """The response to a request.

    Attributes:
        result: the result of the request's model.
        compared: the result of the second model; None for no comparison.
        took_s: seconds from the request to the response.
    """

    result: Result
    compared: Result | None
    took_s: float = 0.0

    def with_pieces(self, pieces_s: Sequence[Interval]) -> SummaryResponse:
        """Return a copy with other pieces in the cut, such as the exact ones of an export."""
        return replace(self, result=replace(self.result, pieces_s=pieces_s))

    def without_features(self) -> SummaryResponse:
        """Return a copy that can be shown and exported, but needs much less memory."""
        return replace(self, result=_without_features(self.result),
                       compared=None if self.compared is None else _without_features(self.compared))


def parse_request(catalog: ModelCatalog, limits: Limits, queries: str | list[str] = "", mode: str = "summary",
                  budget: str = "15%", count: float = 3, length: str = "15-60", model: str = "", compare: str = "",
                  aspect: str = "") -> SummaryRequest:
    """Check and parse what a user entered.

    Args:
        catalog: the models.
        limits: limits of the queries.
        queries: one query per line, or a list.
        mode: one of `MODES`.
        budget: fraction or duration of the cut, e.g. 15% or 60s; ignored for shorts.
        count: number of shorts.
        length: minimum and maximum length of a short in seconds, e.g. 15-60.
        model: key of a model; "" for the default.
        compare: key of a second model; "" for none.
        aspect: aspect ratio to which the cut is cropped, e.g. 9:16; "" for that of the video.

    Raises:
        InputError: a value is invalid.
    """
    options_by_name = dict(mode=mode, budget=budget, length=length, model=model, compare=compare, aspect=aspect)
    for name, value in options_by_name.items():
        if len(str(value)) > MAX_OPTION_CHARACTERS:
            raise InputError(None, f"the value of “{name}” has {len(str(value)):,} characters, and the limit is "
                                   f"{MAX_OPTION_CHARACTERS}", "shorten it")
    checked = limits.parse_queries(queries)
    if mode not in MODES:
        raise InputError(None, f"there is no mode {str(mode)[:40]!r}", f"choose {', '.join(MODES)}")
    chosen = catalog.find(model) if model else catalog.default
    compared = catalog.find(compare) if compare and compare != chosen.key else None
    shorts = ShortsOptions()
    share: float | timedelta = 0.15
    if mode == "shorts":
        if not isinstance(count, (int, float)) or not 1 <= count <= MAX_SHORTS or count != int(count):
            raise InputError(None, f"the number of shorts is {str(count)[:40]}",
                             f"choose a number from 1 to {MAX_SHORTS}")
        shorts = _parse_shorts(int(count), str(length))
    else:
        share = _parse_budget(str(budget))
    options = ExportOptions(aspect=parse_aspect(str(aspect)) if aspect else None, edit_lists=EDIT_LISTS)
    return SummaryRequest(checked, chosen, compared, share, mode, shorts, options)


def _parse_budget(text: str) -> float | timedelta:
    try:
        return parse_budget(text)
    except InputError as err:   # E.g. a bare 15, which some users mean as percent and others as seconds.
        raise InputError(None, f"“{text[:40]}” is not a length for the cut",
                         "enter a percentage such as 15% or a time such as 60s") from err


def _parse_shorts(count: int, text: str) -> ShortsOptions:
    try:
        return replace(parse_shorts(count, text), refine=False)   # The export task finds the exact boundaries.
    except InputError as err:
        raise InputError(None, f"“{text[:40]}” is not a range of lengths for shorts",
                         "enter the minimum and maximum in seconds, at least 4 seconds apart, such as 15-60") from err


def check_models(request: SummaryRequest, load: Callable[[CatalogEntry], Summarizer] = load_summarizer) -> None:
    """Check that the models fit the queries.

    Args:
        request: the request.
        load: returns the summarizer of a model.

    Raises:
        InputError: a model accepts no queries and there are some, or requires queries and there are none.
    """
    for entry in request.models:
        summarizer = load(entry)
        if request.queries and not (entry.accepts_text and summarizer.accepts_text):
            raise InputError(None, f"the model “{entry.name}” accepts no queries",
                             "remove the queries, or choose another model")
        if not request.queries and summarizer.requires_text:
            raise InputError(None, f"the model “{entry.name}” needs a query",
                             "enter what you are looking for, or choose another model")


def run_request(request: SummaryRequest, videos: dict[str, EncodedVideo], cues: list[Cue],
                report_progress: ReportProgress = None) -> SummaryResponse:
    """Score an encoded video and select what the cut keeps.

    Args:
        request: a request that `check_models` has accepted.
        videos: the encoded video by encoder key.
        cues: the video's subtitles.
        report_progress: called with the finished share, from 0 to 1, while the text of the video is encoded.
    """
    def report(index: int, share: float) -> None:
        if report_progress is not None:
            report_progress((index + share) / len(request.models))

    found = [load_summarizer(entry).summarize(videos[entry.encoder_key], request.queries, request.budget, cues,
                                              request.mode, request.shorts, partial(report, index))
             for index, entry in enumerate(request.models)]
    return SummaryResponse(found[0], found[1] if len(found) > 1 else None)


def response_to_json(response: SummaryResponse, request: SummaryRequest) -> dict:
    """Return a response as the API sends it; `video` is still the path of the file."""
    found = response.result.to_json() | dict(urls={}, took_s=round(response.took_s, 3))
    if response.compared is not None:
        found["other"] = response.compared.to_json()
    return found


def files_to_json(response: SummaryResponse, request: SummaryRequest, names: Sequence[str], base_url: str) -> dict:
    """Return a response with its files as the API sends it; see `response_to_json`."""
    return response_to_json(response, request) | dict(urls={name: base_url + quote(name) for name in names})


def _without_features(result: Result) -> Result:
    return replace(result, video=result.video.without_features())
