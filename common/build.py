"""Building registered types strictly: nncore builds None from an unknown name."""

from __future__ import annotations

import difflib
import inspect

from .errors import InputError


def suggest(name: str, known) -> str:
    """`did you mean 'x'?` with the closest of the known names, or all of them when none is close."""
    known = sorted(map(str, known))
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def check_component(cfg: dict, registry, where: str, *args) -> None:
    """Checks that `cfg["type"]` is registered and that its class takes every other key.

    Args:
        where: the place in the config, for the message, e.g. `model.video_enc`.
        args: positional arguments that `build` will pass.

    Raises:
        InputError: no or an unknown `type`, an unknown key, a missing argument.
    """
    if "type" not in cfg:
        raise InputError(f"{where}: no 'type'; known: {', '.join(sorted(registry.keys()))}")
    name = cfg["type"]
    if name not in registry:
        raise InputError(f"{where}: no {registry.name} is called {name!r}; {suggest(name, registry.keys())}")
    keys = {k: v for k, v in cfg.items() if k != "type"}
    parameters = inspect.signature(registry.get(name)).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in keys:
        if key not in parameters and not takes_any:
            raise InputError(f"{where}: {name} has no argument {key!r}; {suggest(key, parameters)}")
    try:
        inspect.signature(registry.get(name)).bind(*args, **keys)
    except TypeError as err:
        raise InputError(f"{where}: {name}: {err}") from err


def build(cfg: dict | None, registry, *args, location: str = "config"):
    """Builds `cfg["type"]` from the registry; None stays None, an unknown name is an InputError."""
    if cfg is None:
        return None
    check_component(cfg, registry, location, *args)
    return registry.build(cfg, args=args)
