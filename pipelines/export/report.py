"""The report of a summary: one HTML file that needs no network and plays the summary video beside it."""

from __future__ import annotations

import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from common.timecode import format_clock
from pipelines.media.subtitles import Cue, cut_cues
from pipelines.scoring.moments import Moment
from pipelines.scoring.queries import SUBTITLES
from pipelines.scoring.scorers import NOVELTY
from pipelines.summary import Summary, printable_path

from .charts import (
    MAX_LABEL_CHARACTERS,
    best_clip,
    chart_rows,
    evenly_spaced,
    format_duration,
    query_colors,
    render_chart,
)
from .plan import AS_SELECTED, ExportPlan
from .templating import ENVIRONMENT, image_url

MAX_PREVIEWS = 96      # Thumbnails that are shown when the pointer is over the chart.
MAX_LINES = 4000       # Subtitles that are listed: about five hours of speech.
EXCERPT_CHARACTERS = MAX_LABEL_CHARACTERS - 20
SELECTIONS = dict(
    summary="the best shots within the budget",
    moments="complete moments within the budget",
    shorts="the best pieces of the requested length, from shot boundaries or speech pauses")
COPIED_SHORTS = ("the best pieces of the requested length, from key frames; they may start or end inside a shot or a "
                 "word")
STEPS = dict(encode="Feature extraction", score="Scoring and selection", borders="Boundary refinement",
             cut="Video export")


class CutLocation(NamedTuple):
    """A position in the files of the summary.

    Attributes:
        cut_s: seconds from the start of the file, with three decimals.
        file: index of the file.
    """

    cut_s: str
    file: int


class CutLocator:
    """A mapping from times of the video to positions in the files of the summary.

    Args:
        summary: the summary with its pieces.
        sources: relative URLs of the files, in the order of `summary.intervals_by_file`.
    """

    def __init__(self, summary: Summary, sources: Sequence[str]):
        self.sources = list(sources)
        names = [name for name, _ in summary.intervals_by_file]
        self.pieces = sorted(((float(p.start_s), float(p.end_s), float(p.cut_start_s), names.index(p.file))
                              for p in summary.pieces), key=lambda piece: piece[:2])

    def find(self, start_s: float, end_s: float) -> tuple[float, int] | None:
        """Return the seconds into a file and the index of the file where the first kept part of an interval starts.

        None if no part of [start_s, end_s) is kept.
        """
        for piece_start_s, piece_end_s, cut_start_s, file in self.pieces:
            if piece_start_s < end_s and piece_end_s > start_s:
                return cut_start_s + max(0.0, start_s - piece_start_s), file
        return None

    def locate(self, start_s: float, end_s: float) -> CutLocation | None:
        """Return `find` in the form in which the template writes it."""
        found = self.find(start_s, end_s)
        return None if found is None else CutLocation(f"{found[0]:.3f}", found[1])

    def act(self, start_s: float, end_s: float) -> str:
        """Return the HTML attributes of a button that plays an interval."""
        found = self.locate(start_s, end_s)
        if found is None or not self.sources:
            return "disabled"
        return f'data-cut="{found.cut_s}" data-file="{found.file}"'


def report_html(summary: Summary, sources: Sequence[str] = (), others: Sequence[str] = (),
                plan: ExportPlan = AS_SELECTED) -> str:
    """Return the complete report.

    Args:
        summary: the summary, as `plan.apply` returns it.
        sources: paths of the video files relative to the report, in the order of `summary.intervals_by_file`; none
            for a report without a player.
        others: relative paths of further files, such as subtitles and edit lists.
        plan: the plan of the export.
    """
    info, locator = summary.video.info, CutLocator(summary, sources)
    rows, end_s = chart_rows(summary), float(info.duration_s)
    return ENVIRONMENT.get_template("report.html").render(
        name=printable_path(Path(info.path.name)), facts=_facts(summary), scorer=_scorer(summary),
        sources=[_link(source) for source in sources], files=[_link(source) for source in [*sources, *others]],
        queries=_queries(summary), n_cues=len(summary.cues), criterion=_criterion(summary),
        own_queries=_own_queries(summary), own_queries_source=_own_queries_source(summary),
        is_shorts=summary.mode == "shorts", pieces=_pieces(summary, locator),
        chart_explanation=_chart_explanation(summary), chart=render_chart(summary, rows), n_rows=len(rows),
        end_s=f"{end_s:.3f}", moments=[_moment(summary, moment, locator) for moment in summary.moments],
        text_sections=_text_sections(summary, locator), details=_details(summary, plan), timings=_timings(summary),
        scale=_scale(summary), data=_data(summary, locator))


