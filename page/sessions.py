"""What each user has here: a folder of his own for each video, known to nobody else, and gone after a time."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import InputError
from common.locks import lock_path
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from .limits import plain_name
from .worker import Work

TOKEN_BYTES = 24
PREFIX = "video-summary-page-"
YOUNG_S = 60   # so old is a folder before it may be taken for a dead page's
LEFT_S = 300   # that a desk stays when its page has gone, which may come back
RESULTS = 3    # of the last questions that stay to be fetched


@dataclass(eq=False)
class Desk:
    """A video that a user works with.

    Attributes:
        token: the key to it; whoever has it has the video, and it cannot be guessed.
        folder: for all files made for it.
        name: what the video is called, see `plain_name`.
        path: the video's file, in the folder or shared.
        shared: whether others may have the same file: an example, or one of the folder given at start.
        used_s: when it was last asked for, on the desks' clock.
        encoded: by the encoders' recipe.
        cues: subtitles that were loaded; None takes the video's own.
        cues_name: their file's name.
        watching: work that encodes it, by the encoders' recipe.
        cutting: work that cuts it.
        results: folders of results, the newest last.
    """

    token: str
    folder: Path
    name: str
    path: Path
    shared: bool
    used_s: float
    encoded: dict[str, EncodedVideo] = field(default_factory=dict)
    cues: list[Cue] | None = None
    cues_name: str = ""
    watching: dict[str, Work] = field(default_factory=dict)
    cutting: Work | None = None
    results: list[Path] = field(default_factory=list)

    def new_result(self) -> Path:
        """An empty folder for the files of an answer; those before the last few go."""
        folder = Path(tempfile.mkdtemp(prefix="result-", dir=self.folder))
        self.results.append(folder)
        while len(self.results) > RESULTS:
            shutil.rmtree(self.results.pop(0), ignore_errors=True)
        return folder

    def new_file(self, suffix: str) -> Path:
        """A file for what is read and removed at once."""
        return self.folder / f"{secrets.token_hex(8)}{suffix}"

    def stop(self) -> None:
        """Ends what is being done for it."""
        for work in [*self.watching.values(), *([] if self.cutting is None else [self.cutting])]:
            work.stop()


class Desks:
    """All of them, in one temporary folder; those of pages that were killed are removed.

    Args:
        keep_s: a desk goes so long after its last use.
        most: desks there may be at once.
        root: folder in which the temporary one is made; None for the system's.
        clock: seconds, for tests.
    """

    def __init__(self, keep_s: float, most: int = 200, root: Path | None = None,
                 clock: Callable[[], float] = time.monotonic):
        sweep_dead(Path(root or tempfile.gettempdir()))
        self._temporary = tempfile.TemporaryDirectory(prefix=PREFIX, dir=root, ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)   # for its owner alone; goes at the latest when the program ends
        self._lock_file = lock_path(self.folder)   # as long as this process lives
        self.keep_s, self.most, self._clock = keep_s, most, clock
        self._desks: dict[str, Desk] = {}
        self._lock = threading.Lock()

    def add(self, name: str, path: Path | None = None) -> Desk:
        """A new desk; for a file to come, unless there is a shared one.

        Raises:
            InputError: as many as there may be are in use.
        """
        self.sweep()
        token, name = secrets.token_urlsafe(TOKEN_BYTES), plain_name(name)
        with self._lock:
            if len(self._desks) >= self.most:
                raise InputError("Many people are using this page just now. Try again in some minutes")
            folder = self.folder / secrets.token_hex(8)
            (folder / "video").mkdir(parents=True)
            own = folder / "video" / name
            desk = Desk(token, folder, name, path or own, path is not None, self._clock())
            self._desks[token] = desk
        return desk

    def find(self, token: object) -> Desk:
        """The desk of a key, which counts as a use.

        Raises:
            InputError: there is none, or it has gone.
        """
        with self._lock:
            desk = self._desks.get(token) if isinstance(token, str) else None
            if desk is None:
                raise InputError("This video is no longer here: files go some time after their last use. Choose it "
                                 "again")
            desk.used_s = self._clock()
        return desk

    def remove(self, token: str) -> None:
        """Stops what is done for a desk and removes its files; nothing if it has gone."""
        with self._lock:
            desk = self._desks.pop(token, None)
        if desk is not None:
            desk.stop()
            shutil.rmtree(desk.folder, ignore_errors=True)

    def leave(self, token: str) -> None:
        """Stops what is done for a desk whose page has gone; it stays some minutes, and for good if used then."""
        with self._lock:
            desk = self._desks.get(token)
            if desk is None:
                return
            desk.stop()   # first, since what waits for it uses the desk
            desk.used_s = min(desk.used_s, self._clock() - self.keep_s + LEFT_S)

    def has(self, token: str) -> bool:
        """Whether there is such a desk; to look is no use."""
        return token in self._desks

    def has_watched(self, token: str) -> bool:
        """Whether there is such a desk, with a video that turned out to be one."""
        desk = self._desks.get(token)
        return desk is not None and bool(desk.encoded)

    def sweep(self) -> None:
        """Removes what has not been used for `keep_s`."""
        now_s = self._clock()
        with self._lock:
            old = [token for token, desk in self._desks.items() if now_s - desk.used_s > self.keep_s]
        for token in old:
            self.remove(token)

    def close(self) -> None:
        """Removes everything."""
        for token in list(self._desks):
            self.remove(token)
        self._temporary.cleanup()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def __len__(self) -> int:
        return len(self._desks)


def sweep_dead(root: Path) -> None:
    """Removes the folders of pages whose process is gone without having removed them."""
    for folder in root.glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < YOUNG_S:   # it may be about to be locked
                continue
            lock = lock_path(folder)
        except OSError:   # another user's, or gone
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
