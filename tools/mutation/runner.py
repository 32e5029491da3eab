"""Run tests on mutants, each in a process that is forked from one that has imported all libraries.

Importing torch and the other libraries takes several seconds, which is longer than most tests. The tests run in a copy
of the checkout, without the optional data beside it.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .mutants import Mutant

LIBRARIES = ("av", "coverage", "h5py", "hypothesis", "nncore.engine", "nncore.nn", "numpy", "PIL.Image", "pytest",
             "pytest_timeout", "safetensors.torch", "scipy.ndimage", "scipy.signal", "scipy.stats", "sklearn.metrics",
             "torch", "torchvision", "tqdm")
PYTEST_OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "pytest_timeout", "--no-header", "--tb=line")
MIN_CPU_S = 20        # A mutant's tests may always take this much CPU time,
CPU_FACTOR = 4        # and this many times as long as those of the original.
WALL_FACTOR = 20      # Waiting for other processes is not CPU time, so the limit in real time is this much longer.
MAX_BYTES = 16 << 30  # Address space of a process; some mutants would otherwise allocate without end.
TESTS_FAILED, NO_TESTS = 1, 5   # Exit status of pytest if a test fails, and if no test was selected.


@dataclass
class TestFile:
    """The tests of a file, their CPU times, and the lines that they run in the original code.

    Attributes:
        path: relative to the root of the project.
        seconds: CPU time of each test by its node id.
        tests_by_line: by module and line, the node ids of the tests that run it; "" if all tests of the file depend on
            it, because it runs during imports and in fixtures that several tests share.
    """

    __test__ = False

    path: str
    seconds: dict[str, float] = field(default_factory=dict)
    tests_by_line: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def tests_of(self, mutant: Mutant) -> list[str]:
        """Return the node ids of the tests in the order in which they run; none if no test runs a line of the mutant.

        Tests that run such a line come first, those with the shortest time before the others. The rest of the file
        follows, because it may use what such a test has left in a cache.
        """
        by_line = self.tests_by_line.get(mutant.path, {})
        covering = {test for line in range(mutant.line, mutant.last_line + 1) for test in by_line.get(line, ())}
        return sorted(self.seconds if covering else (),
                      key=lambda test: (test not in covering, self.seconds[test], test))


@contextmanager
def checkout_copies(root: Path, number: int) -> Iterator[list[Path]]:
    """Yield folders with copies of the files that git does not ignore, and delete them at the end."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root,
                            check=True, capture_output=True, text=True).stdout.split("\0")
    with tempfile.TemporaryDirectory(prefix="mutants-") as temporary:
        copies = [Path(temporary) / str(i) / "checkout" for i in range(number)]
        for folder in copies:
            for name in filter(None, listed):
                if (root / name).is_file():
                    (folder / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(root / name, folder / name)
            # Byte code is compared by content, because a mutant may be as old and as long as the original.
            subprocess.run([sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "."],
                           cwd=folder, check=True)
        yield copies


def import_libraries() -> None:
    """Import what the tests need, except this project, so that forked processes do not have to."""
    os.environ.update(OMP_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)


def measure_tests(paths: Sequence[tuple[str, str]], copies: Sequence[Path],
                  report: Callable[[str, dict], None]) -> None:
    """Run the tests of files on the original code; tests that fail there say nothing about mutants and are left out.

    Args:
        paths: the test files, and the folders of the modules whose lines count.
        copies: copies of the checkout; as many files run at the same time.
        report: called with each file and the values for `read_measurement`.

    Raises:
        RuntimeError: a file cannot be run.
    """
    pending, free = list(paths)[::-1], list(copies)
    active: dict[int, tuple[str, Path]] = {}
    while pending or active:
        while pending and free:
            (path, package), folder = pending.pop(), free.pop()
            result = folder.parent / "coverage.json"
            result.unlink(missing_ok=True)
            run = partial(_run_with_coverage, folder, path, package, result)
            active[_fork(folder, run)] = path, folder
        pid, status = os.waitpid(-1, 0)
        path, folder = active.pop(pid)
        if os.waitstatus_to_exitcode(status) not in (0, TESTS_FAILED, NO_TESTS):
            raise RuntimeError(f"{path} cannot be run:\n{(folder.parent / 'log').read_text()[-3000:]}")
        report(path, json.loads((folder.parent / "coverage.json").read_text()))
        free.append(folder)


def read_measurement(path: str, values: dict) -> TestFile:
    """Convert the JSON that describes a test file; JSON has texts as keys."""
    by_line = {module: {int(line): tests for line, tests in lines.items()} for module, lines in values["lines"].items()}
    return TestFile(path, values["seconds"], by_line)


class _Recorder:
    """A pytest plugin that assigns lines and CPU time to tests."""

    def __init__(self, switch_context: Callable[[str], object]):
        self.switch_context, self.context = switch_context, ""
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    def record_as(self, context: str) -> str:
        """Assign the following lines to another test, and return the previous one."""
        previous, self.context = self.context, context
        self.switch_context(context)
        return previous

    def plugin(self) -> object:
        """Return the object that pytest calls; pytest itself is imported late."""
        import pytest
        recorder = self

        class Plugin:
            @pytest.hookimpl(wrapper=True)
            def pytest_runtest_protocol(self, item, nextitem):
                previous, start_s = recorder.record_as(item.nodeid), time.process_time()
                result = yield
                recorder.seconds[item.nodeid] = time.process_time() - start_s
                recorder.record_as(previous)
                return result

            def pytest_runtest_logreport(self, report):
                if report.failed:
                    recorder.failed.append(report.nodeid)

            @pytest.hookimpl(wrapper=True)
            def pytest_fixture_setup(self, fixturedef, request):
                previous = recorder.record_as(recorder.context if fixturedef.scope == "function" else "")
                result = yield
                recorder.record_as(previous)
                return result

        return Plugin()


def _run_with_coverage(folder: Path, path: str, package: str, result: Path) -> int:
    import coverage
    import pytest

    collector = coverage.Coverage(data_file=None, include=[str(folder / package / "*")], config_file=False,
                                  messages=False)
    recorder = _Recorder(collector.switch_context)
    collector.start()
    status = pytest.main([*PYTEST_OPTIONS, path], plugins=[recorder.plugin()])
    collector.stop()
    data = collector.get_data()
    seconds = {name: value for name, value in recorder.seconds.items() if name not in recorder.failed}
    result.write_text(json.dumps(dict(seconds=seconds, failed=recorder.failed, lines={
        str(Path(file).relative_to(folder)): data.contexts_by_lineno(file) for file in data.measured_files()})))
    return int(status)


def run_mutants(mutants: Sequence[Mutant], tests_of: Callable[[Mutant], list[tuple[str, float]]],
                copies: Sequence[Path], report: Callable[[Mutant, bool], None]) -> None:
    """Run the tests of each mutant until one fails.

    A mutant also counts as killed if its tests crash, exhaust the memory, or take much more CPU time than on the
    original code.

    Args:
        mutants: mutants to run.
        tests_of: returns the tests of a mutant and their CPU times, in the order in which they run; a mutant without
            tests survives.
        copies: copies of the checkout; as many mutants run at the same time.
        report: called with each mutant, and True if it was killed.
    """
    pending, free = list(mutants)[::-1], list(copies)
    active: dict[int, tuple[Mutant, Path, str, float]] = {}
    while pending or active:
        while pending and free:
            mutant = pending.pop()
            tests = tests_of(mutant)
            if not tests:
                report(mutant, False)
                continue
            folder = free.pop()
            original = (folder / mutant.path).read_text(encoding="utf-8")
            (folder / mutant.path).write_text(mutant.apply(original), encoding="utf-8")
            limit_s = MIN_CPU_S + CPU_FACTOR * sum(seconds for _, seconds in tests)
            pid = _fork(folder, partial(_run_tests, [name for name, _ in tests]), limit_s)
            active[pid] = mutant, folder, original, time.monotonic() + WALL_FACTOR * limit_s
        for pid in list(active):
            mutant, folder, original, deadline = active[pid]
            finished, status = os.waitpid(pid, os.WNOHANG)
            if not finished and time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                finished, status = os.waitpid(pid, 0)
            if finished:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)   # Its child processes.
                (folder / mutant.path).write_text(original, encoding="utf-8")
                del active[pid]
                free.append(folder)
                report(mutant, os.waitstatus_to_exitcode(status) not in (0, NO_TESTS))
        time.sleep(0.02)


def _run_tests(names: Sequence[str]) -> int:
    import pytest

    return int(pytest.main([*PYTEST_OPTIONS, "-x", *names]))


def _fork(folder: Path, run: Callable[[], int], cpu_s: float | None = None) -> int:
    """Return the id of a new process, the leader of its group, that calls a function in a folder and exits."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        log = os.open(folder.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.chdir(folder)
        if cpu_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_s) + 1, int(cpu_s) + 5))
            resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
        status = run()
    except BaseException:   # This is a copy of the parent process and must never return to its code.
        status = 1
    finally:
        os._exit(status)