def _facts(summary: Summary) -> dict:
    info, kept_s = summary.video.info, summary.duration_s
    return dict(kept=format_duration(kept_s), duration=format_duration(float(info.duration_s)),
                share=f"{kept_s / float(info.duration_s):.0%}",
                limit="" if summary.mode == "shorts" else f", budget {summary.budget:.0%}",
                pieces=len(summary.intervals_s), width=info.width, height=info.height,
                fps=f"{float(info.fps):.4g}", has_audio=info.has_audio)


def _scorer(summary: Summary) -> str:
    kind = summary.provenance["kind"]
    return str(kind) if summary.provenance.get("checkpoint") is None else f"trained model: {kind}"


def _link(source: str) -> dict[str, str]:
    return dict(url=_url(source), name=printable_path(Path(source)))


def _url(source: str) -> str:
    return urllib.parse.quote(source, errors="surrogateescape")


def _queries(summary: Summary) -> list[dict[str, str]]:
    colors = query_colors(summary)
    return [dict(text=text, color=colors[text],
                 excerpt=text[:EXCERPT_CHARACTERS] if len(text) > MAX_LABEL_CHARACTERS else "")
            for text in summary.texts]


def _criterion(summary: Summary) -> str:
    """Return what the clips were selected by if there are no queries."""
    if summary.provenance["kind"] == NOVELTY:
        return "The summary keeps the clips that differ most from even their most similar clips in the video."
    return (f"The summary keeps the clips of this video that a trained model ({summary.provenance['kind']}) scores "
            "highest.")


def _own_queries(summary: Summary) -> list[dict[str, str]]:
    """Return the sentences of the video that took the place of queries."""
    if summary.texts:
        return []
    return [dict(start=format_clock(query.start_s or 0), end=format_clock(query.end_s or 0), text=query.text)
            for query in summary.queries]


def _own_queries_source(summary: Summary) -> str:
    from_subtitles = any(query.source == SUBTITLES for query in summary.queries[:1])
    return "the subtitles" if from_subtitles else "the generated captions of the shots"


def _pieces(summary: Summary, locator: CutLocator) -> list[dict]:
    pieces = []
    for piece in summary.pieces:
        start_s, end_s = float(piece.start_s), float(piece.end_s)
        pieces.append(dict(start=format_clock(start_s), end=format_clock(end_s),
                           duration=format_duration(end_s - start_s), cut=locator.locate(start_s, end_s)))
    return pieces


def _chart_explanation(summary: Summary) -> str:
    subject = "Each curve shows how well each clip matches a query" if summary.texts else (
        "The curve shows how much each clip differs from the rest of the video"
        if summary.provenance["kind"] == NOVELTY else "The curve shows the score that the model gives each clip")
    return f"{subject}. Bars below a curve are moments: the darker, the higher their score."


def _moment(summary: Summary, moment: Moment, locator: CutLocator) -> dict:
    speech = " ".join(cue.text for cue in summary.cues if cue.start_s < moment.end_s and cue.end_s > moment.start_s)
    thumbnail = summary.video.thumbnails[best_clip(summary, moment)]
    return dict(color=query_colors(summary)[moment.text], start=format_clock(moment.start_s),
                end=format_clock(moment.end_s), score=f"{moment.score:.2f}",
                percent=f"{100 * min(max(moment.score, 0), 1):.0f}", text=moment.text[:MAX_LABEL_CHARACTERS],
                speech=speech[:MAX_LABEL_CHARACTERS], image=image_url(thumbnail),
                cut=locator.locate(moment.start_s, moment.end_s))


def _text_sections(summary: Summary, locator: CutLocator) -> list[dict]:
    """Return the sections of subtitles and captions, without empty ones."""
    captions = [Cue(float(caption.start_s), float(caption.end_s), caption.text) for caption in summary.captions]
    sections = [("Subtitles", list(summary.cues)), ("Captions generated from the frames", captions)]
    return [dict(title=title, lines=[_line(cue, locator) for cue in cues[:MAX_LINES]], n_more=len(cues) - MAX_LINES)
            for title, cues in sections if cues]


