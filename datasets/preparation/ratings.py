"""Tables of rated clips: reading, splitting by source video, and conversion to labels."""

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
from datasets.annotations.qvhighlights import MAX_SALIENCY, is_valid_name
from datasets.errors import LineError, raise_errors

MIN_RATING, MAX_RATING = 1, 5
POSITIVE_OVER = 3
COLUMN_NAMES = {   # Accepted names of each column.
    "clip": ("clip", "clip_id", "clip id", "id"),
    "video": ("video", "source", "source_video", "source video", "episode"),
    "start": ("start", "start_s", "start time"), "end": ("end", "end_s", "end time"),
    "text": ("text", "description", "subtitle", "subtitles", "query"),
}
OPTIONAL_COLUMNS = ("text",)
# Words in the name of a column that starts with "rating" but does not contain one person's ratings.
STATISTIC_WORDS = frozenset("count counts number num mean avg average median std sd deviation var variance sum total "
                            "min max date time by".split())
NUM_ANNOTATORS = 3   # Number of annotators in QVHighlights' format.
NUM_SPLIT_CANDIDATES = 2000   # Number of random splits, of which the most balanced one is used.


@dataclass(frozen=True)
class RatedClip:
    """One row of the table.

    Attributes:
        clip: name of the clip and of its feature files.
        video: name of the source video.
        start_s: start of the clip in the source video.
        end_s: end of the clip in the source video, exclusive.
        text: spoken text or description; may be empty.
        ratings: ratings of all raters, 1 to 5.
        line: line number in the table, from 1.
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
        """Mean of the ratings."""
        return sum(self.ratings) / len(self.ratings)

    def positive(self, over: float = POSITIVE_OVER) -> bool:
        """Return True if the mean rating exceeds the threshold."""
        return self.rating > over


def read_ratings(path: str | os.PathLike) -> list[RatedClip]:
    """Read a ratings table.

    Args:
        path: CSV with commas, semicolons or tabs, UTF-8 with or without BOM. The header names clip, video, start, end,
            optionally text, and one column of ratings per person: `rating`, `rating_1`, `rating a`. Times are seconds
            or h:mm:ss. With semicolons or tabs, numbers may have decimal commas. Some of several ratings may be empty.

    Raises:
        InputError: the file cannot be read, is not CSV or is empty; a column is missing, or is a statistic of
            ratings, such as their count. Lists all invalid rows together: ratings outside 1 to 5, text in number
            columns, duplicate clips, clips that end before they start, more cells than the header has.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as err:
        raise InputError(path, "no such file", "specify a ratings table in CSV") from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"cannot be read as text ({err})", "save it as CSV in UTF-8") from err
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    rows = _rows(text, delimiter, path)
    _, names = next(rows, (1, []))
    columns = _columns(names, path)
    clips, errors = [], []
    for line, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        try:
            if any(cell.strip() for cell in row[len(names):]):
                raise LineError(line, f"{len(row)} cells, but the header has {len(names)}",
                                f"put quotes around texts with {'commas' if delimiter == ',' else repr(delimiter)}")
            clips.append(_clip(row, columns, line, decimal_comma=delimiter != ","))
        except LineError as err:
            errors.append(err)
    errors += _duplicates(clips)
    errors.sort(key=lambda error: error.line)
    raise_errors(path, errors)
    if not clips:
        raise InputError(path, "contains no clips")
    return clips


def _duplicates(clips: Sequence[RatedClip]) -> list[LineError]:
    """Return an error for each clip whose name, or whose part of a video, another clip has."""
    errors = []
    by_name: dict[str, RatedClip] = {}
    by_location: dict[tuple, RatedClip] = {}
    for clip in clips:
        first = by_name.setdefault(clip.clip, clip)
        if first.line != clip.line:
            errors.append(LineError(clip.line, f"duplicate clip {clip.clip}, first used in line {first.line}"))
        other = by_location.setdefault((clip.video, clip.start_s, clip.end_s), clip)
        if other.clip != clip.clip:
            errors.append(LineError(
                clip.line, f"clip {clip.clip} is {clip.video} from {clip.start_s} to {clip.end_s} s, like clip "
                           f"{other.clip} in line {other.line}", "keep one of them"))
    return errors


