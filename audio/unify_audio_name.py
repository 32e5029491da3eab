"""Convert audio files to {vid}.wav, 32 kHz mono, with the names of their videos; originals go to DIR/originals.

  audio/unify_audio_name.sh audio/ --dry-run
  audio/unify_audio_name.sh audio/ --ids ratings.csv

The suffix (or several suffixes) and the "(1)" or "copy" of copies are removed from a name. The rest is converted to
lower case, with _ for spaces and punctuation; letters of all scripts are kept. With --ids, a name is replaced by the
known id that matches it. Files that would get the same name are left unchanged and reported.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError
from pipelines.media.audio_files import is_mono_wav, write_wav
from pipelines.media.suffixes import AUDIO_SOURCE_SUFFIXES

ORIGINALS = "originals"
COPY = re.compile(r"(\s*\(\d+\)|[\s_-]+copy(\s*\d+)?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """The planned change of one file.

    Attributes:
        source: the file.
        target: its new path; None if the file cannot be converted, or needs no change.
        problem: the reason why the file cannot be converted, "" for none.
        finished: True if an interrupted run has already written the target and kept the original, so that only the
            source must be deleted.
    """

    source: Path
    target: Path | None = None
    problem: str = ""
    finished: bool = False

    def __str__(self) -> str:
        target = self.target.name if self.target is not None else ""
        if self.finished:
            return f"delete {self.source.name}: {target} and the original copy already exist"
        return f"{self.source.name} -> {target}"


def clean_name(name: str) -> str:
    """Return a file name without suffixes, copy markers, upper case and punctuation; may be empty."""
    stem = name
    while Path(stem).suffix.lower() in AUDIO_SOURCE_SUFFIXES or COPY.search(stem):
        stem = COPY.sub("", stem) if COPY.search(stem) else stem[:-len(Path(stem).suffix)]
    stem = unicodedata.normalize("NFC", stem.strip().lower())   # macOS stores accents as separate code points.
    plain = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "_.-" else " " for c in stem)
    return re.sub(" +", "_", plain).strip("._-")


def read_ids(path: str | os.PathLike) -> dict[str, str]:
    """Read known ids by clean name: lines of a .txt, clips and videos of a ratings .csv, or file names in a folder.

    Raises:
        InputError: the path does not exist or has no ids, or two ids have the same clean name.
    """
    path = Path(path)
    if path.is_dir():
        ids = [p.stem for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
    elif path.suffix.lower() in (".csv", ".tsv"):
        from datasets.preparation.ratings import read_ratings
        ids = [name for clip in read_ratings(path) for name in (clip.clip, clip.video)]
    elif path.is_file():
        ids = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    else:
        raise InputError(path, "no such file or folder of ids")
    known: dict[str, str] = {}
    for vid in ids:
        if known.setdefault(clean_name(vid), vid) != vid:
            raise InputError(path, f"{vid} and {known[clean_name(vid)]} differ only in case or punctuation",
                             "rename one of them")
    if not known:
        raise InputError(path, "contains no ids")
    return known


def plan(folder: Path, ids: dict[str, str] | None = None) -> list[Step]:
    """Plan the changes of all audio files of a folder, sorted by name, without changing anything.

    Raises:
        InputError: the folder does not exist or has no audio files.
    """
    audio_files, others = find_audio_files(folder)
    if not audio_files:
        but = f", but {len(others)} other files ({suffixes(others)})" if others else ""
        raise InputError(folder, f"no audio files in it{but}",
                         f"audio files end in {' '.join(sorted(AUDIO_SOURCE_SUFFIXES))}")
    by_target: dict[Path, list[Path]] = defaultdict(list)
    steps = []
    for path in audio_files:
        name = clean_name(path.name)
        target = folder / f"{name if ids is None else ids.get(name)}.wav"
        if not name:
            steps.append(Step(path, problem="its name has no letters or digits"))
        elif ids is not None and name not in ids:
            steps.append(Step(path, problem=f"{name} is not a known id"))
        elif path != target and target.exists() and original_path(path).exists() and original_path(path).samefile(path):
            steps.append(Step(path, target, finished=True))
        else:
            by_target[target].append(path)
    for target, sources in by_target.items():
        for source in sources:
            if len(sources) > 1:
                conflicts = ", ".join(s.name for s in sources if s != source)
                steps.append(Step(source, problem=f"would become {target.name}, like {conflicts}"))
            elif source == target and is_mono_wav(source):
                steps.append(Step(source))
            else:
                steps.append(Step(source, target))
    return sorted(steps, key=lambda step: step.source.name)


def find_audio_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the audio files of a folder, and its other files, both without hidden files.

    Raises:
        InputError: the folder does not exist.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder of audio files")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    audio_files = [p for p in files if p.suffix.lower() in AUDIO_SOURCE_SUFFIXES or COPY.search(p.name)]
    return audio_files, [p for p in files if p not in audio_files]


def suffixes(files: list[Path]) -> str:
    """Return the files' suffixes, or the names of files without suffix."""
    return " ".join(sorted({p.suffix.lower() or p.name for p in files}))


def unify(step: Step) -> None:
    """Execute a step that has a target. The source is only deleted after the original copy and the target exist.

    Raises:
        InputError: the file cannot be read, or another file has one of its new names.
    """
    assert step.target is not None
    if step.finished:
        step.source.unlink()
        return
    original = original_path(step.source)
    for existing in {original, step.target} - {step.source}:
        if existing.exists() and not existing.samefile(step.source):
            raise InputError(step.source, f"{existing} already exists", "move one of them away")
    converted = step.target.with_name(f".{step.target.name}.new.wav")
    try:
        write_wav(step.source, converted)
        if not original.exists():
            original.parent.mkdir(exist_ok=True)
            os.link(step.source, original)
        converted.replace(step.target)
        if step.source != step.target:
            step.source.unlink()
    finally:
        converted.unlink(missing_ok=True)


def original_path(source: Path) -> Path:
    """Return the path at which the original of a file is kept."""
    return source.parent / ORIGINALS / source.name


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("folder", metavar="DIR", help="folder of audio files in any common format")
    parser.add_argument("--ids", metavar="F", help="known ids: a .txt with one per line, a ratings .csv, or a folder")
    parser.add_argument("--dry-run", action="store_true", help="print the plan without changing anything")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: unify_all(args))


def unify_all(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from pipelines.features.extract import raise_if_disk_full

    steps = plan(Path(args.folder), read_ids(args.ids) if args.ids else None)
    todo = [step for step in steps if step.target]
    errors: list[Exception] = [InputError(step.source.name, step.problem) for step in steps if step.problem]
    num_unchanged = len(steps) - len(todo) - len(errors)
    if args.dry_run:
        for step in todo:
            print(step)
    else:
        num_done = 0
        for step in tqdm(todo, unit="file", disable=not todo):
            try:
                unify(step)
                num_done += 1
            except (InputError, OSError) as err:
                raise_if_disk_full(err, args.folder)
                errors.append(err)
        print(f"converted {num_done} file{'s' * (num_done != 1)}, {num_unchanged} needed no change, {len(errors)} "
              "failed and are unchanged")
    _, others = find_audio_files(Path(args.folder))
    if others:
        print(f"ignored {len(others)} file{'s' * (len(others) != 1)} without the suffix of an audio file "
              f"({suffixes(others)})", file=sys.stderr)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    raise SystemExit(main())