def _line(cue: Cue, locator: CutLocator) -> dict:
    return dict(start_s=f"{cue.start_s:.3f}", end_s=f"{cue.end_s:.3f}", start=format_clock(cue.start_s),
                text=cue.text, cut=locator.locate(cue.start_s, cue.end_s))


def _details(summary: Summary, plan: ExportPlan) -> list[tuple[str, str]]:
    """Return labels and values that describe how the summary was created."""
    by, info = summary.provenance, summary.video.info
    audio = by.get("audio") or ("not used" if info.has_audio else "the video has no audio")
    details = [
        ("Scored by", _scorer(summary)), ("20 % of the score by", by.get("beside")),
        ("Config", by.get("config")), ("Checkpoint", by.get("checkpoint")),
        ("Visual encoder", by.get("visual")), ("Frames", _sampling(summary)), ("Decoder", summary.video.decoder),
        ("Text encoder", by.get("text") if summary.queries else None), ("Audio encoder", audio),
        ("Subtitles", f"{len(summary.cues):,} lines" if summary.cues else None), ("Damaged file", info.truncation_note),
        ("Selection", _selection(summary, plan)), ("Video export", _encoding(plan))]
    return [(label, str(value)) for label, value in details if value]


def _sampling(summary: Summary) -> str:
    if summary.video.sampling == "exact":
        return "the exact middle of each clip"
    return f"the key frame nearest to the middle of each clip, at most {summary.video.max_frame_offset_s:.1f} s away"


def _selection(summary: Summary, plan: ExportPlan) -> str:
    if summary.mode != "shorts":
        return SELECTIONS[summary.mode]
    selection, shortage = COPIED_SHORTS if plan.copied else SELECTIONS["shorts"], plan.shortage(summary)
    return f"{selection}; {shortage}" if shortage else selection


def _encoding(plan: ExportPlan) -> str:
    if plan.copied:
        return "video stream copied, so pieces start at key frames, up to a few seconds early"
    crop = "" if plan.aspect is None else f", cropped to {plan.aspect.numerator}:{plan.aspect.denominator}"
    why = f"; not copied: {plan.copy_obstacle}" if plan.copy_obstacle else ""
    return f"re-encoded, exact to the frame{crop}{why}"


def _timings(summary: Summary) -> list[dict]:
    """Return a row per step: seconds, share of the total time, and speed relative to the duration of the video."""
    duration_s, total_s = float(summary.video.info.duration_s), sum(summary.timings_s.values())
    steps = [(STEPS[step], seconds) for step, seconds in summary.timings_s.items() if step in STEPS]
    return [dict(name=name, seconds=f"{seconds:.1f}", percent=f"{100 * seconds / max(total_s, 1e-9):.1f}",
                 speed=_speed(duration_s / max(seconds, 1e-9)), is_total=i == len(steps))
            for i, (name, seconds) in enumerate([*steps, ("Total, without loading models", total_s)])]


def _speed(factor: float) -> str:
    return f"{factor:,.0f}" if factor >= 10 else f"{factor:.1f}"


def _scale(summary: Summary) -> str:
    if summary.provenance.get("checkpoint") is None:
        return ("Scores compare the clips of this video with each other: 1 is the clip that matches best, 0 the clip "
                "that matches least. A high score does not mean that the video contains what a query describes.")
    return "Scores are predictions of the model, from 0 to 1."


def _data(summary: Summary, locator: CutLocator) -> dict:
    """Return the data that the script of the report reads."""
    n_clips, edges_s = summary.video.n_clips, summary.video.float_edges_s.tolist()
    previews = evenly_spaced(n_clips, MAX_PREVIEWS)
    lines = [[[cue.start_s, cue.end_s, cue.text] for cue in cut_cues(summary.cues, intervals_s)]
             for _, intervals_s in summary.intervals_by_file]
    return dict(end=edges_s[-1], starts=edges_s[:-1], scores=[round(float(score), 3) for score in summary.scores],
                pieces=[list(piece) for piece in locator.pieces], files=[_url(source) for source in locator.sources],
                lines=lines, previews=[image_url(summary.video.thumbnails[i]) for i in previews],
                preview_of=[min(i * len(previews) // n_clips, len(previews) - 1) for i in range(n_clips)])
