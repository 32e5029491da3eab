from fractions import Fraction

import numpy as np
import pytest

from common.errors import InputError
from pipelines.question import check_budget, check_texts


@pytest.mark.parametrize("budget", [0, -0.1, 1.01, 15, float("nan"), float("inf"), "0.1", None])
def test_refuses_a_budget_that_is_no_share(budget):
    with pytest.raises(InputError, match="is not a share"):
        check_budget(budget)


def test_takes_numbers_of_other_kinds_as_a_budget():
    assert [check_budget(b) for b in (1, np.float32(0.5), Fraction(1, 4))] == [1, 0.5, 0.25]


@pytest.mark.parametrize("texts, number", [([""], 1), (["a", " \n\t"], 2), ([None], 1), ([3], 1), ("", 1)])
def test_refuses_an_empty_sentence(texts, number):
    with pytest.raises(InputError, match=f"sentence {number} is empty"):
        check_texts(texts)


def test_refuses_what_no_file_can_hold():
    with pytest.raises(InputError, match="not valid UTF-8"):
        check_texts(["caf\udce9"])


def test_takes_sentences_in_any_script_and_a_single_one():
    assert check_texts(["  a dog\n", "某人在走路", "x" * 10_000]) == ("a dog", "某人在走路", "x" * 10_000)
    assert check_texts("a dog") == ("a dog",)
    assert check_texts([]) == ()
