"""Checks of what is asked; quick, so that a mistake shows before anything heavy is loaded."""

from __future__ import annotations

import math
from numbers import Real

from common.errors import InputError


def check_budget(budget: float) -> float:
    """Returns the budget, a share of the video.

    Raises:
        InputError: not a number in (0, 1].
    """
    if not isinstance(budget, Real) or not math.isfinite(budget) or not 0 < budget <= 1:
        raise InputError(f"budget {budget} is not a share of the video; give more than 0 and at most 1, "
                         "e.g. 0.15")
    return float(budget)
