"""Queries are stripped, and invalid ones are rejected."""

import pytest

from common.errors import InputError
from common.queries import check_queries, check_texts


@pytest.mark.parametrize("queries, number", [
    pytest.param([""], 1, id="empty"),
    pytest.param(["a", " \n\t"], 2, id="whitespace"),
    pytest.param([None], 1, id="none"),
    pytest.param([3], 1, id="number"),
    pytest.param("", 1, id="single_empty_string"),
])
def test_an_empty_query_is_refused(queries, number):
    with pytest.raises(InputError, match=f"query {number} is empty"):
        check_queries(queries)


def test_a_query_that_cannot_be_encoded_is_refused():
    with pytest.raises(InputError, match="not valid UTF-8"):
        check_queries(["caf\udce9"])


def test_queries_in_any_script_are_stripped():
    assert check_queries(["  a dog\n", "某人在走路", "x" * 10_000]) == ("a dog", "某人在走路", "x" * 10_000)


def test_a_single_string_is_one_query():
    assert check_queries("a dog") == ("a dog",)


def test_no_query_is_valid():
    assert check_queries([]) == ()


def test_a_long_query_is_refused():
    with pytest.raises(InputError, match=r"query 2 has 10,001 characters, and the limit is 10,000 \('lo{39}'\.\.\.\); "
                                         "describe what to look for in a sentence"):
        check_queries(["a dog", "l" + "o" * 10_000])


def test_other_texts_have_no_limit():
    assert check_texts(["x" * 400_000]) == ("x" * 400_000,)
