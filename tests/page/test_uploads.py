"""Test uploads that the server must reject: those that are too large, too slow, or for which the disk has no room."""

import contextlib
import errno
import os
import re
import shutil
import socket
import time
import urllib.parse
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from page import connections, uploads
from page.task import NoSpaceError
from page.uploads import DiskSpace

from .test_server import uploaded_files

Usage = namedtuple("Usage", "total used free")
TOO_LARGE = "This file is too large, and the limit is 2 MB. Choose a smaller one, or compress it first."
NO_SPACE = "The server has no disk space left for this file. Try again later."
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"   # A chunk of a body with "Transfer-Encoding: chunked".


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


@pytest.fixture
def small_disk(service, monkeypatch):
    """Let the disk have 1,000,000 bytes for the files that are written from now on; return the number of free bytes."""
    def files():   # Unlike rglob, os.walk ignores folders that are removed meanwhile.
        return {os.path.join(folder, name) for folder, _, names in os.walk(service.sessions.folder) for name in names}

    earlier = files()   # Their removal may not have ended yet.

    def free():
        written = 0
        for path in files() - earlier:
            with contextlib.suppress(FileNotFoundError):   # Another upload has ended in the meantime.
                written += os.path.getsize(path)
        return 1_000_000 - written

    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda folder: Usage(10**9, 0, free()))
    return free


@pytest.fixture
def unchanged(service):
    """Check that the test leaves no session and no file."""
    sessions, files = len(service.sessions), uploaded_files(service)
    yield
    wait_until(lambda: len(service.sessions) == sessions)
    wait_until(lambda: uploaded_files(service) == files)   # A folder is removed after its session.


def wait_until(condition, timeout_s=30):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def connect(url):
    address = urllib.parse.urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def head(url, *headers, path="/videos?name=a.mp4"):
    lines = (f"POST {path} HTTP/1.1", f"Host: {urllib.parse.urlsplit(url).netloc}", *headers)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def read_all(raw):
    return b"".join(iter(lambda: raw.recv(65536), b"")).decode()


def parse(response):
    """Return the status and the message of a response."""
    return int(response.split()[1]), re.search(r'"error":"([^"]*)"', response)[1]


def chunks(size):
    for start in range(0, size, 50_000):
        yield b"x" * min(50_000, size - start)


def test_disk_space_is_shared_by_concurrent_uploads(tmp_path, monkeypatch):
    free = [1000]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(9999, 0, free[0]))
    space = DiskSpace(tmp_path, min_free_bytes=100)
    with space.reserve(500) as first:
        with pytest.raises(NoSpaceError), space.reserve(401):
            pass
        with space.reserve(400):
            with pytest.raises(NoSpaceError), space.reserve(1):
                pass
        free[0] -= 300   # The first upload has written 300 bytes.
        first.written(300)
        with space.reserve(0) as unknown:
            unknown.extend(250)
            unknown.extend(400)
            unknown.extend(300)   # Smaller than what is reserved already.
            with pytest.raises(NoSpaceError):
                unknown.extend(401)
            first.extend(500)     # Its space was reserved before.
            with pytest.raises(NoSpaceError):
                first.extend(501)
    with space.reserve(600):      # All reservations have ended; 300 bytes are on the disk.
        pass
    with pytest.raises(NoSpaceError), space.reserve(601):
        pass


def test_a_chunked_upload_stops_at_the_disk_reserve(http, small_disk, unchanged):
    response = http.post("videos", content=chunks(1_500_000))
    assert (response.status_code, response.json()) == (507, dict(error=NO_SPACE))


def test_an_upload_that_fits_exactly_is_accepted(http, service, small_disk):
    for content in (chunks(1_000_000), b"x" * 1_000_000):
        response = http.post("videos", content=content)
        assert (response.status_code, response.json()["bytes"]) == (200, 1_000_000)
        assert small_disk() == 0
        assert http.post("videos", content=chunks(1)).status_code == 507
        service.sessions.remove(response.json()["video"])


def test_an_announced_size_is_reserved_until_the_client_leaves(http, url, service, small_disk, unchanged):
    num_sessions = len(service.sessions)
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 800000") + b"x" * 1000)
        wait_until(lambda: len(service.sessions) == num_sessions + 1)
        assert http.post("videos", content=b"x" * 200_001).status_code == 507
        assert http.post("videos", content=chunks(200_001)).status_code == 507
        response = http.post("videos", content=b"x" * 200_000)
        assert response.status_code == 200
        service.sessions.remove(response.json()["video"])
    wait_until(lambda: len(service.sessions) == num_sessions)
    response = http.post("videos", content=b"x" * 1_000_000)
    assert response.status_code == 200
    service.sessions.remove(response.json()["video"])


def test_concurrent_chunked_uploads_never_use_the_reserve(url, service, small_disk, monkeypatch):
    lowest, write = [10**9], uploads._write

    def observed_write(file, block):
        write(file, block)
        lowest.append(small_disk())

    monkeypatch.setattr(uploads, "_write", observed_write)

    def send(_):
        return httpx.post(f"{url}videos", content=chunks(400_000), timeout=60)

    with ThreadPoolExecutor(6) as pool:
        responses = list(pool.map(send, range(6)))
    accepted = [response for response in responses if response.status_code == 200]
    assert len(accepted) <= 2   # Possibly none, if all stop before one of them has left.
    assert {response.json()["error"] for response in responses if response not in accepted} == {NO_SPACE}
    assert min(lowest) >= 0
    for response in accepted:
        service.sessions.remove(response.json()["video"])
    assert small_disk() == 1_000_000


