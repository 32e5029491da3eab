"""The service behind the page and its API, which encodes videos, answers requests and exports summaries."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import InputError
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue

from . import tasks
from .example import Example
from .limits import Limits, find_folder_video, list_folder_videos
from .model_catalog import CatalogEntry, ModelCatalog
from .requests import SummaryRequest, SummaryResponse, check_models, run_request
from .sessions import Session, Sessions
from .worker import Task, TaskCanceled, WorkerProcess

POLL_S = 0.1
SWEEP_INTERVAL_S = 30


@dataclass(frozen=True)
class Progress:
    """The progress of a task.

    Attributes:
        stage: `waiting`, `encoding` or `exporting`.
        fraction: completed fraction of the task, in [0, 1].
        num_before: number of tasks that run before this one; 0 unless the stage is `waiting`.
    """

    stage: str
    fraction: float = 0.0
    num_before: int = 0


@dataclass(frozen=True)
class ExportedFiles:
    """The files of an exported summary.

    Attributes:
        folder: folder of the files.
        names: file names, with the videos first.
        response: the response, with the exact pieces that the files contain.
    """

    folder: Path
    names: list[str]
    response: SummaryResponse


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
        exporter: the worker process that exports summaries.
    """

    def __init__(self, catalog: ModelCatalog, limits: Limits | None = None, videos: Path | None = None,
                 example: Example | None = None, root: Path | None = None):
        self.catalog, self.limits = catalog, limits or Limits()
        self.videos, self.example = videos, example
        self.sessions = Sessions(self.limits.idle_timeout_s, self.limits.max_videos, root)
        self.encoder, self.exporter = WorkerProcess(self.limits.max_queued), WorkerProcess(self.limits.max_queued)
        self._shared: dict[tuple[Path, str], tuple[EncodedVideo, list[Cue]]] = {}   # Encoded videos of shared files.
        self._closed = threading.Event()
        threading.Thread(target=self._sweep_regularly, name="sweep", daemon=True).start()

    def prepare(self) -> None:
        """Load the default model in this process and in the workers, and start to encode the example."""
        entry = self.catalog.default
        self.encoder.submit(tasks.load_encoders, entry.make_encoders)
        self.exporter.submit(tasks.start_up)
        if self.example is not None:
            threading.Thread(target=self._encode_example, args=(self.example, entry), name="example",
                             daemon=True).start()
        self.catalog.load(entry)

    def _encode_example(self, example: Example, entry: CatalogEntry) -> None:
        out = self.sessions.folder / "example.npz"
        task = self.encoder.submit(tasks.encode, example.path, entry.make_encoders, out, self.limits)
        task.ended.wait()
        if task.state == "done":
            self._shared[example.path, entry.encoder_key] = (EncodedVideo.load(out), list(example.cues))

    def close(self) -> None:
        """Cancel all tasks and remove all files."""
        self._closed.set()
        self.sessions.close()
        self.encoder.close()
        self.exporter.close()

    def folder_videos(self) -> list[str]:
        """Return the names of the videos in the shared folder."""
        return [] if self.videos is None else list_folder_videos(self.videos)

    def open_folder_video(self, name: str) -> Session:
        """Create a session with a video of the shared folder.

        Raises:
            InputError: there is no such video or no shared folder.
        """
        if self.videos is None:
            raise InputError(None, "this server has no folder of videos", "upload a video instead")
        return self.sessions.add(name, find_folder_video(self.videos, name))

    def open_example(self) -> Session:
        """Create a session with the example.

        Raises:
            InputError: there is no example.
        """
        if self.example is None:
            raise InputError(None, "this server has no example", "upload a video instead")
        session = self.sessions.add(self.example.name, self.example.path)
        session.cues, session.cues_name = list(self.example.cues), "from the example"
        return session

    async def encode(self, session: Session, entry: CatalogEntry) -> AsyncIterator[Progress]:
        """Encode the video of a session for a model, unless it is already encoded.

        Yields:
            The progress.

        Raises:
            InputError: the file is not a video, is too long or cannot be decoded, or the queue is full.
            TaskCanceled: the user has opened another video in the meantime.
        """
        shared_key = (session.path, entry.encoder_key)
        if session.shared and shared_key in self._shared:
            _add_encoded(session, entry, *self._shared[shared_key])
        if entry.encoder_key in session.encoded:
            return
        out = session.folder / f"{hashlib.sha256(entry.encoder_key.encode()).hexdigest()[:16]}.npz"
        task = session.encode_tasks.get(entry.encoder_key)
        if task is None or task.ended.is_set():
            task = self.encoder.submit(tasks.encode, session.path, entry.make_encoders, out, self.limits)
            session.encode_tasks[entry.encoder_key] = task
        async for progress in self._wait_for(session, self.encoder, task, "encoding"):
            yield progress
        if entry.encoder_key not in session.encoded:
            video = await asyncio.to_thread(EncodedVideo.load, out)
            _add_encoded(session, entry, video, task.result)
            if session.shared:
                self._shared[shared_key] = (video, task.result)

    async def summarize(self, session: Session, request: SummaryRequest) -> SummaryResponse:
        """Answer a request for the encoded video of a session, and cancel the export of an earlier request.

        Raises:
            InputError: a model does not fit the queries.
        """
        started_s = time.perf_counter()
        if session.export_task is not None:
            session.export_task.cancel()
        await asyncio.to_thread(check_models, request, self.catalog)
        response = await asyncio.to_thread(run_request, request, self.catalog, dict(session.encoded),
                                           session.cues or [])
        return replace(response, took_s=time.perf_counter() - started_s)

    async def export(self, session: Session, request: SummaryRequest,
                     response: SummaryResponse) -> AsyncIterator[Progress | ExportedFiles]:
        """Write the files of a response.

        Yields:
            The progress, and finally the files.

        Raises:
            InputError: the video cannot be cut.
            TaskCanceled: the user has made another request in the meantime.
        """
        folder = session.new_result_folder()
        task = self.exporter.submit(tasks.export, response.result, request.shorts, folder, request.options,
                                    session.name)
        session.export_task = task
        try:
            async for progress in self._wait_for(session, self.exporter, task, "exporting"):
                yield progress
        except BaseException:
            task.cancel()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        names, pieces_s = task.result
        yield ExportedFiles(folder, names, replace(response, result=replace(response.result, pieces_s=pieces_s)))

    async def _wait_for(self, session: Session, worker: WorkerProcess, task: Task,
                        stage: str) -> AsyncIterator[Progress]:
        """Yield the progress of a task until it ends; keep the session alive unless the task is canceled."""
        while not task.ended.is_set():
            if not task.cancel_requested.is_set():
                self.sessions.find(session.token)
            if task.state == "running":
                yield Progress(stage, task.progress)
            else:
                yield Progress("waiting", num_before=worker.num_before(task))
            await asyncio.sleep(POLL_S)
        if task.state == "canceled":
            raise TaskCanceled
        if task.error is not None:
            raise task.error

    def _sweep_regularly(self) -> None:
        while not self._closed.wait(min(SWEEP_INTERVAL_S, self.limits.idle_timeout_s / 4)):
            self.sessions.sweep()


def _add_encoded(session: Session, entry: CatalogEntry, video: EncodedVideo, cues: list[Cue]) -> None:
    session.encoded[entry.encoder_key] = video
    if session.cues is None and cues:
        session.cues, session.cues_name = list(cues), "from the video file"
