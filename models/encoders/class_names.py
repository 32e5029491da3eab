"""The class names of ImageNet, in which visual encoders describe clips."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from pathlib import Path


def class_names() -> list[str]:
    """Return the 1000 class names of ImageNet that torchvision contains.

    They are read from a private file of constants, because importing torchvision takes seconds. If this version of
    torchvision has no such file, its public interface is used.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return published_class_names()
    try:
        constants = runpy.run_path(str(Path(spec.origin).parent / "models" / "_meta.py"))
        return list(constants["_IMAGENET_CATEGORIES"])
    except (OSError, KeyError):
        return published_class_names()


def published_class_names() -> list[str]:
    """Return the same class names from torchvision's public interface."""
    # torchvision takes seconds to import.
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