def test_subtitles_respect_the_reserve(http, service, small_disk, monkeypatch):
    session = service.sessions.add("a.mp4")
    monkeypatch.setattr(uploads.shutil, "disk_usage", lambda folder: Usage(10**9, 0, 10))
    for content in (b"x" * 100, chunks(100)):
        response = http.post(f"videos/{session.token}/subtitles", content=content)
        assert (response.status_code, response.json()) == (507, dict(error=NO_SPACE))
    assert list(session.folder.glob("*.*")) == []
    service.sessions.remove(session.token)


def test_a_disk_that_fills_up_during_an_upload_is_reported(http, unchanged, monkeypatch):
    def full(file, block):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(uploads, "_write", full)
    for content in (b"x" * 1_500_000, chunks(1_500_000)):
        response = http.post("videos", content=content)
        assert (response.status_code, response.json()) == (507, dict(error=NO_SPACE))


def send_everything(url, size, *headers, path="/videos?name=a.mp4"):
    """Send a chunked body completely, as most programs do, and only then read the response."""
    with connect(url) as raw:
        raw.sendall(head(url, "Transfer-Encoding: chunked", *headers, path=path))
        for _ in range(size // 65536):
            raw.sendall(CHUNK)
        raw.sendall(b"0\r\n\r\n")
        return read_all(raw)


@pytest.mark.parametrize("path, status, message", [
    pytest.param("/videos?name=a.mp4", 413, TOO_LARGE, id="too large"),
    pytest.param("/videos/none/subtitles", 404, "This video is no longer available, since unused videos are removed "
                                                "after a while. Choose it again.", id="no such session"),
    pytest.param("/gradio_api/upload", 404, "There is no such file.", id="Gradio's own upload"),
    pytest.param("/gradio_api/call/ask", 400, "This call is too large, and the limit is 1 MB.", id="large call")])
def test_the_response_to_a_rejected_body_is_never_lost(url, unchanged, path, status, message):
    with ThreadPoolExecutor(4) as pool:
        responses = list(pool.map(lambda _: send_everything(url, 6_000_000, path=path), range(20)))
    assert [parse(response) for response in responses] == [(status, message)] * 20
    assert all("connection: close" in response.lower() for response in responses)


def test_a_client_that_sends_without_end_is_disconnected(url, unchanged, monkeypatch):
    monkeypatch.setattr(connections, "LINGER_BYTES", 1_000_000)
    with connect(url) as raw:
        raw.sendall(head(url, "Transfer-Encoding: chunked"))
        with pytest.raises(OSError):
            for _ in range(10_000):
                raw.sendall(CHUNK)


def test_a_client_that_neither_sends_nor_leaves_is_disconnected(url, unchanged, monkeypatch):
    monkeypatch.setattr(connections, "LINGER_IDLE_S", 0.2)
    with connect(url) as raw:
        raw.sendall(head(url, "Transfer-Encoding: chunked") + 40 * CHUNK)   # The last chunk is missing.
        assert parse(read_all(raw)) == (413, TOO_LARGE)


def test_a_client_that_waits_for_permission_sends_no_rejected_body(url, unchanged):
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 9000000", "Expect: 100-continue"))
        response = read_all(raw)
    assert "100 Continue" not in response
    assert parse(response) == (413, TOO_LARGE)


def test_a_client_that_waits_for_permission_receives_it(url, service):
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 5", "Expect: 100-continue", "Connection: close"))
        assert raw.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.sendall(b"12345")
        response = read_all(raw)
    assert response.startswith("HTTP/1.1 200 OK")
    assert '"bytes":5' in response
    service.sessions.remove(re.search(r'"video":"([^"]*)"', response)[1])


def test_an_announced_size_is_not_trusted(url, service, unchanged):
    # The chunks count, not the Content-Length.
    assert parse(send_everything(url, 6_000_000, "Content-Length: 5")) == (413, TOO_LARGE)
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 900000") + b"x" * 1000)
        raw.shutdown(socket.SHUT_WR)   # The rest never comes.
        read_all(raw)


@pytest.mark.parametrize("idle_s, rate", [pytest.param(0.2, 0, id="no data"), pytest.param(0.1, 1e9, id="too slow")])
def test_a_slow_upload_is_interrupted(url, unchanged, monkeypatch, idle_s, rate):
    monkeypatch.setattr(uploads, "IDLE_TIMEOUT_S", idle_s)
    monkeypatch.setattr(uploads, "MIN_BYTES_PER_S", rate)
    monkeypatch.setattr(connections, "LINGER_IDLE_S", 0.2)
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 900000"))
        for _ in range(20):
            raw.sendall(b"x" * 100)
            if rate:
                time.sleep(0.02)
        assert parse(read_all(raw)) == (408, "Too little data arrived. Check your connection, then send the file again.")


def test_a_connection_without_a_request_is_closed(url, monkeypatch):
    monkeypatch.setattr(connections, "HEADER_TIMEOUT_S", 0.2)
    for start in (b"", b"GET / HTTP/1.1\r\nHost: x"):
        with connect(url) as raw:
            raw.sendall(start)
            assert read_all(raw) == ""
