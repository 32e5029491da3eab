"""The example of the first screen: a video of the sample set, or one filmed in seconds where there is none."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from common.paths import ROOT
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, read_subtitles
from pipelines.media.video_reader import frames_at
from sample_set.labels import label_lines
from sample_set.make import render_one
from sample_set.plan import draw_scripts
from sample_set.script import Setting

SET = ROOT / "data/sample"
VIDEO = "sample_044"   # of the test videos, a cat and an astronaut
FILMED = Setting(videos=3, min_duration_s=60, max_duration_s=60)
POSTER_PX = 320


@dataclass(frozen=True)
class Example:
    """A video that everybody may try.

    Attributes:
        path: of the file.
        name: shown to people.
        cues: what is said in it.
        sentences: that may be asked of it.
        poster: JPEG of a picture from it.
        duration_s: of the video.
    """

    path: Path
    name: str
    cues: tuple[Cue, ...]
    sentences: tuple[str, ...]
    poster: bytes
    duration_s: float


def make_example(folder: Path, sample_set: Path = SET) -> Example:
    """The example of the sample set, if that is there; else one filmed into `folder`."""
    labels = sample_set / "test.jsonl"
    if labels.is_file() and (sample_set / "videos" / f"{VIDEO}.mp4").is_file():
        lines = [json.loads(line) for line in labels.read_text(encoding="utf-8").splitlines()]
        return _example(sample_set, VIDEO, lines)
    scripts = draw_scripts(FILMED)
    for name in ("videos", "subtitles"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    render_one(scripts[0], FILMED, folder)
    return _example(folder, scripts[0].vid, label_lines(scripts, FILMED))


def _example(folder: Path, vid: str, lines: list[dict]) -> Example:
    sentences: dict[tuple, str] = {}   # one wording of each query, which its windows tell
    for line in lines:
        if line["vid"] == vid and line["kind"] == "scene":
            sentences.setdefault(tuple(map(tuple, line["relevant_windows"])), line["query"])
    path, subtitles = folder / "videos" / f"{vid}.mp4", folder / "subtitles" / f"{vid}.srt"
    info = probe(path)
    window = next(iter(sentences))[0]
    _, picture = next(iter(frames_at(path, [(window[0] + window[1]) / 2])))
    buffer = io.BytesIO()
    image = Image.fromarray(picture)
    image.thumbnail((POSTER_PX, POSTER_PX))
    image.save(buffer, "JPEG", quality=80)
    cues = read_subtitles(subtitles) if subtitles.is_file() else []
    return Example(path, "the example video.mp4", tuple(cues), tuple(sentences.values())[:2], buffer.getvalue(),
                   float(info.duration_s))
