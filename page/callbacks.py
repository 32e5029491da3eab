"""The event handlers of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from common.errors import InputError

from . import answer_view as view
from .messages import error_text
from .requests import SummaryRequest, parse_request
from .service import Service
from .sessions import Session
from .steps import Answer, ExportedFiles, Progress
from .task import TaskCanceled

INTERRUPTED = "The connection was interrupted. Reload the page to continue with this video."


@dataclass(frozen=True, eq=False)
class Outputs:
    """The components that the handlers update.

    Attributes:
        token: token of the page's session.
        queries: text box of the queries.
        encode_status: progress or error of a new video.
        player: the video.
        request_status: progress or error of a request.
        answer: score charts and moments.
        export: progress of the export, then the cut and its files.
    """

    token: gr.State
    queries: gr.Textbox
    encode_status: gr.HTML
    player: gr.HTML
    request_status: gr.HTML
    answer: gr.HTML
    export: gr.HTML


class Callbacks:
    """The event handlers; each yields updates as a mapping from component to value.

    Args:
        service: does the work.
        outputs: the components to update.
    """

    EMPTY_ANSWER = "The matching moments and the cut will appear here."

    def __init__(self, service: Service, outputs: Outputs):
        self.service, self.outputs = service, outputs
        self._open_tokens: dict[str, list[str]] = {}   # Tokens of each open page, by Gradio's session hash.

    async def open_upload(self, old_token: str, event: gr.EventData, request: gr.Request) -> AsyncIterator[dict]:
        """Open an uploaded video, or the video that the page had before it was reloaded."""
        def open_session() -> Session:
            return self.service.sessions.find(event._data.get("video"))

        async for update in self._open_video(request, old_token, open_session, bool(event._data.get("reloaded"))):
            yield update

    async def open_listed(self, old_token: str, queries: str, event: gr.EventData,
                          request: gr.Request) -> AsyncIterator[dict]:
        """Open a video of the shared folder, or the example."""
        name = event._data.get("folder")
        if not isinstance(name, str) and self.service.example is not None and not queries.strip():
            yield {self.outputs.queries: "\n".join(self.service.example.queries)}

        def open_session() -> Session:
            client = client_address(request)
            return (self.service.open_folder_video(name, client) if isinstance(name, str)
                    else self.service.open_example(client))

        async for update in self._open_video(request, old_token, open_session):
            yield update

    async def remove_video(self, old_token: str) -> dict:
        """Remove the page's video."""
        self.service.sessions.remove(old_token)
        return self._cleared()

    def page_closed(self, request: gr.Request) -> None:
        """Let the page's sessions expire, unless another page uses them.

        A reload or a broken connection looks the same, so the files are not removed at once.
        """
        for token in self._open_tokens.pop(str(request.session_hash), []):
            if not any(token in others for others in list(self._open_tokens.values())):
                self.service.sessions.leave(token)

    async def run_request(self, token: str, *form: Any) -> AsyncIterator[dict]:
        """Show the answer to a request, then write and show the cut.

        Args:
            token: token of the page's session.
            *form: the values of the form, in the order of `parse_request`.
        """
        status, before = self.outputs.request_status, ""
        try:
            if not token:
                raise InputError(None, "there is no video yet", "choose one first, or try the example")
            session = self.service.sessions.find(token)
            request = parse_request(self.service.catalog, self.service.limits, *form)
            async for update in self._encode_for(session, request):
                yield update
            shown: Answer | None = None
            async for reply in self.service.answer(session, request, view.answer_section, replaces_last=True):
                if isinstance(reply, Answer):
                    shown = reply
                elif view.progress_bar(reply) != before:
                    before = view.progress_bar(reply)
                    yield {status: before}
            assert shown is not None
            yield {status: "", self.outputs.answer: shown.rendered,
                   self.outputs.export: view.progress_bar(Progress("exporting"))}
            status, before = self.outputs.export, ""
            async for step in self.service.export(session, request, shown, view.export_sections):
                if isinstance(step, ExportedFiles):
                    exact, cut = step.rendered
                    yield {self.outputs.answer: gr.skip() if exact == shown.rendered else exact, status: cut}
                elif view.progress_bar(step) != before:
                    before = view.progress_bar(step)
                    yield {status: before}
        except InputError as err:
            yield {status: view.error(error_text(err))}
        except TaskCanceled:   # A newer request updates the page now.
            yield {self.outputs.request_status: gr.skip()}

    async def _encode_for(self, session: Session, request: SummaryRequest) -> AsyncIterator[dict]:
        """Encode the video for all models of a request."""
        for entry in request.models:
            before = ""
            async for progress in self.service.encode(session, entry):
                if view.progress_bar(progress) != before:
                    before = view.progress_bar(progress)
                    yield {self.outputs.request_status: before}

    async def _open_video(self, request: gr.Request, old_token: str, open_session: Callable[[], Session],
                          reloaded: bool = False) -> AsyncIterator[dict]:
        """Encode a new video and show it. The old video stays until the new one has turned out to be a video.

        Args:
            request: identifies the page.
            old_token: token of the page's session so far.
            open_session: returns the new session.
            reloaded: True for a video that the page had before a reload; no error is shown if it is gone.
        """
        sessions, session = self.service.sessions, None
        kept = old_token if sessions.has_video(old_token) else ""
        try:
            session = open_session()
            self._hold(request, kept, session.token)
            if not kept:
                yield {**self._cleared(), self.outputs.token: session.token}
            entry, before = self.service.catalog.default, ""
            async for progress in self.service.encode(session, entry):
                if view.progress_bar(progress) != before:
                    before = view.progress_bar(progress)
                    yield {self.outputs.encode_status: before}
            self._hold(request, session.token)
            if kept != session.token:
                sessions.remove(kept)
            yield {**self._cleared(), self.outputs.token: session.token,
                   self.outputs.player: view.player(session, entry.encoder_key)}
        except InputError as err:
            if session is not None:
                sessions.remove(session.token)
            is_gone = reloaded and session is None
            cleared = {} if kept or is_gone else self._cleared()
            yield {**cleared, self.outputs.encode_status: "" if is_gone else view.error(error_text(err))}
        except TaskCanceled:
            interrupted = session is not None and session.token in sessions
            yield {self.outputs.encode_status: view.error(INTERRUPTED) if interrupted else gr.skip()}

    def _hold(self, request: gr.Request, *tokens: str) -> None:
        """Record the sessions of a page, and remove the others that it had."""
        page = str(request.session_hash)
        for token in self._open_tokens.get(page, []):
            if token not in tokens:
                self.service.sessions.remove(token)
        self._open_tokens[page] = [token for token in tokens if token]

    def _cleared(self) -> dict:
        """Return updates that show a page without a video."""
        return {self.outputs.token: "", self.outputs.encode_status: "", self.outputs.player: "",
                self.outputs.request_status: "", self.outputs.answer: view.hint(self.EMPTY_ANSWER),
                self.outputs.export: ""}


def client_address(request: gr.Request) -> str:
    """Return the network address of the user; "" if it is unknown."""
    return getattr(request.client, "host", None) or ""