def _rows(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows, each with the number of its first line, because quoted cells may contain line breaks."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as err:
            raise InputError(path, f"line {line}: not CSV ({err})", "check for a missing closing quote") from err
        if row is None:
            return
        yield line, row


def _columns(header: list[str], path: Path) -> dict[str, list[int]]:
    """Return the indices of the columns."""
    names = [name.strip().lower() for name in header]
    columns = {key: [i for i, name in enumerate(names) if name in known] for key, known in COLUMN_NAMES.items()}
    columns["rating"] = [i for i, name in enumerate(names) if name.startswith("rating")]
    for i in columns["rating"]:
        if _is_statistic(names[i], names):
            raise InputError(path, f"column {header[i].strip()!r} does not contain a person's ratings",
                             "rename or remove it; columns of ratings are named rating, rating_1, rating_a and so on")
    missing = [key for key, found in columns.items() if not found and key not in OPTIONAL_COLUMNS]
    duplicates = [key for key, found in columns.items() if len(found) > 1 and key != "rating"]
    if missing or duplicates:
        problems = [f"no {key}" for key in missing] + [f"two columns of {key}" for key in duplicates]
        raise InputError(path, f"the header {header} has {', '.join(problems)}",
                         "name the columns clip, video, start, end, rating")
    return columns


def _is_statistic(name: str, names: list[str]) -> bool:
    """Return True for a column about ratings, such as `rating_count`, or `rating_n` unless `rating_m` is a person."""
    suffix = re.sub(r"^ratings?[\W_]*", "", name)
    return bool(set(re.split(r"[\W_]+", suffix)) & STATISTIC_WORDS) or (suffix == "n" and name[:-1] + "m" not in names)


def _clip(row: list[str], columns: dict[str, list[int]], line: int, decimal_comma: bool) -> RatedClip:
    """Convert a row.

    Raises:
        LineError: a cell is invalid.
    """
    def cell(key: str) -> str:
        indices = columns[key]
        return row[indices[0]].strip() if indices and indices[0] < len(row) else ""

    def number(text: str, column: str) -> float:
        try:
            value = float(text.strip().replace(",", ".") if decimal_comma else text)
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise LineError(line, f"{column} {text.strip()!r} is not a number")
        return value

    def seconds(column: str) -> float:
        parts = cell(column).split(":")
        if len(parts) > 3:
            raise LineError(line, f"{column} {cell(column)!r} is not a number of seconds or h:mm:ss")
        return sum(number(part, column) * 60**i for i, part in enumerate(reversed(parts)))

    clip, video = cell("clip"), cell("video")
    for key, name in (("clip", clip), ("video", video)):
        if not is_valid_name(name):
            raise LineError(line, f"{key} {name!r} is not a valid file name")
    start_s, end_s = seconds("start"), seconds("end")
    if start_s < 0:
        raise LineError(line, f"clip {clip} starts at {start_s} s, before its video")
    if not start_s < end_s:
        raise LineError(line, f"clip {clip} ends at {end_s} s, not after its start at {start_s} s")
    ratings = [number(row[i], "rating") for i in columns["rating"] if i < len(row) and row[i].strip()]
    if not ratings:
        raise LineError(line, f"clip {clip} has no rating; ratings are from {MIN_RATING} to {MAX_RATING}")
    if not all(MIN_RATING <= rating <= MAX_RATING for rating in ratings):
        raise LineError(line, f"clip {clip} is rated {ratings}; ratings are from {MIN_RATING} to {MAX_RATING}")
    return RatedClip(clip, video, start_s, end_s, cell("text"), tuple(ratings), line)


def split_by_video(clips: Sequence[RatedClip], val_share: float = 0.2, seed: int = 0,
                   over: float = POSITIVE_OVER) -> tuple[list[RatedClip], list[RatedClip]]:
    """Split clips into training and validation clips, with all clips of a video in the same split.

    Of 2,000 seeded random splits, the one is used that is closest to the share of clips and, within it, to the share of
    positive clips.

    Args:
        clips: clips in any order.
        val_share: share of the validation clips, in (0, 1).
        seed: seed of the random splits, from 0.
        over: see `RatedClip.positive`.

    Raises:
        InputError: the share or the seed is out of range, or there are fewer than two videos.
    """
    if seed < 0:
        raise InputError(None, f"seed {seed} is negative", "use an integer from 0")
    if not 0 < val_share < 1:
        raise InputError(None, f"validation share {val_share} is out of range",
                         "use more than 0 and less than 1, e.g. 0.2")
    by_video: dict[str, list[RatedClip]] = defaultdict(list)
    for clip in clips:
        by_video[clip.video].append(clip)
    videos = sorted(by_video)
    if len(videos) < 2:
        raise InputError(None, f"all {len(clips)} clips are from one video ({', '.join(videos)}), but training and "
                               "validation must not share a video", "rate clips of a second video")
    sizes = np.array([len(by_video[v]) for v in videos])
    positives = np.array([sum(c.positive(over) for c in by_video[v]) for v in videos])
    r = np.random.default_rng(seed)
    target = max(1, min(len(videos) - 1, round(val_share * len(videos))))
    best, least = np.zeros(0, int), np.inf
    for _ in range(NUM_SPLIT_CANDIDATES):
        candidate = r.permutation(len(videos))[:int(np.clip(target + r.integers(-1, 2), 1, len(videos) - 1))]
        size = sizes[candidate].sum()
        imbalance = (abs(size / sizes.sum() - val_share)
                     + abs(positives[candidate].sum() / size - positives.sum() / sizes.sum()))
        if imbalance < least - 1e-12:
            best, least = candidate, imbalance
    val_videos = {videos[i] for i in best}
    return [c for c in clips if c.video not in val_videos], [c for c in clips if c.video in val_videos]


def make_label(clip: RatedClip, qid: int, text: str, clip_len_s: float = 2, over: float = POSITIVE_OVER) -> dict:
    """Convert a rated clip to a label in QVHighlights' format.

    A positive clip is one window from its start to its end. All of its parts have the same saliency for each of the
    format's three annotators, from 1 for a mean rating just above the threshold to 4 for a rating of 5. A negative
    clip has neither windows nor salient parts.
    """
    duration_s = clip.end_s - clip.start_s
    label = dict(qid=qid, query=text, vid=clip.clip, duration=round(duration_s, 3), relevant_windows=[],
                 relevant_clip_ids=[], saliency_scores=[], video=clip.video,
                 rating=round(clip.rating, 4), positive=clip.positive(over))
    if clip.positive(over):
        parts = list(range(num_complete_clips(duration_s, clip_len_s)))
        grade = max(1, round(MAX_SALIENCY * (clip.rating - over) / (MAX_RATING - over)))
        label.update(relevant_windows=[[0, round(duration_s, 3)]], relevant_clip_ids=parts,
                     saliency_scores=[[grade] * NUM_ANNOTATORS for _ in parts])
    return label


def split_report(train: Sequence[RatedClip], val: Sequence[RatedClip], dropped: Mapping[str, str],
                 over: float = POSITIVE_OVER) -> dict:
    """Return the content of the report: clips, videos and ratings of each split, and the reasons of dropped clips."""
    def summary(clips: Sequence[RatedClip]) -> dict:
        return dict(clips=len(clips), positive=sum(c.positive(over) for c in clips),
                    videos=len({c.video for c in clips}),
                    ratings=dict(sorted(Counter(str(round(c.rating)) for c in clips).items())))

    return dict(positive_over=over, train=summary(train), val=summary(val), dropped=len(dropped),
                reasons=dict(Counter(dropped.values())), dropped_clips=dict(dropped))
