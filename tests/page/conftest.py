"""A page whose models know colors only, so that the expected results are known exactly. It listens on loopback only."""

import io
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from page.example import Example
from page.launch import running
from page.limits import Limits
from page.model_catalog import CatalogEntry, ModelCatalog
from page.service import Service
from pipelines.media.subtitles import Cue
from tests.pipelines.fakes import color_encoders, write_video

from .fake_models import endless_encoders, make_summarizer
from .slow_encoder import slow_encoders

COLOR_BY_SECOND = ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12   # Red from 20 s to 28 s.
LIMITS = Limits(max_upload_bytes=2_000_000, max_subtitle_bytes=1000, max_video_s=60, min_free_bytes=0)


def color_models(hold_file: Path) -> list[CatalogEntry]:
    """Return four models; "slow" waits as long as `hold_file` exists, and "colors" never answers the query "endless"."""
    def entry(key, make_encoders, answering_encoders=None, **options):
        return CatalogEntry(key, f"The <b>{key}</b> model", "Knows colors.", "Evaluated by hand.", key, make_encoders,
                            partial(make_summarizer, answering_encoders or make_encoders), **options)
    return [entry("colors", color_encoders, endless_encoders), entry("no_text", color_encoders, accepts_text=False),
            entry("slow", partial(slow_encoders, hold_file)),
            entry("missing", color_encoders, problem="its weights are missing")]


@pytest.fixture(scope="session")
def red_video(tmp_path_factory):
    """Write a video of 40 s that is red from 20 s to 28 s and has a tone at 21 s."""
    return write_video(tmp_path_factory.mktemp("video") / "a video.mp4", COLOR_BY_SECOND, loud_s=[21])


@pytest.fixture(scope="session")
def offset_video(tmp_path_factory):
    """Write a video that is red from 20.5 s to 28 s, so that red starts inside a clip of two seconds."""
    return write_video(tmp_path_factory.mktemp("video") / "offset.mp4", ["grey"] * 41 + ["red"] * 15 + ["grey"] * 24,
                       per_s=2)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory, red_video):
    """Create a folder of videos that every user may open; the name of its one video contains HTML."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "a <i>tall one.mp4").write_bytes(red_video.read_bytes())
    return folder


@pytest.fixture(scope="module")
def hold_file(tmp_path_factory):
    """Return the path of a file whose existence makes the slow model wait."""
    return tmp_path_factory.mktemp("hold") / "hold"


@pytest.fixture(scope="module")
def service(tmp_path_factory, shared_folder, red_video, hold_file):
    poster = io.BytesIO()
    Image.new("RGB", (32, 18), "red").save(poster, "JPEG")
    example = Example(red_video, "the example video.mp4", (Cue(21, 23, "all is red"),), ("red",), poster.getvalue(),
                      40.0)
    service = Service(ModelCatalog(color_models(hold_file)), LIMITS, shared_folder, example,
                      tmp_path_factory.mktemp("root"))
    service.prepare()
    yield service
    service.close()


@pytest.fixture(scope="module")
def url(service):
    with running(service) as url:
        yield url


@pytest.fixture
def open_page(new_page, url):
    """Return a function that opens the page as a new user."""
    def open_page(script="", **options):
        page = new_page(script, **options)
        page.set_default_timeout(60_000)
        page.goto(url)
        page.wait_for_selector(".dropzone")
        return page

    return open_page
