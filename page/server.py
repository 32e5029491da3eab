"""The HTTP server: the page, uploads, files, and what is refused before anything looks at it."""

from __future__ import annotations

import json
import mimetypes
import re
import shutil
from pathlib import Path

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import InputError
from pipelines.media.subtitles import read_subtitles

from .layout import HEAD, STYLE, build_view, theme
from .limits import EMPTY, plain_name
from .service import Service
from .sessions import Desk

LOOPBACK = ("127.0.0.1", "localhost", "::1")
QUESTION_BYTES = 1_000_000   # of a call to gradio
# What of gradio is used; its own uploads, its file server and its fetching of addresses are not among it
USED = re.compile(r"/(config/?|theme\.css|favicon\.ico|robots\.txt|manifest\.json"
                  r"|(assets|static|svelte|files|videos)(/.*)?|gradio_api/(info/?|openapi\.json|startup-events|queue/(join|data)|call/.*|cancel|reset/?"
                  r"|heartbeat/[^/]+|app_id/?|login_check/?|user/?))?")
PAGE_POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
               "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
               "base-uri 'self'; form-action 'self'; frame-ancestors 'self'")
FILE_POLICY = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


def build_app(service: Service, host: str = "127.0.0.1") -> FastAPI:
    """The whole server.

    Args:
        service: what it offers.
        host: it will listen on; on loopback, other names for it are refused, so that no web site can reach it.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_uploads(app, service)
    _add_files(app, service)
    app = gr.mount_gradio_app(app, build_view(service), path="/", footer_links=["api"], run_history=False,
                              show_error=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
                              max_file_size=1, theme=theme(), css=STYLE, head=HEAD)
    app.add_middleware(Guard)
    if host in LOOPBACK:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
    return app


def _add_uploads(app: FastAPI, service: Service) -> None:
    limits = service.limits

    @app.post("/videos")
    async def receive_video(request: Request, name: str = "video") -> JSONResponse:
        desk = None
        try:
            limits.check_size(_stated_size(request))
            if shutil.disk_usage(service.desks.folder).free < _stated_size(request) + limits.spare_bytes:
                raise InputError("There is no room for this file just now. Try again later")
            desk = service.desks.add(name)
            size = await _receive(request, desk, desk.path, limits.upload_bytes, service)
            if size == 0:
                raise InputError(EMPTY)
        except BaseException as err:   # a broken connection too
            if desk is not None:
                service.desks.remove(desk.token)
            if isinstance(err, (InputError, ClientDisconnect)):
                return _refusal(err)
            raise
        return JSONResponse(dict(video=desk.token, name=desk.name, bytes=size))

    @app.post("/videos/{token}/subtitles")
    async def receive_subtitles(request: Request, token: str, name: str = "subtitles.srt") -> JSONResponse:
        try:
            desk, name = service.desks.find(token), plain_name(name)
            path = desk.new_file(".srt")
            try:
                await _receive(request, desk, path, limits.subtitle_bytes, service)
                desk.cues, desk.cues_name = _subtitles(path, name), name
            finally:
                path.unlink(missing_ok=True)
        except (InputError, ClientDisconnect) as err:
            return _refusal(err)
        return JSONResponse(dict(lines=len(desk.cues), name=desk.cues_name))


def _subtitles(path: Path, name: str) -> list:
    try:
        return read_subtitles(path)
    except InputError as err:
        why = re.sub(r"; (name|mend) [^;]*$", "", str(err).replace(str(path), f"“{name}”"))   # for who types commands
        raise InputError(f"{why}. Choose an .srt or .vtt file") from err


def _stated_size(request: Request) -> int:
    stated = request.headers.get("content-length", "0")
    return int(stated) if stated.isdigit() else 0


async def _receive(request: Request, desk: Desk, path: Path, most: int, service: Service) -> int:
    """Streams a request's body into a file; an InputError as soon as it is over the limit, or its desk has gone."""
    size = 0
    with path.open("wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            service.desks.find(desk.token)   # however slowly it comes, it is being used
            service.limits.check_size(size, most)
            file.write(chunk)
    return size


def _refusal(err: Exception) -> JSONResponse:
    message = str(err) if isinstance(err, InputError) else "The connection broke"
    status = 413 if "too large" in message else 404 if "no longer here" in message else 400
    return JSONResponse(dict(error=message), status, {"Connection": "close"})   # a body may still be coming


def _add_files(app: FastAPI, service: Service) -> None:
    @app.api_route("/files/{token}/video", methods=["GET", "HEAD"])
    def send_video(token: str) -> Response:
        try:
            desk = service.desks.find(token)
        except InputError as err:
            return _refusal(err)
        return _file(desk.path) if desk.encoded else _missing()

    @app.api_route("/files/{token}/{result}/{name}", methods=["GET", "HEAD"])
    def send_result(token: str, result: str, name: str) -> Response:
        try:
            path = _result(service.desks.find(token), result, name)
        except InputError as err:
            return _refusal(err)
        return _missing() if path is None else _file(path)


def _result(desk: Desk, result: str, name: str) -> Path | None:
    """One of the files that were written for a desk; names are compared, never joined to a path."""
    folder = next((folder for folder in desk.results if folder.name == result), None)
    return None if folder is None else next((path for path in folder.iterdir() if path.name == name), None)


def _missing() -> JSONResponse:
    return JSONResponse(dict(error="There is no such file"), 404)


def _file(path: Path) -> FileResponse:
    """A film is played, everything else is saved; nothing runs in the page's name."""
    kind = mimetypes.guess_type(path.name)[0] or ""
    film = kind.startswith("video/")
    return FileResponse(path, media_type=kind if film else "application/octet-stream", filename=path.name,
                        content_disposition_type="inline" if film else "attachment",
                        headers={"Content-Security-Policy": FILE_POLICY, "Cache-Control": "private"})


class Guard:
    """Lets through what the page uses, and says to browsers what the page may do."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        if not USED.fullmatch(scope["path"]):
            return await _missing()(scope, receive, send)
        if scope["method"] == "POST" and _from_elsewhere(headers):
            return await JSONResponse(dict(error="Another web site may not call this page"), 403)(scope, receive, send)
        if scope["method"] == "POST" and scope["path"].startswith("/gradio_api/"):
            body = await _small_body(receive)
            if body is None or _names_files(body):
                return await JSONResponse(dict(error="Such a call is not taken here"), 400)(scope, receive, send)
            receive = _again(body, receive)

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                added = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"),
                         (b"cross-origin-resource-policy", b"same-origin")]
                if b"content-security-policy" not in own:
                    added.append((b"content-security-policy", PAGE_POLICY.encode()))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _from_elsewhere(headers: dict[bytes, bytes]) -> bool:
    """Whether a page of another address asks; browsers tell it in one of two ways, the first not to plain http."""
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None or origin is None:   # programs tell neither
        return site not in (None, b"same-origin", b"none")
    own = (headers.get(b"host"), headers.get(b"x-forwarded-host"))
    return origin.partition(b"://")[2] not in [host for host in own if host]


async def _small_body(receive: Receive) -> bytes | None:
    """A request's body; None if it is larger than a question is."""
    body, more = b"", True
    while more and len(body) <= QUESTION_BYTES:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body if len(body) <= QUESTION_BYTES else None


def _names_files(body: bytes) -> bool:
    """Whether gradio would take a part of a call for a file of the server's, or for an address to fetch."""
    try:
        return '"gradio.FileData"' in json.dumps(json.loads(body or b"{}"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return True


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read once more."""
    left = [dict(type="http.request", body=body, more_body=False)]

    async def give() -> Message:
        return left.pop() if left else await receive()

    return give
