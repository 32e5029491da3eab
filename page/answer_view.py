"""Pieces of the page as HTML; whatever anybody wrote is escaped here."""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from pipelines.export.charts import (
    LONG_TEXT,
    best_clip,
    chart_row,
    chart_rows,
    escape,
    film,
    image_address,
    kept_bars,
    length,
    text_colours,
    ticks,
)
from pipelines.export.report import CutLocator
from pipelines.result import Result
from pipelines.timecode import format_clock

from .example import Example
from .limits import EMPTY, Limits, shown_bytes, shown_time, too_large
from .model_catalog import Model
from .requests import Answer, Question
from .service import Progress
from .sessions import Desk

KINDS = {".mp4": "The cut", ".json": "Scores and moments", ".html": "Report", ".csv": "Pieces as a table",
         ".edl": "Edit list (EDL)", ".otio": "Edit list (OpenTimelineIO)", ".srt": "Subtitles of the cut"}
PROGRAM = """from gradio_client import Client
import httpx

url = "http://127.0.0.1:7860/"
with open("match.mp4", "rb") as f:
    video = httpx.post(url + "videos?name=match.mp4", content=f, timeout=None).json()["video"]
answer = Client(url).predict(video=video, sentences=["a goal"], api_name="/ask")
print(answer["moments"], answer["urls"])"""
OVERALL = "Overall: what decides the cut"
STAGES = dict(watching="Watching the video", cutting="Cutting")


def header() -> str:
    return ('<header class="intro"><h1>Video Summary by Words</h1><p>Choose a video, say what you are looking for, and '
            "get the moments that fit and a short cut of it.</p></header>")


def chooser(limits: Limits, example: Example | None, names: Sequence[str]) -> str:
    """The place to drop a file, the example, and the folder's videos."""
    most = f"Up to {shown_bytes(limits.upload_bytes)} and {shown_time(limits.video_s)}; removed " \
           f"{shown_time(limits.keep_s)} after its last use."
    parts = [f'<label class="drop" data-most="{limits.upload_bytes}" data-too-large="{too_large(limits.upload_bytes)}" '
             f'data-empty="{EMPTY}"><input type="file" id="file" accept="video/*,.mkv,.mts,.m2ts,.ts,.mxf,.flv" '
             'aria-describedby="file-most"><span class="drop-main">Drop a video here, or <u>choose a file</u></span>'
             f'<span class="soft" id="file-most">{most}</span></label>'
             '<div class="upload" hidden><p class="upload-text" role="status"></p><progress max="1" value="0" '
             'aria-label="Sent"></progress><button type="button" class="plain" data-abort>Stop sending</button></div>'
             '<p class="upload-error fault" role="alert" hidden></p>']
    if example is not None:
        parts.append(_example(example))
    if names:
        options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in names)
        parts.append('<div class="folder"><label for="folder">Or one from the folder</label><select id="folder">'
                     f'<option value="">{len(names)} video{"s" * (len(names) != 1)} …</option>{options}</select></div>')
    return f'<section class="chooser" aria-label="Choose a video">{"".join(parts)}</section>'


def _example(example: Example) -> str:
    asked = " or ".join(f"“{escape(text)}”" for text in example.sentences)
    return (f'<button type="button" class="example" data-example><img src="{image_address(example.poster)}" alt="">'
            f'<span><b>No video at hand? Try the example</b><span class="soft">{length(example.duration_s)} of a '
            f"made-up film: ask it for {asked}</span></span></button>")


def state(progress: Progress) -> str:
    """What is being done, and how far it is."""
    if progress.stage == "waiting":
        others = "1 job comes" if progress.before == 1 else f"{progress.before} jobs come"
        text = (f"In line: {others} before yours. It begins by itself, you need do nothing." if progress.before
                else "In line: yours is next.")
        return f'<div class="state" role="status"><p>{text}</p><progress aria-label="Waiting"></progress></div>'
    name = STAGES[progress.stage]
    return (f'<div class="state" role="status"><p>{name} … {math.floor(100 * progress.share)} %</p><progress max="1" '
            f'value="{progress.share:.3f}" aria-label="{name}"></progress></div>')


