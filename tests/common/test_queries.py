import pytest

from common.errors import InputError
from common.queries import check_queries


@pytest.mark.parametrize("texts, number", [([""], 1), (["a", " \n\t"], 2), ([None], 1), ([3], 1), ("", 1)])
def test_refuses_an_empty_sentence(texts, number):
    with pytest.raises(InputError, match=f"sentence {number} is empty"):
        check_queries(texts)


def test_refuses_what_no_file_can_hold():
    with pytest.raises(InputError, match="not valid UTF-8"):
        check_queries(["caf\udce9"])


def test_takes_sentences_in_any_script_and_a_single_one():
    assert check_queries(["  a dog\n", "某人在走路", "x" * 10_000]) == ("a dog", "某人在走路", "x" * 10_000)
    assert check_queries("a dog") == ("a dog",)
    assert check_queries([]) == ()
