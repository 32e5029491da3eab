"""The page that shows a summary: one file that needs nothing from elsewhere but the cut beside it."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .relevance import Moment
from .subtitles import Cue, cut_cues
from .summary import Summary, clock, readable

TEMPLATE = Path(__file__).with_name("report.html")
COLOURS = 6            # --c0 .. --c5 in the template
FILM_IMAGES = 14
PREVIEWS = 96          # the most small pictures for pointing at the curve
HEIGHT = 100           # of a curve's box, in its own units; the lowest LANE show the moments
LANE = 9
LONG_TEXT = 160
MOST_LINES = 4000      # of subtitles; some five hours of talk
MODES = dict(summary="the best shots within the budget", moments="whole moments within the budget",
             shorts="the best pieces of a length, whole shots that break off no word")
STEPS = dict(encode="Watching and listening", score="Scoring and choosing", cut="Cutting", all="All together")
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


class Places:
    """Where times of the video are found in the files of the cut.

    Args:
        summary: with its pieces.
        sources: addresses of the files, relative to the page, in the order of `summary.in_files`.
    """

    def __init__(self, summary: Summary, sources: Sequence[str]):
        self.sources = list(sources)
        names = [name for name, _ in summary.in_files]
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


def report_html(summary: Summary, sources: Sequence[str] = (), others: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        summary: what it shows.
        sources: addresses of the cut's files, relative to the page, in the order of `summary.in_files`; none
            for no player.
        others: addresses of further files, likewise: subtitles, edit lists.
    """
    rows, colours, places = _rows(summary), _colours(summary), Places(summary, sources)
    values = dict(
        _header(summary), player=_player(sources), files=_files([*sources, *others]),
        asked_title="Asked for" if summary.texts else "Nothing was asked", asked=_asked(summary, colours),
        kept_title="The shorts" if summary.mode == "shorts" else "The cut keeps",
        kept=_kept(summary, places), rows_class="one" if len(rows) == 1 else "", key=_key(summary),
        rows="".join(_row(summary, curve, text, colour) for curve, text, colour in rows),
        film=_film(summary), pieces=_pieces(summary), ticks=_ticks(float(summary.video.info.duration_s)),
        end_s=f"{float(summary.video.info.duration_s):.3f}",
        moments_title="Moments found" if summary.texts else "What stands out",
        moments=_moments(summary, colours, places),
        lines=_lines("What is said", summary.cues, places) + _seen(summary, places),
        made=_made(summary), timings=_timings(summary), scale=_scale(summary), data=_data(summary, places))
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def _escape(text: str) -> str:
    """For HTML text and attributes; characters that no page may hold show as a replacement."""
    printable = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
    return html.escape(printable, quote=True)


def _colours(summary: Summary) -> dict[str, str]:
    return {text: f"var(--c{i % COLOURS})" for i, text in enumerate(dict.fromkeys(summary.texts or ("",)))}


def _header(summary: Summary) -> dict[str, str]:
    info, kept_s = summary.video.info, summary.duration_s
    pieces = len(summary.intervals_s)
    limit = "" if summary.mode == "shorts" else f", asked for at most {summary.budget:.0%}"
    facts = (f"<b>{_length(kept_s)}</b> kept of {_length(float(info.duration_s))} "
             f"({kept_s / float(info.duration_s):.0%}{limit}) in {pieces} "
             f"piece{'s' * (pieces != 1)} · {info.width} × {info.height}, "
             f"{float(info.fps):.4g} frames a second, {'with' if info.has_audio else 'no'} sound")
    name = _escape(readable(Path(info.path.name)))
    return dict(title=f"{name}: summary", name=name, facts=facts, kind=_escape(_kind(summary)))


def _length(duration_s: float) -> str:
    if duration_s >= 60:
        return clock(duration_s)
    return f"{duration_s:.1f} s" if duration_s >= 1 else f"{duration_s:.2f} s"


def _kind(summary: Summary) -> str:
    kind = summary.scored_by["kind"]
    return str(kind) if summary.scored_by.get("checkpoint") is None else f"trained model: {kind}"


