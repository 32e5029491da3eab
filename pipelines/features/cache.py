"""A folder that caches encoded videos, so that a video is encoded only once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import torch
import torch.nn as nn

from common.errors import InputError
from common.files import make_folder, remove_leftovers
from models.device import cpu_has_bfloat16
from models.encoders import Encoders
from models.encoders.weights import checksum
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.video_reader import check_sampling

from .encode import encode_video
from .encoded_video import EncodedVideo

FEATURE_VERSION = 1   # Increase it when the code computes other features from the same file; cached ones then expire.
KEY_CHARACTERS = 32
SETTING_TYPES = (int, float, str, tuple, list, dict)


def encode_cached(path: str | os.PathLike, encoders: Encoders, cache_dir: str | os.PathLike, progress: bool = True, *,
                  sampling: str = "exact", info: VideoInfo | None = None) -> EncodedVideo:
    """Load an encoded video from the cache, or encode it and add it to the cache.

    An entry belongs to the content of the file, the encoders, the sampling, and the version of the code; the file may
    be renamed or moved. An entry that cannot be read is replaced. Entries are written atomically; an entry that
    cannot be written, for example because the disk is full, is skipped.

    Args:
        path: see `encode_video`.
        encoders: see `encode_video`.
        cache_dir: folder, created with its parents if missing.
        progress: True to show a progress bar, and a line about the cache, on stderr.
        sampling: see `encode_video`.
        info: see `encode_video`.

    Raises:
        InputError: as `encode_video`, or the folder cannot be created or written.
    """
    started_s = time.perf_counter()
    path, folder = Path(path).absolute(), make_folder(cache_dir)
    check_sampling(sampling)
    if not path.is_file():
        probe(path)   # Raises the error that says what is wrong.
    remove_leftovers(folder)
    version_before = _file_version(path)
    entry = folder / f"{cache_key(path, encoders, sampling)}.npz"
    video, outcome = None, f"cached as {entry}"
    if entry.is_file():
        try:
            video = EncodedVideo.load(entry)
            outcome = f"already encoded, read from {entry}"
        except InputError:
            outcome = f"encoded again, since the cache entry {entry} was damaged"
    if video is None:
        video = encode_video(path, encoders, progress, sampling=sampling, info=info)
        try:
            if _file_version(path) != version_before:
                raise OSError("the file changed during encoding")
            video.save(entry)
        except OSError as err:
            outcome = f"not cached in {folder} ({err.strerror or err})"
    else:
        video = dataclasses.replace(video, info=dataclasses.replace(video.info, path=path),
                                    encoding_s=time.perf_counter() - started_s)
    if progress:
        print(f"{path.name}: {outcome}", file=sys.stderr)
    return video


def cache_key(path: str | os.PathLike, encoders: Encoders, sampling: str) -> str:
    """Return a hash of the file's content, the visual and audio encoders, the sampling, and FEATURE_VERSION.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        content = checksum(Path(path))
    except OSError as err:
        raise InputError(path, f"cannot be read ({err.strerror})", "check its name and permissions") from err
    parts = [FEATURE_VERSION, content, sampling, fingerprint(encoders.visual),
             None if encoders.audio is None else fingerprint(encoders.audio)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:KEY_CHARACTERS]


def fingerprint(encoder: nn.Module) -> str:
    """Return the SHA-256 of an encoder's type, settings, parameters and buffers."""
    declared = (name for kind in type(encoder).__mro__ for name in vars(kind).get("__annotations__", ()))
    settings = {name: getattr(encoder, name, None) for name in {*vars(encoder), *declared} if not name.startswith("_")}
    settings = {name: value for name, value in settings.items() if isinstance(value, SETTING_TYPES)}
    settings.pop("training", None)
    if "precision" in settings:
        settings["half"] = cpu_has_bfloat16()   # The precision `auto` depends on the CPU.
    digest = hashlib.sha256(json.dumps([type(encoder).__qualname__, settings], sort_keys=True, default=str).encode())
    for name, values in (*encoder.named_parameters(), *encoder.named_buffers()):
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _file_version(path: Path) -> tuple[int, int]:
    """Return size and modification time, which change with the file's content."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns
