"""Provenance of feature files: what their features were computed from, stored with them so that it can be verified.

An `.npz` file stores its provenance as JSON under the key `provenance`, which other readers ignore. An `.npy` file has
no place for it, so the provenance of `{name}.npy` is in `.provenance/{name}.json` beside it. In both cases it contains
a checksum of the features: the provenance of features that another program has replaced does not count.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from common.files import atomic_path, write_json, write_npy
from models.encoders.base import AudioEncoder, TextEncoder, VisualEncoder

from . import identity
from .integrity import array_checksum, is_matrix

FORMAT = 1   # Version of the stored provenance.
KEY = "provenance"
SIDECAR_FOLDER = ".provenance"
REPLACED_FOLDER = "replaced"   # Subfolder to which files of other programs are moved.
ARRAY = "features"             # Name of the only array of an .npy file.

# Kinds of sources.
VIDEO, AUDIO_FILE, TEXT = "video", "audio file", "text"

# Reasons why features must be computed again; NEW is the reason of features that do not exist.
NEW = "they are new"
INCOMPLETE = "some of their files were missing"
DAMAGED = "their features were damaged"
UNKNOWN = "the origin of their features is unknown"
TEXT_CHANGED = "their text has changed"


@dataclass(frozen=True)
class Origin:
    """The settings by which features are computed from a source.

    Attributes:
        kind: `video`, `audio file`, or `text`.
        encoder: type of the encoder.
        encoder_key: portable `fingerprint` of the encoder.
        clip_len_s: seconds per row; None for a text.
        sampling: `exact` or `keyframes`; None if there are no frames.
        dtype: `float16` or `float32`.
        version: FEATURE_VERSION.
    """

    kind: str
    encoder: str
    encoder_key: str
    clip_len_s: float | None
    sampling: str | None
    dtype: str
    version: int


def origin_of(kind: str, encoder: VisualEncoder | AudioEncoder | TextEncoder, dtype: str,
              sampling: str | None = None) -> Origin:
    """Return the origin of the features that this version of the code computes with an encoder."""
    clip_len_s = getattr(encoder, "clip_len_s", None)
    return Origin(kind, type(encoder).__name__, identity.fingerprint(encoder, portable=True),
                  None if clip_len_s is None else float(clip_len_s), sampling, dtype, identity.FEATURE_VERSION)


class Source:
    """A file that features are computed from, in its state at the time of the construction.

    Attributes:
        path: the file.
        state: see `file_state`.

    Raises:
        OSError: the file does not exist.
    """

    def __init__(self, path: Path):
        self.path, self.state = path, identity.file_state(path)

    def is_source_of(self, stored: dict) -> bool:
        """Return True if a stored provenance belongs to the content of this file.

        The file is read only if it has been changed, moved or copied since.

        Raises:
            InputError: the file cannot be read.
        """
        return stored.get("file") == self.state or stored.get("source") == identity.content_key(self.path)

    def has_changed(self) -> bool:
        """Return True if the file is no longer in the state of the construction."""
        try:
            return identity.file_state(self.path) != self.state
        except OSError:
            return True


@dataclass(frozen=True)
class StoredFeatures:
    """The content of a feature file.

    Attributes:
        arrays: arrays by key; the array of an `.npy` file is `features`.
        provenance: as stored; None if the file has none, or if it belongs to other features.
    """

    arrays: dict[str, np.ndarray]
    provenance: dict | None

    @property
    def is_of_this_program(self) -> bool:
        """True if this program wrote the file; earlier versions stored the text of a query, but no provenance."""
        return self.provenance is not None or {"text", "last_hidden_state"} <= self.arrays.keys()


def load_stored(path: Path) -> StoredFeatures | None:
    """Load a feature file; return None if it is missing, or is no readable file of arrays."""
    try:
        data = np.load(path, allow_pickle=False)
        if isinstance(data, np.ndarray):
            arrays, text = {ARRAY: data}, _sidecar(path).read_text(encoding="utf-8") if _sidecar(path).is_file() else ""
        else:
            with data:
                arrays = {key: data[key] for key in data.files}
            text = str(arrays.pop(KEY, ""))
    except Exception:   # numpy and zipfile raise a dozen types on damaged files.
        return None
    return StoredFeatures(arrays, _parse(text, arrays))


def _parse(text: str, arrays: dict[str, np.ndarray]) -> dict | None:
    """Return a stored provenance; None if it is not valid JSON of this format, or belongs to other features."""
    try:
        stored = json.loads(text)
    except ValueError:
        return None
    is_valid = isinstance(stored, dict) and stored.get("format") == FORMAT
    return stored if is_valid and stored.get("checksum") == array_checksum(arrays) else None


def _sidecar(path: Path) -> Path:
    return path.parent / SIDECAR_FOLDER / f"{path.stem}.json"


def difference(stored: dict, origin: Origin, source: Source | str) -> str:
    """Return the reason why stored features are outdated; "" if they are up to date.

    Args:
        stored: their provenance.
        origin: origin of the features that are wanted.
        source: file or text that they are computed from.

    Raises:
        InputError: the source file cannot be read.
    """
    if stored.get("kind") != origin.kind:
        return f"their features were of another kind of source ({stored.get('kind')})"
    if stored.get("version") != origin.version:
        return f"their features are of version {stored.get('version')}, not {origin.version}"
    for name, shown in (("encoder", "encoder"), ("clip_len_s", "clip length in seconds"), ("sampling", "sampling"),
                        ("dtype", "data type")):
        wanted = getattr(origin, name)
        if stored.get(name) != wanted:
            return f"their {shown} was {stored.get(name)}, not {wanted}"
    if stored.get("encoder_key") != origin.encoder_key:
        return f"their {origin.encoder} had other weights or settings"
    if isinstance(source, str):
        return "" if stored.get("source") == source else TEXT_CHANGED
    return "" if source.is_source_of(stored) else f"the {origin.kind} has changed"


def check_stored(path: Path, width: int, origin: Origin, source: Source,
                 keep_unverified: bool = False) -> tuple[str, StoredFeatures | None]:
    """Check a file of features (rows, width).

    Args:
        path: feature file.
        width: expected width.
        origin: origin of the features that are wanted.
        source: file that they are computed from.
        keep_unverified: accept intact features without provenance.

    Returns:
        The reason why the features must be computed, "" if they are up to date; and the file's content, None if it is
        missing or unreadable.

    Raises:
        InputError: the source file cannot be read.
    """
    if not os.path.lexists(path):
        return NEW, None
    stored = load_stored(path)
    if stored is None or ARRAY not in stored.arrays or not is_matrix(stored.arrays[ARRAY], width):
        return DAMAGED, stored
    if stored.provenance is None:
        return "" if keep_unverified else UNKNOWN, stored
    return difference(stored.provenance, origin, source), stored


def write_stored(path: Path, arrays: dict[str, np.ndarray], origin: Origin, source: Source | str,
                 **more: object) -> Path | None:
    """Write a feature file with its provenance, atomically. A file that this program did not write is moved away.

    Args:
        path: an `.npz` file, or an `.npy` file for a single array named `features`.
        arrays: arrays by key.
        origin: origin of the features.
        source: file or text that they were computed from.
        more: further values for the provenance.

    Returns:
        The new path of an existing file that this program did not write; None if there was no such file.

    Raises:
        InputError: see `atomic_path`; or the source cannot be read.
        OSError: the disk is full.
    """
    described: dict = dict(source=source) if isinstance(source, str) else dict(
        source=identity.content_key(source.path), name=source.path.name, file=source.state)
    stored = dict(format=FORMAT, **asdict(origin), **described, **more, checksum=array_checksum(arrays))
    existing, moved = load_stored(path), None
    is_foreign = existing is None or not existing.is_of_this_program
    if path.suffix == ".npy":
        moved = _keep_copy(path) if is_foreign else None
        write_npy(path, arrays[ARRAY])
        write_json(_sidecar(path), stored)   # If the process is killed before this, the features do not count.
        return moved
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.savez_compressed(file, **arrays, **{KEY: np.array(json.dumps(stored))})   # type: ignore[arg-type]
        moved = _keep_copy(path) if is_foreign else None
    return moved


def _keep_copy(path: Path) -> Path | None:
    """Keep a file, which is about to be replaced, in the subfolder `replaced`; return its new path.

    Empty files and links are not kept; the target of a link is not affected.
    """
    if path.is_symlink() or not path.is_file() or path.stat().st_size == 0:
        return None
    folder = path.parent / REPLACED_FOLDER
    folder.mkdir(exist_ok=True)
    number = 0
    while True:
        copy = folder / (f"{path.stem}_{number}{path.suffix}" if number else path.name)
        try:
            os.link(path, copy)
            return copy
        except FileExistsError:
            number += 1
        except FileNotFoundError:   # Another process has moved it.
            return None
        except OSError:   # The file system has no hard links.
            if not copy.exists():
                with suppress(FileNotFoundError):
                    path.rename(copy)
                    return copy
                return None
            number += 1
