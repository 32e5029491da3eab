"""The HTTP API. Gradio documents it by the signatures and docstrings of the endpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import gradio as gr

from common.errors import InputError
from pipelines.result import Result

from .messages import error_text
from .requests import SummaryRequest, SummaryResponse, parse_request
from .service import ExportedFiles, Service
from .sessions import Session
from .worker import TaskCanceled


def add_api(service: Service) -> None:
    """Add the endpoints of a service; call this inside `gr.Blocks`."""
    api = Api(service)
    for endpoint in (api.models, api.folder, api.choose, api.encode, api.ask, api.remove):
        gr.api(_with_api_errors(endpoint), api_name=endpoint.__name__, concurrency_limit=None)
    gr.api(_with_api_errors(api.encode), api_name="watch", api_description="Deprecated name of `encode`.",
           concurrency_limit=None)


class Api:
    """The endpoints, one method each. A video is identified by the token that its upload or `choose` returned.

    Args:
        service: does the work.
    """

    def __init__(self, service: Service):
        self.service = service

    async def models(self) -> list[dict]:
        """List the models: key, name, description, metrics, and the problem if a model is unavailable."""
        # "what" and "measured" are the deprecated names of "description" and "metrics".
        return [dict(key=entry.key, name=entry.name, description=entry.description, metrics=entry.metrics,
                     problem=entry.problem, what=entry.description, measured=entry.metrics)
                for entry in self.service.catalog.entries.values()]

    async def folder(self) -> list[str]:
        """List the videos of the folder that the server was started with."""
        return self.service.folder_videos()

    async def choose(self, name: str) -> dict:
        """Open a video of the folder, or "example", and return its token as "video"."""
        session = self.service.open_example() if name == "example" else self.service.open_folder_video(name)
        return dict(video=session.token, name=session.name)

    async def encode(self, video: str, model: str = "") -> dict:
        """Encode a video for a model, once. `ask` does that too if necessary."""
        session = self.service.sessions.find(video)
        entry = self.service.catalog.find(model) if model else self.service.catalog.default
        async for _ in self.service.encode(session, entry):
            pass
        info = session.encoded[entry.encoder_key].info
        return dict(video=session.token, name=session.name, duration=float(info.duration_s), width=info.width,
                    height=info.height, subtitles=len(session.cues or []))

    async def ask(self, video: str, queries: list[str] | None = None, mode: str = "summary", budget: str = "15%",
                  count: int = 3, length: str = "15-60", model: str = "", compare: str = "", aspect: str = "",
                  cut: bool = True, sentences: list[str] | None = None, shape: str = "") -> dict:
        """Summarize a video: return the content of summary.json and, unless cut is false, the `urls` of the files.

        `sentences` and `shape` are the deprecated names of `queries` and `aspect`.
        """
        session = self.service.sessions.find(video)
        given = queries if queries is not None else sentences if sentences is not None else []
        request = parse_request(self.service.catalog, self.service.limits, given, mode, budget, count, length, model,
                                compare, aspect or shape)
        for entry in request.models:
            async for _ in self.service.encode(session, entry):
                pass
        response = await self.service.summarize(session, request)
        urls: dict[str, str] = {}
        if cut:
            files = await self._export(session, request, response)
            urls = {name: f"files/{session.token}/{files.folder.name}/{name}" for name in files.names}
            response = files.response
        found = _to_json(response.result, session) | dict(urls=urls, took_s=round(response.took_s, 3))
        if response.compared is not None:
            found["other"] = _to_json(response.compared, session)
        return found

    async def remove(self, video: str) -> dict:
        """Remove a video and all its files now."""
        self.service.sessions.remove(video)
        return dict(removed=True)

    async def _export(self, session: Session, request: SummaryRequest, response: SummaryResponse) -> ExportedFiles:
        steps = [step async for step in self.service.export(session, request, response)]
        return next(step for step in steps if isinstance(step, ExportedFiles))


def _to_json(result: Result, session: Session) -> dict:
    return result.to_json() | dict(video=session.name)


def _with_api_errors(endpoint: Callable) -> Callable:
    """Return the endpoint with its errors as those that Gradio sends to clients."""
    @wraps(endpoint)
    async def wrapped(*args, **kwargs):
        try:
            return await endpoint(*args, **kwargs)
        except InputError as err:
            raise gr.Error(error_text(err), print_exception=False) from err
        except TaskCanceled as err:
            raise gr.Error("A newer request for this video has canceled this one.", print_exception=False) from err

    return wrapped