def _player(sources: Sequence[str]) -> str:
    if not sources:
        return '<p class="soft">The cut was not saved.</p>'
    first_picture = "#t=0.01"   # browsers that load no more than they must would show black
    address = _address(sources[0])
    return (f'<video id="player" controls preload="metadata" playsinline src="{address}{first_picture}" '
            f'aria-label="The cut"><a href="{address}">The cut</a></video>')


def _address(source: str) -> str:
    return _escape(urllib.parse.quote(source, errors="surrogateescape"))


def _files(sources: Sequence[str]) -> str:
    """Links to what was written beside the page."""
    links = "".join(f'<li><a href="{_address(source)}">{_escape(readable(Path(source)))}</a></li>'
                    for source in sources)
    return f'<ul class="files" aria-label="Files">{links}</ul>' if links else ""


def _asked(summary: Summary, colours: dict[str, str]) -> str:
    if not summary.texts:
        return ('<p class="soft">The cut keeps what stands out: clips that even their most alike other clips '
                "look different from.</p>")
    items = []
    for text in summary.texts:
        shown = f'<span dir="auto">{_escape(text)}</span>'
        if len(text) > LONG_TEXT:
            shown = (f'<details class="long"><summary dir="auto">{_escape(text[:LONG_TEXT - 20])}'
                     f'<span class="cut-off">…</span> <span class="soft">({len(text):,} characters)</span>'
                     "</summary>"
                     f'<div class="long-text" dir="auto">{_escape(text)}</div></details>')
        items.append(f'<li><i class="dot" style="--colour:{colours[text]}"></i>{shown}</li>')
    note = f'<p class="soft note">{_subtitle_note(summary)}</p>' if summary.cues else ""
    return f'<ul class="asked">{"".join(items)}</ul>{note}'


def _subtitle_note(summary: Summary) -> str:
    lines = len(summary.cues)
    return f"Also looked for in {lines:,} line{'s' * (lines != 1)} of subtitles."


def _rows(summary: Summary) -> list[tuple[np.ndarray, str, str]]:
    """(curve, sentence, colour) of every row of the chart."""
    colours = _colours(summary)
    if not summary.texts:
        return [(summary.scores, "", colours[""])]
    curves = zip(summary.scores_by_text, summary.texts, strict=True)
    return [(curve, text, colours[text]) for curve, text in curves]


def _key(summary: Summary) -> str:
    bars = "moments of the sentence" if summary.texts else "moments"
    return f'<span><i style="background:var(--c0)"></i>{bars}</span>'


def _row(summary: Summary, curve: np.ndarray, text: str, colour: str) -> str:
    end_s = float(summary.video.info.duration_s)

    def x(time_s: float) -> str:
        return f"{1000 * time_s / end_s:.2f}"

    edges_s = [float(e) for e in summary.video.edges_s]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(edges_s)]
    top = HEIGHT - LANE
    points = [(t, top - 3 - (top - 8) * float(s)) for t, s in zip(middles, curve, strict=True)]
    points = [(0.0, points[0][1]), *points, (end_s, points[-1][1])]
    line = " ".join(f"{x(t)},{y:.1f}" for t, y in points)
    kept = "".join(f'<rect class="kept" x="{x(a)}" width="{x(b - a)}" y="0" height="{HEIGHT}"/>'
                   for a, b in ((float(a), float(b)) for a, b in summary.intervals_s))
    shots = " ".join(f"M{x(start)} 0V{top}" for start, _ in summary.shots[1:])
    bars = "".join(f'<rect class="moment" x="{x(m.start_s)}" width="{x(m.end_s - m.start_s)}" y="{top + 2}" '
                   f'height="{LANE - 3}" opacity="{0.35 + 0.65 * m.score:.2f}"/>'
                   for m in summary.moments if m.text == text)
    label = _escape(text[:LONG_TEXT]) if text else "How much a clip stands out from the rest"
    return (f'<div class="row" style="--colour:{colour}"><p><i class="dot"></i>'
            f'<span dir="auto">{label}</span></p>'
            f'<svg viewBox="0 0 1000 {HEIGHT}" preserveAspectRatio="none" role="img" '
            f'aria-label="Score over time: {label}">{kept}<path class="shot" d="{shots}"/>'
            f'<polygon class="area" points="0,{top} {line} 1000,{top}"/>'
            f'<polyline class="curve" points="{line}"/>{bars}</svg></div>')


