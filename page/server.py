"""The HTTP server: the page, downloads, and a filter for requests that the page never makes."""

from __future__ import annotations

import json
import mimetypes
import re
from pathlib import Path

import gradio as gr
from fastapi import FastAPI
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import InputError

from .connections import ApiCalls, EndedStreams, LingeringClose
from .layout import HEAD, STYLE, build_page, theme
from .service import Service
from .sessions import Session
from .units import format_bytes
from .uploads import add_uploads, reject

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_CALL_BYTES = 1_000_000   # The largest body of a Gradio call.
# The paths that the page uses. Gradio's own uploads, its file server and its proxy for other addresses are not served.
ALLOWED_PATHS = re.compile(r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json"
                           r"|(assets|static|svelte|files|videos)(/.*)?|gradio_api/(info/?|openapi\.json"
                           r"|startup-events|queue/(join|data)|call/.*|cancel|reset/?|heartbeat/[^/]+|app_id/?"
                           r"|login_check/?|user/?))?")
PAGE_POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
               "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
               "base-uri 'self'; form-action 'self'; frame-ancestors 'self'")
FILE_POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def build_app(service: Service, host: str = "127.0.0.1") -> FastAPI:
    """Return the complete web application.

    Args:
        service: answers the requests.
        host: the address that the server listens on. On a loopback address, requests for any other host name are
            rejected, so that no web site can reach the server through a name that resolves to this machine.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    calls = ApiCalls()
    add_uploads(app, service)
    _add_downloads(app, service)
    app = gr.mount_gradio_app(app, build_page(service, calls), path="/", footer_links=[], run_history=False,
                              show_error=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
                              max_file_size=1, theme=theme(), css=STYLE, head=HEAD)
    app.add_middleware(RequestFilter)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    app.add_middleware(EndedStreams, calls=calls)
    app.add_middleware(LingeringClose)
    return app


def _add_downloads(app: FastAPI, service: Service) -> None:
    @app.api_route("/files/{token}/video", methods=["GET", "HEAD"])
    def send_video(token: str) -> Response:
        try:
            session = service.sessions.find(token)
        except InputError as err:
            return reject(err)
        return _file_response(session.path) if session.encoded else _not_found()

    @app.api_route("/files/{token}/{result}/{name}", methods=["GET", "HEAD"])
    def send_result(token: str, result: str, name: str) -> Response:
        try:
            path = _find_result(service.sessions.find(token), result, name)
        except InputError as err:
            return reject(err)
        return _not_found() if path is None else _file_response(path)


def _find_result(session: Session, result: str, name: str) -> Path | None:
    """Return a result file; the names are compared with existing ones and never joined to a path."""
    folder = next((folder for folder in session.results if folder.name == result), None)
    return None if folder is None else next((path for path in folder.iterdir() if path.name == name), None)


def _not_found() -> JSONResponse:
    return JSONResponse(dict(error="There is no such file."), 404)


def _file_response(path: Path) -> FileResponse:
    """Return a response that plays a video and downloads any other file, so that no file runs scripts on this site."""
    media_type = mimetypes.guess_type(path.name)[0] or ""
    is_video = media_type.startswith("video/")
    return FileResponse(path, media_type=media_type if is_video else "application/octet-stream", filename=path.name,
                        content_disposition_type="inline" if is_video else "attachment",
                        headers={"Content-Security-Policy": FILE_POLICY, "Cache-Control": "private"})


class RequestFilter:
    """Middleware that rejects requests that the page never makes, and adds security headers to responses.

    Args:
        app: the application behind it.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        if not ALLOWED_PATHS.fullmatch(scope["path"]):
            return await _not_found()(scope, receive, send)
        if scope["method"] == "POST" and _is_cross_site(headers):
            response = JSONResponse(dict(error="Other web sites may not call this server."), 403)
            return await response(scope, receive, send)
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/"):
            body = await _read_small_body(receive)
            if body is None:
                message = f"This call is too large, and the limit is {format_bytes(MAX_CALL_BYTES)}."
                return await JSONResponse(dict(error=message), 400)(scope, receive, send)
            if _contains_file_data(body):
                return await JSONResponse(dict(error="This call is not accepted."), 400)(scope, receive, send)
            receive = _replay(body, receive)

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
                         (b"cross-origin-resource-policy", b"same-origin")]
                if b"content-security-policy" not in present:
                    added.append((b"content-security-policy", PAGE_POLICY.encode()))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _is_cross_site(headers: dict[bytes, bytes]) -> bool:
    """Return True if a page of another site makes the request.

    Browsers send Sec-Fetch-Site over HTTPS and on loopback addresses, else only Origin. Other programs send neither.
    """
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None or origin is None:
        return site not in (None, b"same-origin", b"none")
    hosts = (headers.get(b"host"), headers.get(b"x-forwarded-host"))
    return origin.partition(b"://")[2] not in [host for host in hosts if host]


async def _read_small_body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it exceeds `MAX_CALL_BYTES`."""
    body, more = b"", True
    while more and len(body) <= MAX_CALL_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body if len(body) <= MAX_CALL_BYTES else None


def _contains_file_data(body: bytes) -> bool:
    """Return True if Gradio would read a server file or fetch an address that the call names; also for invalid JSON."""
    try:
        return '"gradio.FileData"' in json.dumps(json.loads(body or b"{}"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return True


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that delivers a body that was read already."""
    messages = [dict(type="http.request", body=body, more_body=False)]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
