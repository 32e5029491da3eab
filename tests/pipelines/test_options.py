from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest

from common.errors import InputError
from pipelines.options import (
    ShortsOptions,
    budget_share,
    check_budget,
    check_min_budget,
    check_mode,
    parse_budget,
    parse_shorts,
)


@pytest.mark.parametrize("budget", [0, -0.1, 1.01, 15, float("nan"), float("inf"), "15", "0", "-1", "150%", "nan", None])
def test_refuses_a_budget_that_is_no_share(budget):
    with pytest.raises(InputError, match="is not a share"):
        check_budget(budget)


@pytest.mark.parametrize("budget", ["", " ", "a lot", "1m30", "60 s", "s", "1:30", "%", "-60s", "30s1m"])
def test_refuses_a_text_that_is_no_budget(budget):
    with pytest.raises(InputError, match="is neither a share nor a time"):
        parse_budget(budget)


@pytest.mark.parametrize("budget", ["0s", "0h0m0s", timedelta(0), timedelta(seconds=-1)])
def test_refuses_no_time(budget):
    with pytest.raises(InputError, match="is not a positive time"):
        check_budget(budget)


def test_takes_numbers_of_other_kinds_as_a_budget():
    assert [check_budget(b) for b in (1, np.float32(0.5), Fraction(1, 4))] == [1, 0.5, 0.25]


@pytest.mark.parametrize("text, share", [
    ("0.15", Fraction(15, 100)), ("15%", Fraction(15, 100)), ("1", Fraction(1)), ("60s", Fraction(1, 5)),
    ("1m30s", Fraction(3, 10)), ("1m", Fraction(1, 5)), ("2min", Fraction(2, 5)), ("0.5m", Fraction(1, 10)),
    ("7.5S", Fraction(1, 40)), ("1h", Fraction(1)), ("1h0m3s", Fraction(1)), ("300s", Fraction(1)),
])
def test_a_budget_is_a_share_of_five_minutes(text, share):
    assert budget_share(text, Fraction(300)) == share


def test_a_time_is_exact():
    assert budget_share("10s", Fraction(1001, 30)) == Fraction(300, 1001)


@pytest.mark.parametrize("budget, message", [
    ("0.5s", "budget 0.5 s is shorter than one clip (2 s); use at least 2s"),
    ("1.999s", "budget 1.999 s is shorter than one clip (2 s); use at least 2s"),
    (timedelta(seconds=1), "budget 1 s is shorter than one clip (2 s); use at least 2s"),
    ("2s", ""), ("1m", ""), ("0.1%", ""), (0.001, "")])
def test_a_time_must_not_be_shorter_than_a_clip(budget, message):
    if not message:
        check_min_budget(budget, 2, Fraction(60))
        return
    with pytest.raises(InputError) as err:
        check_min_budget(budget, 2, Fraction(60))
    assert str(err.value) == message


def test_a_short_video_has_a_shorter_minimum():
    check_min_budget("0.7s", 2, Fraction(7, 10))
    with pytest.raises(InputError, match=r"budget 0.6 s is shorter than one clip \(0.7 s\); use at least 0.7s"):
        check_min_budget("0.6s", 2, Fraction(7, 10))


def test_modes():
    assert [check_mode(m) for m in ("summary", "moments", "shorts")] == ["summary", "moments", "shorts"]
    with pytest.raises(InputError, match="mode 'short' does not exist; choose summary, moments or shorts"):
        check_mode("short")


def test_shorts():
    assert parse_shorts(2, "15-60") == parse_shorts(2, " 15s - 60s ") == ShortsOptions(2, Fraction(15), Fraction(60))
    assert parse_shorts(1, "1.5-9").min_length_s == Fraction(3, 2)


@pytest.mark.parametrize("count, length, message", [
    (0, "15-60", "0 shorts are too few"), (3, "15", "not a range of seconds"), (3, "a-b", "not a range"),
    (3, "60-15", "at least 4 s above it"), (3, "15-18", "at least 4 s above it"), (3, "0-60", "above 0 s"),
    (3, "-5-60", "not a range"),
])
def test_invalid_shorts(count, length, message):
    with pytest.raises(InputError, match=message):
        parse_shorts(count, length)
