"""Select the work dir of a run, so that no run replaces the results of another one unless the user asks for it."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nncore.engine import comm

from common.errors import InputError
from common.files import make_folder

from .run_dir import RunDir

try:
    import fcntl
except ImportError:   # Windows has no record locks; concurrent runs in one folder are not detected there.
    fcntl = None   # type: ignore[assignment]

LOCK_FILE = ".lock"


@contextmanager
def claimed_work_dir(path: Path, *, numbered: bool, has_results: Callable[[RunDir], bool]) -> Iterator[RunDir]:
    """Yield the folder of a run, which no other run uses during the block. All processes of a run must call this.

    The main process decides, and the others follow it. A folder that was created for the run is removed again if the
    block raises an error before it has written a file.

    Args:
        path: the requested folder.
        numbered: True to use `NAME_1`, `NAME_2`, ... if the folder has results, or if another run is using it.
        has_results: returns True if the results in a folder must not be replaced.

    Raises:
        InputError: in all processes: the folder cannot be written; another run is using it, and `numbered` is False.
    """
    claim: _Claim | None = None
    answer: object = None
    if comm.is_main_process():
        try:
            claim = _claim(path, numbered, has_results)
            answer = claim.folder
        except InputError as err:   # The other processes wait for an answer.
            answer = err
    answer = comm.broadcast(answer)
    if isinstance(answer, InputError):
        raise answer
    assert isinstance(answer, Path)
    try:
        yield RunDir(answer, requested=path)
    finally:
        if claim is not None:
            claim.release()


@contextmanager
def unclaimed_work_dir(path: Path) -> Iterator[RunDir]:
    """Yield a folder that other runs may use at the same time.

    Raises:
        InputError: the folder cannot be written.
    """
    yield RunDir(make_folder(path))


class _Claim:
    """A folder that this process has locked.

    Args:
        folder: the folder, which is created if it does not exist.
    """

    def __init__(self, folder: Path):
        self.folder, self._handle, self._is_locked = folder, -1, False
        self._created = [p for p in (folder, *folder.parents) if not p.exists()]
        make_folder(folder)

    def try_lock(self) -> bool:
        """Lock the folder for this process, and record the process for the message of other runs.

        A record lock is used instead of flock, because flock is inherited by the worker processes of a data loader,
        which outlive a killed training for some seconds. Record locks also work on NFS.

        Returns:
            False if another process holds the lock; True also if the file system has no locks.
        """
        if fcntl is None:
            return True
        try:
            self._handle = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._is_locked = True
            os.truncate(self._handle, 0)
            os.write(self._handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        except BlockingIOError:   # EAGAIN: another process holds the lock.
            return False
        except OSError:   # The file belongs to another user, the disk is full, or the file system has no locks.
            pass
        return True

    def holder(self) -> str:
        """Return the process that holds the lock."""
        try:
            return (self.folder / LOCK_FILE).read_text(encoding="utf-8") or "another process"
        except OSError:
            return "another process"

    def release(self) -> None:
        """Unlock the folder. Remove it if this claim has created and locked it, and nothing was written to it."""
        if self._is_locked and self._created and os.listdir(self.folder) == [LOCK_FILE]:
            (self.folder / LOCK_FILE).unlink()
            for folder in self._created:   # The innermost folder is first.
                with suppress(OSError):   # It is not empty.
                    folder.rmdir()
        if self._handle >= 0:
            os.close(self._handle)   # Other processes can lock the folder from now on.


def _claim(path: Path, numbered: bool, has_results: Callable[[RunDir], bool]) -> _Claim:
    for candidate in numbered_paths(path) if numbered else (path,):
        if numbered and has_results(RunDir(candidate)):
            continue
        claim = _Claim(candidate)
        if not claim.try_lock():
            holder = claim.holder()
            claim.release()
            if not numbered:
                raise InputError(path, f"another run is using this work dir ({holder})",
                                 "wait until it ends, or specify another --work-dir")
        elif numbered and has_results(RunDir(candidate)):   # Another run has finished since the first check.
            claim.release()
        else:
            return claim
    raise AssertionError("there are infinitely many candidates")


def numbered_paths(path: Path) -> Iterator[Path]:
    """Yield the path, then the path with `_1`, `_2`, ... appended to its name."""
    yield path
    base = path if path.name not in ("", "..") else path.resolve()   # `.` has no name.
    for number in itertools.count(1):
        yield base.with_name(f"{base.name}_{number}")


def newer_work_dir(run_dir: RunDir) -> Path | None:
    """Return the one of `NAME_1`, `NAME_2`, ... that has the newest checkpoint, if it is newer than that of `NAME`."""
    candidates = itertools.takewhile(Path.is_dir, itertools.islice(numbered_paths(run_dir.path), 1, None))
    dated = [(checkpoint.stat().st_mtime, folder) for folder in candidates
             if (checkpoint := RunDir(folder).newest_checkpoint()) is not None]
    own = run_dir.newest_checkpoint()
    newest = max(dated, default=None)
    return newest[1] if newest and (own is None or newest[0] > own.stat().st_mtime) else None