def fault(message: str) -> str:
    """An error, for people."""
    return f'<div class="fault" role="alert"><b>That did not work.</b> <span dir="auto">{escape(message)}</span></div>'


def hint(message: str) -> str:
    return f'<p class="soft hint">{escape(message)}</p>'


def player(desk: Desk, recipe: str) -> str:
    """The whole video, its facts, and its subtitles."""
    info = desk.encoded[recipe].info
    facts = (f"{length(float(info.duration_s))} · {info.width} × {info.height} · "
             f"{'with' if info.has_audio else 'no'} sound")
    said = (f"{len(desk.cues):,} lines, {escape(desk.cues_name)}" if desk.cues
            else "none; load a file, and what is said is looked through too")
    return (f'<section class="whole" id="whole" data-token="{desk.token}" aria-label="The video">'
            f'<video controls playsinline preload="metadata" src="files/{desk.token}/video#t=0.01"></video>'
            '<p class="soft unplayable" role="status" hidden>This browser cannot play such files. Moments are shown by '
            "pictures, and clicks play the cut.</p>"
            f'<p class="name" dir="auto">{escape(desk.name)}</p><p class="soft">{facts}</p>'
            '<div class="tools"><label class="plain"><input type="file" id="subtitles" accept=".srt,.vtt">'
            f'Subtitles</label><span class="soft" id="subtitles-said" role="status" dir="auto">{said}</span>'
            '<button type="button" class="plain" data-remove>Remove this video</button></div></section>')


def model_lines(models: Sequence[Model]) -> str:
    """What each model is and was measured at."""
    items = "".join(f"<dt>{escape(m.name)}</dt><dd>{escape(m.what)} {escape(m.measured)}"
                    + (f' <b>Not available here: {escape(m.problem)}</b>' if m.problem else "") + "</dd>"
                    for m in models)
    return f'<dl class="models">{items}</dl>'


def answer_section(answer: Answer, question: Question) -> str:
    """Curves and moments."""
    summary, other = answer.summary, answer.other
    end_s = float(summary.video.info.duration_s)
    rows = chart_rows(summary)
    seconds = [None] * len(rows) if other is None else [curve for curve, _, _ in chart_rows(other)]
    if other is not None and summary.texts:   # by words alone two models may be one
        rows, seconds = [(summary.scores, OVERALL, "var(--soft)"), *rows], [other.scores, *seconds]
    curves = "".join(chart_row(summary, curve, text, colour, second)
                     for (curve, text, colour), second in zip(rows, seconds, strict=True))
    scores = json.dumps([round(float(s), 2) for s in summary.scores])
    starts = json.dumps([round(float(e), 3) for e in summary.video.edges_s[:-1]])
    return (f'<section class="answer" aria-label="The answer"><h2>Over time</h2>{_key(question)}'
            f'<div class="time{" one" if len(rows) == 1 else ""}" tabindex="0" role="slider" aria-valuemin="0" '
            f'aria-valuemax="{end_s:.3f}" aria-valuenow="0" aria-valuetext="0:00" data-end="{end_s:.3f}" '
            f'data-scores="{scores}" data-starts="{starts}" '
            'aria-label="Time in the video; arrow keys move, Enter plays there">'
            f'{curves}<div class="film" aria-hidden="true">{film(summary)}</div>'
            f'<div class="pieces" aria-hidden="true">{kept_bars(summary)}</div>'
            f'<div class="axis" aria-hidden="true">{ticks(end_s)}</div><div class="needle"></div>'
            '<div class="needle play"></div><output class="peek"></output></div>'
            f'<p class="soft note">{_alike(answer)}Click into the curve to play the video from there. '
            f"{_took(answer)}</p>"
            f'<h2>{"Moments" if summary.texts else "What stands out"}</h2>{_moments(summary)}</section>')


def _key(question: Question) -> str:
    items = ['<span><i style="background:var(--kept)"></i>kept in the cut</span>']
    if question.other is not None:
        items += [f'<span><i class="line"></i>{escape(question.model.name)}</span>',
                  f'<span><i class="line other"></i>{escape(question.other.name)}</span>']
    return f'<div class="key">{"".join(items)}</div>'


