"""A folder that caches encoded videos, so that a video is encoded only once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import sys
import time
from pathlib import Path

from common.errors import InputError
from common.files import make_folder, remove_leftovers
from models.encoders import Encoders
from pipelines.media.probe import VideoInfo, probe
from pipelines.media.video_reader import check_sampling

from . import identity
from .encode import encode_video
from .encoded_video import EncodedVideo

KEY_CHARACTERS = 32


def encode_cached(path: str | os.PathLike, encoders: Encoders, cache_dir: str | os.PathLike, progress: bool = True, *,
                  sampling: str = "exact", info: VideoInfo | None = None) -> EncodedVideo:
    """Load an encoded video from the cache, or encode it and add it to the cache.

    An entry belongs to the content of the file, the encoders, the sampling, and the version of the code; the file may
    be renamed or moved. An entry that is damaged, cannot be read, or belongs to something else is replaced. Entries are
    written atomically; an entry that cannot be written, for example because the disk is full or the folder is
    read-only, is skipped.

    Args:
        path: see `encode_video`.
        encoders: see `encode_video`.
        cache_dir: folder, created with its parents if missing.
        progress: True to show a progress bar, and a line about the cache, on stderr.
        sampling: see `encode_video`.
        info: see `encode_video`.

    Raises:
        InputError: as `encode_video`, or the folder does not exist and cannot be created.
    """
    started_s = time.perf_counter()
    path, folder = Path(path).absolute(), _open_folder(cache_dir)
    check_sampling(sampling)
    if not path.is_file():
        probe(path)   # Raises the error that says what is wrong.
    remove_leftovers(folder)
    state_before = identity.file_state(path)
    key = cache_key(path, encoders, sampling)
    entry = folder / f"{key}.npz"
    video, outcome = None, f"cached as {entry}"
    if os.path.lexists(entry):
        video = _load_entry(entry, key, encoders)
        outcome = (f"encoded again, since the cache entry {entry} was damaged" if video is None
                   else f"already encoded, read from {entry}")
    if video is None:
        video = encode_video(path, encoders, progress, sampling=sampling, info=info)
        try:
            if identity.file_state(path) != state_before:
                raise OSError("the file changed during encoding")
            video.save(entry, key)
        except InputError as err:
            outcome = f"not cached in {folder} ({entry.name} {err.problem})"
        except OSError as err:
            outcome = f"not cached in {folder} ({err.strerror or err})"
    else:
        video = dataclasses.replace(video, info=dataclasses.replace(video.info, path=path),
                                    encoding_s=time.perf_counter() - started_s)
    if progress:
        print(f"{path.name}: {outcome}", file=sys.stderr)
    return video


def _open_folder(cache_dir: str | os.PathLike) -> Path:
    """Create the folder if necessary; an existing one may be read-only."""
    try:
        return make_folder(cache_dir)
    except InputError:
        if not os.path.isdir(cache_dir):
            raise
        return Path(cache_dir)


def _load_entry(entry: Path, key: str, encoders: Encoders) -> EncodedVideo | None:
    """Load an entry; return None if it is damaged, cannot be read, or does not fit its key or the encoders."""
    try:
        video = EncodedVideo.load(entry, key)
    except InputError:
        return None
    widths = {part: rows.shape[1] for part, rows in video.visual.items()}
    has_right_audio = video.audio is None or (encoders.audio is not None
                                              and video.audio.shape[1] == encoders.audio.dims)
    fits = widths == dict(encoders.visual.parts) and video.clip_len_s == encoders.visual.clip_len_s
    return video if fits and has_right_audio else None


def cache_key(path: str | os.PathLike, encoders: Encoders, sampling: str) -> str:
    """Return a hash of the file's content, the visual and audio encoders, the sampling, and FEATURE_VERSION.

    Raises:
        InputError: the file cannot be read.
    """
    audio = None if encoders.audio is None else identity.fingerprint(encoders.audio)
    parts = [identity.FEATURE_VERSION, identity.content_key(path), sampling, identity.fingerprint(encoders.visual),
             audio]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:KEY_CHARACTERS]