def _film(summary: Summary) -> str:
    n_clips = summary.video.n_clips
    chosen = _spread(n_clips, FILM_IMAGES)
    return "".join(f'<img src="{_image(summary.video.thumbnails[i])}" alt="">' for i in chosen)


def _spread(n: int, at_most: int) -> list[int]:
    """At most so many of 0..n-1, each the middle one of an even share."""
    count = min(n, at_most)
    return [(2 * i + 1) * n // (2 * count) for i in range(count)]


def _image(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _pieces(summary: Summary) -> str:
    end_s = float(summary.video.info.duration_s)
    shares = [(100 * float(a) / end_s, 100 * float(b - a) / end_s) for a, b in summary.intervals_s]
    return "".join(f'<i style="left:{left:.3f}%;width:{width:.3f}%"></i>' for left, width in shares)


def _ticks(end_s: float) -> str:
    step_s = next((s for s in STEPS_S if end_s / s <= 10), 3600 * -(-int(end_s) // 36000))
    times_s = [t for t in range(0, int(end_s) + 1, step_s) if t < end_s - 0.6 * step_s or t == 0]
    places = [(("even", "odd")[i % 2], 100 * t / end_s, clock(t)) for i, t in enumerate(times_s)]
    ticks = "".join(f'<span class="{name}" style="left:{left:.3f}%">{text}</span>'
                    for name, left, text in places)
    return ticks + f'<span class="end" style="left:100%">{_length(end_s)}</span>'


def _kept(summary: Summary, places: Places) -> str:
    items = []
    for number, piece in enumerate(summary.pieces, 1):
        start_s, end_s = float(piece.start_s), float(piece.end_s)
        times = f"{clock(start_s)} – {clock(end_s)}"
        label = f"<b>{number}</b> {times} · {_length(end_s - start_s)}" if summary.mode == "shorts" else times
        items.append(f'<li><button type="button" {places.act(start_s, end_s)}>{label}</button></li>')
    return "".join(items)


def _moments(summary: Summary, colours: dict[str, str], places: Places) -> str:
    if not summary.moments:
        return '<p class="soft">None: no part of the video differs from the rest.</p>'
    items = [_moment(summary, m, colours[m.text], places) for m in summary.moments]
    return f'<ol class="moments">{"".join(items)}</ol>'


def _moment(summary: Summary, moment: Moment, colour: str, places: Places) -> str:
    act = places.act(moment.start_s, moment.end_s)
    mark = '<span class="mark">in the cut</span>' if places.find(moment.start_s, moment.end_s) else ""
    what = ""
    if moment.text:
        shown = _escape(moment.text[:LONG_TEXT])
        what = f'<span class="what"><i class="dot"></i><span dir="auto">{shown}</span></span>'
    said = " ".join(c.text for c in summary.cues if c.start_s < moment.end_s and c.end_s > moment.start_s)
    quote = f'<span class="said" dir="auto">“{_escape(said[:LONG_TEXT])}”</span>' if said else ""
    picture = _image(summary.video.thumbnails[_best_clip(summary, moment)])
    return (f'<li style="--colour:{colour}"><button type="button" {act}>'
            f'<span class="shown"><img src="{picture}" alt="">{mark}</span><span class="about">'
            f'<span class="when"><span>{clock(moment.start_s)} – {clock(moment.end_s)}</span>'
            f'<span aria-label="score">{moment.score:.2f}</span></span>'
            f'<span class="meter"><i style="width:{100 * min(max(moment.score, 0), 1):.0f}%"></i></span>'
            f'{what}{quote}</span></button></li>')


def _seen(summary: Summary, places: Places) -> str:
    """The section of captions."""
    cues = [Cue(float(c.start_s), float(c.end_s), c.text) for c in summary.captions]
    return _lines("What seems to be seen", cues, places)


def _lines(title: str, cues: Sequence[Cue], places: Places) -> str:
    """A section of subtitles or captions; lines that the cut keeps can be played."""
    if not cues:
        return ""
    items = []
    for cue in cues[:MOST_LINES]:
        name = "out" if places.find(cue.start_s, cue.end_s) is None else "in"
        items.append(f'<li class="{name}" data-from="{cue.start_s:.3f}" data-to="{cue.end_s:.3f}">'
                     f'<button type="button" {places.act(cue.start_s, cue.end_s)}>'
                     f'<span class="at">{clock(cue.start_s)}</span><span dir="auto">{_escape(cue.text)}</span>'
                     "</button></li>")
    more = len(cues) - MOST_LINES
    rest = f'<p class="soft note">and {more:,} more lines</p>' if more > 0 else ""
    return (f'<section><h2>{title}</h2><p class="soft only-print">The lines that the cut keeps.</p>'
            f'<ol class="lines" tabindex="0" aria-label="{title}">{"".join(items)}</ol>{rest}</section>')


def _best_clip(summary: Summary, moment: Moment) -> int:
    edges_s = np.array(summary.video.edges_s, dtype=float)
    inside = (edges_s[:-1] < moment.end_s) & (edges_s[1:] > moment.start_s)
    curve = summary.scores
    if moment.text in summary.texts:
        curve = summary.scores_by_text[summary.texts.index(moment.text)]
    return int(np.argmax(np.where(inside, curve, -1)))


def _made(summary: Summary) -> str:
    by = summary.scored_by
    audio = by.get("audio") or ("had no part" if summary.video.info.has_audio else "the video has none")
    facts = [("Scored by", _kind(summary)), ("Config", by.get("config")),
             ("Checkpoint", by.get("checkpoint")), ("Pictures", f"{by.get('visual')}, {_sampling(summary)}"),
             ("Words", by.get("text") if summary.texts else None), ("Sound", audio),
             ("Subtitles", f"{len(summary.cues):,} lines" if summary.cues else None),
             ("Kept", MODES[summary.mode]), ("Cut", _cut_note(summary))]
    return "".join(f"<dt>{name}</dt><dd>{_escape(str(value))}</dd>" for name, value in facts if value)


def _sampling(summary: Summary) -> str:
    if summary.video.sampling == "exact":
        return "exact"
    return f"of the key frame nearest to a clip's middle, at most {summary.video.farthest_s:.1f} s off"


def _cut_note(summary: Summary) -> str:
    if summary.copied:
        return "pictures copied, so pieces begin at key frames, up to some seconds earlier than asked"
    shape = "" if summary.aspect is None else f", cropped to {summary.aspect.numerator}:{summary.aspect.denominator}"
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
    if summary.scored_by.get("checkpoint") is None:
        return ("Scores compare the clips of this video with each other: 1 is the clip that fits best here, "
                "0 the one that fits least. They do not say whether what was asked is there at all.")
    return "Scores are the model's, from 0 to 1."


def _data(summary: Summary, places: Places) -> str:
    """What the page's script needs; whatever anybody wrote in it can end no script and open none."""
    n_clips = summary.video.n_clips
    previews = _spread(n_clips, PREVIEWS)
    edges_s = [float(e) for e in summary.video.edges_s]
    spoken = [[[cue.start_s, cue.end_s, cue.text] for cue in cut_cues(summary.cues, intervals)]
              for _, intervals in summary.in_files]
    data = dict(end=edges_s[-1], starts=edges_s[:-1],
                scores=[round(float(s), 3) for s in summary.scores],
                pieces=[list(piece) for piece in places.pieces],
                files=[urllib.parse.quote(source, errors="surrogateescape") for source in places.sources],
                lines=spoken, previews=[_image(summary.video.thumbnails[i]) for i in previews],
                preview_of=[min(i * len(previews) // n_clips, len(previews) - 1) for i in range(n_clips)])
    return json.dumps(data, allow_nan=False).replace("<", "\\u003c")
