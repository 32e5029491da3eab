"""A page whose models only know colours, so that what is found is known; it listens on loopback alone."""

import io
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from page.example import Example
from page.launch import running
from page.limits import Limits
from page.model_catalog import Catalogue, Model
from page.service import Service
from pipelines.media.subtitles import Cue
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video

from .slow_encoder import slow_encoders

SECONDS = ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12   # red from 20 to 28 s
LIMITS = Limits(upload_bytes=2_000_000, subtitle_bytes=1000, video_s=60, spare_bytes=0)


def colour_models(held: Path) -> list[Model]:
    """As long as the file `held` is there, the slow one waits."""
    def model(key, encoders, **keys):
        return Model(key, f"The <b>{key}</b> model", "Knows colours.", "Measured by hand.", key, encoders,
                     lambda: Summarizer(encoders()), **keys)
    slow = model("slow", partial(slow_encoders, held))
    return [model("colours", color_encoders), model("wordless", color_encoders, wordless=True), slow,
            model("missing", color_encoders, problem="it is not there.")]


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("film") / "a film.mp4", SECONDS, loud_s=[21])


@pytest.fixture(scope="session")
def odd_film(tmp_path_factory):
    """Red from 20.5 to 28 s; the clip of two seconds in which it begins looks red."""
    return write_video(tmp_path_factory.mktemp("film") / "odd.mp4", ["grey"] * 41 + ["red"] * 15 + ["grey"] * 24, per_s=2)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, film):
    """Videos that everybody may choose."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "a <i>tall one.mp4").write_bytes(film.read_bytes())
    return folder


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    return tmp_path_factory.mktemp("held") / "held"


@pytest.fixture(scope="module")
def service(tmp_path_factory, folder, film, held):
    poster = io.BytesIO()
    Image.new("RGB", (32, 18), "red").save(poster, "JPEG")
    example = Example(film, "the example video.mp4", (Cue(21, 23, "all is red"),), ("red",), poster.getvalue(), 40.0)
    service = Service(Catalogue(colour_models(held)), LIMITS, folder, example, tmp_path_factory.mktemp("root"))
    service.prepare()
    yield service
    service.close()


@pytest.fixture(scope="module")
def url(service):
    with running(service) as url:
        yield url


@pytest.fixture
def visit(new_page, url):
    def visit(script="", **options):
        page = new_page(script, **options)
        page.set_default_timeout(60_000)
        page.goto(url)
        page.wait_for_selector(".drop")
        return page

    return visit
