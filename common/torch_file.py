"""Load files that torch.save wrote, without running code that they may contain."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from .errors import InputError

HEAD_BYTES = 1024
AGAIN = "download or save it again"
GIT_LFS = b"version https://git-lfs.github.com/spec/"
# The first bytes of other kinds of files.
SIGNATURES = ((b"\x89HDF", "an HDF5 file"), (b"\x1f\x8b", "a gzip archive"), (b"BZh", "a bzip2 archive"),
              (b"7z\xbc\xaf", "a 7-Zip archive"), (b"\xfd7zXZ", "an xz archive"), (b"\x93NUMPY", "a NumPy array"),
              (b"\x89PNG", "an image"), (b"\xff\xd8\xff", "an image"), (b"GGUF", "a GGUF file"),
              (b"%PDF", "a PDF file"))
CONTROL_BYTES = {*range(0x20), 0x7f} - set(b"\t\n\r\f\x1b")   # Bytes that no text contains.
MEDIA = ((4, b"ftyp", "a video"), (0, b"\x1aE\xdf\xa3", "a video"), (0, b"RIFF", "a media file"))


def read_torch_file(path: str | os.PathLike, kind: str) -> object:
    """Load a file of tensors and plain values onto the CPU.

    Args:
        path: a file that `torch.save` wrote, or a safetensors file with any suffix.
        kind: the expected kind of file, for error messages: "checkpoint" or "weight file".

    Raises:
        InputError: the file does not exist, is of another kind or damaged, or contains objects that would run code.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(path, f"is a folder, not a {kind}", f"specify a file in it{_example_in(path)}")
    if not path.is_file():
        raise InputError(path, f"no such {kind}", "specify a file that torch.save wrote")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as err:
        raise InputError(path, f"the {kind} cannot be read ({err.strerror})", "check its permissions") from err
    found, hint = describe_other_file(path, head)
    if found:
        raise InputError(path, f"not a {kind}: it is {found}", hint)
    if is_safetensors(head):
        return _read_safetensors(path, kind)
    try:
        with path.open("rb") as file:   # Given a path, torch.load would rely on the suffix.
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as err:   # torch.load raises exceptions of many types for a damaged file.
        # The restricted unpickler rejects valid pickles with the same exception that it raises for damaged ones.
        if isinstance(err, pickle.UnpicklingError) and _is_valid_pickle(path):
            raise InputError(path, "rejected, because it contains Python objects besides tensors, which could run code "
                             "when loaded", "ask its author for a plain state dict or a .safetensors file") from err
        raise InputError(path, f"not a readable {kind} ({type(err).__name__})", AGAIN) from err


def describe_other_file(path: Path, head: bytes) -> tuple[str, str]:
    """Recognize files that are passed as checkpoints by mistake.

    Args:
        path: the file.
        head: its first bytes.

    Returns:
        A description such as `an HTML page`, and what to do; empty texts if the file may be a checkpoint.
    """
    if not head:
        return "empty", AGAIN
    if head.startswith(GIT_LFS):
        return "a Git LFS pointer", "run `git lfs pull` in its repository, or download the file itself"
    if head.startswith(b"PK"):
        return _describe_zip(path)
    for start, kind in SIGNATURES:
        if head.startswith(start):
            return kind, "extract it first" if "archive" in kind else "specify a .pth or .safetensors file"
    for offset, start, kind in MEDIA:
        if head[offset:].startswith(start):
            return kind, "specify a .pth or .safetensors file"
    if _is_text(head):
        if head.lstrip().lower().startswith((b"<!doctype html", b"<html", b"<head", b"<?xml")):
            return "an HTML page", "the download failed, e.g. because it needs a login; download the file again"
        return "a text file", "specify a .pth or .safetensors file"
    return "", ""


def _describe_zip(path: Path) -> tuple[str, str]:
    """Recognize zip archives that `torch.save` has not written."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return "an incomplete file", AGAIN   # The directory of a zip archive is at its end.
    if any(name.endswith("/code/") or "/code/__torch__" in name for name in names):
        return "a TorchScript program", "ask its author for a plain state dict or a .safetensors file"
    if any(name.endswith("data.pkl") for name in names):
        return "", ""
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz), e.g. of features", "specify a .pth or .safetensors file"
    return "a zip archive", "extract it first"


def _is_text(head: bytes) -> bool:
    """Return True if the bytes are the start of a text file in any encoding; pickles begin with the byte 0x80."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):   # The byte order marks of UTF-16.
        return True
    return not head.startswith(b"\x80") and not set(head) & CONTROL_BYTES


def is_safetensors(head: bytes) -> bool:
    """Return True if the bytes are the start of a safetensors file: the length of the header, then JSON."""
    return head[8:10] == b'{"' and head[4:8] == bytes(4)


def _read_safetensors(path: Path, kind: str) -> dict:
    # Only .safetensors files need this library.
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as err:   # safetensors raises its own exception as well as OSErrors.
        raise InputError(path, f"not a readable {kind} ({type(err).__name__})", AGAIN) from err


def _example_in(folder: Path) -> str:
    names = ("best.pth", "last.pth", "model.safetensors", "pytorch_model.bin")
    return next((f", e.g. {folder / name}" for name in names if (folder / name).is_file()), "")


def _is_valid_pickle(path: Path) -> bool:
    """Return True if the file, or the pickle inside a torch.save archive, can be disassembled; nothing is executed."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
                _disassemble(io.BytesIO(archive.read(name)))
        else:   # The format before torch 1.6 is a sequence of pickles; the first one is sufficient.
            with path.open("rb") as file:
                if file.read(1) != b"\x80":   # Without this check, some other files are valid pickles by accident.
                    return False
                file.seek(0)
                _disassemble(file)
    except (ValueError, LookupError, StopIteration, OSError, zipfile.BadZipFile):
        return False
    return True


def _disassemble(file: BinaryIO) -> None:
    """Read one pickle, opcode by opcode; raise ValueError or LookupError if it is invalid."""
    for _ in pickletools.genops(file):
        pass
