"""From a table of rated clips to labels: reading, splitting by source video, and what was left out."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.errors import InputError
from common.temporal import num_complete_clips
from datasets.annotations.qvhighlights import MAX_SALIENCY, is_valid_name, raise_errors

LOWEST, HIGHEST = 1, 5
POSITIVE_OVER = 3
COLUMNS = {   # what a column may be called
    "clip": ("clip", "clip_id", "clip id", "id"),
    "video": ("video", "source", "source_video", "source video", "episode"),
    "start": ("start", "start_s", "start time"), "end": ("end", "end_s", "end time"),
    "text": ("text", "description", "subtitle", "subtitles", "query"),
}
OPTIONAL = ("text",)
NO_RATING = frozenset("count counts number num mean avg average median std sd deviation var variance sum total min max "
                      "date time by".split())   # in the name of a column that tells of ratings
ANNOTATORS = 3
TRIALS = 2000   # random splits of which the most even is taken


@dataclass(frozen=True)
class RatedClip:
    """A line of the table.

    Attributes:
        clip: the clip's name, that of its feature files.
        video: what it was cut from.
        start_s, end_s: where, [start, end).
        text: what is said or shown; may be empty.
        ratings: by everyone who rated it, 1 to 5.
        line: of the table, from 1.
    """

    clip: str
    video: str
    start_s: float
    end_s: float
    text: str
    ratings: tuple[float, ...]
    line: int

    @property
    def rating(self) -> float:
        """The mean."""
        return sum(self.ratings) / len(self.ratings)

    def positive(self, over: float = POSITIVE_OVER) -> bool:
        """Whether the mean rating is over a threshold."""
        return self.rating > over


def read_ratings(path: str | os.PathLike) -> list[RatedClip]:
    """Reads a ratings table.

    Args:
        path: CSV by commas, semicolons or tabs, UTF-8 with or without BOM, with a header: clip, video,
            start, end, perhaps text, and one or several columns of ratings, one a person: `rating`,
            `rating_1`, `rating a`. Times are seconds or h:mm:ss. With semicolons numbers may have decimal
            commas. Of several ratings some may be empty.

    Raises:
        InputError: unreadable, no CSV or empty; columns that lack, or that tell of ratings, as their count;
            or all the faulty lines at once: ratings outside of 1 to 5, text in number columns, doubled
            clips, clips that end before they start, more cells than the header has.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as err:
        raise InputError(f"{path}: no such file; name a ratings table, CSV") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"{path}: cannot be read as text ({err}); save it as CSV in UTF-8") from err
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    rows = _rows(text, delimiter, path)
    _, names = next(rows, (1, []))
    columns = _columns(names, path)
    clips, faults, seen, locations = [], [], {}, {}
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            if any(cell.strip() for cell in row[len(names):]):
                raise ValueError(f"{len(row)} cells, but the header has {len(names)}; put quotes around texts with "
                                 f"{'commas' if delimiter == ',' else repr(delimiter)}")
            clip = _clip(row, columns, line, decimal_comma=delimiter != ",")
        except ValueError as err:
            faults.append(f"line {line}: {err}")
            continue
        if seen.setdefault(clip.clip, line) != line:
            faults.append(f"line {line}: clip {clip.clip} stands in line {seen[clip.clip]} too")
        other = locations.setdefault((clip.video, clip.start_s, clip.end_s), clip)
        if other.clip != clip.clip:
            faults.append(f"line {line}: clip {clip.clip} is {clip.video} from {clip.start_s} to {clip.end_s} s as "
                          f"clip {other.clip} in line {other.line} is; keep one of them")
        clips.append(clip)
    raise_errors(path, faults if faults or clips else ["holds no clip"])
    return clips


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows, each with the line at which it begins, since cells in quotes may hold several."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as err:
            raise InputError(f"{path}: line {line}: not CSV ({err}); is a quote not closed?") from err
        if row is None:
            return
        yield line, row


def _columns(header: list[str], path: Path) -> dict[str, list[int]]:
    names = [name.strip().lower() for name in header]
    columns = {key: [i for i, name in enumerate(names) if name in known] for key, known in COLUMNS.items()}
    columns["rating"] = [i for i, name in enumerate(names) if name.startswith("rating")]
    for i in columns["rating"]:
        if _tells_of_ratings(names[i], names):
            raise InputError(f"{path}: column {header[i].strip()!r} does not hold a person's ratings; rename or "
                             "remove it. Those that do are called rating, rating_1, rating_a and the like")
    lacking = [key for key, found in columns.items() if not found and key not in OPTIONAL]
    doubled = [key for key, found in columns.items() if len(found) > 1 and key != "rating"]
    if lacking or doubled:
        raise InputError(f"{path}: the header {header} has {'no ' + ', no '.join(lacking) if lacking else ''}"
                         f"{' two of ' + ', '.join(doubled) if doubled else ''}; it needs clip, video, start, end, "
                         "rating")
    return columns


def _tells_of_ratings(name: str, names: list[str]) -> bool:
    """Whether a column is about ratings, as `rating_count`; `rating_n` is, unless m is a person."""
    about = re.sub(r"^ratings?[\W_]*", "", name)
    return bool(set(re.split(r"[\W_]+", about)) & NO_RATING) or (about == "n" and name[:-1] + "m" not in names)


