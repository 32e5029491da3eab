"""Parsing of YouTube Highlights' annotations."""

import json

import pytest

from common.errors import InputError
from datasets.annotations.youtube_highlights import read_youtube
from datasets.errors import LabelErrors


def test_invalid_labels_are_listed(tmp_path):
    for match in (3, [], ["x"], [True], None):
        (tmp_path / "l.json").write_text(json.dumps({"a": dict(match=match), "b": 3, "c": dict(match=[1])}))
        message = "l.json: video a: no 'match', a list of numbers\n  video b: no 'match'"
        with pytest.raises(LabelErrors, match=message) as err:
            read_youtube(tmp_path / "l.json")
        assert err.value.valid == {"c": [1]}
    (tmp_path / "l.json").write_text("{}")
    with pytest.raises(InputError, match="l.json: contains no videos"):
        read_youtube(tmp_path / "l.json")
