"""Test the page in a real browser: what users do with it, their mistakes, and that no user sees another's files."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.chromium import NEEDS_CHROMIUM
from tests.media import decoded
from tests.pipelines.fakes import write_video

from .browsing import playback_time, session_token, submit_queries, upload, upload_and_wait, wait_for_cut

pytestmark = NEEDS_CHROMIUM
SCRIPT = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"


def test_upload_request_seek_download_and_request_again(open_page, red_video, tmp_path, url):
    page = submit_queries(upload_and_wait(open_page(viewport=dict(width=1100, height=1600)), red_video), "red")
    assert page.inner_text("#source-video .name") == "a video.mp4"
    assert "0:40" not in page.inner_text("#source-video .name")
    assert page.inner_text(".moments .moment-time >> nth=0").split("\n")[0] == "0:20 – 0:28"
    page.wait_for_function("document.querySelector('#source-video video').readyState >= 1")
    box = page.locator(".timeline svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.61, box["y"] + 40)
    assert page.inner_text(".time-label").startswith("0:24 · score ")
    page.mouse.click(box["x"] + box["width"] * 0.61, box["y"] + 40)
    assert 23.5 <= playback_time(page) < 26
    page.click(".moments button >> nth=0")
    assert 20 <= playback_time(page) < 22
    wait_for_cut(page)
    with page.expect_download() as download:
        page.click(".files a:has-text('Video')")
    download.value.save_as(tmp_path / "cut.mp4")
    assert download.value.suggested_filename == "summary.mp4"   # The report and the subtitles refer to this name.
    frames = decoded(tmp_path / "cut.mp4")
    assert len(frames) == 60   # 15 % of 40 s at 10 frames per second.
    assert all(frame[:, 20:40, 0].mean() > 180 for _, frame in frames)   # Only the red part is kept.
    page.click(".piece-list button >> nth=0")
    assert 0 <= playback_time(page, "#cut") < 2
    page.focus(".timeline")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute(".timeline", "aria-valuetext").startswith("0:10 · score ")
    page.keyboard.press("Enter")
    assert 10 <= playback_time(page) < 12
    submit_queries(page, "grey")
    assert page.locator(".moments .query:has-text('red')").count() == 0
    wait_for_cut(page)
    submit_queries(page)
    assert page.page_errors == []   # No script failed.
    hosts = {address.split("/")[2] for address in page.requested_urls if address.startswith("http")}
    assert hosts == {url.split("/")[2]}   # Nothing is fetched from other servers.


def test_the_page_can_be_used_with_the_keyboard(open_page):
    page = open_page()
    reached = set()
    for _ in range(40):   # Some presses may come before the page is complete.
        page.keyboard.press("Tab")
        reached.add(page.evaluate("""(e => e.id || e.name || e.dataset.example !== undefined && 'example'
            || e.textContent.trim())(document.activeElement)"""))
    assert {"file", "example", "folder"} <= reached
    assert any("Find it" in str(name) for name in reached)
    page.focus("[data-example]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#source-video")
    assert page.input_value("#queries textarea") == "red"   # A query of the example.
    assert "1 lines, from the example" in page.inner_text("#subtitles-status")


def test_upload_errors_are_explained_and_leave_the_page_unchanged(open_page, red_video):
    page = open_page()
    for content, message in ((b"", "This file is empty (0 bytes)"),
                             (b"a text\n" * 50, "This file cannot be read as a video"),
                             (b"x" * 2_000_001, "This file is too large, and the limit is 2 MB")):
        upload(page, red_video, content=content)
        page.wait_for_selector(f".error:visible:has-text('{message}')")
        assert page.locator("#source-video").count() == 0
        assert "Traceback" not in page.content()
    page.route("**/videos?*", lambda route: route.abort("connectionreset"))
    upload(page, red_video)
    page.wait_for_selector(
        ".upload-error:has-text('The connection was interrupted while “a video.mp4” was being uploaded')")
    page.unroute("**/videos?*")
    upload_and_wait(page, red_video)
    assert page.locator(".error:visible").count() == 0


def test_a_request_without_a_video_or_without_queries(open_page, red_video):
    page = open_page()
    page.click("#submit")
    page.wait_for_selector("#request-status .error:has-text('There is no video yet')")
    page = submit_queries(upload_and_wait(page, red_video))
    assert page.inner_text(".answer h2 >> nth=1") == "Highlights"
    assert page.locator("#request-status .error").count() == 0
    page.fill("#budget input", "much")
    page.click("#submit")
    page.wait_for_selector("#request-status .error:has-text('“much” is not a length for the cut. "
                           "Enter a percentage such as 15% or a time such as 60s.')")


def test_scripts_in_names_and_queries_are_shown_and_never_run(open_page, red_video):
    page = upload_and_wait(open_page(), red_video, name=f"{SCRIPT}.mp4".replace("/", "_"))
    page.fill("#queries textarea", "red " + SCRIPT)
    page.click("#submit")
    page.wait_for_selector(".moments .query")
    wait_for_cut(page)
    assert SCRIPT in page.inner_text(".moments .query >> nth=0")
    assert "<img src=x" in page.inner_text("#source-video .name")
    page.select_option("#folder", index=1)
    page.wait_for_selector("#source-video .name:has-text('a <i>tall one.mp4')")
    page.set_input_files("#subtitles", files=[dict(name=f"{SCRIPT}.srt", mimeType="text/plain", buffer=b"nothing")])
    page.wait_for_selector("#subtitles-status.error:has-text('contains no subtitles')")
    page.fill("#budget input", SCRIPT)
    page.click("#submit")
    page.wait_for_selector("#request-status .error:has-text('onerror')")
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x]").count() == 0


def test_two_users_never_see_each_others_files(open_page, red_video, url, tmp_path):
    blue_video = write_video(tmp_path / "blue.mp4", ["blue"] * 12 + ["grey"] * 18)
    one, two = open_page(), open_page()
    upload(one, red_video, name="mine.mp4")
    upload(two, blue_video, name="yours.mp4")
    for page, query in ((one, "red"), (two, "blue")):
        page.wait_for_selector("#source-video")
        page.fill("#queries textarea", query)
        page.click("#submit")
    for page in (one, two):
        wait_for_cut(page)
    assert one.inner_text("#source-video .name") == "mine.mp4"
    assert two.inner_text("#source-video .name") == "yours.mp4"
    assert one.inner_text(".moments .query >> nth=0") == "red"
    assert two.inner_text(".moments .query >> nth=0") == "blue"
    assert "yours.mp4" not in one.content()
    assert "mine.mp4" not in two.content()
    links = [page.eval_on_selector_all(".files a", "all => all.map(a => a.href)") for page in (one, two)]
    assert not set(links[0]) & set(links[1])
    assert all(session_token(one) in link for link in links[0])
    assert session_token(one) != session_token(two)
    assert session_token(one) not in two.content()
    for guess in (links[0][0].replace(session_token(one), session_token(two)), url + "files/",
                  url + "gradio_api/file=" + str(red_video)):
        assert httpx.get(guess).status_code == 404
    one.click("[data-remove]")
    one.wait_for_selector("#source-video", state="detached")
    assert httpx.get(links[0][0]).status_code == 404
    assert httpx.get(links[1][0]).status_code == 200


def test_two_models_in_one_chart_and_shorts_as_in_their_files(open_page, offset_video):
    page = upload_and_wait(open_page(), offset_video)
    page.click("text=More options")
    page.click("#compare input")
    page.click("[role=option]:has-text('no_text')")
    page.click("#mode label:has-text('shorts')")
    page.fill("#length input", "4-9")
    page.click("#submit")
    page.wait_for_selector(".timeline .curve.other")
    assert "The <b>no_text</b> model" in page.inner_text(".legend")
    assert not page.is_visible("#budget")
    wait_for_cut(page)
    assert page.inner_text("#cut h2") == "Shorts"
    assert page.locator(".files a:has-text('Short 1')").count() == 1
    with page.expect_download() as download:
        page.click(".files a:has-text('Scores and moments')")
    written = json.loads(Path(download.value.path()).read_text())
    pieces = [[piece["start"], piece["end"]] for piece in written["pieces"]]
    assert [20.5, 28] in pieces
    assert len(pieces) == 3
    played = json.loads(page.get_attribute("#cut", "data-cut"))["pieces"]
    drawn = page.eval_on_selector_all(".row:first-child .kept", "all => all.map(r => +r.getAttribute('x') * 0.04)")
    assert [piece[:2] for piece in played] == sorted(pieces)
    assert drawn == pytest.approx(sorted(start for start, _ in pieces), abs=0.01)


def test_a_video_that_the_browser_cannot_play_is_played_from_the_cut(open_page, tmp_path):
    avi = write_video(tmp_path / "old.avi", ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12)
    page = wait_for_cut(submit_queries(upload_and_wait(open_page(), avi, name="old.avi"), "red"))
    page.wait_for_selector("#source-video .unplayable:visible")
    page.click(".moments button >> nth=0")
    assert 0 <= playback_time(page, "#cut") < 3


def test_on_a_phone_results_scroll_into_view_and_keep_the_focus(open_page, offset_video):
    page = open_page(viewport=dict(width=390, height=844), has_touch=True)
    in_view = "({ top, bottom }) => bottom > 0 && top >= -2 && top < 0.7 * innerHeight"
    page.evaluate("scrollTo(0, 0)")
    page.locator("#submit").evaluate("button => button.click()")
    page.wait_for_selector("#request-status .error")
    page.wait_for_function(f"({in_view})(document.querySelector('#request-status .error').getBoundingClientRect())")
    upload_and_wait(page, offset_video)
    page.click("#mode label:has-text('moments')")
    page.fill("#budget input", "30%")
    page.fill("#queries textarea", "red")
    page.evaluate("scrollTo(0, 0)")
    page.press("#budget input", "Enter")   # Enter submits like the button.
    page.wait_for_selector(".answer")
    page.focus(".timeline")
    page.wait_for_function(f"({in_view})(document.querySelector('.answer').getBoundingClientRect())")
    wait_for_cut(page)   # The pieces are exact now, so the answer was drawn again.
    start_s = page.eval_on_selector(".row .kept", "kept => kept.getAttribute('x') * 0.04")
    assert start_s == pytest.approx(20.5, abs=0.01)
    assert page.evaluate("document.activeElement.className").startswith("timeline")


def test_the_answer_starts_above_the_fold(open_page, red_video):
    page = submit_queries(upload_and_wait(open_page(viewport=dict(width=1280, height=800)), red_video), "red")
    page.evaluate("scrollTo(0, 0)")
    assert page.locator(".answer").bounding_box()["y"] < 650
    assert page.locator(".timeline").bounding_box()["y"] < 800


def test_metrics_are_behind_a_details_element(open_page):
    page = open_page()
    assert "Knows colors." in page.inner_text("#description")
    assert not page.is_visible("#description details :text('Evaluated by hand.')")
    page.click("#description summary")
    assert "Evaluated by hand." in page.inner_text("#description")


def test_the_page_shows_the_api_instead_of_a_gradio_footer(open_page, url):
    page = open_page()
    assert page.locator("text=Use via API").count() == 0
    page.click(".api summary")
    page.wait_for_selector(f".api code:has-text('{url.rstrip('/')}')")   # The address of this server.


@pytest.mark.parametrize("scheme, widths", [
    pytest.param("light", (1200, 700), id="light"), pytest.param("dark", (390, 320), id="dark")])
def test_the_page_fits_every_width_in_light_and_dark(open_page, red_video, scheme, widths):
    page = open_page(viewport=dict(width=widths[0], height=800), color_scheme=scheme)
    page = wait_for_cut(submit_queries(upload_and_wait(page, red_video), "red"))
    for width in widths:
        page.set_viewport_size(dict(width=width, height=800))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for selector in ("body", "#queries textarea", ".answer", "#source-video .soft", "#request .models dd"):
        text, background = page.evaluate("""selector => {
            let e = document.querySelector(selector);
            const text = getComputedStyle(e).color;
            while (e && /rgba\\(0, 0, 0, 0\\)|transparent/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement;
            return [text, getComputedStyle(e || document.body).backgroundColor] }""", selector)
        assert contrast(text, background) >= 4.5, (selector, text, background)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) > 0.5) == (scheme == "light")


def luminance(color):
    """Return the relative luminance of a CSS color, as WCAG defines it."""
    channels = [int(channel) / 255 for channel in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, two):
    """Return the contrast ratio of two colors, as WCAG defines it; it requires 4.5 for text."""
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)
