#!/usr/bin/env python
"""Measure how many small faults in the core's code the tests detect (mutation testing).

    nice python tools/mutation_test.py --sample 150 --seed 1
    nice python tools/mutation_test.py pipelines/shots/kts.py          # all mutants of a module

Each mutant is a copy of a module with one fault; tools/mutation/mutants.py lists the kinds of faults. A mutant is
killed if a test fails. Only the tests of the module's package run (tests/pipelines/shots for pipelines/shots/kts.py),
and of these only the files that run the changed line, the tests that run it first. The optional data beside the
checkout is hidden.
Which lines a test file runs is measured once, and kept in work_dirs/mutation_tests.json until the file or the code
changes. Exit status: 0 if the score is reached; 1 if not; 2 invalid input.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common import cli
from common.errors import InputError
from common.files import write_json
from common.paths import ROOT
from tools.mutation.mutants import Mutant, find_mutants
from tools.mutation.runner import (
    TestFile,
    checkout_copies,
    import_libraries,
    measure_tests,
    read_measurement,
    run_mutants,
)

CORE = ("models", "datasets/eval", "pipelines/scoring", "pipelines/selection", "pipelines/editing", "pipelines/shots")
PROGRESS_STEP = 25   # Number of mutants between two lines of progress.
STORED = ROOT / "work_dirs" / "mutation_tests.json"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=CORE, metavar="PATH",
                        help=f"modules or folders of the project (default: {' '.join(CORE)})")
    parser.add_argument("--sample", type=int, metavar="N", help="number of random mutants (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the sample (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N",
                        help="number of mutants at the same time (default: %(default)s)")
    parser.add_argument("--require", type=float, default=92, metavar="PERCENT",
                        help="the score below which the exit status is 1 (default: %(default)s)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    return cli.run(lambda: run(args.paths, args.sample, args.seed, args.jobs, args.require))


def run(paths: list[str], sample: int | None, seed: int, jobs: int, required: float) -> int:
    """Run the mutants of a sample, print those that survive and the score, and return the exit status."""
    mutants = [mutant for module in find_modules(ROOT, paths) for mutant in find_mutants(ROOT, module)]
    print(f"{len(mutants)} possible mutants in {' '.join(paths)}")
    if sample is not None:
        mutants = random.Random(seed).sample(mutants, min(sample, len(mutants)))
    if not mutants:
        raise InputError(None, "nothing to mutate", "specify modules of the project")
    import_libraries()
    done: Counter[bool] = Counter()

    def report(mutant: Mutant, killed: bool) -> None:
        done[killed] += 1
        if not killed:
            print(f"survived {mutant}", flush=True)
        if done.total() % PROGRESS_STEP == 0:
            print(f"killed {done[True]} of the first {done.total()} mutants", flush=True)

    with checkout_copies(ROOT, jobs) as copies:
        folders = sorted({str(folder_of_tests(ROOT, mutant.path)) for mutant in mutants})
        files = sorted({str(path.relative_to(ROOT)) for folder in folders
                        for path in (ROOT / folder).rglob("test_*.py")})
        tests = measured_tests(ROOT, files, copies)
        run_mutants(mutants, lambda mutant: select_tests(ROOT, mutant, tests), copies, report)
    score = 100 * done[True] / len(mutants)
    print(f"killed {done[True]} of {len(mutants)} mutants: {score:.1f} % (seed {seed}; {required:g} % are required)")
    return 0 if score >= required else 1


def measured_tests(root: Path, files: list[str], copies: list[Path]) -> list[TestFile]:
    """Measure which lines of its package each test file runs, unless an earlier run has stored it.

    Args:
        root: root of the project.
        files: the test files.
        copies: copies of the project; as many files run at the same time.
    """
    packages = {path: next(name for name in CORE if Path(path).is_relative_to(Path("tests") / name)) for path in files}
    code = {package: b"".join(module.read_bytes() for module in find_modules(root, [package]))
            for package in set(packages.values())}
    keys = {path: f"{path} {hashlib.sha256((root / path).read_bytes() + code[packages[path]]).hexdigest()}"
            for path in files}
    stored = json.loads(STORED.read_text()) if STORED.is_file() else {}

    def store(path: str, values: dict) -> None:
        print(f"measured {path}", flush=True)
        if values["failed"]:
            print(f"left out {len(values['failed'])} tests that fail without a mutant: {' '.join(values['failed'])}")
        stored[keys[path]] = values
        write_json(STORED, stored)

    measure_tests([(path, packages[path]) for path in files if keys[path] not in stored], copies, store)
    return [read_measurement(path, stored[key]) for path, key in keys.items()]


def find_modules(root: Path, paths: list[str]) -> list[Path]:
    """Return the modules in folders of the project, and those that are named.

    Raises:
        InputError: a path does not exist in the project.
    """
    found = []
    for name in paths:
        path = (root / name).resolve()
        if not path.exists() or not path.is_relative_to(root):
            raise InputError(name, "no such module or folder of the project", f"specify e.g. {CORE[-1]}")
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


def folder_of_tests(root: Path, module: str) -> Path:
    """Return the folder of the tests of a module, relative to the root; the nearest one that exists."""
    folder = Path("tests") / Path(module).parent
    while not (root / folder).is_dir():
        folder = folder.parent
    return folder


def select_tests(root: Path, mutant: Mutant, tests: list[TestFile]) -> list[tuple[str, float]]:
    """Return the tests of a mutant and their CPU times: of the module's own file, then of those with the least time."""
    folder, own = folder_of_tests(root, mutant.path), f"test_{Path(mutant.path).stem}.py"
    covering = []
    for file in tests:
        if Path(file.path).is_relative_to(folder):
            names = [(name, file.seconds[name]) for name in file.tests_of(mutant)]
            covering.append((Path(file.path).name != own, sum(seconds for _, seconds in names), names))
    return [test for _, _, names in sorted(covering) for test in names]


if __name__ == "__main__":
    raise SystemExit(main())
