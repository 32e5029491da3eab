"""Errors carry a path, a problem and a hint, and render them as one line."""

from pathlib import Path

import pytest

from common.errors import ConfigError, InputError


@pytest.mark.parametrize("error, message", [
    pytest.param(InputError("a.mp4", "is empty", "copy it again"), "a.mp4: is empty; copy it again", id="all"),
    pytest.param(InputError(Path("a.mp4"), "is empty"), "a.mp4: is empty", id="no_hint"),
    pytest.param(InputError(None, "--budget is 2", "use at most 1"), "--budget is 2; use at most 1", id="no_path"),
    pytest.param(ConfigError("model.video_enc", "no 'type'"), "model.video_enc: no 'type'", id="config"),
])
def test_an_error_renders_as_one_line(error, message):
    assert str(error) == message


def test_a_caller_can_replace_the_path_but_not_add_one():
    assert InputError("/tmp/x9.mp4", "is empty").render(path="holiday.mp4") == "holiday.mp4: is empty"
    assert InputError(None, "is empty").render(path="holiday.mp4") == "is empty"


def test_a_config_error_has_a_location():
    assert ConfigError("model", "no 'type'").location == "model"
    assert ConfigError(None, "no 'type'").location is None