def _clip(row: list[str], columns: dict[str, list[int]], line: int, decimal_comma: bool) -> RatedClip:
    def cell(key: str) -> str:
        at = columns[key]
        return row[at[0]].strip() if at and at[0] < len(row) else ""

    clip, video = cell("clip"), cell("video")
    for key, name in (("clip", clip), ("video", video)):
        if not is_valid_name(name):
            raise ValueError(f"{key} {name!r} is not a name that a file can have")
    start_s, end_s = (_seconds(cell(key), key, decimal_comma) for key in ("start", "end"))
    if start_s < 0:
        raise ValueError(f"clip {clip} starts at {start_s} s, before its video does")
    if not start_s < end_s:
        raise ValueError(f"clip {clip} ends at {end_s} s, not after its start at {start_s} s")
    ratings = [_number(row[i], "rating", decimal_comma) for i in columns["rating"] if i < len(row) and row[i].strip()]
    if not ratings or not all(LOWEST <= rating <= HIGHEST for rating in ratings):
        raise ValueError(f"clip {clip} is rated {ratings or 'by nobody'}; ratings go from {LOWEST} to {HIGHEST}")
    return RatedClip(clip, video, start_s, end_s, cell("text"), tuple(ratings), line)


def _number(text: str, what: str, decimal_comma: bool) -> float:
    try:
        value = float(text.strip().replace(",", ".") if decimal_comma else text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        raise ValueError(f"{what} {text.strip()!r} is not a number")
    return value


def _seconds(text: str, what: str, decimal_comma: bool) -> float:
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"{what} {text!r} is not a number of seconds or h:mm:ss")
    return sum(_number(part, what, decimal_comma) * 60**i for i, part in enumerate(reversed(parts)))


def split_by_video(clips: Sequence[RatedClip], val_share: float = 0.2, seed: int = 0,
                   over: float = POSITIVE_OVER) -> tuple[list[RatedClip], list[RatedClip]]:
    """Training and validation clips; all clips of a video are on one side.

    Of 2,000 random choices of videos, drawn by the seed, the one is taken that comes nearest to the
    share of clips and, in it, to the share of positive ones.

    Args:
        clips: in any order.
        val_share: of the clips, in (0, 1).
        seed: of the draws.
        over: see `RatedClip.positive`.

    Raises:
        InputError: the share or the seed is none, or there are fewer than two videos.
    """
    if seed < 0:
        raise InputError(f"a seed of {seed} is none; give a whole number from 0")
    if not 0 < val_share < 1:
        raise InputError(f"a validation share of {val_share} is none; give more than 0 and less than 1, e.g. 0.2")
    by_video: dict[str, list[RatedClip]] = defaultdict(list)
    for clip in clips:
        by_video[clip.video].append(clip)
    videos = sorted(by_video)
    if len(videos) < 2:
        raise InputError(f"all {len(clips)} clips are of one video ({', '.join(videos)}); training and validation "
                         "must not share one, so rate clips of a second")
    sizes = np.array([len(by_video[v]) for v in videos])
    positives = np.array([sum(c.positive(over) for c in by_video[v]) for v in videos])
    r = np.random.default_rng(seed)
    wanted = max(1, min(len(videos) - 1, round(val_share * len(videos))))
    best, least = None, np.inf
    for _ in range(TRIALS):
        chosen = r.permutation(len(videos))[:int(np.clip(wanted + r.integers(-1, 2), 1, len(videos) - 1))]
        size = sizes[chosen].sum()
        away = abs(size / sizes.sum() - val_share) + abs(positives[chosen].sum() / size - positives.sum() / sizes.sum())
        if away < least - 1e-12:
            best, least = chosen, away
    held_out = {videos[i] for i in best}
    return [c for c in clips if c.video not in held_out], [c for c in clips if c.video in held_out]


def make_label(clip: RatedClip, qid: int, text: str, clip_len_s: float = 2, over: float = POSITIVE_OVER) -> dict:
    """A label in QVHighlights' format.

    A positive clip is one window from its start to its end, every part of it as salient as its mean
    rating says, from 1 just over the threshold to 4 for 5, alike for the format's three annotators; a
    negative one has neither window nor salient parts.
    """
    duration_s = clip.end_s - clip.start_s
    label = dict(qid=qid, query=text, vid=clip.clip, duration=round(duration_s, 3), relevant_windows=[],
                 relevant_clip_ids=[], saliency_scores=[], video=clip.video,
                 rating=round(clip.rating, 4), positive=clip.positive(over))
    if clip.positive(over):
        parts = list(range(num_complete_clips(duration_s, clip_len_s)))
        grade = max(1, round(MAX_SALIENCY * (clip.rating - over) / (HIGHEST - over)))
        label.update(relevant_windows=[[0, round(duration_s, 3)]], relevant_clip_ids=parts,
                     saliency_scores=[[grade] * ANNOTATORS for _ in parts])
    return label


def describe(train: Sequence[RatedClip], val: Sequence[RatedClip], dropped: Mapping[str, str],
             over: float = POSITIVE_OVER) -> dict:
    """What a split holds, for the report: clips, videos and ratings of both sides, and why others were left out."""
    def side(clips: Sequence[RatedClip]) -> dict:
        return dict(clips=len(clips), positive=sum(c.positive(over) for c in clips),
                    videos=len({c.video for c in clips}),
                    ratings=dict(sorted(Counter(str(round(c.rating)) for c in clips).items())))

    return dict(positive_over=over, train=side(train), val=side(val), dropped=len(dropped),
                reasons=dict(Counter(dropped.values())), dropped_clips=dict(dropped))
