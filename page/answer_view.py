"""Render the parts of the page as HTML. The templates escape all text."""

from __future__ import annotations

import math
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path, PurePath

import jinja2
import numpy as np
from markupsafe import Markup

from common.timecode import format_clock
from pipelines.export.charts import (
    MAX_LABEL_CHARACTERS,
    ChartRow,
    best_clip,
    chart_rows,
    query_colors,
    render_chart_row,
    render_filmstrip,
    render_kept_bars,
    render_time_axis,
)
from pipelines.export.charts import (
    format_duration as format_length,
)
from pipelines.export.report import CutLocator
from pipelines.export.templating import image_url
from pipelines.result import Result

from .example import Example
from .limits import Limits, empty_file_error, too_large_error
from .messages import error_text
from .model_catalog import CatalogEntry
from .requests import SummaryRequest, SummaryResponse
from .sessions import Session
from .steps import Progress
from .units import format_bytes, format_duration

TEMPLATES = Path(__file__).parent / "templates"
FILE_LABELS = {".mp4": "Video", ".json": "Scores and moments", ".html": "Report", ".csv": "Table of pieces",
               ".edl": "Edit list (EDL)", ".otio": "Edit list (OpenTimelineIO)", ".srt": "Subtitles of the cut"}
COMBINED_LABEL = "Combined score, which decides the cut"
STAGES = dict(encoding="Analyzing the video", answering="Finding the moments", exporting="Writing the cut")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")   # Characters that HTML may not contain.


def _replace_unprintable(value: object) -> object:
    """Replace the characters that HTML may not contain; Jinja calls this for every value that it inserts."""
    return UNPRINTABLE.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
                                  lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_replace_unprintable)
_ENVIRONMENT.filters.update(jpeg_url=image_url, clock=format_clock, length_text=format_length)


def _render(name: str, **values: object) -> str:
    return _ENVIRONMENT.get_template(f"{name}.html").render(values).strip()


def header() -> str:
    """Return the title and introduction of the page."""
    return _render("header")


def video_input(limits: Limits, example: Example | None, names: Sequence[str]) -> str:
    """Return the drop zone, the example, and the videos of the shared folder.

    Args:
        limits: limits that the drop zone shows and checks.
        example: the example; None for none.
        names: names of the videos in the shared folder.
    """
    return _render("video_input", max_bytes=limits.max_upload_bytes, example=example, names=list(names),
                   too_large=error_text(too_large_error(limits.max_upload_bytes)),
                   empty=error_text(empty_file_error()), max_size=format_bytes(limits.max_upload_bytes),
                   max_duration=format_duration(limits.max_video_s),
                   idle_timeout=format_duration(limits.idle_timeout_s))


def progress_bar(progress: Progress) -> str:
    """Return the progress of a task, or its position in the queue."""
    return _render("progress", progress=progress, stage=STAGES.get(progress.stage),
                   percent=math.floor(100 * progress.fraction))


def error(message: str) -> str:
    """Return an error message."""
    return _render("error", message=message)


def hint(message: str) -> str:
    """Return a placeholder for a part that is still empty."""
    return _render("hint", message=message)


def player(session: Session, encoder_key: str) -> str:
    """Return the video player with facts about the video and its subtitles."""
    info = session.encoded[encoder_key].info
    audio = "with audio" if info.has_audio else "no audio"
    facts = f"{format_length(float(info.duration_s))} · {info.width} × {info.height} · {audio}"
    return _render("player", session=session, facts=facts)


def model_descriptions(models: Sequence[CatalogEntry]) -> str:
    """Return a description of each model; its metrics are behind a details element."""
    return _render("models", models=models)


def answer_section(response: SummaryResponse, request: SummaryRequest) -> str:
    """Return the score charts and the moments."""
    result, compared = response.result, response.compared
    end_s = float(result.video.info.duration_s)
    rows = chart_rows(result)
    dashed = [None] * len(rows) if compared is None else [curve for curve, _, _ in chart_rows(compared)]
    if compared is not None and result.texts:   # Models with the same encoders differ in the combined score only.
        rows, dashed = [ChartRow(result.scores, COMBINED_LABEL, "var(--soft)"), *rows], [compared.scores, *dashed]
    charts = "".join(render_chart_row(result, curve, text, color, other)
                     for (curve, text, color), other in zip(rows, dashed, strict=True))
    alike = compared is not None and np.allclose(result.scores, compared.scores, atol=0.005)
    took = f"{response.took_s:.1f} s" if response.took_s >= 0.1 else f"{1000 * response.took_s:.0f} ms"
    return _render("answer", request=request, result=result, num_rows=len(rows), rows=Markup(charts),
                   filmstrip=render_filmstrip(result), kept_bars=render_kept_bars(result),
                   ticks=render_time_axis(end_s),
                   end_s=f"{end_s:.3f}", scores=[round(float(s), 2) for s in result.scores],
                   starts=[round(float(e), 3) for e in result.video.edges_s[:-1]], alike=alike, took=took,
                   moments=_moments(result))


def _moments(result: Result) -> list[dict]:
    colors, locator = query_colors(result), CutLocator(result, ["cut"])
    return [dict(start_s=moment.start_s, end_s=moment.end_s, score=moment.score,
                 text=moment.text[:MAX_LABEL_CHARACTERS],
                 color=colors[moment.text], kept=locator.find(moment.start_s, moment.end_s) is not None,
                 percent=f"{100 * min(max(moment.score, 0), 1):.0f}",
                 thumbnail=result.video.thumbnails[best_clip(result, moment)]) for moment in result.moments]


def export_sections(response: SummaryResponse, request: SummaryRequest, names: Sequence[str],
                    base_url: str) -> tuple[str, str]:
    """Return the score charts with the exact pieces, and the section of the cut."""
    return answer_section(response, request), cut_section(response.result, names, base_url)


def cut_section(result: Result, names: Sequence[str], base_url: str) -> str:
    """Return the cut in a player, its pieces, and links to all files.

    Args:
        result: the result with the exact pieces.
        names: names of the files.
        base_url: address of their folder.
    """
    videos = [name for name in names if name.endswith(".mp4")]
    locator = CutLocator(result, videos)
    pieces = [dict(start_s=float(piece.start_s), end_s=float(piece.end_s),
                   play=Markup(locator.act(float(piece.start_s), float(piece.end_s)))) for piece in result.pieces]
    links = [dict(url=base_url + urllib.parse.quote(name), label=_file_label(name), suffix=PurePath(name).suffix[1:])
             for name in names]
    count = len(result.intervals_s)
    kept = (f"{format_length(result.duration_s)} of {format_length(float(result.video.info.duration_s))} in "
            f"{count} piece{'s' * (count != 1)}")
    return _render("cut", title="Shorts" if result.mode == "shorts" else "Cut", kept=kept, pieces=pieces, links=links,
                   player=dict(files=[base_url + urllib.parse.quote(name) for name in videos],
                               pieces=[list(piece) for piece in locator.pieces]))


def _file_label(name: str) -> str:
    path = PurePath(name)
    if not path.stem.startswith("short-"):
        return FILE_LABELS[path.suffix]
    label = "Short" if path.suffix == ".mp4" else FILE_LABELS[path.suffix]
    return f"{label} {path.stem.removeprefix('short-')}"


def api_section() -> str:
    """Return examples of API calls, in Python and with curl."""
    python, curl = ((TEMPLATES / f"api_{name}.txt").read_text(encoding="utf-8") for name in ("python", "curl"))
    return _render("api", python_example=python.strip(), curl_example=curl.strip())
