"""Tests of `Summarizer.__call__`, which has the interface of ModelScope's pipeline."""

import pytest

from common.errors import InputError
from pipelines.features.encode import encode_video
from pipelines.summarizer import Summarizer

from .fakes import color_encoders, write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return a video of 8 s that is red in its first half and blue in its second."""
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", ["red"] * 4 + ["blue"] * 4)
    return encode_video(path, color_encoders(), progress=False)


def test_the_output_has_the_frames_and_times_of_the_queries(tmp_path):
    """The video has 100 s at 10 frames per second. Red and blue take 14 s; the default budget is 15 s."""
    colors = ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12 + ["blue"] * 6 + ["grey"] * 54
    path = write_video(tmp_path / "v.mp4", colors)
    summarizer = Summarizer(color_encoders())
    expected = {"output": [{"frame": [200, 279], "timestamps": ["00:00:20.000", "00:00:28.000"]},
                           {"frame": [400, 459], "timestamps": ["00:00:40.000", "00:00:46.000"]}]}
    assert summarizer((str(path), ["red", "blue"])) == expected
    assert summarizer((path, ["blue", "red"])) == expected
    # With a single query, the rest of the budget extends the piece.
    (red,), (blue,) = (summarizer((path, text))["output"] for text in ("red", "blue"))
    assert red["frame"][0] <= 200
    assert red["frame"][1] >= 279
    assert blue["frame"][0] <= 400
    assert blue["frame"][1] >= 459
    assert max(last - first + 1 for first, last in (red["frame"], blue["frame"])) <= 150


def test_the_output_is_the_summary_of_the_result(video):
    summarizer = Summarizer(color_encoders())
    found = summarizer((str(video.info.path), ["blue"]))
    assert list(found) == ["output"]
    assert found["output"] == summarizer.summarize(video, ["blue"]).to_json()["summary"]
    first, last = found["output"][0]["frame"]
    assert 40 <= first <= last < 80
    assert found["output"][0]["timestamps"][0].startswith("00:00:0")
    assert summarizer((video.info.path, "blue")) == found


@pytest.mark.parametrize("texts", [None, [], "", [""]])
def test_an_empty_string_is_no_query(video, texts):
    summarizer = Summarizer(color_encoders())
    assert summarizer((video.info.path, texts))["output"] == summarizer.summarize(video).to_json()["summary"]


def test_an_input_that_is_not_a_pair_is_an_error():
    with pytest.raises(InputError, match="pass .path of the video, queries."):
        Summarizer(color_encoders())("v.mp4")


@pytest.mark.parametrize("inputs", [
    pytest.param(("v.mp4", 5), id="number_as_query"),
    pytest.param((3, ["x"]), id="number_as_path"),
    pytest.param(("v.mp4", ["blue", 5]), id="number_among_queries"),
    pytest.param((None, None), id="no_path"),
    pytest.param(("v.mp4", {"blue": 1}), id="dict_as_queries"),
])
def test_inputs_of_other_types_are_errors(inputs):
    with pytest.raises(InputError, match="pass the path of a video, and a query, a list of queries or None"):
        Summarizer(color_encoders())(inputs)
