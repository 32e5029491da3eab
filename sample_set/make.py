"""Generate a sample set: videos, subtitles and labels in a folder that appears when it is complete."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, fields
from pathlib import Path

from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path, make_folder, write_json
from pipelines.media.probe import probe
from pipelines.media.subtitles import Cue, write_srt

from .labels import label_lines
from .plan import TRAIN_QUERIES, draw_scripts
from .render import write_video
from .scenes import PHOTOS, photo_path
from .script import Script, Setting

GENERATOR = "sample set"
VERSION = 1               # Increased when the same setting generates other content.
SPLITS = ("train", "val", "test")
_LIMITS = {"seed": (0, 2**32 - 1), "videos": (3, 9999), "min_duration_s": (20, 600),
           "max_duration_s": (20, 600), "width_px": (64, 1920), "height_px": (64, 1080), "fps": (2, 30)}


def check_setting(setting: Setting) -> None:
    """Raise an InputError for the first value that is not an integer or is out of range."""
    for name, (low, high) in _LIMITS.items():
        value = getattr(setting, name)
        if not isinstance(value, int) or not low <= value <= high:
            raise InputError(None, f"{name} {value!r} is not an integer from {low} to {high}", "give one in this range")
    if setting.width_px % 2 or setting.height_px % 2:
        raise InputError(None, f"size {setting.width_px}x{setting.height_px} is odd", "H.264 needs even numbers")
    if not 1 <= setting.aspect <= 3:
        raise InputError(None, f"size {setting.width_px}x{setting.height_px} has an unsupported aspect ratio",
                         "give a width of 1 to 3 times the height")
    if setting.min_duration_s > setting.max_duration_s:
        raise InputError(None, f"min_duration_s {setting.min_duration_s} is more than max_duration_s "
                         f"{setting.max_duration_s}", "swap them")
    if setting.max_duration_s // setting.clip_len_s * setting.clip_len_s < setting.min_duration_s:
        raise InputError(None, f"no multiple of {setting.clip_len_s} s is between {setting.min_duration_s} and "
                         f"{setting.max_duration_s} s", "widen the range")


def make_sample(out: str | os.PathLike, setting: Setting | None = None, *, workers: int | None = None,
                force: bool = False, progress: bool = True) -> bool:
    """Generate a sample set in a folder, unless the folder contains the finished set of the same setting.

    Files that are missing in a finished set, and videos that cannot be read, are generated again.

    The set is generated in `.NAME.partial` beside `out` and renamed at the end. An interrupted run is resumed. The
    content depends on the setting only, not on `workers`.

    Args:
        out: folder of the set.
        setting: size and properties of the set; None for the default set.
        workers: number of processes; None for one per core.
        force: replace an existing set; everything in its folder is deleted.
        progress: show a progress bar on stderr.

    Returns:
        True if a set, or a part of it, was generated; False if it existed.

    Raises:
        InputError: the setting is invalid, or `out` contains something else or a set of another setting.
    """
    setting, out = setting or Setting(), Path(os.path.abspath(out))
    check_setting(setting)
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if workers < 1:
        raise InputError(None, f"workers {workers} is less than 1", "give at least one process")
    is_made = _is_made(out, setting, force)
    scripts = draw_scripts(setting)
    if is_made and not _missing_files(scripts, out):
        return False
    for name in PHOTOS:
        photo_path(name)
    if is_made:
        _render_all(scripts, setting, out, workers, progress)
        if not all((out / f"{split}.jsonl").is_file() for split in SPLITS):
            _write_labels(scripts, setting, out)
        return True
    partial = _open_partial(out, setting)
    _render_all(scripts, setting, partial, workers, progress)
    counts = _write_labels(scripts, setting, partial)
    write_json(partial / "sample.json", dict(_stamp(setting), finished=True, lines=counts))
    if out.exists():
        old = out.with_name(f".{out.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
        partial.rename(out)
        shutil.rmtree(old)
    else:
        partial.rename(out)
    return True


def _stamp(setting: Setting) -> dict:
    return dict(generator=GENERATOR, version=VERSION, setting=asdict(setting))


def _read_stamp(folder: Path) -> dict | None:
    """Return the contents of `sample.json` in a folder, or None if the folder is not a sample set."""
    try:
        stamp = json.loads((folder / "sample.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and stamp.get("generator") == GENERATOR else None


def _is_made(out: Path, setting: Setting, force: bool) -> bool:
    """Return True if `out` is the finished set.

    Raises:
        InputError: `out` is something that must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    stamp = _read_stamp(out) if out.is_dir() else None
    if stamp is None:
        raise InputError(out, "exists and is not a sample set", "choose another --out")
    if force:
        return False
    wanted = _stamp(setting)
    if stamp.get("version") != VERSION:
        raise InputError(out, f"was generated by version {stamp.get('version')}, but this is version {VERSION}",
                         "generate it again with --force")
    for name, value in wanted["setting"].items():
        has = stamp.get("setting", {}).get(name)
        if has != value:
            raise InputError(out, f"contains a set with {name} {has!r}, but {value!r} is requested",
                             "replace it with --force, or choose another --out")
    return True


