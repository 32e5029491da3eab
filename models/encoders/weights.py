"""Weight files that are downloaded from their publishers, placed by hand, or part of a pip package."""

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

CACHE_VARIABLE = "VIDEO_SUMMARY_CACHE"   # Environment variable that names the cache folder.
CHUNK = 1 << 20   # Bytes.
TIMEOUT_S = 20
SHOWN_KEYS = 3    # Maximum number of mismatches in an error message.


@dataclass(frozen=True)
class WeightFile:
    """A published weight file.

    Attributes:
        name: file name in the cache folder.
        url: address at its publisher.
        sha256: SHA-256 in hexadecimal.
    """

    name: str
    url: str
    sha256: str


def clip_file(name: str, sha256: str) -> WeightFile:
    """Return one of OpenAI's CLIP files, whose addresses contain their SHA-256."""
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
# The publisher states the MD5 of this file, 541141fa2ee191a88f24a3219fff024e.
CNN14 = WeightFile("Cnn14_mAP=0.431.pth",
                   "https://zenodo.org/records/3987831/files/Cnn14_mAP%3D0.431.pth?download=1",
                   "0dc499e40e9761ef5ea061ffc77697697f277f6a960894903df3ada000e34b31")


def cache_folder() -> Path:
    """Return the folder of downloaded weights: `$VIDEO_SUMMARY_CACHE`, or `~/.cache/video-summary`."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "video-summary")


def fetch(file: WeightFile) -> Path:
    """Return the path of a weight file in the cache folder; download it at first use, with a progress bar on stderr.

    Raises:
        InputError: the file cannot be downloaded, or has another checksum than the published one.
    """
    path = cache_folder() / file.name
    if path.is_file():
        if checksum(path) != file.sha256:
            raise InputError(path, f"its SHA-256 is {checksum(path)}, not {file.sha256} as published at {file.url}",
                             "delete it, and it will be downloaded again")
        return path
    hint = (f"download {file.url} (SHA-256 {file.sha256}) by other means and save it as {path} (set {CACHE_VARIABLE} "
            "to use another folder), or use the default encoders, which need no download: "
            "configs/_base_/encoders/offline.py")
    with atomic_path(path) as temporary:
        try:
            _download(file, temporary)
        except (OSError, http.client.HTTPException) as err:
            reason = getattr(err, "reason", None) or err
            raise InputError(file.name, f"is not in {path.parent}, and the download failed ({reason})", hint) from err
        actual = checksum(temporary)
        if actual != file.sha256:
            raise InputError(file.name, f"the downloaded file has the SHA-256 {actual} and was deleted", hint)
    return path


def _download(file: WeightFile, to: Path) -> None:
    with urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as response, to.open("wb") as out:
        total = int(response.headers.get("Content-Length") or 0) or None
        with tqdm(total=total, desc=file.name, unit="B", unit_scale=True, file=sys.stderr) as bar:
            while chunk := response.read(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file; computed once per process, and again if the file changes."""
    stat = path.stat()   # The change time also differs if a program sets the modification time of the old file.
    return _sha256(path, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino))


@lru_cache(maxsize=32)
def _sha256(path: Path, state: tuple[int, ...]) -> str:
    del state   # This is only a part of the cache key.
    digest = hashlib.sha256()
    with path.open("rb") as f:
        while chunk := f.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def find_in_package(package: str, name: str, sha256: str) -> Path:
    """Return the path of a file in an installed pip package, without importing the package.

    Args:
        package: name of the package for pip.
        name: file name.
        sha256: the file's expected SHA-256 in hexadecimal.

    Raises:
        InputError: the package is not installed, does not contain the file, or contains a different version of it.
    """
    hint = f"install it again: pip install --force-reinstall {package}"
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError as err:
        raise InputError(None, f"the package {package} is not installed", "pip install -r requirements.txt") from err
    path = next((Path(str(file.locate())) for file in files if file.name == name), None)
    if path is None or not path.is_file():
        raise InputError(None, f"the package {package} does not contain {name}", hint)
    if checksum(path) != sha256:
        raise InputError(path, f"its SHA-256 is {checksum(path)}, not {sha256} as published", hint)
    return path


def read_weights(path: str | os.PathLike) -> dict:
    """Read a dict of tensors and plain values that torch.save wrote, onto the CPU.

    Raises:
        InputError: the file does not exist, is damaged, contains no dict, or contains objects that would run code.
    """
    weights = read_torch_file(path, "weight file")
    if not isinstance(weights, dict):
        raise InputError(path, f"contains a {type(weights).__name__} instead of a dict of weights", "give another file")
    return weights


def load_state(network: torch.nn.Module, state: dict, path: str | os.PathLike) -> None:
    """Load the weights of a pretrained network; every key and shape must match.

    Args:
        network: stays unchanged unless everything matches.
        state: the weights by name.
        path: the file that they were read from, for the error.

    Raises:
        InputError: keys are missing, unknown or of different shapes; the first of them are named.
    """
    own = network.state_dict()
    mismatches = [f"{key} is missing" for key in own if key not in state]
    mismatches += [f"{key} is unknown" for key in state if key not in own]
    mismatches += [f"{key} is {tuple(getattr(state[key], 'shape', ()))}, not {tuple(own[key].shape)}"
                   for key in own if key in state and getattr(state[key], "shape", None) != own[key].shape]
    if mismatches:
        more = f" and {len(mismatches) - SHOWN_KEYS} more" if len(mismatches) > SHOWN_KEYS else ""
        raise InputError(path, f"weights of another network: {'; '.join(mismatches[:SHOWN_KEYS])}{more}",
                         "give another file")
    network.load_state_dict(state)
