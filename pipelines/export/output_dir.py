"""An atomic output directory: several files that appear in a folder together, or not at all."""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from common.errors import InputError
from common.files import atomic_path, make_folder
from common.locks import locked

TEMPORARY_PREFIX = ".unfinished-"


@contextmanager
def atomic_output_dir(folder: str | os.PathLike, names: Iterable[str], inputs: Iterable[str | os.PathLike] = (),
                      outdated: Iterable[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`, and move its files to `folder` when the block succeeds.

    If the block fails, `folder` stays unchanged, and folders that were created for it are removed. An `InputError`
    about a temporary file names the path in `folder` instead. Temporary folders of killed processes are removed,
    those of running processes are kept.

    Args:
        folder: folder of the files; created with its parents if it does not exist.
        names: names of the files that the block may write; they replace existing files.
        inputs: paths of files that must not be replaced or removed, also under another name.
        outdated: names of existing files to remove at the end, unless the block has written them.

    Raises:
        InputError: the folder cannot be created or written, a folder has the name of a file, or a file would replace
            an input. All of these are raised before the block is entered.
    """
    folder, names, outdated = Path(folder), tuple(names), tuple(outdated)
    _check_targets(folder, (*names, *outdated), inputs)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder)
        with _temporary_folder(folder) as temporary:
            try:
                yield temporary
            except InputError as err:
                raise _error_in_target(err, temporary, folder) from err.__cause__
            except OSError as err:
                if err.filename is not None:
                    err.filename = os.fspath(_path_in_target(err.filename, temporary, folder))
                raise
            written = [name for name in names if (temporary / name).exists()]
            for name in written:
                (temporary / name).replace(folder / name)
            for name in set(outdated) - set(written):
                (folder / name).unlink(missing_ok=True)
    except BaseException:
        for path in missing:   # The innermost folder is first.
            with suppress(OSError):
                path.rmdir()   # This fails for a folder that is not empty, which is kept.
        raise


def check_link(target: Path, source: Path, inputs: Iterable[str | os.PathLike]) -> None:
    """Check that `link_file` may write to a path: that it does not exist, or is the result of an earlier call.

    Args:
        target: path of the file.
        source: path of the file that will be linked there.
        inputs: paths of files that must not be replaced.

    Raises:
        InputError: the path is an input, or a file that `link_file` has not written.
    """
    if not target.exists():
        return
    if any(Path(path).exists() and target.samefile(path) for path in inputs):
        raise InputError(target, "would replace an input", "choose another name for the output")
    is_earlier_link = source.is_file() and (
        target.samefile(source) or filecmp.cmp(target, source, shallow=False))
    if not is_earlier_link:
        raise InputError(target, f"exists, and is not a copy of {source} from an earlier run",
                         "remove it, or choose another name for the output")


def link_file(source: Path, target: Path) -> None:
    """Create a second name of a file atomically; on file systems without hard links, a copy."""
    with atomic_path(target) as temporary:
        temporary.unlink()
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def _error_in_target(err: InputError, temporary: Path, folder: Path) -> InputError:
    """Return the error with a path in `folder` instead of one in the temporary folder, which the user cannot know."""
    path = None if err.path is None else _path_in_target(err.path, temporary, folder)
    return err if path == err.path else type(err)(path, err.problem, err.hint)


def _path_in_target(path: str | os.PathLike, temporary: Path, folder: Path) -> str | os.PathLike:
    """Return the path in `folder` of a file in the temporary folder; any other path is returned unchanged.

    The path may be absolute although the folders are relative.
    """
    absolute = Path(path).absolute()
    is_inside = absolute.is_relative_to(temporary.absolute())
    return folder / absolute.relative_to(temporary.absolute()) if is_inside else path


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder in `folder`, which stays locked while the process lives, where the system has locks."""
    with ExitStack() as stack:
        # `folder` is locked until the new folder is, so that no other process takes the new one for a leftover.
        with locked(folder):
            for leftover in folder.glob(TEMPORARY_PREFIX + "*"):
                with locked(leftover, wait=False) as is_free:
                    if is_free:
                        shutil.rmtree(leftover, ignore_errors=True)
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder))
            stack.enter_context(locked(temporary, wait=False))
        yield Path(temporary)


def _check_targets(folder: Path, names: tuple[str, ...], inputs: Iterable[str | os.PathLike]) -> None:
    sources = [Path(path) for path in inputs]
    for name in names:
        target = folder / name
        try:
            if target.is_dir():
                raise InputError(target, "is a folder, but a file is written there", "choose another output folder")
            for source in sources:
                if target.exists() and source.exists() and target.samefile(source):
                    raise InputError(target, f"would replace the input {source}", "choose another output folder")
        except OSError as err:
            raise InputError(folder, f"cannot write to this folder ({err.strerror})",
                             "choose another output folder") from err
