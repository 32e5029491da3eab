"""Connections of clients that are slow, that leave early, or that send more than the server accepts."""

from __future__ import annotations

import asyncio
import re
import time
import urllib.parse
from collections.abc import Coroutine
from typing import Any, TypeVar

import h11
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .task import TaskCanceled

HEADER_TIMEOUT_S = 30          # A client must send the complete head of its request within this time.
LINGER_S = 30                  # A rejected body is read at most this long,
LINGER_IDLE_S = 5              # and at most this long after its last part,
LINGER_BYTES = 10**9          # and at most this far.
RESPONSE_STREAM = re.compile(r"/gradio_api/call/(?:v2/)?[^/]+/([^/]+)")

T = TypeVar("T")


class ApiCalls:
    """The running calls of the API, by the stream on which their clients wait for the response."""

    def __init__(self) -> None:
        self._running: dict[str, set[asyncio.Task]] = {}
        self._ended: set[asyncio.Task] = set()   # Those whose clients have left.

    async def run(self, stream: str, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of a call.

        Raises:
            TaskCanceled: the client has closed the stream.
        """
        task = asyncio.ensure_future(call)
        self._running.setdefault(stream, set()).add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._ended:
                raise TaskCanceled from None
            raise
        finally:
            task.cancel()
            self._ended.discard(task)
            self._running[stream].discard(task)
            if not self._running[stream]:
                del self._running[stream]

    def end(self, stream: str) -> None:
        """Cancel the calls of a client that has closed its stream."""
        for task in list(self._running.get(stream, ())):
            self._ended.add(task)
            task.cancel()


class EndedStreams:
    """Middleware that ends the API calls of clients that close their connections.

    Args:
        app: the application behind it.
        calls: the running calls.
    """

    def __init__(self, app: ASGIApp, calls: ApiCalls):
        self.app, self.calls = app, calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = _response_stream(scope)
        if stream is None:
            return await self.app(scope, receive, send)
        is_complete = False

        async def watching_send(message: Message) -> None:
            nonlocal is_complete
            await send(message)
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)

        async def watching_receive() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not is_complete:
                self.calls.end(stream)
            return message

        await self.app(scope, watching_receive, watching_send)


def _response_stream(scope: Scope) -> str | None:
    """Return the key of the stream that a request opens, as `gr.Request.session_hash`; None for other requests."""
    if scope["type"] != "http" or scope["method"] != "GET":
        return None
    if scope["path"] == "/gradio_api/queue/data":
        return urllib.parse.parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [None])[0]
    match = RESPONSE_STREAM.fullmatch(scope["path"])
    return match and match[1]


class LingeringClose:
    """Middleware that lets clients read the response to a body that was rejected before it was complete.

    If a connection is closed while data arrives, the system resets it, and the client loses the response. So the
    response is sent at once, the rest of the body is read and dropped, within limits, and the connection is closed.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        if scope["type"] != "http" or not _has_body(headers):
            return await self.app(scope, receive, send)
        waits_for_continue = headers.get(b"expect", b"").lower() == b"100-continue"
        is_complete = was_read = False

        async def watching_receive() -> Message:
            nonlocal is_complete, was_read
            was_read = True
            message = await receive()
            is_complete = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            if is_complete:
                return await send(message)
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
                return await send({**message, "headers": [*kept, (b"connection", b"close")]})
            if message.get("more_body", False) or (waits_for_continue and not was_read):   # It sends no body.
                return await send(message)
            await send({**message, "more_body": True})
            await _drop_body(receive)
            await send(dict(type="http.response.body", body=b"", more_body=False))

        await self.app(scope, watching_receive, lingering_send)


def _has_body(headers: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def _drop_body(receive: Receive) -> None:
    """Read the rest of a body, within the limits."""
    end_s, size, more = time.monotonic() + LINGER_S, 0, True
    while more and size < LINGER_BYTES:
        timeout_s = min(LINGER_IDLE_S, end_s - time.monotonic())
        if timeout_s <= 0:
            return
        try:
            message = await asyncio.wait_for(receive(), timeout_s)
        except asyncio.TimeoutError:
            return
        size += len(message.get("body", b""))
        more = message["type"] == "http.request" and message.get("more_body", False)


class PageProtocol(H11Protocol):
    """HTTP/1.1 on a connection that is closed if the head of a request does not arrive in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:   # type: ignore[override]
        """Start to wait for the first request."""
        super().connection_made(transport)
        self._update_head_timer()

    def data_received(self, data: bytes) -> None:
        """Process data, and wait for the rest of an incomplete head."""
        super().data_received(data)
        self._update_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def _update_head_timer(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_head_timer()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEADER_TIMEOUT_S, self.transport.close)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
