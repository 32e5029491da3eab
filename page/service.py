"""The service behind the page and its API, which encodes videos, answers requests and exports summaries."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from common.errors import InputError

from . import tasks
from .example import Example
from .limits import Limits, find_folder_video, list_folder_videos
from .model_catalog import CatalogEntry, ModelCatalog
from .pool import PoolOptions, WorkerPool
from .requests import SummaryRequest
from .sessions import EncodedFile, Session, Sessions, StoredSubtitles
from .steps import Answer, ExportedFiles, Progress
from .task import Task, TaskCanceled

POLL_S = 0.1
SWEEP_INTERVAL_S = 30
ANSWER_WORKERS = 2          # One of them stays free for requests that are answered within `ANSWER_SLICE_S`.
ANSWER_SLICE_S = 0.5
ANSWER_LIMIT_S = 300
ANSWER_BYTES = 2 * 10**9    # Maximum memory of a worker process that answers requests.
BATCH_BYTES = 6 * 10**9     # Maximum memory of a worker process that decodes videos.
BATCH_NICE = 5              # Encoding and exporting take longer, so answers come first.
MAX_ANSWERS_PER_SESSION = 8
MAX_EXPORTS_PER_SESSION = 8
PROGRESS_DELAY_S = 0.5      # An answer that takes less time shows no progress.


class Service:
    """A service for all users, who share its worker processes but see only their own sessions.

    Args:
        catalog: models that a request may select.
        limits: limits for each user.
        videos: shared folder of videos that every user may open; None for no folder.
        example: the example video; None for no example.
        root: parent of the temporary folder; None for the system default.

    Attributes:
        sessions: the sessions of all users.
        encoder: the worker process that encodes videos.
        answerer: the worker processes that parse subtitles and answer requests.
        exporter: the worker process that exports summaries.
    """

    def __init__(self, catalog: ModelCatalog, limits: Limits | None = None, videos: Path | None = None,
                 example: Example | None = None, root: Path | None = None):
        self.catalog, self.limits = catalog, limits or Limits()
        self.videos, self.example = videos, example
        self.sessions = Sessions(self.limits.idle_timeout_s, self.limits.max_videos, root)
        default, max_queued = catalog.default, self.limits.max_queued
        self.encoder = WorkerPool(PoolOptions(
            max_queued=max_queued, max_bytes=BATCH_BYTES, nice=BATCH_NICE,
            prepare=partial(tasks.load_encoders, default.make_encoders)))
        self.answerer = WorkerPool(PoolOptions(
            num_workers=ANSWER_WORKERS, max_queued=2 * max_queued, max_per_session=MAX_ANSWERS_PER_SESSION,
            time_limit_s=ANSWER_LIMIT_S, slice_s=ANSWER_SLICE_S, max_bytes=ANSWER_BYTES, by_signal=True,
            cancel_timeout_s=1, prepare=partial(tasks.load_models, default)))
        self.exporter = WorkerPool(PoolOptions(
            max_queued=max_queued, max_per_session=MAX_EXPORTS_PER_SESSION, max_bytes=BATCH_BYTES, nice=BATCH_NICE))
        self._shared: dict[str, tuple[EncodedFile, int]] = {}   # Encoded videos of shared files, with their subtitles.
        self._closed = threading.Event()
        threading.Thread(target=self._sweep_regularly, name="sweep", daemon=True).start()

    def start(self) -> None:
        """Start the first worker processes, which load the default model."""
        self.answerer.start()
        self.encoder.start()

    def prepare(self) -> None:
        """Wait until requests can be answered, and start to encode the example.

        Raises:
            InputError: the default model cannot be loaded.
        """
        self.start()
        self.answerer.wait_until_started()
        self.exporter.start()
        if self.example is not None:
            entry = self.catalog.default
            key, out = self._shared_key(self.example.path, entry)
            task = self.encoder.submit(tasks.encode, self.example.path, entry.make_encoders, out, self.limits)
            task.on_end(lambda: self._add_shared(key, out, task))

    def close(self) -> None:
        """Cancel all tasks and remove all files."""
        self._closed.set()
        for pool in (self.encoder, self.answerer, self.exporter):
            pool.close()
        self.sessions.close()

    def folder_videos(self) -> list[str]:
        """Return the names of the videos in the shared folder."""
        return [] if self.videos is None else list_folder_videos(self.videos)

    def open_folder_video(self, name: str, client: str = "") -> Session:
        """Create a session with a video of the shared folder.

        Raises:
            InputError: there is no such video or no shared folder, or there are too many sessions.
        """
        if self.videos is None:
            raise InputError(None, "this server has no folder of videos", "upload a video instead")
        return self.sessions.add(name, find_folder_video(self.videos, name), client)

    def open_example(self, client: str = "") -> Session:
        """Create a session with the example.

        Raises:
            InputError: there is no example, or there are too many sessions.
        """
        if self.example is None:
            raise InputError(None, "this server has no example", "upload a video instead")
        session = self.sessions.add(self.example.name, self.example.path, client)
        if self.example.cues:
            path = self.sessions.folder / "shared" / "example.cues"
            if not path.is_file():
                tasks.save_pickle(path, list(self.example.cues))
            session.subtitles = StoredSubtitles(path, len(self.example.cues), "from the example")
        return session

    async def encode(self, session: Session, entry: CatalogEntry) -> AsyncIterator[Progress]:
        """Encode the video of a session for a model, unless it is already encoded.

        Yields:
            The progress.

        Raises:
            InputError: the file is not a video, is too long or cannot be decoded, or the queue is full.
            TaskCanceled: the user has opened another video in the meantime.
        """
        if entry.encoder_key in session.encoded:
            return
        key, out = self._shared_key(session.path, entry) if session.shared else ("", session.folder / _file_name(entry))
        if key in self._shared:
            _add_encoded(session, entry, *self._shared[key])
            return
        task = session.encode_tasks.get(entry.encoder_key)
        if task is None or task.ended.is_set() or task.cancel_requested.is_set():
            self.sessions.find(session.token)
            task = session.add_task(self.encoder.submit(tasks.encode, session.path, entry.make_encoders, out,
                                                        self.limits, owner=session.owner))
            session.encode_tasks[entry.encoder_key] = task
        async for progress in self._wait_for(session, self.encoder, task, "encoding"):
            yield progress
        if entry.encoder_key not in session.encoded:
            info, num_cues = task.result
            _add_encoded(session, entry, EncodedFile(out, info), num_cues)
            if session.shared:
                self._add_shared(key, out, task)

    async def add_subtitles(self, session: Session, path: Path, name: str,
                            is_gone: Callable[[], Awaitable[bool]]) -> StoredSubtitles:
        """Parse an uploaded subtitle file, use it for the next requests, and return it.

        Args:
            session: the session.
            path: the uploaded file.
            name: its name.
            is_gone: returns True if the user has closed the connection.

        Raises:
            InputError: the file contains no valid subtitles, or the user has too many requests.
            TaskCanceled: the user has removed the video or closed the connection.
        """
        out = session.temporary_path(".cues")
        task = session.add_task(self.answerer.submit(tasks.parse_subtitles, path, name, out, owner=session.owner))
        async for _ in self._wait_for(session, self.answerer, task, "answering"):
            if await is_gone():
                task.cancel()
        num_cues, note = task.result
        before, session.subtitles = session.subtitles, StoredSubtitles(out, num_cues, name, note)
        if before is not None and before.path.parent == session.folder and not session.tasks:   # No task reads it.
            before.path.unlink(missing_ok=True)
        return session.subtitles

    async def answer(self, session: Session, request: SummaryRequest, render: tasks.RenderAnswer,
                     replaces_last: bool = False, exportable: bool = True) -> AsyncIterator[Progress | Answer]:
        """Answer a request for the encoded video of a session, and cancel the export of an earlier request.

        Args:
            session: the session.
            request: the request.
            render: a function that can be pickled, and returns the response as the page or the API shows it.
            replaces_last: also cancel the last request for which this was True, if it has not been answered yet.
            exportable: save the response for `export`.

        Yields:
            The progress if the answer takes some time, and finally the answer.

        Raises:
            InputError: a model does not fit the queries, a limit is exceeded, or the user has too many requests.
            TaskCanceled: the user has made another request, or removed the video.
        """
        started_s = time.monotonic()
        self.sessions.find(session.token)
        if session.export_task is not None:
            session.export_task.cancel()
        if replaces_last and session.answer_task is not None:
            session.answer_task.cancel()
        out = session.temporary_path(".response") if exportable else None
        videos = {entry.encoder_key: session.encoded[entry.encoder_key].path for entry in request.models}
        cues = None if session.subtitles is None else session.subtitles.path
        task = session.add_task(self.answerer.submit(tasks.answer, request, videos, cues, out, started_s, render,
                                                     owner=session.owner))
        if replaces_last:
            session.answer_task = task
        async for progress in self._wait_for(session, self.answerer, task, "answering"):
            if time.monotonic() - started_s > PROGRESS_DELAY_S:
                yield progress
        yield Answer(task.result, out)

    async def export(self, session: Session, request: SummaryRequest, answer: Answer,
                     render: tasks.RenderFiles) -> AsyncIterator[Progress | ExportedFiles]:
        """Write the files of a response.

        Args:
            session: the session.
            request: the request.
            answer: its answer.
            render: a function that can be pickled, and returns the response and the files as they are shown.

        Yields:
            The progress, and finally the files.

        Raises:
            InputError: the video cannot be cut, or the user has too many requests.
            TaskCanceled: the user has made another request in the meantime.
        """
        self.sessions.find(session.token)
        assert answer.path is not None
        folder, task = session.new_result_folder(), None
        try:
            base_url = f"files/{session.token}/{folder.name}/"
            task = session.add_task(self.exporter.submit(tasks.export, answer.path, request, folder, session.name,
                                                         base_url, render, owner=session.owner))
            session.export_task = task
            async for progress in self._wait_for(session, self.exporter, task, "exporting"):
                yield progress
        except BaseException:
            remove_folder = partial(shutil.rmtree, folder, ignore_errors=True)
            remove_folder()
            if task is not None:
                task.cancel()
                task.on_end(remove_folder)   # It may write further files until it ends.
            raise
        finally:
            answer.path.unlink(missing_ok=True)
        yield ExportedFiles(*task.result)

    async def _wait_for(self, session: Session, pool: WorkerPool, task: Task, stage: str) -> AsyncIterator[Progress]:
        """Yield the progress of a task until it ends; keep the session alive unless the task is canceled.

        The task is canceled when no request waits for it any more, e.g. because the connections were closed.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def set_ended() -> None:
            with suppress(RuntimeError):   # The server has stopped.
                loop.call_soon_threadsafe(ended.set)

        task.on_end(set_ended)
        task.num_waiting += 1
        try:
            while not task.ended.is_set():
                if not task.cancel_requested.is_set():
                    self.sessions.find(session.token)
                if task.state == "running":
                    yield Progress(stage, task.progress)
                else:
                    yield Progress("waiting", num_before=pool.num_before(task))
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(ended.wait(), POLL_S)
        finally:
            task.num_waiting -= 1
            if task.num_waiting == 0:
                task.cancel()
        if task.state == "canceled":
            raise TaskCanceled
        if task.error is not None:
            raise task.error

    def _shared_key(self, path: Path, entry: CatalogEntry) -> tuple[str, Path]:
        """Return the key and the file of the encoded video of a shared file; a changed file has another key."""
        try:
            status = os.stat(path)
            version = [status.st_mtime_ns, status.st_size, status.st_ino]
        except OSError:   # Encoding it reports the error.
            version = []
        key = json.dumps([str(path), version, entry.encoder_key])
        folder = self.sessions.folder / "shared"
        return key, folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"

    def _add_shared(self, key: str, out: Path, task: Task) -> None:
        if task.state == "done":
            info, num_cues = task.result
            self._shared[key] = (EncodedFile(out, info), num_cues)

    def _sweep_regularly(self) -> None:
        while not self._closed.wait(min(SWEEP_INTERVAL_S, self.limits.idle_timeout_s / 4)):
            self.sessions.sweep()


def _file_name(entry: CatalogEntry) -> str:
    return f"{hashlib.sha256(entry.encoder_key.encode()).hexdigest()[:16]}.npz"


def _add_encoded(session: Session, entry: CatalogEntry, encoded: EncodedFile, num_cues: int) -> None:
    session.encoded[entry.encoder_key] = encoded
    if session.subtitles is None and num_cues:
        session.subtitles = StoredSubtitles(tasks.cues_path(encoded.path), num_cues, "from the video file")
