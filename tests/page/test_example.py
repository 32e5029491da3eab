import io

import numpy as np
import pytest
from PIL import Image

from page.example import load_example
from sample_set.example import render_example


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return render_example(tmp_path_factory.mktemp("example"))


@pytest.mark.slow
def test_the_rendered_example_is_loaded(files):
    example = load_example(files.video, files.subtitles, files.queries, files.poster_s)
    assert example.path == files.video
    assert example.duration_s == 60
    assert example.queries == ("a cat", "a rocket on the launch pad")
    assert example.cues[0].text == "This one is still hot."
    poster = np.asarray(Image.open(io.BytesIO(example.poster)), dtype=float)
    assert poster.std() > 10   # The poster shows something.
    assert (poster.max(axis=2) - poster.min(axis=2)).mean() > 20   # It is colorful.


@pytest.mark.slow
def test_an_example_may_have_no_subtitles(files):
    assert load_example(files.video, None, files.queries, files.poster_s).cues == ()


@pytest.mark.slow
def test_every_rendering_is_the_same(files, tmp_path):
    again = render_example(tmp_path)
    assert again.video.read_bytes() == files.video.read_bytes()
    assert again.subtitles.read_text() == files.subtitles.read_text()
