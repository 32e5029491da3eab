"""Gives sound files the names of their videos: {vid}.wav, 32 kHz mono; the originals go to DIR/originals.

  audio/unify_audio_name.sh sounds/ --dry-run
  audio/unify_audio_name.sh sounds/ --ids ratings.csv

A name loses its (double) extension, "(1)" and "copy" of copies, and is written in lower case with _ for
spaces and other marks; letters of all scripts stay. With --ids it becomes the known id that it equals so. Two files
that would get one name both stay where they are, and are named at the end.
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

from common.errors import InputError
from pipelines.media.audio_files import is_mono_wav, write_wav
from pipelines.media.suffixes import AUDIO_SOURCE_SUFFIXES

ORIGINALS = "originals"
COPY = re.compile(r"(\s*\(\d+\)|[\s_-]+copy(\s*\d+)?)$", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """What happens to a file: `target` is its new name; `why` tells where it stays.

    `finished`: the target is made and the original kept, by a run that was stopped; only the old name must go.
    """

    source: Path
    target: Path | None = None
    why: str = ""
    finished: bool = False

    def __str__(self) -> str:
        if self.finished:
            return f"{self.source.name} goes, since {self.target.name} is there already and the original kept"
        return f"{self.source.name} -> {self.target.name}"


def clean_name(name: str) -> str:
    """A file's name without extensions, marks of copies, upper case and odd characters; may be empty."""
    stem = name
    while Path(stem).suffix.lower() in AUDIO_SOURCE_SUFFIXES or COPY.search(stem):
        stem = COPY.sub("", stem) if COPY.search(stem) else stem[:-len(Path(stem).suffix)]
    stem = unicodedata.normalize("NFC", stem.strip().lower())   # some systems write an accent as a letter of its own
    plain = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "_.-" else " " for c in stem)
    return re.sub(" +", "_", plain).strip("._-")


def read_ids(path: str | os.PathLike) -> dict[str, str]:
    """Known ids by their clean names: lines of a .txt, clips and videos of a ratings .csv, or names in a folder.

    Raises:
        InputError: none there, or two that one clean name stands for.
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
        raise InputError(f"{path}: no such file or folder of ids")
    known: dict[str, str] = {}
    for vid in ids:
        if known.setdefault(clean_name(vid), vid) != vid:
            raise InputError(f"{path}: {vid} and {known[clean_name(vid)]} differ in case or marks alone; rename one")
    if not known:
        raise InputError(f"{path}: holds no id")
    return known


def plan(folder: Path, ids: dict[str, str] | None = None) -> list[Step]:
    """What happens to every sound file of a folder, by name; nothing is done yet.

    Raises:
        InputError: no such folder, or no sound file in it.
    """
    sounds, others = find_sounds(folder)
    if not sounds:
        but = f", but {len(others)} others ({endings(others)})" if others else ""
        raise InputError(f"{folder}: no sound file in it{but}; sound files end in "
                         f"{' '.join(sorted(AUDIO_SOURCE_SUFFIXES))}")
    by_target: dict[Path, list[Path]] = defaultdict(list)
    steps = []
    for path in sounds:
        name = clean_name(path.name)
        target = folder / f"{name if ids is None else ids.get(name)}.wav"
        if not name:
            steps.append(Step(path, why="nothing is left of its name"))
        elif ids is not None and name not in ids:
            steps.append(Step(path, why=f"{name} is none of the ids"))
        elif path != target and target.exists() and kept(path).exists() and kept(path).samefile(path):
            steps.append(Step(path, target, finished=True))
        else:
            by_target[target].append(path)
    for target, sources in by_target.items():
        for source in sources:
            if len(sources) > 1:
                others = ", ".join(s.name for s in sources if s != source)
                steps.append(Step(source, why=f"{others} would be {target.name} too"))
            elif source == target and is_mono_wav(source):
                steps.append(Step(source))
            else:
                steps.append(Step(source, target))
    return sorted(steps, key=lambda step: step.source.name)


def find_sounds(folder: Path) -> tuple[list[Path], list[Path]]:
    """The sound files of a folder, and its other files, hidden ones left out.

    Raises:
        InputError: no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of sound files")
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    sounds = [p for p in files if p.suffix.lower() in AUDIO_SOURCE_SUFFIXES or COPY.search(p.name)]
    return sounds, [p for p in files if p not in sounds]


def endings(files: list[Path]) -> str:
    """The files' suffixes, or names where they have none."""
    return " ".join(sorted({p.suffix.lower() or p.name for p in files}))


def unify(step: Step) -> None:
    """Carries a step out: the original is in its new place, and the new file whole, before an old name goes.

    Raises:
        InputError: the file cannot be read, or one of its names is taken by another.
    """
    if step.finished:
        step.source.unlink()
        return
    original = kept(step.source)
    for taken in {original, step.target} - {step.source}:
        if taken.exists() and not taken.samefile(step.source):
            raise InputError(f"{step.source}: {taken} is there already; move one of them away")
    made = step.target.with_name(f".{step.target.name}.new.wav")
    try:
        write_wav(step.source, made)
        if not original.exists():
            original.parent.mkdir(exist_ok=True)
            os.link(step.source, original)
        made.replace(step.target)
        if step.source != step.target:
            step.source.unlink()
    finally:
        made.unlink(missing_ok=True)


def kept(source: Path) -> Path:
    """Where a file's original stays."""
    return source.parent / ORIGINALS / source.name


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", help="sound files of any usual format")
    parser.add_argument("--ids", metavar="F", help="known ids: a .txt with one a line, a ratings .csv, or a folder")
    parser.add_argument("--dry-run", action="store_true", help="show the plan, do nothing")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    try:
        return run(args)
    except InputError as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except OSError as err:
        print(f"error: {err}; what is done stays done, run it again for the rest", file=sys.stderr)
        return 2


def run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from pipelines.features.extract import raise_if_disk_full

    steps = plan(Path(args.folder), read_ids(args.ids) if args.ids else None)
    todo, stay = [s for s in steps if s.target], [s for s in steps if s.why]
    failed = [f"{s.source.name}: {s.why}" for s in stay]
    if args.dry_run:
        for step in todo:
            print(step)
    else:
        done = 0
        for step in tqdm(todo, unit="file", disable=not todo):
            try:
                unify(step)
                done += 1
            except (InputError, OSError) as err:
                raise_if_disk_full(err, args.folder)
                failed.append(str(err))
        print(f"{done} files unified, {len(steps) - len(todo) - len(stay)} were, {len(failed)} stay as they are")
    _, others = find_sounds(Path(args.folder))
    if others:
        print(f"{len(others)} files passed over, which do not end as sound files do ({endings(others)})",
              file=sys.stderr)
    for reason in failed:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
