"""The files that a summary becomes: the cut, its subtitles, edit lists, the page and the JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path
from pipelines.options import Shorts

JOINED = "summary.mp4"      # the file of all pieces
PAGE, DATA = "report.html", "summary.json"
EXPORTS = ("csv", "edl", "otio")
OWN = re.compile(r"(short-\d+|summary)\.\w+|report\.html")


@dataclass(frozen=True)
class ExportOptions:
    """In which form a summary is written.

    Attributes:
        copy: whether pictures are copied from key frames on, which is fast, instead of encoded anew.
        aspect: width to height of the cut, to which pictures are cropped; None leaves them whole.
        exports: edit lists, of `EXPORTS`.

    Raises:
        InputError: copied pictures cannot be cropped.
    """

    copy: bool = False
    aspect: Fraction | None = None
    edit_lists: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.copy and self.aspect is not None:
            raise InputError("--copy leaves pictures as they are, so they cannot be cropped; leave --copy or --aspect "
                             "out")


def short_name(rank: int) -> str:
    """The file of the best short (rank 1), the second ..."""
    return f"short-{rank}.mp4"


def parse_exports(text: str) -> tuple[str, ...]:
    """Reads a list such as csv,edl; an InputError for what does not exist."""
    names = tuple(dict.fromkeys(name.strip().lower() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in EXPORTS:
            raise InputError(f"export {name!r} does not exist; choose from {', '.join(EXPORTS)}, e.g. csv,edl")
    if not names:
        raise InputError(f"export {text!r} names nothing; choose from {', '.join(EXPORTS)}")
    return names


def parse_aspect(text: str) -> Fraction:
    """Reads a shape such as 9:16; an InputError for what is none between 1:4 and 4:1."""
    match = re.fullmatch(r"\s*(\d{1,5})\s*[:x/]\s*(\d{1,5})\s*", text)
    if match is None or not int(match[2]) or not Fraction(1, 4) <= Fraction(int(match[1]), int(match[2])) <= 4:
        raise InputError(f"aspect {text!r} is no shape from 1:4 to 4:1; write width and height, e.g. 9:16")
    return Fraction(int(match[1]), int(match[2]))


def file_names(mode: str, shorts: Shorts) -> list[str]:
    """All the files that may come to be."""
    cuts = [short_name(rank) for rank in range(1, shorts.count + 1)] if mode == "shorts" else [JOINED]
    subtitles = [Path(name).with_suffix(".srt").name for name in cuts]
    return [*cuts, *subtitles, *(f"summary.{suffix}" for suffix in EXPORTS), PAGE, DATA]


def earlier_files(folder: Path) -> list[str]:
    """The files that an earlier run wrote into a folder, as its summary.json tells; no others of that name."""
    try:
        files = json.loads((folder / DATA).read_text(encoding="utf-8"))["files"]
        return [name for name in files if isinstance(name, str) and OWN.fullmatch(name) and (folder / name).is_file()]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def write_outputs(summary, folder: Path, form: ExportOptions, progress: bool | Callable[[float], None] = False, *,
                  called: str | None = None, shorts: Shorts | None = None) -> list[str]:
    """Writes everything into a folder; what `form` says of copying is then true of the summary too.

    Args:
        summary: a `pipelines.result.Result`.
        folder: that exists.
        progress: True draws a bar on stderr; a function is called with the share of the current file that is done.
        called: what the files call the video, from then on `summary` too; None for its path.
        shorts: how many and how long were asked for, which copies keep to as well; None if that is not known.

    Returns:
        Names of the files, the cut first.

    Raises:
        InputError: the video cannot be read or copied, none of the shorts can be begun at a key frame, or the
            folder cannot be written.
    """
    if not form.copy:
        summary.keep_whole_shots()
    started_s = time.perf_counter()
    summary.wish = shorts if summary.mode == "shorts" else None
    if form.copy:
        _plan_copies(summary)
    summary.aspect = form.aspect
    names = _write_cuts(summary, folder, progress)
    summary.timings_s["cut"] = time.perf_counter() - started_s
    others = _write_subtitles(summary, folder)
    if called is not None:
        info = dataclasses.replace(summary.video.info, path=Path(called))
        summary.video = dataclasses.replace(summary.video, info=info)
    if form.edit_lists:
        from .edit_lists import write_list
        for suffix in form.edit_lists:
            write_list(folder / f"summary.{suffix}", summary.video.info, summary.pieces)
            others.append(f"summary.{suffix}")
    from .report import report_html
    started_s = time.perf_counter()
    with atomic_path(folder / PAGE) as temporary:
        temporary.write_text(report_html(summary, names, [*others, DATA]), encoding="utf-8")
    summary.timings_s["report"] = time.perf_counter() - started_s
    summary.files = [*names, *others, PAGE, DATA]
    summary.save_json(folder / DATA)
    return list(summary.files)


def _plan_copies(summary) -> None:
    """Replaces the pieces by those that copying really keeps."""
    from pipelines.editing.stream_copy import kept_intervals, plan_copy
    info = summary.video.info
    runs = _copied_shorts(summary) if summary.mode == "shorts" else plan_copy(info, summary.intervals_s)
    summary.pieces_s = kept_intervals(info, runs)
    summary.runs = dict(zip(summary.pieces_s, runs, strict=True))
    summary.copied = True


def _copied_shorts(summary) -> list:
    """Runs of the shorts that copying can make, ascending, apart and of the lengths asked for; the best goes first."""
    from pipelines.editing.stream_copy import kept_intervals, plan_short
    info, wish, placed = summary.video.info, summary.wish, []
    lengths_s = (Fraction(0), 2 * info.duration_s)
    if wish is not None:
        lengths_s = (min(wish.shortest_s, info.duration_s), wish.longest_s)
    for start_s, end_s in sorted(summary.intervals_s, key=lambda piece: -summary.score_of(*piece)):
        room_s = (max((kept[1] for kept, _ in placed if kept[0] < start_s), default=Fraction(0)),
                  min((kept[0] for kept, _ in placed if kept[0] >= start_s), default=2 * info.duration_s))
        run = plan_short(info, (start_s, end_s), room_s, lengths_s)
        if run is not None:
            placed += zip(kept_intervals(info, [run]), [run], strict=True)
    if not placed:
        raise InputError(f"{info.path}: its key frames lie too far apart to copy shorts"
                         f"{'' if wish is None else f' of {wish.lengths}'}; leave --copy out, or ask for longer ones "
                         "with --length")
    return [run for _, run in sorted(placed, key=lambda pair: pair[0])]


def _write_cuts(summary, folder: Path, progress: bool | Callable[[float], None]) -> list[str]:
    for name, intervals in summary.intervals_by_file:
        summary.save_pieces(folder / name, intervals, progress)
    return [name for name, _ in summary.intervals_by_file]


def _write_subtitles(summary, folder: Path) -> list[str]:
    """A .srt beside every file in which something is said, under its name, so that players find it."""
    from pipelines.media.subtitles import cut_cues, write_srt
    names = []
    for name, intervals in summary.intervals_by_file:
        cues = cut_cues(summary.cues, intervals)
        if cues:
            names.append(Path(name).with_suffix(".srt").name)
            write_srt(folder / names[-1], cues)
    return names
