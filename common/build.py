"""Build registered components from configs, and reject invalid configs.

nncore's own `build` returns None for an unknown type instead.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:   # nncore imports torch, which commands without models do not need.
    from nncore import Registry


def suggest(name: str, known: Iterable[object]) -> str:
    """Return a hint for a misspelled name.

    Returns:
        `did you mean 'x'?` with the most similar known name, or `known: a, b, c` if none is similar.
    """
    names = sorted(map(str, known))
    similar = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {similar[0]!r}?" if similar else f"known: {', '.join(names)}"


def suggest_value(value: object, choices: Iterable[str]) -> str:
    """Return a hint for an invalid value of an option: all choices, and the most similar one if there is any."""
    *others, last = choices
    similar = difflib.get_close_matches(str(value).lower(), [*others, last], n=1)
    listed = f"choose {', '.join(others)} or {last}" if others else f"choose {last}"
    return f"{listed}; did you mean {similar[0]!r}?" if similar else listed


def check_component(cfg: dict, registry: Registry, location: str, *args: object) -> None:
    """Check that `cfg["type"]` is registered and that its class accepts all other keys.

    Args:
        cfg: config of the component.
        registry: nncore registry that must contain the type.
        location: path of the component within the config, e.g. `model.video_enc`, for the error message.
        args: positional arguments that `build` will pass to the class.

    Raises:
        ConfigError: `type` is missing or unknown, a key is unknown, or an argument is missing.
    """
    if "type" not in cfg:
        raise ConfigError(location, "no 'type'", f"known: {', '.join(sorted(registry.keys()))}")
    name = cfg["type"]
    if name not in registry:
        raise ConfigError(location, f"no {registry.name} is called {name!r}", suggest(name, registry.keys()))
    keys = {k: v for k, v in cfg.items() if k != "type"}
    signature = inspect.signature(registry.get(name))
    accepts_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for key in keys:
        if key not in signature.parameters and not accepts_any:
            raise ConfigError(location, f"{name} has no argument {key!r}", suggest(key, signature.parameters))
    try:
        signature.bind(*args, **keys)
    except TypeError as err:
        raise ConfigError(location, f"{name}: {err}", "set every argument that has no default") from err


def build(cfg: dict | None, registry: Registry, *args: object, location: str = "config"):
    """Build the component `cfg["type"]` from the registry; return None if `cfg` is None.

    Raises:
        ConfigError: the config is invalid, see `check_component`.
    """
    if cfg is None:
        return None
    check_component(cfg, registry, location, *args)
    return registry.build(cfg, args=args)
