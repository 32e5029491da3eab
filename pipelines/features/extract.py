"""Extraction of feature files from videos and queries, in the formats that the datasets read."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from common.errors import InputError
from common.files import DISK_ERRORS, make_folder, remove_leftovers
from common.queries import check_query_length
from models.encoders import Encoders
from pipelines.media.probe import probe
from pipelines.media.suffixes import VIDEO_SUFFIXES
from pipelines.media.video_reader import check_sampling

from . import identity
from .encode import encode_video
from .encoded_video import EncodedVideo
from .extraction_report import ExtractionReport, Written
from .integrity import is_matrix, to_dtype
from .provenance import (
    ARRAY,
    AUDIO_FILE,
    DAMAGED,
    INCOMPLETE,
    NEW,
    SIDECAR_FOLDER,
    TEXT,
    TEXT_CHANGED,
    UNKNOWN,
    VIDEO,
    Origin,
    Source,
    check_stored,
    difference,
    load_stored,
    origin_of,
    write_stored,
)

QUERY_BATCH = 64
SHOWN_CHARACTERS = 40   # An error message quotes this much of a query.
USE_FLOAT32 = "use --dtype float32"
MAX_LENGTH_DIFFERENCE = 2   # Rows by which audio features of another program may differ from the video's.
LIST_SUFFIXES = frozenset((".txt", ".lst", ".list"))

Item = TypeVar("Item")


def find_videos(inputs: Iterable[str | os.PathLike]) -> list[Path]:
    """Find the video files that inputs name, sorted by name within each input.

    Args:
        inputs: files; folders, without their subfolders; patterns such as `videos/**/*.mp4`; and text files that list
            one path per line, relative to the current folder or to the list's folder. A listed file may be missing;
            reading it fails later.

    Raises:
        InputError: an input does not exist; a folder or pattern matches no video; a list cannot be read; or two
            videos have the same name, so that they would share a feature file.
    """
    found: list[Path] = []
    for given in map(Path, inputs):
        if given.is_dir():
            found += _select_videos(given.iterdir(), given, "contains no video file")
        elif given.suffix.lower() in LIST_SUFFIXES and given.is_file():
            found += _read_list(given)
        elif given.exists() or not glob.has_magic(str(given)):
            if not given.exists():
                raise InputError(given, "no such file")
            found.append(given)
        else:
            matches = map(Path, glob.glob(str(given), recursive=True))
            found += _select_videos(matches, given, "this pattern matches no video file")
    by_name: dict[str, Path] = {}
    for path in found:
        if by_name.setdefault(path.stem, path) != path:
            raise InputError(path, f"has the same name as {by_name[path.stem]}, so they would share a feature file",
                             "rename one")
    return list(by_name.values())   # A file that was given twice is listed once.


def _select_videos(paths: Iterable[Path], given: Path, problem: str) -> list[Path]:
    videos = sorted(path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES)
    if not videos:
        raise InputError(given, problem, f"video files end in {' '.join(sorted(VIDEO_SUFFIXES))}")
    return videos


def _read_list(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(path, f"is not a readable list ({err})", "write one path per line, in UTF-8") from err
    names = [Path(line.strip()) for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise InputError(path, "lists no video", "write one path per line")
    return [name if name.exists() else path.parent / name for name in names]


def parse_shard(text: str) -> tuple[int, int]:
    """Parse `2/8` as (2, 8), the second of eight shards.

    Raises:
        InputError: the text has another form, or the shard is not between 1 and the number of shards.
    """
    shard, slash, n_shards = text.partition("/")
    if not (slash and shard.isdecimal() and n_shards.isdecimal() and 1 <= int(shard) <= int(n_shards)):
        raise InputError(None, f"--shard {text} is not a shard", "give I/N, e.g. 1/8 to 8/8 for eight shards")
    return int(shard), int(n_shards)


def take_shard(items: Sequence[Item], shard: tuple[int, int]) -> list[Item]:
    """Return shard i of n: every n-th item, beginning with the i-th. The shards are disjoint and complete."""
    number, n_shards = shard
    return list(items[number - 1::n_shards])


def feature_files(vid: str, encoders: Encoders, out: str | os.PathLike) -> dict[str, Path]:
    """Return the file of each part of a video's features: `{out}/{part}/{vid}.npz`, or `{vid}.npy` for audio."""
    files = {part: Path(out) / part / f"{vid}.npz" for part in encoders.visual.parts}
    if encoders.audio is not None:
        files[encoders.audio.name] = Path(out) / encoders.audio.name / f"{vid}.npy"
    return files