def _missing_files(scripts: list[Script], folder: Path) -> list[Path]:
    """Return the missing files of a finished set, and its videos that cannot be read."""
    paths = [folder / f"{split}.jsonl" for split in SPLITS]
    missing = [path for path in paths if not path.is_file()]
    return missing + [_video_path(folder, script) for script in scripts if not _is_rendered(script, folder)]


def _video_path(folder: Path, script: Script) -> Path:
    return folder / "videos" / f"{script.vid}.mp4"


def _is_rendered(script: Script, folder: Path) -> bool:
    """Return True if the video and the subtitles of a script exist, and the video can be read."""
    try:
        probe(_video_path(folder, script))
    except InputError:
        return False
    return (folder / "subtitles" / f"{script.vid}.srt").is_file()


def _open_partial(out: Path, setting: Setting) -> Path:
    """Return the temporary folder: that of an interrupted run of the same setting, else a new one."""
    partial = out.with_name(f".{out.name}.partial")
    if partial.exists():
        stamp = _read_stamp(partial)
        if stamp is None:
            raise InputError(partial, "is needed as a temporary folder, but contains something else",
                             "move it away or choose another --out")
        if {key: stamp.get(key) for key in _stamp(setting)} != _stamp(setting):
            shutil.rmtree(partial)
    make_folder(partial)
    write_json(partial / "sample.json", dict(_stamp(setting), finished=False))
    for name in ("videos", "subtitles"):
        make_folder(partial / name)
    return partial


def render_one(script: Script, setting: Setting, folder: Path) -> None:
    """Write the video and the subtitles of a script to a folder, each file atomically."""
    video = _video_path(folder, script)
    write_srt(folder / "subtitles" / f"{script.vid}.srt",
              [Cue(remark.start_s, remark.end_s, remark.text) for remark in script.remarks])
    with atomic_path(video) as temporary:
        write_video(script, setting, temporary)


def _render_all(scripts: list[Script], setting: Setting, folder: Path, workers: int, progress: bool) -> None:
    left = [script for script in scripts if not _is_rendered(script, folder)]
    bar = tqdm(total=len(scripts), initial=len(scripts) - len(left), desc="rendering", unit="video",
               disable=None if progress else True)
    with bar:
        if workers == 1:
            for script in left:
                render_one(script, setting, folder)
                bar.update()
            return
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            longest_first = sorted(left, key=lambda script: -script.n_frames)
            jobs = [pool.submit(render_one, script, setting, folder) for script in longest_first]
            try:
                for job in as_completed(jobs):
                    job.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _write_labels(scripts: list[Script], setting: Setting, folder: Path) -> dict[str, int]:
    """Write the label files and the README, and return the number of lines of each split."""
    lines = label_lines(scripts, setting)
    split_of = {script.vid: script.split for script in scripts}
    counts = {}
    for split in SPLITS:
        own = [line for line in lines if split_of[line["vid"]] == split]
        _write_text(folder / f"{split}.jsonl", (json.dumps(line) for line in own))
        counts[split] = len(own)
    _write_text(folder / "README.md", _readme(scripts, lines, setting))
    return counts


def _write_text(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _readme(scripts: list[Script], lines: list[dict], setting: Setting) -> list[str]:
    unseen = sum(line["wording"] == "unseen" for line in lines)
    n_queries = sum(script.split != "train" for script in scripts for _ in script.queries)
    options = ", ".join(f"{field.name} {getattr(setting, field.name)}" for field in fields(setting))
    counts = ", ".join(f"{split} {sum(s.split == split for s in scripts)}" for split in SPLITS)
    return [
        "# Sample set", "",
        "Made up by `tools/make_sample.py`, for trying the program out; nobody filmed or rated it.",
        f"Made with: {options}.", "",
        f"- `videos/`: {len(scripts)} videos ({counts}), each a row of shots \"filmed\" from the photographs below, "
        "with synthetic sounds that come at times of their own;",
        "- `subtitles/`: what somebody says in them, about half of it on what is seen;",
        "- `train.jsonl`, `val.jsonl`, `test.jsonl`: labels in QVHighlights' format: three or four queries a video, in "
        f"training up to {TRAIN_QUERIES}, and a line for each wording of a query. A clip is relevant if at least half "
        "of it fits; the three scores (0-4) follow how near and well lit the subject is, or how loud the sound is, "
        "with made-up annotators' noise.",
        f"- Keys of our own: `wording` is `unseen` for {unseen} of the {n_queries} val and test lines, whose names of "
        "things, sounds and manners never occur in training, else `seen`; `kind` is what is asked for "
        "(scene, look, sound, or two at once).", "",
        "The splits share photographs, but no video and no framing.", "",
        "## Photographs", "",
        "| file | terms, as the package that ships it states them |", "| --- | --- |",
        *(f"| {photo.package} `{photo.file}` | {photo.terms} |" for photo in PHOTOS.values()),
    ]
