"""Importing one module of a package without running the package's own `__init__`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from common.errors import InputError


def import_without_init(package: str, module: str, pip_name: str) -> ModuleType:
    """`package.module`, without `package/__init__.py`.

    `panns_inference` downloads a table with wget when it is imported, `clip` needs the pkg_resources of
    old setuptools; the modules with the networks need neither. The package itself stays unimported:
    the module lives under another name.

    Raises:
        InputError: the package is not installed.
    """
    alias = f"_bare_{package}"
    if alias not in sys.modules:
        spec = importlib.util.find_spec(package)   # of a top-level package: runs nothing
        if spec is None or not spec.submodule_search_locations:
            raise InputError(f"the package {pip_name} is not installed; pip install -r requirements.txt")
        stand_in = ModuleType(alias)
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules[alias] = stand_in
    return importlib.import_module(f"{alias}.{module}")
