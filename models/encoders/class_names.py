"""The vocabulary in which the visual encoders name what they see."""

from __future__ import annotations

import runpy
from importlib.util import find_spec
from pathlib import Path


def class_names() -> list[str]:
    """ImageNet's 1000 class names, as torchvision carries them.

    They are read from its file of constants, where this version has it: all of torchvision takes seconds to load.
    """
    try:
        constants = runpy.run_path(str(Path(find_spec("torchvision").origin).parent / "models" / "_meta.py"))
        return list(constants["_IMAGENET_CATEGORIES"])
    except (AttributeError, OSError, KeyError):   # no torchvision; or it has this private file elsewhere
        return published_class_names()


def published_class_names() -> list[str]:
    """The same by torchvision's public interface."""
    from torchvision.models import EfficientNet_B0_Weights

    return list(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
