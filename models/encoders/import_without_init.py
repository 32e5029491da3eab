"""Import one module of a package without running the `__init__` of the package."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType

from common.errors import InputError


def import_without_init(package: str, module: str, pip_name: str) -> ModuleType:
    """Import `package.module` without running `package/__init__.py`.

    `panns_inference` downloads a table with wget when it is imported, and `clip` needs `pkg_resources`, which only old
    versions of setuptools have. Their modules with the networks need neither. The module is imported under another
    package name, so a later `import package` is not affected.

    Args:
        package: a top-level package.
        module: a module in it.
        pip_name: the name under which pip installs the package, for the error.

    Raises:
        InputError: the package is not installed.
    """
    alias = f"_without_init_{package}"
    if alias not in sys.modules:
        spec = importlib.util.find_spec(package)   # For a top-level package, this runs no code of the package.
        if spec is None or not spec.submodule_search_locations:
            raise InputError(None, f"the package {pip_name} is not installed", "pip install -r requirements.txt")
        stand_in = ModuleType(alias)
        stand_in.__path__ = list(spec.submodule_search_locations)
        sys.modules[alias] = stand_in
    return importlib.import_module(f"{alias}.{module}")
