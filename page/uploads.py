"""Uploads of videos and subtitles, within the limits and the free disk space."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from common.errors import InputError
from common.files import DISK_ERRORS
from pipelines.media.subtitle_parsers import SUBTITLE_SUFFIXES

from .limits import FileTooLargeError, empty_file_error, safe_name
from .messages import error_text
from .service import Service
from .sessions import Session, SessionNotFoundError
from .task import NoSpaceError, TaskCanceled, no_space_error

WRITE_BYTES = 1 << 20      # Received data is written in blocks of this size.
IDLE_TIMEOUT_S = 60        # An upload without any data for this time is interrupted,
MIN_BYTES_PER_S = 1000     # and so is one that is slower than this on average.


class SlowUploadError(InputError):
    """The client sends too little data."""


STATUS_BY_ERROR: dict[type[Exception], int] = {
    FileTooLargeError: 413, SessionNotFoundError: 404, NoSpaceError: 507, SlowUploadError: 408}


class DiskSpace:
    """The free space of a disk, shared by concurrent uploads.

    Args:
        folder: a folder on the disk.
        min_free_bytes: space that stays free.
    """

    def __init__(self, folder: Path, min_free_bytes: int):
        self.folder, self.min_free_bytes = folder, min_free_bytes
        self._unwritten_bytes = 0   # Reserved by all uploads, but not written yet.

    @contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Reserve space for a file during the block.

        Args:
            size: announced size of the file; 0 if it is unknown.

        Raises:
            NoSpaceError: less than `size` is left.
        """
        reservation = Reservation(self)
        try:
            reservation.extend(size)
            yield reservation
        finally:
            self.release(reservation.unwritten_bytes)

    def take(self, size: int) -> None:
        """Reserve space.

        Raises:
            NoSpaceError: less than `size` is left.
        """
        if size > 0 and shutil.disk_usage(self.folder).free - self._unwritten_bytes - size < self.min_free_bytes:
            raise no_space_error()
        self._unwritten_bytes += size

    def release(self, size: int) -> None:
        """Release reserved space, which has been written or is no longer needed."""
        self._unwritten_bytes -= size


class Reservation:
    """The space that is reserved for a file.

    Args:
        space: the disk.

    Attributes:
        unwritten_bytes: reserved space that has not been written yet.
    """

    def __init__(self, space: DiskSpace):
        self._space, self._size = space, 0
        self.unwritten_bytes = 0

    def extend(self, size: int) -> None:
        """Reserve space for a file of at least this size.

        Raises:
            NoSpaceError: the disk has too little space.
        """
        more = max(0, size - self._size)
        self._space.take(more)
        self._size += more
        self.unwritten_bytes += more

    def written(self, size: int) -> None:
        """Record that data was written, so that it no longer counts as free space."""
        self.unwritten_bytes -= size
        self._space.release(size)


def add_uploads(app: FastAPI, service: Service) -> None:
    """Add the endpoints for uploads."""
    limits, space = service.limits, DiskSpace(service.sessions.folder, service.limits.min_free_bytes)

    @app.post("/videos")
    async def receive_video(request: Request, name: str = "video") -> JSONResponse:
        session = None
        try:
            size = _content_length(request)
            limits.check_size(size)
            with _translated_errors(), space.reserve(size) as reservation:
                session = service.sessions.add(name, client=_client(request))
                size = await _receive(request, session, session.path, limits.max_upload_bytes, service, reservation)
            if size == 0:
                raise empty_file_error()
        except BaseException as err:   # A session without a complete file is useless, whatever the reason.
            if session is not None:
                service.sessions.remove(session.token)
            if isinstance(err, (InputError, ClientDisconnect)):
                return reject(err)
            raise
        return JSONResponse(dict(video=session.token, name=session.name, bytes=size))

    @app.post("/videos/{token}/subtitles")
    async def receive_subtitles(request: Request, token: str, name: str = "subtitles.srt") -> JSONResponse:
        try:
            session, name = service.sessions.find(token), safe_name(name)
            size, suffix = _content_length(request), Path(name).suffix.lower()
            limits.check_size(size, limits.max_subtitle_bytes)
            path = session.temporary_path(suffix if suffix in SUBTITLE_SUFFIXES else ".srt")
            try:
                with _translated_errors(), space.reserve(size) as reservation:
                    await _receive(request, session, path, limits.max_subtitle_bytes, service, reservation)
                subtitles = await service.add_subtitles(session, path, name, request.is_disconnected)
            finally:
                path.unlink(missing_ok=True)
        except (InputError, ClientDisconnect, TaskCanceled) as err:
            return reject(err)
        note = dict(note=subtitles.note) if subtitles.note else {}
        return JSONResponse(dict(lines=subtitles.num_cues, name=subtitles.name, **note))


def reject(err: InputError | ClientDisconnect | TaskCanceled) -> JSONResponse:
    """Return the response to a request that failed."""
    message = error_text(err) if isinstance(err, InputError) else "The connection was interrupted."
    return JSONResponse(dict(error=message), STATUS_BY_ERROR.get(type(err), 400))


def slow_upload_error() -> SlowUploadError:
    """Return the error for an upload that takes too long."""
    return SlowUploadError(None, "too little data arrived", "check your connection, then send the file again")


def _content_length(request: Request) -> int:
    """Return the size that the client announces; 0 if it announces none."""
    value = request.headers.get("content-length", "0")
    return int(value) if value.isdecimal() else 0


def _client(request: Request) -> str:
    return "" if request.client is None else request.client.host


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise the error of a full disk as `NoSpaceError`."""
    try:
        yield
    except OSError as err:
        if err.errno in DISK_ERRORS:
            raise no_space_error() from err
        raise


async def _receive(request: Request, session: Session, path: Path, max_bytes: int, service: Service,
                   reservation: Reservation) -> int:
    """Write the body of a request to a file, and return its size.

    Raises:
        FileTooLargeError: as soon as the file exceeds `max_bytes`.
        NoSpaceError: as soon as the disk has too little space.
        ClientDisconnect: the client has closed the connection.
        SlowUploadError: the client sends too little or nothing.
        SessionNotFoundError: the session was removed in the meantime.
    """
    size, stream, block, started_s = 0, request.stream(), bytearray(), time.monotonic()
    with path.open("wb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(stream, None), IDLE_TIMEOUT_S)
            except asyncio.TimeoutError:
                raise slow_upload_error() from None
            took_s = time.monotonic() - started_s
            if took_s > IDLE_TIMEOUT_S and size < MIN_BYTES_PER_S * took_s:
                raise slow_upload_error()
            if chunk is not None:
                size += len(chunk)
                service.sessions.find(session.token)   # A slow upload counts as a use of the session.
                service.limits.check_size(size, max_bytes)
                reservation.extend(size)
                block += chunk
            if block and (chunk is None or len(block) >= WRITE_BYTES):
                await asyncio.to_thread(_write, file, bytes(block))   # A slow disk delays no other user.
                reservation.written(len(block))
                block.clear()
            if chunk is None:
                return size


def _write(file, block: bytes) -> None:
    file.write(block)
    file.flush()
