"""Several files that appear in a folder together, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from common.errors import InputError
from common.files import make_folder
from common.locks import locked

PREFIX = ".unfinished-"


@contextmanager
def atomic_output_dir(folder: str | os.PathLike, names: Iterable[str],
          inputs: Iterable[str | os.PathLike] = (), outdated: Iterable[str] = ()) -> Iterator[Path]:
    """Gives a temporary folder inside `folder`; the named files move up if the block ends well.

    If it does not, `folder` is as it was before; missing folders that were made for it are removed. What a
    killed process has left of this kind goes, too; what belongs to a running one stays.

    Args:
        folder: where the files are to appear; made with its parents if missing.
        names: files that the block may write; those of an earlier run are replaced at the end.
        inputs: files that must not be replaced or removed, whatever they are called.
        outdated: files of an earlier run, which are removed at the end unless the block wrote them.

    Raises:
        InputError: the folder cannot be made or written, a folder stands where a file belongs, or a
            file would replace an input. All before the block begins.
    """
    folder, names, outdated = Path(folder), tuple(names), tuple(outdated)
    _check(folder, (*names, *outdated), inputs)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        make_folder(folder)
        with _temporary(folder) as temporary:
            try:
                yield Path(temporary)
            except InputError as err:   # named as the user knows them
                raise InputError(str(err).replace(temporary, str(folder))) from err
            written = [name for name in names if (Path(temporary) / name).exists()]
            for name in written:
                (Path(temporary) / name).replace(folder / name)
            for name in set(outdated) - set(written):
                (folder / name).unlink(missing_ok=True)
    except BaseException:
        for path in missing:   # innermost first
            with suppress(OSError):
                path.rmdir()   # removes empty folders only
        raise


@contextmanager
def _temporary(folder: Path) -> Iterator[str]:
    """A folder in `folder`, locked as long as its process lives, where the system can lock."""
    with ExitStack() as stack:
        with locked(folder):   # between its making and its lock, nobody is to take it for a dead one's
            for left in folder.glob(PREFIX + "*"):
                with locked(left, wait=False) as free:
                    if free:
                        shutil.rmtree(left, ignore_errors=True)
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder))
            stack.enter_context(locked(temporary, wait=False))
        yield temporary


def _check(folder: Path, names: tuple[str, ...], inputs: Iterable[str | os.PathLike]) -> None:
    kept = [Path(path) for path in inputs]
    for name in names:
        target = folder / name
        try:
            if target.is_dir():
                raise InputError(f"{target}: a folder, where a file is to be written; name another folder")
            for path in kept:
                if target.exists() and path.exists() and target.samefile(path):
                    raise InputError(f"{target}: would replace the input {path}; name another folder")
        except OSError as err:
            raise InputError(f"{folder}: cannot write here ({err.strerror}); name another folder") from err
