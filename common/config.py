"""Python-dict configs: `_base_` parts merged by nncore's rules."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from types import ModuleType

from nncore import CfgNode, Config

from .errors import InputError


def load_config(path: str | os.PathLike) -> Config:
    """Reads a Python config and the files that its `_base_` names, relative to itself.

    nncore's own reader imports configs under random names out of 65,536, so that two can meet in one
    process, and the second silently is the first; here every file is run by itself. Merging
    (`_delete_`, `_repeat_`, `_update_`, `_insert_`) is nncore's. Imported modules and names that
    begin with an underscore are left out.

    Raises:
        InputError: no such file, or an error in it, with its file and line.
    """
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"{path}: no such config; name a .py file, e.g. one under configs/")
    return Config(_load(path.resolve(), ()), filename=str(path))


def _load(path: Path, above: tuple[Path, ...]) -> CfgNode:
    if path in above:
        raise InputError(f"{path}: its _base_ leads back to itself; remove the circle")
    if not path.is_file():
        raise InputError(f"{above[-1]}: its _base_ names {path}, which does not exist")
    try:
        values = runpy.run_path(str(path))
    except SyntaxError as err:
        raise InputError(f"{path}, line {err.lineno}: {err.msg}") from err
    except Exception as err:
        line = err.__traceback__
        while line is not None and line.tb_next is not None:
            line = line.tb_next
        number = line.tb_lineno if line is not None else "?"
        raise InputError(f"{path}, line {number}: {type(err).__name__}: {err}") from err
    own = CfgNode({k: v for k, v in values.items() if not k.startswith("_") and not isinstance(v, ModuleType)})
    bases = values.get("_base_", [])
    if not bases:
        return own   # unmerged: its `_delete_` and the like speak to what it will be merged into
    node = CfgNode()
    for base in [bases] if isinstance(bases, str) else bases:
        node.merge_from(_load((path.parent / base).resolve(), (*above, path)))
    node.merge_from(own)
    return node
