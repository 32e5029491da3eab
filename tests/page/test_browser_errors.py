"""The page in a real browser where things go wrong or get into each other's way."""

import time

import pytest

from tests.chromium import NEEDS_CHROMIUM

from .browsing import asked, token_of, upload, watched, with_cut
from .conftest import LIMITS

pytestmark = NEEDS_CHROMIUM
# A browser that hears of the end of gradio's stream of events later than of what was asked since, and than of the first nudge
LATE = """const real = window.fetch; window.fetch = async (...asked) => {
  const answer = await real(...asked);
  if (!String(asked[0].url || asked[0]).includes("queue/data")) return answer;
  const late = new TransformStream({ async transform(chunk, out) {
    if (new TextDecoder().decode(chunk).includes("close_stream")) await new Promise((then) => setTimeout(then, 900));
    out.enqueue(chunk); } });
  return new Response(answer.body.pipeThrough(late), { status: answer.status, headers: answer.headers }); };"""


def test_no_answer_is_lost_when_it_is_asked_for_as_another_event_ends(visit, film):
    page = with_cut(asked(watched(visit(LATE), film), "red"))
    page.fill("#sentences textarea", "grey")
    page.wait_for_timeout(600)
    page.click("#mode label:has-text('Moments')")                    # an event that ends at once
    page.wait_for_timeout(200)
    page.click("#go")
    page.wait_for_selector(".moments .what:has-text('grey')")
    page.fill("#sentences textarea", "blue")
    page.wait_for_selector("#cut video")                            # when the event of the question ends
    page.evaluate("document.querySelector('#go').click()")
    page.wait_for_selector(".time .row:has-text('blue')")
    upload(page, film, name="another.mp4")
    page.wait_for_selector("#whole .name:has-text('another.mp4')")   # when the watching ends
    page.evaluate("document.querySelector('#go').click()")
    page.wait_for_selector(".time .row:has-text('blue')")


@pytest.fixture
def slow_default(service, held):
    """The slow model is the default and waits, so that a line forms; gives what lets it go on."""
    models = service.catalogue.models
    service.catalogue.models = {"slow": models["slow"]} | {key: model for key, model in models.items() if key != "slow"}
    held.touch()
    yield held.unlink
    held.unlink(missing_ok=True)
    service.catalogue.models = models


def work_of(service, name):
    """What is being done for the desk of a video."""
    desk, = (desk for desk in service.desks._desks.values() if desk.name == name)
    return desk, next(iter(desk.watching.values()))


def test_a_line_forms_with_places_and_a_second_video_takes_the_place_of_the_first(visit, film, slow_default, service):
    one, two = visit(), visit()
    upload(one, film, name="first.mp4")
    one.wait_for_selector("#watching .state:has-text('Watching the video')")
    upload(two, film, name="waiting.mp4")
    two.wait_for_selector("#watching .state:has-text('1 job comes before yours')")
    desks, (first, work) = len(service.desks), work_of(service, "first.mp4")
    upload(one, film, name="second.mp4")                          # while the first is being watched
    assert work.unwanted.wait(60)
    one.wait_for_selector("#watching .state:has-text('2 jobs come before yours')")
    slow_default()
    two.wait_for_selector("#whole .name:has-text('waiting.mp4')")
    one.wait_for_selector("#whole .name:has-text('second.mp4')")
    one.wait_for_timeout(300)
    assert one.inner_text("#whole .name") == "second.mp4" and one.locator("#watching .state").count() == 0
    assert work.state == "stopped" and not first.folder.exists() and len(service.desks) == desks


def test_a_crash_of_one_job_leaves_the_rest_alone(visit, film, slow_default, service):
    one, two = visit(), visit()
    upload(one, film)
    one.wait_for_selector("#watching .state:has-text('Watching the video')")
    upload(two, film)
    two.wait_for_selector("#watching .state:has-text('before yours')")
    service.watchers._child.kill()
    slow_default()
    one.wait_for_selector("#watching .fault:has-text('no fault of yours')")
    two.wait_for_selector("#whole")


def test_who_closes_the_page_leaves_no_work_and_may_come_back_to_the_files(visit, film, slow_default, service):
    page = visit()
    upload(page, film, name="left.mp4")
    page.wait_for_selector("#watching .state:has-text('Watching the video')")
    desk, work = work_of(service, "left.mp4")
    page.context.close()
    assert work.unwanted.wait(60)
    slow_default()
    assert work.ended.wait(60) and work.state == "stopped"
    left_s = desk.used_s + LIMITS.keep_s - time.monotonic()
    assert desk.folder.exists() and 200 < left_s < 301


def test_a_page_that_is_loaded_again_goes_on_with_its_video(visit, film, service):
    page = watched(visit(), film)
    token = token_of(page)
    page.reload()
    page.wait_for_selector("#whole")
    assert token_of(page) == token and page.inner_text("#whole .name") == "a film.mp4"
    asked(page, "red")
    service.desks.remove(token)
    page.reload()
    page.wait_for_selector(".drop")
    page.wait_for_function("!sessionStorage.getItem('video')")     # once it is known to have gone, without a word
    assert page.locator("#whole").count() == 0 and page.locator(".fault:visible").count() == 0


def test_a_wrong_file_leaves_the_good_video_and_its_answer(visit, film, service):
    page = asked(watched(visit(), film), "red")
    token, desks = token_of(page), len(service.desks)
    upload(page, film, name="notes.mp4", content=b"a text\n" * 50)
    page.wait_for_selector("#watching .fault:has-text('This is not a video that can be read')")
    assert token_of(page) == token and page.locator(".moments .what:has-text('red')").count() == 1
    assert len(service.desks) == desks
    asked(page, "grey")
    upload(page, film, name="new.mp4")
    page.wait_for_selector("#whole .name:has-text('new.mp4')")
    assert not service.desks.has(token) and len(service.desks) == desks and page.locator(".answer").count() == 0
