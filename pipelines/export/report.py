"""The page that shows a summary: one file that needs nothing from elsewhere but the cut beside it."""

from __future__ import annotations

import json
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from pipelines.media.subtitles import Cue, cut_cues
from pipelines.scoring.moments import Moment
from pipelines.scoring.queries import SUBTITLES
from pipelines.scoring.scorers import NOVELTY
from pipelines.summary import Summary, printable_path
from pipelines.timecode import format_clock

from .charts import (
    LONG_TEXT,
    best_clip,
    chart_row,
    chart_rows,
    escape,
    film,
    image_address,
    kept_bars,
    length,
    spread,
    text_colours,
    ticks,
)
from .plan import AS_SELECTED, ExportPlan

TEMPLATE = Path(__file__).parent / "templates/report.html"
PREVIEWS = 96          # the most small pictures for pointing at the curve
MOST_LINES = 4000      # of subtitles; some five hours of talk
MODES = dict(summary="the best shots within the budget", moments="whole moments within the budget",
             shorts="the best pieces of a length, whole shots that break off no word")
SHORTS_COPIED = "the best pieces of a length, from key frames on, so that they may begin or end within shots and words"
STEPS = dict(encode="Watching and listening", score="Scoring and choosing", borders="Finding where shots begin",
             cut="Cutting", all="All together, once loaded")


class CutLocator:
    """Where times of the video are found in the files of the cut.

    Args:
        summary: with its pieces.
        sources: addresses of the files, relative to the page, in the order of `summary.intervals_by_file`.
    """

    def __init__(self, summary: Summary, sources: Sequence[str]):
        self.sources = list(sources)
        names = [name for name, _ in summary.intervals_by_file]
        self.pieces = sorted(((float(p.start_s), float(p.end_s), float(p.cut_start_s), names.index(p.file))
                              for p in summary.pieces), key=lambda piece: piece[:2])

    def find(self, start_s: float, end_s: float) -> tuple[float, int] | None:
        """Seconds into a file, and its number, at which the first kept part of [start_s, end_s) begins."""
        for begins_s, ends_s, cut_s, number in self.pieces:
            if begins_s < end_s and ends_s > start_s:
                return cut_s + max(0.0, start_s - begins_s), number
        return None

    def act(self, start_s: float, end_s: float) -> str:
        """Attributes of a button that plays it."""
        found = self.find(start_s, end_s)
        if found is None or not self.sources:
            return "disabled"
        return f'data-cut="{found[0]:.3f}" data-file="{found[1]}"'


def report_html(summary: Summary, sources: Sequence[str] = (), others: Sequence[str] = (),
                plan: ExportPlan = AS_SELECTED) -> str:
    """The whole page.

    Args:
        summary: what it shows.
        sources: addresses of the cut's files, relative to the page, in the order of `summary.intervals_by_file`; none
            for no player.
        others: addresses of further files, likewise: subtitles, edit lists.
    """
    rows, colours, places = chart_rows(summary), text_colours(summary), CutLocator(summary, sources)
    values = dict(
        _header(summary), player=_player(sources), files=_files([*sources, *others]),
        asked_title="Asked for" if summary.texts else "Nothing was asked", asked=_asked(summary, colours),
        kept_title="The shorts" if summary.mode == "shorts" else "The cut keeps",
        kept=_kept(summary, places), rows_class="one" if len(rows) == 1 else "", key=_key(summary),
        rows="".join(chart_row(summary, curve, text, colour) for curve, text, colour in rows),
        film=film(summary), pieces=kept_bars(summary), ticks=ticks(float(summary.video.info.duration_s)),
        end_s=f"{float(summary.video.info.duration_s):.3f}",
        moments_title="Moments found" if summary.texts else "What stands out",
        moments=_moments(summary, colours, places),
        lines=_lines("What is said", summary.cues, places) + _seen(summary, places),
        made=_made(summary, plan), timings=_timings(summary), scale=_scale(summary), data=_data(summary, places))
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def _header(summary: Summary) -> dict[str, str]:
    info, kept_s = summary.video.info, summary.duration_s
    pieces = len(summary.intervals_s)
    limit = "" if summary.mode == "shorts" else f", asked for at most {summary.budget:.0%}"
    facts = (f"<b>{length(kept_s)}</b> kept of {length(float(info.duration_s))} "
             f"({kept_s / float(info.duration_s):.0%}{limit}) in {pieces} "
             f"piece{'s' * (pieces != 1)} · {info.width} × {info.height}, "
             f"{float(info.fps):.4g} frames a second, {'with' if info.has_audio else 'no'} sound")
    name = escape(printable_path(Path(info.path.name)))
    return dict(title=f"{name}: summary", name=name, facts=facts, kind=escape(_kind(summary)))


def _kind(summary: Summary) -> str:
    kind = summary.provenance["kind"]
    return str(kind) if summary.provenance.get("checkpoint") is None else f"trained model: {kind}"