class VideoExtraction:
    """Extraction of videos into a folder of feature files, which are kept as long as they are up to date.

    Features are up to date if their provenance names the content of the video, the encoders with their weights, the
    sampling, the data type, and the version of the code, and if they are intact. Features without provenance, of
    earlier versions or other programs, cannot be verified: they are moved to the subfolder `replaced` and computed
    again. Audio features of a separate audio file, which `audio/extract_audio_feature.py` wrote, are kept.

    Args:
        encoders: visual encoder and, if not None, audio encoder.
        out: folder of the features; each part gets a subfolder.
        dtype: data type of the stored features.
        sampling: see `encode_video`.
        keep_unverified: keep intact features without provenance.
    """

    def __init__(self, encoders: Encoders, out: str | os.PathLike, dtype: str = "float16", sampling: str = "exact",
                 keep_unverified: bool = False):
        self.encoders, self.out, self.keep_unverified = encoders, out, keep_unverified
        self.visual_origin = origin_of(VIDEO, encoders.visual, dtype, check_sampling(sampling))
        self.audio_origin = None if encoders.audio is None else origin_of(VIDEO, encoders.audio, dtype)

    def outdated(self, source: Source) -> dict[str, str]:
        """Return the reason for each part of the features that must be computed; empty if all are up to date.

        Raises:
            InputError: the video cannot be read.
        """
        files, reasons, n_clips, has_audio = feature_files(source.path.stem, self.encoders, self.out), {}, 0, True
        for part, width in self.encoders.visual.parts.items():
            reasons[part], stored = check_stored(files[part], width, self.visual_origin, source, self.keep_unverified)
            if not reasons[part] and stored is not None and stored.provenance is not None:
                n_clips, has_audio = len(stored.arrays[ARRAY]), stored.provenance.get("has_audio", True)
        if self.encoders.audio is not None:
            reasons[self.encoders.audio.name] = self._audio_reason(source, has_audio, n_clips)
        return {part: reason for part, reason in reasons.items() if reason}

    def _audio_reason(self, source: Source, has_audio: bool, n_clips: int) -> str:
        """Return the reason why audio features must be computed; "" if they are up to date.

        Args:
            source: the video.
            has_audio: False if the video has no audio, so that features of unknown origin are better than none.
            n_clips: number of clips of the video.
        """
        audio, origin = self.encoders.audio, self.audio_origin
        assert audio is not None and origin is not None   # The caller has checked this.
        file = feature_files(source.path.stem, self.encoders, self.out)[audio.name]
        reason, stored = check_stored(file, audio.dims, origin, source, self.keep_unverified)
        if stored is None or reason in ("", DAMAGED):
            return reason
        if stored.provenance is not None:
            is_chosen = (stored.provenance.get("kind") == AUDIO_FILE
                         and stored.provenance.get("encoder_key") == origin.encoder_key)
            return "" if is_chosen else reason
        rows = stored.arrays[ARRAY]
        is_better_than_none = not has_audio and rows.any() and abs(len(rows) - n_clips) <= MAX_LENGTH_DIFFERENCE
        return "" if is_better_than_none else reason

    def extract(self, path: Path) -> Written | None:
        """Write the outdated feature files of a video, each atomically; return None if all are up to date.

        A video without audio gets audio features of zeros, unless a file with other audio features exists.

        Raises:
            InputError: the video cannot be read, or it changes in the meantime; or its features are not finite.
        """
        if not path.is_file():
            probe(path)   # Raises the error that says what is wrong.
        source = Source(path)
        outdated = self.outdated(source)
        if not outdated:
            return None
        for file in feature_files(path.stem, self.encoders, self.out).values():
            remove_leftovers(file.parent)
            remove_leftovers(file.parent / SIDECAR_FOLDER)
        identity.content_key(path)   # Computed now, because it must belong to the frames that are decoded.
        video = encode_video(path, self.encoders, progress=False, sampling=self.visual_origin.sampling or "exact")
        if source.has_changed():
            raise InputError(path, "was changed during the extraction of its features",
                             "run the command again when the file is complete")
        return Written(summarize_reasons(outdated, feature_files(path.stem, self.encoders, self.out)),
                       self._write(source, video))

    def _write(self, source: Source, video: EncodedVideo) -> list[Path]:
        """Write the feature files; return the new paths of files of other programs."""
        files, moved = feature_files(source.path.stem, self.encoders, self.out), []
        visual = {part: to_dtype(rows, self.visual_origin.dtype, source.path, USE_FLOAT32)
                  for part, rows in video.visual.items()}
        audio, origin = self.encoders.audio, self.audio_origin
        has_audio = video.info.has_audio and (audio is None or video.audio is not None)
        outdated = self.outdated(source)   # Another process may have written some of them in the meantime.
        for part in self.encoders.visual.parts:
            if part in outdated:
                moved.append(write_stored(files[part], {ARRAY: visual[part]}, self.visual_origin, source,
                                          has_audio=has_audio))
        if audio is not None and origin is not None:
            rows = video.audio if video.audio is not None else np.zeros((video.n_clips, audio.dims), np.float32)
            rows = to_dtype(rows, origin.dtype, source.path, USE_FLOAT32)
            if self._audio_reason(source, has_audio, video.n_clips):
                moved.append(write_stored(files[audio.name], {ARRAY: rows}, origin, source))
        return [path for path in moved if path is not None]


def summarize_reasons(outdated: dict[str, str], files: dict[str, Path]) -> str:
    """Return the reason of several files: of the first that is outdated, not new."""
    reasons = [reason for reason in outdated.values() if reason != NEW]
    if reasons:
        return reasons[0]
    return NEW if len(outdated) == len(files) else INCOMPLETE


