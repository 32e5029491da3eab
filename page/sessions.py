"""Sessions: one temporary folder per video of a user, behind a secret token, removed when it is no longer used."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from common.errors import InputError
from common.locks import lock_path
from pipelines.media.probe import VideoInfo

from .limits import safe_name
from .task import Owner, Task

TOKEN_BYTES = 24
FOLDER_PREFIX = "video-summary-page-"
LOCK_GRACE_S = 60      # A folder is locked shortly after its creation, so a younger one is no leftover.
CLOSED_PAGE_S = 300    # A session outlives its page this long, since a reload looks like a closed page.
MAX_RESULTS = 3        # The files of the last requests of a session stay available.


class SessionNotFoundError(InputError):
    """There is no session with this token, or it was removed."""


@dataclass(frozen=True)
class EncodedFile:
    """A file with an `EncodedVideo`, and the properties of the video."""

    path: Path
    info: VideoInfo


@dataclass(frozen=True)
class StoredSubtitles:
    """A file with parsed subtitles.

    Attributes:
        path: the file, which `tasks.load_cues` reads.
        num_cues: number of subtitles.
        name: name that users see.
        note: message about the encoding of the file; "" if there is none.
    """

    path: Path
    num_cues: int
    name: str
    note: str = ""


@dataclass(eq=False)
class Session:
    """A video that a user works with, and everything computed from it.

    Attributes:
        token: secret key of the session; anyone who has it can use the video.
        folder: folder of all files of the session.
        name: name of the video, as `safe_name` returns it.
        path: the video file, in `folder` or shared.
        shared: True if other sessions use the same file, e.g. the example.
        used_s: time of the last use, by the clock of `Sessions`.
        client: network address of the user; "" if it is unknown.
        encoded: encoded videos by encoder key.
        subtitles: uploaded subtitles, or those of the video; None if there are none.
        encode_tasks: tasks that encode the video, by encoder key.
        answer_task: task of the page's last request.
        export_task: task that exports a summary.
        tasks: all tasks that have not ended.
        results: output folders of the last requests, the newest last.
    """

    token: str
    folder: Path
    name: str
    path: Path
    shared: bool
    used_s: float
    client: str = ""
    encoded: dict[str, EncodedFile] = field(default_factory=dict)
    subtitles: StoredSubtitles | None = None
    encode_tasks: dict[str, Task] = field(default_factory=dict)
    answer_task: Task | None = None
    export_task: Task | None = None
    tasks: set[Task] = field(default_factory=set)
    results: list[Path] = field(default_factory=list)

    @property
    def owner(self) -> Owner:
        """The user of the session's tasks."""
        return Owner(self.client, self.token)

    def new_result_folder(self) -> Path:
        """Create an output folder, and remove all but the last `MAX_RESULTS`."""
        folder = Path(tempfile.mkdtemp(prefix="result-", dir=self.folder))
        self.results.append(folder)
        while len(self.results) > MAX_RESULTS:
            shutil.rmtree(self.results.pop(0), ignore_errors=True)
        return folder

    def temporary_path(self, suffix: str) -> Path:
        """Return a path for a short-lived file, which the caller removes."""
        return self.folder / f"{secrets.token_hex(8)}{suffix}"

    def add_task(self, task: Task) -> Task:
        """Record a task, until it ends."""
        self.tasks.add(task)
        task.on_end(lambda: self.tasks.discard(task))
        return task

    def cancel_tasks(self) -> list[Task]:
        """Cancel all tasks of the session, and return them."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        return tasks


class Sessions:
    """All sessions, in one temporary folder that only this user account can read.

    Folders that a killed server has left behind are removed.

    Args:
        idle_timeout_s: seconds after its last use at which a session is removed.
        max_sessions: maximum number of sessions at the same time.
        root: parent of the temporary folder; None for the system's.
        clock: returns the time in seconds; tests replace it.
    """

    def __init__(self, idle_timeout_s: float, max_sessions: int = 200, root: Path | None = None,
                 clock: Callable[[], float] = time.monotonic):
        remove_stale_folders(Path(root or tempfile.gettempdir()))
        self._temporary = tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=root, ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self._lock_handle = lock_path(self.folder)   # The lock shows other servers that this one is running.
        self.idle_timeout_s, self.max_sessions, self.clock = idle_timeout_s, max_sessions, clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def add(self, name: str, path: Path | None = None, client: str = "") -> Session:
        """Create a session.

        Args:
            name: name of the video; unsafe characters are replaced.
            path: a shared video file; None if the file will be uploaded to `Session.path`.
            client: network address of the user; "" if it is unknown.

        Raises:
            InputError: there are `max_sessions` sessions already, or the client has as many as are left for all.
        """
        self.sweep()
        token, name = secrets.token_urlsafe(TOKEN_BYTES), safe_name(name)
        with self._lock:
            free = self.max_sessions - len(self._sessions)
            of_client = sum(session.client == client for session in self._sessions.values()) if client else 0
            if free <= 0:
                raise InputError(None, "too many people are using this page at the moment",
                                 "try again in a few minutes")
            if of_client >= free:   # So one client never takes all sessions.
                raise InputError(None, f"{of_client} videos from your network are open already",
                                 "remove one, or wait until unused ones are removed")
            folder = self.folder / secrets.token_hex(8)
            (folder / "video").mkdir(parents=True)
            upload = folder / "video" / name
            session = Session(token, folder, name, path or upload, path is not None, self.clock(),
                              client)
            self._sessions[token] = session
        return session

    def find(self, token: object) -> Session:
        """Return the session with a token, and record the use.

        Raises:
            SessionNotFoundError: there is no such session, or it was removed.
        """
        with self._lock:
            session = self._sessions.get(token) if isinstance(token, str) else None
            if session is None:
                raise SessionNotFoundError(None, "this video is no longer available, since unused videos are removed "
                                                 "after a while", "choose it again")
            session.used_s = self.clock()
        return session

    def remove(self, token: str) -> None:
        """Cancel the tasks of a session and remove its files; do nothing if it does not exist."""
        with self._lock:
            session = self._sessions.pop(token, None)
        if session is not None:
            tasks = session.cancel_tasks()
            remove_folder = partial(shutil.rmtree, session.folder, ignore_errors=True)
            remove_folder()
            for task in tasks:   # It may write further files until it ends.
                task.on_end(remove_folder)

    def leave(self, token: str) -> None:
        """Cancel the tasks of a session whose page was closed.

        The session is removed after `CLOSED_PAGE_S`, unless it is used again before.
        """
        with self._lock:
            session = self._sessions.get(token)
            if session is None:
                return
            session.cancel_tasks()   # This comes first, since waiting for a task counts as a use.
            session.used_s = min(session.used_s, self.clock() - self.idle_timeout_s + CLOSED_PAGE_S)

    def all(self) -> list[Session]:
        """Return all sessions, the oldest first, without recording a use."""
        return list(self._sessions.values())

    def __contains__(self, token: object) -> bool:
        """Return True if the session exists, without recording a use."""
        return token in self._sessions

    def has_video(self, token: str) -> bool:
        """Return True if the session exists and its file has turned out to be a video."""
        session = self._sessions.get(token)
        return session is not None and bool(session.encoded)

    def sweep(self) -> None:
        """Remove the sessions that were not used for `idle_timeout_s`."""
        now_s = self.clock()
        with self._lock:
            idle = [token for token, session in self._sessions.items()
                    if now_s - session.used_s > self.idle_timeout_s]
        for token in idle:
            self.remove(token)

    def close(self) -> None:
        """Remove all sessions and the temporary folder."""
        for token in list(self._sessions):
            self.remove(token)
        self._temporary.cleanup()
        if self._lock_handle is not None:
            os.close(self._lock_handle)
            self._lock_handle = None

    def __len__(self) -> int:
        return len(self._sessions)


def remove_stale_folders(root: Path) -> None:
    """Remove the folders of servers that were killed; a running server holds a lock on its folder."""
    for folder in root.glob(f"{FOLDER_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < LOCK_GRACE_S:
                continue
            handle = lock_path(folder)
        except OSError:   # The folder belongs to another user account, or no longer exists.
            continue
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)
