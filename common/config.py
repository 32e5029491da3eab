"""Load configs that are Python files, and merge their `_base_` files by nncore's rules."""

from __future__ import annotations

import difflib
import os
import runpy
from pathlib import Path
from types import ModuleType

from nncore import CfgNode, Config

from .errors import InputError


def load_config(path: str | os.PathLike) -> Config:
    """Load a Python config and the files listed in its `_base_`, whose paths are relative to the config.

    nncore merges the files and applies `_delete_`, `_repeat_`, `_update_` and `_insert_`. This function reads them,
    because nncore imports each config under one of 65,536 random module names: if two configs get the same name, the
    second silently becomes a copy of the first. Imported modules and names that begin with an underscore are omitted.

    Raises:
        InputError: a file does not exist, or an error occurs in it; then `InputError.path` includes the line number.
    """
    path = Path(path)
    if path.suffix != ".py" or not path.is_file():
        similar = difflib.get_close_matches(path.stem, [other.stem for other in path.parent.glob("*.py")], n=1)
        raise InputError(path, "no such config", f"did you mean {path.parent / similar[0]}.py?" if similar else
                         "specify a .py file, e.g. one under configs/")
    return Config(_load(path.resolve(), ()), filename=str(path))


def _load(path: Path, included_by: tuple[Path, ...]) -> CfgNode:
    if path in included_by:
        raise InputError(path, "its _base_ includes the file itself", "remove the cycle")
    if not path.is_file():
        raise InputError(included_by[-1], f"its _base_ lists {path}, which does not exist", "correct the path")
    try:
        variables = runpy.run_path(str(path))
    except SyntaxError as err:
        raise InputError(f"{path}, line {err.lineno}", str(err.msg)) from err
    except Exception as err:
        frame = err.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        line = frame.tb_lineno if frame is not None else "?"
        raise InputError(f"{path}, line {line}", f"{type(err).__name__}: {err}") from err
    own = CfgNode({k: v for k, v in variables.items() if not k.startswith("_") and not isinstance(v, ModuleType)})
    bases = variables.get("_base_", [])
    if not bases:
        return own   # Directives such as `_delete_` apply when this file is merged into another one.
    merged = CfgNode()
    for base in [bases] if isinstance(bases, str) else bases:
        merged.merge_from(_load((path.parent / base).resolve(), (*included_by, path)))
    merged.merge_from(own)
    return merged
