"""An upload leaves the disk reserve free."""

import shutil
from collections import namedtuple
from dataclasses import replace

import httpx
import pytest

from page.launch import running
from page.model_catalog import ModelCatalog
from page.service import Service

from .conftest import LIMITS, color_models

RESERVE = 500_000
CONTENT = b"x" * 1000


@pytest.fixture(scope="module")
def reserving(tmp_path_factory, hold_file):
    """Serve a page that keeps a reserve; return its service and a client."""
    service = Service(ModelCatalog(color_models(hold_file)), replace(LIMITS, min_free_bytes=RESERVE), None, None,
                      tmp_path_factory.mktemp("root"))
    with running(service) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield service, client
    service.close()


@pytest.mark.parametrize("free, accepted", [
    pytest.param(RESERVE + len(CONTENT), True, id="enough"),
    pytest.param(RESERVE + len(CONTENT) - 1, False, id="one byte of the reserve"),
    pytest.param(0, False, id="full"),
])
def test_an_upload_leaves_the_reserve_free(reserving, monkeypatch, free, accepted):
    service, client = reserving
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12 - free, free))
    before = set(service.sessions.folder.rglob("*.mp4"))
    response = client.post("videos", params=dict(name="a.mp4"), content=CONTENT)
    assert (response.status_code == 200) is accepted
    assert accepted or "no disk space left" in response.json()["error"]
    stored = [path.read_bytes() for path in set(service.sessions.folder.rglob("*.mp4")) - before]
    assert stored == ([CONTENT] if accepted else [])
