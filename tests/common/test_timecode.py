"""Formatting and parsing of times and durations."""

from datetime import timedelta
from fractions import Fraction

import pytest

from common.timecode import format_clock, format_timestamp, parse_duration, parse_timestamp


@pytest.mark.parametrize(("time_s", "text"), [
    pytest.param(0, "0:00", id="zero"),
    pytest.param(65.99, "1:05", id="rounded-down"),
    pytest.param(Fraction(3599), "59:59", id="below-an-hour"),
    pytest.param(3600, "1:00:00", id="an-hour"),
    pytest.param(36061, "10:01:01", id="ten-hours")])
def test_clock(time_s, text):
    assert format_clock(time_s) == text


def test_timestamp_is_rounded_to_the_millisecond():
    assert format_timestamp(Fraction(37230679, 10000)) == "01:02:03.068"
    assert format_timestamp(59.9996) == "00:01:00.000"
    assert format_timestamp(0) == "00:00:00.000"
    assert format_timestamp(Fraction(1, 3)) == "00:00:00.333"
    assert format_timestamp(3725.5) == "01:02:05.500"
    assert format_timestamp(360000) == "100:00:00.000"


def test_timestamp_with_a_decimal_comma():
    assert format_timestamp(2.5, ",") == "00:00:02,500"


@pytest.mark.parametrize(("text", "time_s"), [
    pytest.param("01:02:03,067", 3723.067, id="comma"),
    pytest.param("02:03.5", 123.5, id="no-hours")])
def test_parsed_timestamp(text, time_s):
    assert parse_timestamp(text) == time_s


@pytest.mark.parametrize(("text", "duration"), [
    pytest.param("60s", timedelta(seconds=60), id="seconds"),
    pytest.param(" 1m30s ", timedelta(seconds=90), id="minutes-and-seconds"),
    pytest.param("1.5H", timedelta(minutes=90), id="hours"),
    pytest.param("2min", timedelta(minutes=2), id="min"),
    pytest.param("60", None, id="no-unit"),
    pytest.param("", None, id="empty")])
def test_parsed_duration(text, duration):
    assert parse_duration(text) == duration