def extract_videos(paths: Iterable[Path], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                   sampling: str = "exact", report: Callable[[Path], None] = lambda path: None,
                   keep_unverified: bool = False) -> ExtractionReport:
    """Extract the features of several videos; a video that fails does not stop the others.

    Args:
        paths: video files.
        encoders: see `VideoExtraction`.
        out: see `VideoExtraction`.
        dtype: see `VideoExtraction`.
        sampling: see `encode_video`.
        report: called with each video when it is done or has failed.
        keep_unverified: see `VideoExtraction`.

    Raises:
        InputError: the disk is full or read-only, which would make all later videos fail, too.
    """
    paths, result = list(paths), ExtractionReport()
    if not paths:
        return result
    extraction = VideoExtraction(encoders, out, dtype, sampling, keep_unverified)
    for path in paths:
        try:
            written = extraction.extract(path)
            if written is None:
                result.n_kept += 1
            else:
                result.written[path.name] = written
        except Exception as err:   # A decoder may raise any error; the other videos must not be affected.
            raise_if_disk_full(err, out)
            result.failed[path] = str(err) if isinstance(err, InputError) else f"{path}: {type(err).__name__}: {err}"
        report(path)
    return result


def raise_if_disk_full(err: Exception, out: str | os.PathLike) -> None:
    """Raise an InputError if a file failed because the disk is full or read-only, which all later files share."""
    cause = err.__cause__ if isinstance(err, InputError) else err
    if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
        raise InputError(out, f"cannot be written ({cause.strerror})",
                         "free some space and run the command again; finished files are kept") from err


def extract_queries(labels: list[dict], encoders: Encoders, out: str | os.PathLike, dtype: str = "float16",
                    progress: Callable[[Iterable], Iterable] = iter, keep_unverified: bool = False) -> ExtractionReport:
    """Write `{out}/{text encoder}/qid{qid}.npz` for the query of every label; equal queries are encoded once.

    A file stores its query under the key `text`. A file is kept if it is intact and its provenance names the query,
    the encoder, the data type and the version of the code; otherwise it is replaced, for example because labels were
    renumbered. Files without provenance are treated as in `VideoExtraction`.

    Args:
        labels: labels with `qid` and `query`.
        encoders: the text encoder is used.
        out: folder of the features.
        dtype: data type of the stored features.
        progress: wraps the loop over batches of queries, e.g. tqdm.
        keep_unverified: keep intact features without provenance, unless they store another query.

    Raises:
        InputError: two different queries have the same qid, or a query is too long.
    """
    folder = make_folder(Path(out) / encoders.text.name)
    remove_leftovers(folder)
    query_of: dict[Path, str] = {}
    for label in labels:
        check_query_length(label["query"], f"the query of qid {label['qid']}")
        file = folder / f"qid{label['qid']}.npz"
        if query_of.setdefault(file, label["query"]) != label["query"]:
            raise InputError(None, f"qid {label['qid']} has two queries, {query_of[file]!r} and {label['query']!r}, "
                             "which would share a file", "extract different sets of labels into different folders")
    result = ExtractionReport()
    if not labels:
        return result
    origin = origin_of(TEXT, encoders.text, dtype)
    pending: dict[str, dict[Path, str]] = {}
    for file, query in query_of.items():
        reason = _query_reason(file, query, origin, encoders.text.dims, keep_unverified)
        if reason:
            pending.setdefault(query, {})[file] = reason
        else:
            result.n_kept += 1
    queries = list(pending)
    for start in progress(range(0, len(queries), QUERY_BATCH)):
        batch = queries[start:start + QUERY_BATCH]
        for query, feature in zip(batch, encoders.text.encode(batch), strict=True):
            shown = repr(query[:SHOWN_CHARACTERS])
            arrays = dict(last_hidden_state=to_dtype(feature.last_hidden_state, dtype, shown, USE_FLOAT32),
                          pooler_output=to_dtype(feature.pooler_output, dtype, shown, USE_FLOAT32),
                          text=np.array(query))
            for file, reason in pending[query].items():
                moved = write_stored(file, arrays, origin, query)
                result.written[file.stem] = Written(reason, () if moved is None else (moved,))
    return result


def _query_reason(file: Path, query: str, origin: Origin, dims: int, keep_unverified: bool) -> str:
    """Return the reason why the features of a query must be computed; "" if they are up to date."""
    if not os.path.lexists(file):
        return NEW
    stored = load_stored(file)
    if stored is None:
        return DAMAGED
    tokens, pooled = (stored.arrays.get(key) for key in ("last_hidden_state", "pooler_output"))
    is_intact = (tokens is not None and pooled is not None and is_matrix(tokens, dims)
                 and is_matrix(np.atleast_2d(pooled)))
    if not is_intact:
        return DAMAGED
    if "text" in stored.arrays and str(stored.arrays["text"]) != query:
        return TEXT_CHANGED
    if stored.provenance is None:
        return "" if keep_unverified else UNKNOWN
    return difference(stored.provenance, origin, query)
