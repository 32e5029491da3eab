"""Encoded videos that are kept in a folder: encoded once, asked many times, also tomorrow."""

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
from models.encoders import Encoders
from models.encoders.base import cpu_has_bfloat16
from models.encoders.weights import checksum
from pipelines.media.video_reader import check_sampling, probe

from .encode import FEATURE_VERSION, EncodedVideo, encode_video

KEY_CHARACTERS = 32
SETTING = (int, float, str, tuple, list, dict)


def encode_cached(path: str | os.PathLike, encoders: Encoders, cache_dir: str | os.PathLike, progress: bool = True, *,
                  sampling: str = "exact") -> EncodedVideo:
    """`encode_video`, or what it gave before for the same content, encoders, sampling and version of the code.

    A video is known by its content, so it may be renamed or moved. An entry that cannot be read is made
    again. Entries appear whole; one that cannot be written for want of space is done without.

    Args:
        cache_dir: made with its parents if missing.
        progress: whether a bar, and a line about what was found, is shown on stderr.

    Raises:
        InputError: as `encode_video`, or the folder cannot be made or written.
    """
    started_s = time.perf_counter()
    path, folder = Path(path).absolute(), make_folder(cache_dir)
    check_sampling(sampling)
    if not path.is_file():
        probe(path)   # says what is wrong
    remove_leftovers(folder)
    before = _changed(path)
    entry = folder / f"{cache_key(path, encoders, sampling)}.npz"
    video, found = None, f"kept as {entry}"
    if entry.is_file():
        try:
            video = EncodedVideo.load(entry)
            found = f"encoded before, read from {entry}"
        except InputError:
            found = f"the entry {entry} was damaged, encoded anew"
    if video is None:
        video = encode_video(path, encoders, progress, sampling=sampling)
        try:
            if _changed(path) != before:
                raise OSError("the file changed meanwhile")
            video.save(entry)
        except OSError as err:
            found = f"not kept in {folder} ({err.strerror or err})"
    else:
        video = dataclasses.replace(video, info=dataclasses.replace(video.info, path=path),
                                    encoding_s=time.perf_counter() - started_s)
    if progress:
        print(f"{path.name}: {found}", file=sys.stderr)
    return video


def cache_key(path: str | os.PathLike, encoders: Encoders, sampling: str) -> str:
    """Changes with the file's content, the encoders of pictures and sound, the sampling and the code's version.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        content = checksum(Path(path))
    except OSError as err:
        raise InputError(f"{path}: cannot be read ({err.strerror}); check its name and rights") from err
    made_of = [FEATURE_VERSION, content, sampling, fingerprint(encoders.visual),
               None if encoders.audio is None else fingerprint(encoders.audio)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:KEY_CHARACTERS]


def fingerprint(encoder: nn.Module) -> str:
    """SHA-256 of an encoder's type, settings, weights and buffers."""
    declared = (name for kind in type(encoder).__mro__ for name in vars(kind).get("__annotations__", ()))
    settings = {name: getattr(encoder, name, None) for name in {*vars(encoder), *declared} if not name.startswith("_")}
    settings = {name: value for name, value in settings.items() if isinstance(value, SETTING)}
    settings.pop("training", None)
    if "precision" in settings:
        settings["half"] = cpu_has_bfloat16()   # `auto` computes otherwise on another processor
    digest = hashlib.sha256(json.dumps([type(encoder).__qualname__, settings], sort_keys=True, default=str).encode())
    for name, values in (*encoder.named_parameters(), *encoder.named_buffers()):
        digest.update(f"{name}{tuple(values.shape)}{values.dtype}".encode())
        digest.update(values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _changed(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