def _player(sources: Sequence[str]) -> str:
    if not sources:
        return '<p class="soft">The cut was not saved.</p>'
    first_picture = "#t=0.01"   # browsers that load no more than they must would show black
    address = _address(sources[0])
    return (f'<video id="player" controls preload="metadata" playsinline src="{address}{first_picture}" '
            f'aria-label="The cut"><a href="{address}">The cut</a></video>')


def _address(source: str) -> str:
    return escape(urllib.parse.quote(source, errors="surrogateescape"))


def _files(sources: Sequence[str]) -> str:
    """Links to what was written beside the page."""
    links = "".join(f'<li><a href="{_address(source)}">{escape(printable_path(Path(source)))}</a></li>'
                    for source in sources)
    return f'<ul class="files" aria-label="Files">{links}</ul>' if links else ""


def _asked(summary: Summary, colours: dict[str, str]) -> str:
    if not summary.texts and summary.provenance["kind"] == NOVELTY:
        return ('<p class="soft">The cut keeps what stands out: clips that even their most alike other clips '
                f"look different from.</p>{_read_along(summary)}")
    if not summary.texts:
        kind = str(summary.provenance["kind"])
        return (f'<p class="soft">The cut keeps what a trained model ({escape(kind)}) scores '
                f"highest among the clips of this video.</p>{_read_along(summary)}")
    items = []
    for text in summary.texts:
        shown = f'<span dir="auto">{escape(text)}</span>'
        if len(text) > LONG_TEXT:
            shown = (f'<details class="long"><summary dir="auto">{escape(text[:LONG_TEXT - 20])}'
                     f'<span class="cut-off">…</span> <span class="soft">({len(text):,} characters)</span>'
                     "</summary>"
                     f'<div class="long-text" dir="auto">{escape(text)}</div></details>')
        items.append(f'<li><i class="dot" style="--colour:{colours[text]}"></i>{shown}</li>')
    note = f'<p class="soft note">{_subtitle_note(summary)}</p>' if summary.cues else ""
    return f'<ul class="asked">{"".join(items)}</ul>{note}'


def _read_along(summary: Summary) -> str:
    """The video's own sentences, which had a say where nothing was asked, with their source."""
    if not summary.queries:
        return ""
    source = "the subtitles" if summary.queries[0].source == SUBTITLES else "what the shots seem to show"
    number = len(summary.queries)
    items = "".join(f'<li><span class="soft">{format_clock(s.start_s or 0)} – {format_clock(s.end_s or 0)}</span> '
                    f'<span dir="auto">{escape(s.text)}</span></li>' for s in summary.queries)
    return (f'<details class="long note"><summary>Read along: {number} sentence{"s" * (number != 1)}, from {source}'
            f'</summary><ol class="asked long-text">{items}</ol></details>')


def _subtitle_note(summary: Summary) -> str:
    lines = len(summary.cues)
    return f"Also looked for in {lines:,} line{'s' * (lines != 1)} of subtitles."


def _key(summary: Summary) -> str:
    bars = "moments of the sentence" if summary.texts else "moments"
    return f'<span><i style="background:var(--c0)"></i>{bars}</span>'


def _kept(summary: Summary, places: CutLocator) -> str:
    items = []
    for number, piece in enumerate(summary.pieces, 1):
        start_s, end_s = float(piece.start_s), float(piece.end_s)
        times = f"{format_clock(start_s)} – {format_clock(end_s)}"
        label = f"<b>{number}</b> {times} · {length(end_s - start_s)}" if summary.mode == "shorts" else times
        items.append(f'<li><button type="button" {places.act(start_s, end_s)}>{label}</button></li>')
    return "".join(items)


def _moments(summary: Summary, colours: dict[str, str], places: CutLocator) -> str:
    if not summary.moments:
        return '<p class="soft">None: no part of the video differs from the rest.</p>'
    items = [_moment(summary, m, colours[m.text], places) for m in summary.moments]
    return f'<ol class="moments">{"".join(items)}</ol>'


def _moment(summary: Summary, moment: Moment, colour: str, places: CutLocator) -> str:
    act = places.act(moment.start_s, moment.end_s)
    mark = '<span class="mark">in the cut</span>' if places.find(moment.start_s, moment.end_s) else ""
    what = ""
    if moment.text:
        shown = escape(moment.text[:LONG_TEXT])
        what = f'<span class="what"><i class="dot"></i><span dir="auto">{shown}</span></span>'
    said = " ".join(c.text for c in summary.cues if c.start_s < moment.end_s and c.end_s > moment.start_s)
    quote = f'<span class="said" dir="auto">“{escape(said[:LONG_TEXT])}”</span>' if said else ""
    picture = image_address(summary.video.thumbnails[best_clip(summary, moment)])
    return (f'<li style="--colour:{colour}"><button type="button" {act}>'
            f'<span class="shown"><img src="{picture}" alt="">{mark}</span><span class="about">'
            f'<span class="when"><span>{format_clock(moment.start_s)} – {format_clock(moment.end_s)}</span>'
            f'<span aria-label="score">{moment.score:.2f}</span></span>'
            f'<span class="meter"><i style="width:{100 * min(max(moment.score, 0), 1):.0f}%"></i></span>'
            f'{what}{quote}</span></button></li>')


