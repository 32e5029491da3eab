"""The page that shows a summary: one file that needs nothing from elsewhere but the cut beside it."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import urllib.parse
from pathlib import Path

import numpy as np

from .relevance import Moment
from .summary import Summary, readable

TEMPLATE = Path(__file__).with_name("report.html")
COLOURS = 6            # --c0 .. --c5 in the template
FILM_IMAGES = 14
PREVIEWS = 96          # the most small pictures for pointing at the curve
HEIGHT = 100           # of a curve's box, in its own units; the lowest LANE show the moments
LANE = 9
LONG_TEXT = 160
STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)


def report_html(summary: Summary, video_source: str | None = None) -> str:
    """The whole page.

    Args:
        summary: what it shows.
        video_source: address of the cut, relative to the page; None for no player.
    """
    rows, colours = _rows(summary), _colours(summary)
    values = dict(
        _header(summary), player=_player(summary, video_source),
        asked_title="Asked for" if summary.texts else "Nothing was asked", asked=_asked(summary, colours),
        kept=_kept(summary, video_source), rows_class="one" if len(rows) == 1 else "", key=_key(summary),
        rows="".join(_row(summary, curve, text, colour) for curve, text, colour in rows),
        film=_film(summary), pieces=_pieces(summary), ticks=_ticks(float(summary.video.info.duration_s)),
        end_s=f"{float(summary.video.info.duration_s):.3f}",
        moments_title="Moments found" if summary.texts else "What stands out",
        moments=_moments(summary, colours, video_source),
        made=_made(summary), scale=_scale(summary), data=_data(summary))
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], TEMPLATE.read_text(encoding="utf-8"))


def clock(time_s: float) -> str:
    """1:05, 59:59 or 1:00:00, whole seconds, rounded down."""
    whole = int(time_s)
    hours, minutes, seconds = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _escape(text: str) -> str:
    """For HTML text and attributes; characters that no page may hold show as a replacement."""
    printable = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", "\ufffd", text)
    return html.escape(printable, quote=True)


def _colours(summary: Summary) -> dict[str, str]:
    return {text: f"var(--c{i % COLOURS})" for i, text in enumerate(dict.fromkeys(summary.texts or ("",)))}


def _header(summary: Summary) -> dict[str, str]:
    info, kept_s = summary.video.info, summary.duration_s
    share = kept_s / float(info.duration_s)
    pieces = len(summary.intervals_s)
    facts = (f"<b>{_length(kept_s)}</b> kept of {_length(float(info.duration_s))} "
             f"({share:.0%}, asked for at most {summary.budget:.0%}) in {pieces} "
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


def _player(summary: Summary, source: str | None) -> str:
    if source is None:
        return '<p class="soft">The cut was not saved.</p>'
    address = _escape(urllib.parse.quote(source, errors="surrogateescape"))
    first_picture = "#t=0.01"   # browsers that load no more than they must would show black
    return (f'<video id="player" controls preload="metadata" playsinline src="{address}{first_picture}" '
            f'aria-label="The cut"><a href="{address}">The cut</a></video>')


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
    note = f'<p class="soft" style="margin-top:10px">{_subtitle_note(summary)}</p>' if summary.cues else ""
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


def _kept(summary: Summary, video_source: str | None) -> str:
    before_s, items = 0.0, []
    for start, end in summary.intervals_s:
        act = f'data-cut="{before_s:.3f}"' if video_source is not None else "disabled"
        times = f"{clock(float(start))} – {clock(float(end))}"
        items.append(f'<li><button type="button" {act}>{times}</button></li>')
        before_s += float(end - start)
    return "".join(items)


def _moments(summary: Summary, colours: dict[str, str], video_source: str | None) -> str:
    if not summary.moments:
        return '<p class="soft">None: no part of the video differs from the rest.</p>'
    items = [_moment(summary, m, colours[m.text], video_source) for m in summary.moments]
    return f'<ol class="moments">{"".join(items)}</ol>'


def _moment(summary: Summary, moment: Moment, colour: str, video_source: str | None) -> str:
    cut_s = _place_in_cut(summary, moment)
    if cut_s is None:
        mark, act = "", "disabled"
    else:
        mark = '<span class="mark">in the cut</span>'
        act = f'data-cut="{cut_s:.3f}"' if video_source is not None else "disabled"
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


def _place_in_cut(summary: Summary, moment: Moment) -> float | None:
    """Seconds into the cut at which the moment's first kept part begins; None if none was kept."""
    before_s = 0.0
    for start, end in summary.intervals_s:
        if start < moment.end_s and end > moment.start_s:
            return before_s + max(0.0, moment.start_s - float(start))
        before_s += float(end - start)
    return None


def _best_clip(summary: Summary, moment: Moment) -> int:
    edges_s = np.array(summary.video.edges_s, dtype=float)
    inside = (edges_s[:-1] < moment.end_s) & (edges_s[1:] > moment.start_s)
    curve = summary.scores
    if moment.text in summary.texts:
        curve = summary.scores_by_text[summary.texts.index(moment.text)]
    return int(np.argmax(np.where(inside, curve, -1)))


def _made(summary: Summary) -> str:
    by, timings = summary.scored_by, summary.timings_s
    audio = by.get("audio") or ("had no part" if summary.video.info.has_audio else "the video has none")
    facts = [("Scored by", _kind(summary)), ("Config", by.get("config")),
             ("Checkpoint", by.get("checkpoint")), ("Pictures", by.get("visual")),
             ("Words", by.get("text") if summary.texts else None), ("Sound", audio),
             ("Subtitles", f"{len(summary.cues):,} lines" if summary.cues else None),
             ("Time taken", ", ".join(f"{step} {seconds:.1f} s" for step, seconds in timings.items()))]
    return "".join(f"<dt>{name}</dt><dd>{_escape(str(value))}</dd>" for name, value in facts if value)


def _scale(summary: Summary) -> str:
    if summary.scored_by.get("checkpoint") is None:
        return ("Scores compare the clips of this video with each other: 1 is the clip that fits best here, "
                "0 the one that fits least. They do not say whether what was asked is there at all.")
    return "Scores are the model's, from 0 to 1."


def _data(summary: Summary) -> str:
    """What the page's script needs: numbers and pictures only, nothing that anybody wrote."""
    n_clips = summary.video.n_clips
    previews = _spread(n_clips, PREVIEWS)
    before_s, pieces = 0.0, []
    for start, end in summary.intervals_s:
        pieces.append([float(start), float(end), before_s])
        before_s += float(end - start)
    edges_s = [float(e) for e in summary.video.edges_s]
    data = dict(end=edges_s[-1], starts=edges_s[:-1],
                scores=[round(float(s), 3) for s in summary.scores], pieces=pieces,
                previews=[_image(summary.video.thumbnails[i]) for i in previews],
                preview_of=[min(i * len(previews) // n_clips, len(previews) - 1) for i in range(n_clips)])
    return json.dumps(data, allow_nan=False)
