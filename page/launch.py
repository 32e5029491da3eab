"""Runs the page until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from .example import make_example
from .limits import Limits
from .model_catalog import Catalogue, standard_models
from .server import build_app
from .service import Service


def serve(listener: socket.socket, host: str, limits: Limits, videos: Path | None = None,
          models: Sequence[tuple[str, str]] = (), example: bool = True) -> None:
    """Serves until Ctrl-C, then everything that users had is removed; prints its address when it is ready.

    Args:
        listener: bound to `host`.
        limits: for each user.
        videos: folder of videos that everybody may choose.
        models: (config, checkpoint) of trained models.
        example: whether the first screen has one.

    Raises:
        InputError: a model that cannot be used.
    """
    catalogue = Catalogue(standard_models(models))
    signal.signal(signal.SIGTERM, _stop)
    service = Service(catalogue, limits, videos)
    try:
        if example:
            service.example = make_example(service.desks.folder / "example")
        service.prepare()
        server = server_for(service, host)
        listener.listen()
        print(address(host, listener.getsockname()[1]), flush=True)
        server.run(sockets=[listener])
    finally:
        service.close()


@contextmanager
def running(service: Service, host: str = "127.0.0.1") -> Iterator[str]:
    """Serves in a thread on a free port while the block runs; gives the address. The service is left open."""
    with socket.create_server((host, 0)) as listener:
        server = server_for(service, host)
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listener]), daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.02)
        try:
            yield address(host, listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(10)


def server_for(service: Service, host: str) -> uvicorn.Server:
    """A server that is not running yet."""
    logging.getLogger("uvicorn.error").addFilter(_not_cut_short)
    return uvicorn.Server(uvicorn.Config(build_app(service, host), log_level="warning", timeout_graceful_shutdown=2))


def _stop(*_) -> None:
    raise KeyboardInterrupt   # so that files are removed


def _not_cut_short(record: logging.LogRecord) -> bool:
    """Pages that are open when the server stops are no fault worth a word."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def address(host: str, port: int) -> str:
    """What to type into a browser."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"
