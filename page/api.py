"""What programs can call; gradio's API documents it by these signatures and docstrings."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import gradio as gr

from common.errors import InputError
from pipelines.result import Result

from .requests import Answer, Question, read_question
from .service import Service
from .sessions import Desk
from .worker import Stopped


def add_calls(service: Service) -> None:
    """Adds the calls of a service; used inside `gr.Blocks`."""
    calls = Calls(service)
    for call in (calls.models, calls.folder, calls.choose, calls.watch, calls.ask, calls.remove):
        gr.api(_telling(call), api_name=call.__name__, concurrency_limit=None)


class Calls:
    """One method a call; a video is named by the key that sending or choosing it gave.

    Args:
        service: that does the work.
    """

    def __init__(self, service: Service):
        self.service = service

    async def models(self) -> list[dict]:
        """The models to choose from: key, name, what each is and was measured at, and why it cannot be had."""
        return [dict(key=m.key, name=m.name, what=m.what, measured=m.measured, problem=m.problem)
                for m in self.service.catalogue.models.values()]

    async def folder(self) -> list[str]:
        """Names of the videos in the folder that the page was started with."""
        return self.service.choices()

    async def choose(self, name: str) -> dict:
        """Takes a video of the folder, or "example"; gives the key to ask it by."""
        desk = self.service.choose_example() if name == "example" else self.service.choose(name)
        return dict(video=desk.token, name=desk.name)

    async def watch(self, video: str, model: str = "") -> dict:
        """Encodes a video for a model, once; `ask` does it too, if need be."""
        desk = self.service.desks.find(video)
        chosen = self.service.catalogue.find(model) if model else self.service.catalogue.default
        async for _ in self.service.watched(desk, chosen):
            pass
        info = desk.encoded[chosen.recipe].info
        return dict(video=desk.token, name=desk.name, duration=float(info.duration_s), width=info.width,
                    height=info.height, subtitles=len(desk.cues or []))

    async def ask(self, video: str, sentences: list[str], mode: str = "summary", budget: str = "15%", count: int = 3,
                  length: str = "15-60", model: str = "", compare: str = "", shape: str = "", cut: bool = True) -> dict:
        """Asks a video; gives what summary.json holds and, unless cut is false, `urls` of the files."""
        desk = self.service.desks.find(video)
        question = read_question(self.service.catalogue, self.service.limits, sentences, mode, budget, count, length,
                                 model, compare, shape)
        for one in question.models:
            async for _ in self.service.watched(desk, one):
                pass
        answer = await self.service.answer(desk, question)
        urls, answer = await self._cut(desk, question, answer) if cut else ({}, answer)
        found = _json(answer.summary, desk) | dict(urls=urls, took_s=round(answer.took_s, 3))
        if answer.other is not None:
            found["other"] = _json(answer.other, desk)
        return found

    async def remove(self, video: str) -> dict:
        """Removes a video and everything made of it, now."""
        self.service.desks.remove(video)
        return dict(removed=True)

    async def _cut(self, desk: Desk, question: Question, answer: Answer) -> tuple[dict[str, str], Answer]:
        ended: dict = {}
        async for _ in self.service.cut(desk, question, answer, ended):
            pass
        urls = {name: f"files/{desk.token}/{ended['folder'].name}/{name}" for name in ended["files"]}
        return urls, ended["answer"]


def _json(summary: Result, desk: Desk) -> dict:
    return summary.to_json() | dict(video=desk.name)


def _telling(call: Callable) -> Callable:
    """The call with its faults as gradio tells them to programs."""
    @wraps(call)
    async def telling(*args, **keys):
        try:
            return await call(*args, **keys)
        except InputError as err:
            raise gr.Error(str(err), print_exception=False) from err
        except Stopped as err:
            raise gr.Error("Something else was asked of this video meanwhile", print_exception=False) from err

    return telling
