"""The report in a real browser: playback, layout, print, and no network requests."""

from fractions import Fraction

import pytest

from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export
from pipelines.export.writer import write_export
from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.options import ShortsOptions
from pipelines.summarizer import Summarizer
from tests.chromium import NEEDS_CHROMIUM
from tests.pipelines.fakes import color_encoders, write_video

pytestmark = NEEDS_CHROMIUM
SECONDS = ["grey"] * 10 + ["red"] * 8 + ["grey"] * 12 + ["blue"] * 6 + ["grey"] * 14
CUES = [Cue(3, 5, "not in the summary"), Cue(11, 13, "it is <red> & hot"), Cue(31, 34, "and blue")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Write a folder with an export in mode `moments` and one in mode `shorts`."""
    folder = tmp_path_factory.mktemp("pages #1")
    summarizer = Summarizer(color_encoders())
    video = encode_video(write_video(folder / "a film.mp4", SECONDS), color_encoders(), progress=False)
    for mode in ("moments", "shorts"):
        (folder / mode).mkdir()
        shorts = ShortsOptions(2, Fraction(6), Fraction(12))
        summary = summarizer.summarize(video, ["red", "blue"], 0.5, CUES, mode, shorts)
        plan = plan_export(summary, ExportOptions(edit_lists=("csv",)))
        write_export(summary, plan, folder / mode)
    return folder


@pytest.fixture
def visit(new_page, pages):
    def visit(mode, **options):
        page = new_page(**options)
        page.on("console", lambda message: page.page_errors.append(message.text) if message.type == "error" else None)
        page.goto((pages / mode / "report.html").as_uri())
        page.wait_for_function("document.getElementById('player').readyState >= 1")
        return page

    return visit


def time_of(page) -> float:
    page.wait_for_function("!document.getElementById('player').seeking")
    page.evaluate("document.getElementById('player').pause()")
    return page.evaluate("document.getElementById('player').currentTime")


def file_of(page) -> str:
    return page.evaluate("document.getElementById('player').currentSrc").split("/")[-1].split("#")[0]


def test_clicks_play_the_place(visit):
    page = visit("moments")
    assert page.evaluate("document.getElementById('player').duration") == pytest.approx(12, abs=0.1)   # 10-18, 30-34 s
    page.click(".moments button >> nth=1")          # The cut contains both moments completely.
    second = 8.0 if "0:30" in page.inner_text(".moments button >> nth=1") else 0.0
    assert second <= time_of(page) < second + 1
    page.click(".kept-list button >> nth=1")
    assert 8 <= time_of(page) < 9
    page.click(".lines .in button >> nth=1")        # This line starts at 31 s, which is 9 s in the cut.
    assert 9 <= time_of(page) < 10
    page.click(".lines .in button >> nth=0")
    assert 1 <= time_of(page) < 2
    assert page.page_errors == []


def test_the_chart_reacts_to_pointer_clicks_and_keys(visit):
    page = visit("moments", viewport=dict(width=1200, height=1600))
    box = page.locator("#time").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 12.5 / 50, box["y"] + 40)
    assert page.inner_text("#peek-text").startswith("0:12 · score ")
    assert "in the summary" in page.inner_text("#peek-text")
    page.mouse.click(box["x"] + box["width"] * 12.5 / 50, box["y"] + 40)
    assert 2.4 <= time_of(page) < 3.5
    # This time is not kept, so nothing happens.
    page.mouse.click(box["x"] + box["width"] * 5 / 50, box["y"] + 40)
    assert 2.4 <= time_of(page) < 3.5
    page.focus("#time")
    page.keyboard.press("Home")
    for _ in range(16):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute("#time", "aria-valuenow") == "32.0"
    page.keyboard.press("Enter")
    assert 10 <= time_of(page) < 11


def test_subtitles_are_shown_with_the_summary_video(visit):
    page = visit("moments")
    track = page.evaluate("""() => { const t = document.getElementById('player').textTracks[0];
        return [t.mode, Array.from(t.cues).map(c => [c.startTime, c.endTime, c.getCueAsHTML().textContent])] }""")
    assert track == ["showing", [[1, 3, "it is <red> & hot"], [9, 12, "and blue"]]]
    page.click(".lines .in button >> nth=0")
    page.wait_for_selector(".lines .now")
    assert "it is <red> & hot" in page.inner_text(".lines .now")


def test_shorts_switch_the_file(visit):
    page = visit("shorts")
    assert file_of(page) == "short-1.mp4"
    page.click(".kept-list button >> nth=1")
    page.wait_for_function("document.getElementById('player').currentSrc.endsWith('short-2.mp4')")
    page.wait_for_function("document.getElementById('player').readyState >= 2")
    assert time_of(page) < 1.5
    # The playhead follows the player.
    page.wait_for_function("parseFloat(document.getElementById('playhead').style.left) > 0")
    needle = page.evaluate("parseFloat(document.getElementById('playhead').style.left)")
    start = 50 * needle / 100
    assert 9.9 <= start < 19 or 29.9 <= start < 37
    page.click(".kept-list button >> nth=0")
    page.wait_for_function("document.getElementById('player').currentSrc.endsWith('short-1.mp4')")
    assert page.page_errors == []


@pytest.mark.parametrize("width", [320, 390, 760, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_every_width_in_light_and_dark(visit, width, scheme):
    page = visit("moments", viewport=dict(width=width, height=800), color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    colors = [page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")]
    brightness = [sum(map(int, color[4:-1].split(","))) for color in colors]
    assert (brightness[0] > 600 > 200 > brightness[1]) == (scheme == "light")
    assert (brightness[0] < 200 < 600 < brightness[1]) == (scheme == "dark")


def test_prints_only_kept_lines_and_no_player(visit):
    page = visit("moments", color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.is_visible("#player")
    assert page.is_visible(".moments img >> nth=0")
    assert page.locator(".lines .in >> visible=true").count() == 2
    assert page.locator(".lines .out >> visible=true").count() == 0
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf()[:4] == b"%PDF"


def test_sends_no_network_requests(visit, pages):
    page = visit("moments")
    page.click(".moments button >> nth=0")
    page.wait_for_timeout(300)
    others = {url for url in page.requested_urls if not url.startswith("data:")}
    expected = {(pages / "moments" / name).as_uri() for name in ("report.html", "summary.mp4")}
    assert {url.split("#t=")[0] for url in others} == expected
    assert page.page_errors == []
