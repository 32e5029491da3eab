"""What the page does for its users, without the page: watching, asking, cutting."""

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

from . import tasks as jobs
from .example import Example
from .limits import Limits, folder_video, folder_videos
from .model_catalog import Catalogue, Model
from .requests import Answer, Question, ask, check_fit
from .sessions import Desk, Desks
from .worker import Stopped, Work, Workshop

LOOK_S = 0.1
SWEEP_S = 30


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        stage: `waiting`, `watching` or `cutting`.
        share: that is done, in [0, 1].
        before: how many come first, when waiting.
    """

    stage: str
    share: float = 0.0
    before: int = 0


class Service:
    """One for all users; they share the machine and nothing else.

    Args:
        catalogue: of models.
        limits: for each user.
        videos: folder of videos that everybody may choose; None for none.
        example: likewise.
        root: where the temporary folder is made; None for the system's.
    """

    def __init__(self, catalogue: Catalogue, limits: Limits | None = None, videos: Path | None = None,
                 example: Example | None = None, root: Path | None = None):
        self.catalogue, self.limits = catalogue, limits or Limits()
        self.videos, self.example = videos, example
        self.desks = Desks(self.limits.keep_s, self.limits.videos, root)
        self.watchers, self.cutters = Workshop(self.limits.waiting), Workshop(self.limits.waiting)
        self._shared: dict[tuple[Path, str], tuple[EncodedVideo, list[Cue]]] = {}   # of videos that all may see
        self._closed = threading.Event()
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def prepare(self) -> None:
        """Loads the default model, and lets the child processes load theirs."""
        model = self.catalogue.default
        self.watchers.submit(jobs.ready, model.encoders)
        self.cutters.submit(jobs.ready, _nothing)
        if self.example is not None:
            threading.Thread(target=self._watch_example, args=(model,), name="example", daemon=True).start()
        self.catalogue.load(model)

    def _watch_example(self, model: Model) -> None:
        """So that nobody waits for it."""
        path, out = self.example.path, self.desks.folder / "example.npz"
        work = self.watchers.submit(jobs.watch, path, model.encoders, out, self.limits)
        work.ended.wait()
        if work.state == "done":
            self._shared[path, model.recipe] = (EncodedVideo.load(out), list(self.example.cues))

    def close(self) -> None:
        """Ends all work and removes all files."""
        self._closed.set()
        self.desks.close()
        self.watchers.close()
        self.cutters.close()

    def choices(self) -> list[str]:
        """Names of the videos in the folder."""
        return [] if self.videos is None else folder_videos(self.videos)

    def choose(self, name: str) -> Desk:
        """A desk with a video of the folder.

        Raises:
            InputError: there is no such video in it.
        """
        if self.videos is None:
            raise InputError("No folder of videos was given when this page was started")
        return self.desks.add(name, folder_video(self.videos, name))

    def choose_example(self) -> Desk:
        """A desk with the example.

        Raises:
            InputError: there is none.
        """
        if self.example is None:
            raise InputError("There is no example here")
        desk = self.desks.add(self.example.name, self.example.path)
        desk.cues, desk.cues_name = list(self.example.cues), "the example's own"
        return desk

    async def watched(self, desk: Desk, model: Model) -> AsyncIterator[Progress]:
        """Sees to it that a video is encoded for a model; tells how far it is until then.

        Raises:
            InputError: it is no video, too long, cannot be decoded, or the line is too long.
            Stopped: another video was chosen meanwhile.
        """
        shared = (desk.path, model.recipe)
        if desk.shared and shared in self._shared:
            self._place(desk, model, *self._shared[shared])
        if model.recipe in desk.encoded:
            return
        out = desk.folder / f"{hashlib.sha256(model.recipe.encode()).hexdigest()[:16]}.npz"
        work = desk.watching.get(model.recipe)
        if work is None or work.ended.is_set():
            work = self.watchers.submit(jobs.watch, desk.path, model.encoders, out, self.limits)
            desk.watching[model.recipe] = work
        async for progress in self._until_ended(desk, self.watchers, work, "watching"):
            yield progress
        if model.recipe not in desk.encoded:
            video = await asyncio.to_thread(EncodedVideo.load, out)
            self._place(desk, model, video, work.result)
            if desk.shared:
                self._shared[shared] = (video, work.result)

    async def answer(self, desk: Desk, question: Question) -> Answer:
        """The answer to a question about a video that has been watched; what is being cut of it is stopped.

        Raises:
            InputError: the model cannot be asked so.
        """
        started_s = time.perf_counter()
        if desk.cutting is not None:
            desk.cutting.stop()
        await asyncio.to_thread(check_fit, question, self.catalogue)
        found = await asyncio.to_thread(ask, question, self.catalogue, dict(desk.encoded), desk.cues or [])
        return replace(found, took_s=time.perf_counter() - started_s)

    async def cut(self, desk: Desk, question: Question, answer: Answer, ended: dict) -> AsyncIterator[Progress]:
        """Writes the files of an answer, whose pieces are then those that the files have; tells how far it is.

        Args:
            ended: gets `folder`, `files`, the cut first, and `answer` with the exact pieces, when all is written.

        Raises:
            InputError: the video cannot be cut.
            Stopped: something else was asked meanwhile.
        """
        folder = desk.new_result()
        work = self.cutters.submit(jobs.cut, answer.summary, question.shorts, folder, question.form, desk.name)
        desk.cutting = work
        try:
            async for progress in self._until_ended(desk, self.cutters, work, "cutting"):
                yield progress
        except BaseException:
            work.stop()
            shutil.rmtree(folder, ignore_errors=True)
            raise
        files, pieces_s = work.result
        exact = replace(answer, summary=replace(answer.summary, pieces_s=pieces_s))
        ended.update(folder=folder, files=files, answer=exact)

    def _place(self, desk: Desk, model: Model, video: EncodedVideo, cues: list[Cue]) -> None:
        desk.encoded[model.recipe] = video
        if desk.cues is None and cues:
            desk.cues, desk.cues_name = list(cues), "the video's own"

    async def _until_ended(self, desk: Desk, shop: Workshop, work: Work, stage: str) -> AsyncIterator[Progress]:
        """Who waits is using his desk; who left, or asked for something else, waits for nothing."""
        while not work.ended.is_set():
            if not work.unwanted.is_set():
                self.desks.find(desk.token)
            yield Progress(stage, work.share) if work.state == "working" else Progress("waiting", 0.0, shop.place(work))
            await asyncio.sleep(LOOK_S)
        if work.state == "stopped":
            raise Stopped
        if work.state == "failed":
            raise InputError(work.error)

    def _sweep(self) -> None:
        while not self._closed.wait(min(SWEEP_S, self.limits.keep_s / 4)):
            self.desks.sweep()


def _nothing() -> None:
    """For a child that needs nothing but its imports."""
