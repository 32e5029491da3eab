"""The HTTP API. Gradio documents it by the signatures and docstrings of the endpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import gradio as gr

from common.errors import InputError

from .callbacks import client_address
from .connections import ApiCalls
from .messages import error_text
from .requests import SummaryRequest, files_to_json, parse_request, response_to_json
from .service import Service
from .sessions import Session
from .steps import Answer, ExportedFiles
from .task import TaskCanceled


def add_api(service: Service, calls: ApiCalls) -> None:
    """Add the endpoints of a service; call this inside `gr.Blocks`.

    Args:
        service: does the work.
        calls: records the running calls, so that they end when their clients leave.
    """
    api = Api(service)
    for endpoint in (api.models, api.folder, api.choose, api.encode, api.ask, api.remove):
        gr.api(_with_api_errors(endpoint, calls), api_name=endpoint.__name__, concurrency_limit=None)
    gr.api(_with_api_errors(api.encode, calls), api_name="watch", api_description="Deprecated name of `encode`.",
           concurrency_limit=None)


class Api:
    """The endpoints, one method each. A video is identified by the token that its upload or `choose` returned.

    Args:
        service: does the work.
    """

    def __init__(self, service: Service):
        self.service = service

    async def models(self, request: gr.Request) -> list[dict]:
        """List the models: key, name, description, metrics, and the problem if a model is unavailable."""
        # "what" and "measured" are the deprecated names of "description" and "metrics".
        return [dict(key=entry.key, name=entry.name, description=entry.description, metrics=entry.metrics,
                     problem=entry.problem, what=entry.description, measured=entry.metrics)
                for entry in self.service.catalog.entries.values()]

    async def folder(self, request: gr.Request) -> list[str]:
        """List the videos of the folder that the server was started with."""
        return self.service.folder_videos()

    async def choose(self, request: gr.Request, name: str) -> dict:
        """Open a video of the folder, or "example", and return its token as "video"."""
        client = client_address(request)
        session = (self.service.open_example(client) if name == "example"
                   else self.service.open_folder_video(str(name), client))
        return dict(video=session.token, name=session.name)

    async def encode(self, request: gr.Request, video: str, model: str = "") -> dict:
        """Encode a video for a model, once. `ask` does that too if necessary."""
        session = self.service.sessions.find(video)
        entry = self.service.catalog.find(model) if model else self.service.catalog.default
        async for _ in self.service.encode(session, entry):
            pass
        info = session.encoded[entry.encoder_key].info
        return dict(video=session.token, name=session.name, duration=float(info.duration_s), width=info.width,
                    height=info.height, subtitles=0 if session.subtitles is None else session.subtitles.num_cues)

    async def ask(self, request: gr.Request, video: str, queries: list[str] | None = None, mode: str = "summary",
                  budget: str = "15%", count: int = 3, length: str = "15-60", model: str = "", compare: str = "",
                  aspect: str = "", cut: bool = True, sentences: list[str] | None = None, shape: str = "") -> dict:
        """Summarize a video: return the content of summary.json and, unless cut is false, the `urls` of the files.

        `sentences` and `shape` are the deprecated names of `queries` and `aspect`.
        """
        session = self.service.sessions.find(video)
        given = queries if queries is not None else sentences if sentences is not None else []
        parsed = parse_request(self.service.catalog, self.service.limits, given, mode, budget, count, length, model,
                               compare, aspect or shape)
        for entry in parsed.models:
            async for _ in self.service.encode(session, entry):
                pass
        steps = [step async for step in self.service.answer(session, parsed, response_to_json, exportable=bool(cut))]
        answer = next(step for step in steps if isinstance(step, Answer))
        found = (await self._export(session, parsed, answer)).rendered if cut else answer.rendered
        for result in (found, found.get("other")):
            if result is not None:
                result["video"] = session.name
        return found

    async def remove(self, request: gr.Request, video: str) -> dict:
        """Remove a video and all its files now."""
        self.service.sessions.remove(video)
        return dict(removed=True)

    async def _export(self, session: Session, request: SummaryRequest, answer: Answer) -> ExportedFiles:
        steps = [step async for step in self.service.export(session, request, answer, files_to_json)]
        return next(step for step in steps if isinstance(step, ExportedFiles))


def _with_api_errors(endpoint: Callable, calls: ApiCalls) -> Callable:
    """Return the endpoint with its errors as those that Gradio sends to clients."""
    @wraps(endpoint)
    async def wrapped(request: gr.Request, *args, **kwargs):
        try:
            return await calls.run(request.session_hash or "", endpoint(request, *args, **kwargs))
        except InputError as err:
            raise gr.Error(error_text(err), print_exception=False) from err
        except TaskCanceled as err:
            message = "This request was canceled by a newer one, or because its video was removed."
            raise gr.Error(message, print_exception=False) from err

    return wrapped