def _seen(summary: Summary, places: CutLocator) -> str:
    """The section of captions."""
    cues = [Cue(float(c.start_s), float(c.end_s), c.text) for c in summary.captions]
    return _lines("What seems to be seen", cues, places)


def _lines(title: str, cues: Sequence[Cue], places: CutLocator) -> str:
    """A section of subtitles or captions; lines that the cut keeps can be played."""
    if not cues:
        return ""
    items = []
    for cue in cues[:MOST_LINES]:
        name = "out" if places.find(cue.start_s, cue.end_s) is None else "in"
        items.append(f'<li class="{name}" data-from="{cue.start_s:.3f}" data-to="{cue.end_s:.3f}">'
                     f'<button type="button" {places.act(cue.start_s, cue.end_s)}>'
                     f'<span class="at">{format_clock(cue.start_s)}</span><span dir="auto">{escape(cue.text)}</span>'
                     "</button></li>")
    more = len(cues) - MOST_LINES
    rest = f'<p class="soft note">and {more:,} more lines</p>' if more > 0 else ""
    return (f'<section><h2>{title}</h2><p class="soft only-print">The lines that the cut keeps.</p>'
            f'<ol class="lines" tabindex="0" aria-label="{title}">{"".join(items)}</ol>{rest}</section>')


def _made(summary: Summary, plan: ExportPlan) -> str:
    by = summary.provenance
    audio = by.get("audio") or ("had no part" if summary.video.info.has_audio else "the video has none")
    facts = [("Scored by", _kind(summary)), ("And, a fifth, by", by.get("beside")), ("Config", by.get("config")),
             ("Checkpoint", by.get("checkpoint")), ("Pictures", f"{by.get('visual')}, {_sampling(summary)}"),
             ("Decoded by", summary.video.decoder), ("Words", by.get("text") if summary.queries else None),
             ("Sound", audio),
             ("Subtitles", f"{len(summary.cues):,} lines" if summary.cues else None),
             ("File", summary.video.info.truncation_note), ("Kept", _kept_note(summary, plan)),
             ("Cut", _cut_note(plan))]
    return "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts if value)


def _sampling(summary: Summary) -> str:
    if summary.video.sampling == "exact":
        return "exact"
    return f"of the key frame nearest to a clip's middle, at most {summary.video.max_frame_offset_s:.1f} s off"


def _kept_note(summary: Summary, plan: ExportPlan) -> str:
    if summary.mode != "shorts":
        return MODES[summary.mode]
    what = SHORTS_COPIED if plan.copied else MODES["shorts"]
    shortage = plan.shortage(summary)
    return f"{what}; {shortage}" if shortage else what


def _cut_note(plan: ExportPlan) -> str:
    if plan.copied:
        return "pictures copied, so pieces begin at key frames, up to some seconds earlier than asked"
    shape = "" if plan.aspect is None else f", cropped to {plan.aspect.numerator}:{plan.aspect.denominator}"
    return f"encoded anew, exact to the frame{shape}"


def _timings(summary: Summary) -> str:
    """A row per step: seconds, a bar of its share, and how many times faster than the video it was."""
    total_s, duration_s = sum(summary.timings_s.values()), float(summary.video.info.duration_s)
    rows = [(step, seconds) for step, seconds in summary.timings_s.items() if step in STEPS]
    return "".join(
        f'<tr{" class=total" if step == "all" else ""}><th scope="row">{STEPS[step]}</th><td>{seconds:.1f} s</td>'
        f'<td class="share"><i style="width:{100 * seconds / max(total_s, 1e-9):.1f}%"></i></td>'
        f"<td>{_speed(duration_s / max(seconds, 1e-9))}</td></tr>" for step, seconds in [*rows, ("all", total_s)])


def _speed(times: float) -> str:
    return f"{times:,.0f} ×" if times >= 10 else f"{times:.1f} ×"


def _scale(summary: Summary) -> str:
    if summary.provenance.get("checkpoint") is None:
        return ("Scores compare the clips of this video with each other: 1 is the clip that fits best here, "
                "0 the one that fits least. They do not say whether what was asked is there at all.")
    return "Scores are the model's, from 0 to 1."


def _data(summary: Summary, places: CutLocator) -> str:
    """What the page's script needs; whatever anybody wrote in it can end no script and open none."""
    n_clips = summary.video.n_clips
    previews = spread(n_clips, PREVIEWS)
    edges_s = summary.video.float_edges_s.tolist()
    spoken = [[[cue.start_s, cue.end_s, cue.text] for cue in cut_cues(summary.cues, intervals)]
              for _, intervals in summary.intervals_by_file]
    data = dict(end=edges_s[-1], starts=edges_s[:-1],
                scores=[round(float(s), 3) for s in summary.scores],
                pieces=[list(piece) for piece in places.pieces],
                files=[urllib.parse.quote(source, errors="surrogateescape") for source in places.sources],
                lines=spoken, previews=[image_address(summary.video.thumbnails[i]) for i in previews],
                preview_of=[min(i * len(previews) // n_clips, len(previews) - 1) for i in range(n_clips)])
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")