def _alike(answer: Answer) -> str:
    """A word on a comparison that shows one curve."""
    alike = answer.other is not None and np.allclose(answer.summary.scores, answer.other.scores, atol=0.005)
    return "Both models score this video alike. " if alike else ""


def _took(answer: Answer) -> str:
    return f"Found in {answer.took_s:.1f} s." if answer.took_s >= 0.1 else f"Found in {1000 * answer.took_s:.0f} ms."


def _moments(summary: Result) -> str:
    if not summary.moments:
        return '<p class="soft">None: no part of this video differs from the rest in that. Try other words.</p>'
    colours, places = text_colours(summary), CutLocator(summary, ["cut"])
    return f'<ol class="moments">{"".join(_moment(summary, m, colours[m.text], places) for m in summary.moments)}</ol>'


def _moment(summary: Result, moment, colour: str, places: CutLocator) -> str:
    mark = '<span class="mark">in the cut</span>' if places.find(moment.start_s, moment.end_s) else ""
    picture = image_address(summary.video.thumbnails[best_clip(summary, moment)])
    what = f'<span class="what" dir="auto">{escape(moment.text[:LONG_TEXT])}</span>' if moment.text else ""
    return (f'<li style="--colour:{colour}"><button type="button" data-seek="{moment.start_s:.3f}">'
            f'<span class="shown"><img src="{picture}" alt="">{mark}</span><span class="about"><span class="when">'
            f"<span>{format_clock(moment.start_s)} – {format_clock(moment.end_s)}</span>"
            f'<span aria-label="score">{moment.score:.2f}</span></span><span class="meter">'
            f'<i style="width:{100 * min(max(moment.score, 0), 1):.0f}%"></i></span>{what}</span></button></li>')


def cut_section(summary: Result, desk: Desk, folder: str, files: Sequence[str]) -> str:
    """The cut in a player, its pieces, and everything to take along.

    Args:
        folder: name of the result's folder.
        files: names, the cut's first.
    """
    films = [name for name in files if name.endswith(".mp4")]
    base = f"files/{desk.token}/{folder}/"
    places = CutLocator(summary, films)
    pieces = "".join(f'<li><button type="button" {places.act(float(p.start_s), float(p.end_s))}>'
                     f"{format_clock(p.start_s)} – {format_clock(p.end_s)}</button></li>" for p in summary.pieces)
    links = "".join(f'<li><a href="{base}{name}" download>{_label(name)}</a></li>'
                    for name in files)
    data = escape(json.dumps(dict(files=[base + name for name in films], pieces=[list(p) for p in places.pieces])))
    kept = (f"{length(summary.duration_s)} of {length(float(summary.video.info.duration_s))} in "
            f"{len(summary.intervals_s)} piece{'s' * (len(summary.intervals_s) != 1)}")
    title = "The shorts" if summary.mode == "shorts" else "The cut"
    return (f'<section class="cut" id="cut" data-cut="{data}" aria-label="{title}"><h2>{title}</h2><div class="sides">'
            f'<video controls playsinline preload="metadata" src="{base}{urllib.parse.quote(films[0])}#t=0.01"></video>'
            f'<div><p>{kept}</p><ol class="kept-list">{pieces}</ol><h3>Downloads</h3>'
            f'<ul class="files">{links}</ul></div></div></section>')


def _label(name: str) -> str:
    path = PurePath(name)
    number = f" {path.stem.removeprefix('short-')}" if path.stem.startswith("short-") else ""
    kind = "Short" if number and path.suffix == ".mp4" else KINDS[path.suffix]
    return f"{kind}{number} <span class='soft'>{path.suffix[1:]}</span>"


def footer() -> str:
    """How to do the same from programs."""
    return ('<details class="api"><summary>Use it from a program</summary><pre tabindex="0"><code>'
            + escape(PROGRAM)
            + '</code></pre><p class="soft">Everything that can be called: <code>gradio_api/openapi.json</code>; '
            "README.md has the same with curl.</p></details>")
