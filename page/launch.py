"""Run the web server until it is interrupted."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn

from .connections import PageProtocol
from .example import Example
from .limits import Limits
from .model_catalog import ModelCatalog, standard_models
from .server import build_app
from .service import Service

try:
    import resource
except ImportError:   # Windows has no such limits.
    resource = None   # type: ignore[assignment]

MAX_OPEN_FILES = 16384   # Each page keeps several connections open.


def serve(listener: socket.socket, host: str, limits: Limits, videos: Path | None = None,
          models: Sequence[tuple[str, str]] = (), make_example: Callable[[Path], Example] | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM, then remove all files of the users.

    The address is printed once the server is ready.

    Args:
        listener: a socket bound to `host`.
        host: the address to listen on.
        limits: limits for each user.
        videos: folder of videos that every user may open.
        models: (config, checkpoint) of the user's own models.
        make_example: writes the example's files into a folder and returns the example; None for no example.

    Raises:
        InputError: a model cannot be used.
    """
    catalog = ModelCatalog(standard_models(models))
    signal.signal(signal.SIGTERM, signal.default_int_handler)   # SIGTERM removes the files like Ctrl-C.
    _raise_file_limit()
    service = Service(catalog, limits, videos)
    try:
        service.start()   # The worker processes load the model while the example is rendered.
        if make_example is not None:
            service.example = make_example(service.sessions.folder / "example")
        service.prepare()
        server = make_server(service, host)
        listener.listen()
        print(page_url(host, listener.getsockname()[1]), flush=True)
        server.run(sockets=[listener])
    finally:
        service.close()


@contextmanager
def running(service: Service, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve in a thread on a free port during the block; yield the address.

    The caller closes the service.
    """
    with socket.create_server((host, 0)) as listener:
        server = make_server(service, host)
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listener]), daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.02)
        try:
            yield page_url(host, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)


def make_server(service: Service, host: str) -> uvicorn.Server:
    """Return a server that is not running yet."""
    logging.getLogger("uvicorn.error").addFilter(_is_not_cancellation)
    config = uvicorn.Config(build_app(service, host), log_level="warning", timeout_graceful_shutdown=2,
                            http=PageProtocol, ws="none")
    return uvicorn.Server(config)


def _raise_file_limit() -> None:
    """Allow as many open connections as the system permits this process."""
    if resource is not None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            with suppress(ValueError, OSError):   # Some systems report a limit that they do not accept.
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _is_not_cancellation(record: logging.LogRecord) -> bool:
    """Return False for the errors that open pages cause when the server stops."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def page_url(host: str, port: int) -> str:
    """Return the address of the page, for a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
