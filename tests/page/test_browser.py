"""The page in a real browser: what people do with it, what they do wrong, and that nobody sees another's files."""

import json
import re
from pathlib import Path

import httpx
import pytest

from tests.chromium import NEEDS_CHROMIUM
from tests.media import decoded
from tests.pipelines.fakes import write_video

from .browsing import asked, time_of, token_of, upload, watched, with_cut

pytestmark = NEEDS_CHROMIUM
SCRIPT = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"


def test_send_ask_seek_download_and_ask_again(visit, film, tmp_path, url):
    page = asked(watched(visit(viewport=dict(width=1100, height=1600)), film), "red")
    assert page.inner_text("#whole .name") == "a film.mp4" and "0:40" not in page.inner_text("#whole .name")
    assert page.inner_text(".moments .when >> nth=0").split("\n")[0] == "0:20 – 0:28"
    page.wait_for_function("document.querySelector('#whole video').readyState >= 1")
    box = page.locator(".time svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.61, box["y"] + 40)
    assert page.inner_text(".peek").startswith("0:24 · score ")
    page.mouse.click(box["x"] + box["width"] * 0.61, box["y"] + 40)
    assert 23.5 <= time_of(page) < 26
    page.click(".moments button >> nth=0")
    assert 20 <= time_of(page) < 22
    with_cut(page)
    with page.expect_download() as download:
        page.click(".files a:has-text('The cut')")
    download.value.save_as(tmp_path / "cut.mp4")
    assert download.value.suggested_filename == "summary.mp4"      # as the report and the subtitles beside it know it
    pictures = decoded(tmp_path / "cut.mp4")
    assert len(pictures) == 60 and all(picture[:, 20:40, 0].mean() > 180 for _, picture in pictures)   # 15 % of 40 s, red
    page.click(".kept-list button >> nth=0")
    assert 0 <= time_of(page, "#cut") < 2
    page.focus(".time")
    page.keyboard.press("End")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.get_attribute(".time", "aria-valuetext").startswith("0:10 · score ")
    page.keyboard.press("Enter")
    assert 10 <= time_of(page) < 12
    asked(page, "grey")
    assert page.locator(".moments .what:has-text('red')").count() == 0
    with_cut(page)
    asked(page)
    assert page.faults == [] and {address.split("/")[2] for address in page.asked if address.startswith("http")} == {url.split("/")[2]}


def test_everything_can_be_reached_by_keys(visit):
    page = visit()
    reached = set()
    for _ in range(40):   # some may go by before the page is all there
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(e => e.id || e.name || e.dataset.example !== undefined && 'example' || e.textContent.trim())(document.activeElement)"))
    assert {"file", "example", "folder"} <= reached and any("Find it" in str(name) for name in reached)
    page.focus("[data-example]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#whole")
    assert page.input_value("#sentences textarea") == "red"          # what the example may be asked
    assert "1 lines, the example" in page.inner_text("#subtitles-said")


def test_faults_are_told_in_words_and_leave_the_page_as_it_was(visit, film):
    page = visit()
    for content, words in ((b"", "This file is empty (0 bytes)"), (b"a text\n" * 50, "This is not a video that can be read"),
                           (b"x" * 2_000_001, "This file is too large: at most 2 MB are taken here")):
        upload(page, film, content=content)
        page.wait_for_selector(f".fault:visible:has-text('{words}')")
        assert page.locator("#whole").count() == 0 and "Traceback" not in page.content()
    page.route("**/videos?*", lambda route: route.abort("connectionreset"))
    upload(page, film)
    page.wait_for_selector(".upload-error:has-text('The connection broke while “a film.mp4” was being sent')")
    page.unroute("**/videos?*")
    watched(page, film)
    assert page.locator(".fault:visible").count() == 0


def test_asking_without_a_video_or_without_words(visit, film):
    page = visit()
    page.click("#go")
    page.wait_for_selector("#asking .fault:has-text('There is no video yet')")
    page = asked(watched(page, film))
    assert page.inner_text(".answer h2 >> nth=1") == "What stands out" and page.locator("#asking .fault").count() == 0
    page.fill("#budget input", "much")
    page.click("#go")
    page.wait_for_selector("#asking .fault:has-text('How much of it, “much”? Write a share such as 15% or a time such as 60s')")


def test_scripts_are_shown_and_never_run(visit, film):
    page = watched(visit(), film, name=f"{SCRIPT}.mp4".replace("/", "_"))
    page.fill("#sentences textarea", "red " + SCRIPT)
    page.click("#go")
    page.wait_for_selector(".moments .what")
    with_cut(page)
    assert SCRIPT in page.inner_text(".moments .what >> nth=0") and "<img src=x" in page.inner_text("#whole .name")
    page.select_option("#folder", index=1)
    page.wait_for_selector("#whole .name:has-text('a <i>tall one.mp4')")
    page.set_input_files("#subtitles", files=[dict(name=f"{SCRIPT}.srt", mimeType="text/plain", buffer=b"nothing")])
    page.wait_for_selector("#subtitles-said.fault:has-text('contains no subtitles')")
    page.fill("#budget input", SCRIPT)
    page.click("#go")
    page.wait_for_selector("#asking .fault:has-text('onerror')")
    assert page.evaluate("window.hit") is None and page.locator("img[src=x]").count() == 0


def test_two_users_never_see_each_others_files(visit, film, url, tmp_path):
    other_film = write_video(tmp_path / "other.mp4", ["blue"] * 12 + ["grey"] * 18)
    one, two = visit(), visit()
    upload(one, film, name="mine.mp4")
    upload(two, other_film, name="yours.mp4")
    for page, words in ((one, "red"), (two, "blue")):
        page.wait_for_selector("#whole")
        page.fill("#sentences textarea", words)
        page.click("#go")
    for page in (one, two):
        with_cut(page)
    assert one.inner_text("#whole .name") == "mine.mp4" and two.inner_text("#whole .name") == "yours.mp4"
    assert one.inner_text(".moments .what >> nth=0") == "red" and two.inner_text(".moments .what >> nth=0") == "blue"
    assert "yours.mp4" not in one.content() and "mine.mp4" not in two.content()
    links = [page.eval_on_selector_all(".files a", "all => all.map(a => a.href)") for page in (one, two)]
    assert not set(links[0]) & set(links[1]) and all(token_of(one) in link for link in links[0]) and token_of(one) != token_of(two)
    assert token_of(one) not in two.content()
    for guess in (links[0][0].replace(token_of(one), token_of(two)), url + "files/", url + "gradio_api/file=" + str(film)):
        assert httpx.get(guess).status_code == 404
    one.click("[data-remove]")
    one.wait_for_selector("#whole", state="detached")
    assert httpx.get(links[0][0]).status_code == 404 and httpx.get(links[1][0]).status_code == 200


def test_two_models_on_one_picture_and_shorts_as_their_files_have_them(visit, odd_film):
    page = watched(visit(), odd_film)
    page.click("text=More: compare two models")
    page.click("#compare input")
    page.click("[role=option]:has-text('wordless')")
    page.click("#mode label:has-text('Shorts')")
    page.fill("#length input", "4-9")
    page.click("#go")
    page.wait_for_selector(".time .curve.other")
    assert "The <b>wordless</b> model" in page.inner_text(".key")
    assert not page.is_visible("#budget")
    with_cut(page)
    assert page.inner_text("#cut h2") == "The shorts" and page.locator(".files a:has-text('Short 1')").count() == 1
    with page.expect_download() as download:
        page.click(".files a:has-text('Scores and moments')")
    pieces = [[piece["start"], piece["end"]] for piece in json.loads(Path(download.value.path()).read_text())["pieces"]]
    assert [20.5, 28] in pieces and len(pieces) == 3
    played = json.loads(page.get_attribute("#cut", "data-cut"))["pieces"]
    drawn = page.eval_on_selector_all(".row:first-child .kept", "all => all.map(r => +r.getAttribute('x') * 0.04)")
    assert [piece[:2] for piece in played] == sorted(pieces) and drawn == pytest.approx(sorted(start for start, _ in pieces), abs=0.01)


def test_films_that_the_browser_cannot_play_are_played_from_the_cut(visit, film, tmp_path):
    odd = write_video(tmp_path / "odd.avi", ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12)
    page = with_cut(asked(watched(visit(), odd, name="odd.avi"), "red"))
    page.wait_for_selector("#whole .unplayable:visible")
    page.click(".moments button >> nth=0")
    assert 0 <= time_of(page, "#cut") < 3


def test_on_a_phone_what_comes_is_brought_into_view_and_keeps_the_focus(visit, odd_film):
    page = visit(viewport=dict(width=390, height=844), has_touch=True)
    in_view = "({ top, bottom }) => bottom > 0 && top >= -2 && top < 0.7 * innerHeight"
    page.evaluate("scrollTo(0, 0)")
    page.locator("#go").evaluate("button => button.click()")
    page.wait_for_selector("#asking .fault")
    page.wait_for_function(f"({in_view})(document.querySelector('#asking .fault').getBoundingClientRect())")
    watched(page, odd_film)
    page.click("#mode label:has-text('Moments')")
    page.fill("#budget input", "30%")
    page.fill("#sentences textarea", "red")
    page.evaluate("scrollTo(0, 0)")
    page.press("#budget input", "Enter")                            # asks as the button does
    page.wait_for_selector(".answer")
    page.focus(".time")
    page.wait_for_function(f"({in_view})(document.querySelector('.answer').getBoundingClientRect())")
    with_cut(page)                                                  # the pieces have become exact: the answer was drawn anew
    start_s = page.eval_on_selector(".row .kept", "kept => kept.getAttribute('x') * 0.04")
    assert start_s == pytest.approx(20.5, abs=0.01) and page.evaluate("document.activeElement.className").startswith("time")


@pytest.mark.parametrize("scheme, widths", [("light", (1200, 700)), ("dark", (390, 320))])
def test_fits_every_width_in_light_and_dark(visit, film, scheme, widths):
    page = with_cut(asked(watched(visit(viewport=dict(width=widths[0], height=800), color_scheme=scheme), film), "red"))
    for width in widths:
        page.set_viewport_size(dict(width=width, height=800))
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    for place in ("body", "#sentences textarea", ".answer", "#whole .soft", "#question .models dd"):
        ink, paper = page.evaluate("""place => { let e = document.querySelector(place); const ink = getComputedStyle(e).color;
            while (e && /rgba\\(0, 0, 0, 0\\)|transparent/.test(getComputedStyle(e).backgroundColor)) e = e.parentElement;
            return [ink, getComputedStyle(e || document.body).backgroundColor] }""", place)
        assert contrast(ink, paper) >= 4.5, (place, ink, paper)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    return sum(w * (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4) for w, p in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def contrast(one, two):
    """As WCAG has it; 4.5 is enough for text."""
    dark, light = sorted((luminance(one), luminance(two)))
    return (light + 0.05) / (dark + 0.05)
