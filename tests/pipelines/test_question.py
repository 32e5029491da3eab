from fractions import Fraction

import numpy as np
import pytest

from common.errors import InputError
from pipelines.question import check_budget


@pytest.mark.parametrize("budget", [0, -0.1, 1.01, 15, float("nan"), float("inf"), "0.1", None])
def test_refuses_a_budget_that_is_no_share(budget):
    with pytest.raises(InputError, match="is not a share"):
        check_budget(budget)


def test_takes_numbers_of_other_kinds_as_a_budget():
    assert [check_budget(b) for b in (1, np.float32(0.5), Fraction(1, 4))] == [1, 0.5, 0.25]
