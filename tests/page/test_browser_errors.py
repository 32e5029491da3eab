"""Test the page in a real browser when something fails, or when several actions overlap."""

import os
import signal
import time

import pytest

from tests.chromium import NEEDS_CHROMIUM

from .browsing import session_token, submit_queries, upload, upload_and_wait, wait_for_cut
from .conftest import LIMITS

pytestmark = NEEDS_CHROMIUM
# A script for a browser that receives the end of Gradio's event stream late: after the next event has started, and after
# the first extra event of page.js.
LATE_CLOSE = """const real = window.fetch; window.fetch = async (...request) => {
  const response = await real(...request);
  if (!String(request[0].url || request[0]).includes("queue/data")) return response;
  const delay = new TransformStream({ async transform(chunk, out) {
    if (new TextDecoder().decode(chunk).includes("close_stream")) await new Promise((then) => setTimeout(then, 900));
    out.enqueue(chunk); } });
  return new Response(response.body.pipeThrough(delay), { status: response.status, headers: response.headers }); };"""


def test_no_answer_is_lost_when_its_request_starts_as_another_event_ends(open_page, red_video):
    page = wait_for_cut(submit_queries(upload_and_wait(open_page(LATE_CLOSE), red_video), "red"))
    page.fill("#queries textarea", "grey")
    page.wait_for_timeout(600)
    page.click("#mode label:has-text('moments')")   # An event that ends immediately.
    page.wait_for_timeout(200)
    page.click("#submit")
    page.wait_for_selector(".moments .query:has-text('grey')")
    page.fill("#queries textarea", "blue")
    page.wait_for_selector("#cut video")   # The event of the request ends now.
    page.evaluate("document.querySelector('#submit').click()")
    page.wait_for_selector(".timeline .row:has-text('blue')")
    upload(page, red_video, name="another.mp4")
    page.wait_for_selector("#source-video .name:has-text('another.mp4')")   # The event of the upload ends now.
    page.evaluate("document.querySelector('#submit').click()")
    page.wait_for_selector(".timeline .row:has-text('blue')")


@pytest.fixture
def slow_default(service, hold_file):
    """Make the slow model the default and let it wait, so that a queue forms; yield a function that releases it."""
    entries = service.catalog.entries
    others = {key: entry for key, entry in entries.items() if key != "slow"}
    service.catalog.entries = {"slow": entries["slow"]} | others
    hold_file.touch()
    yield hold_file.unlink
    hold_file.unlink(missing_ok=True)
    service.catalog.entries = entries


def session_and_task(service, name):
    """Return the session of a video, and the task that encodes it."""
    session, = (session for session in service.sessions.all() if session.name == name)
    return session, next(iter(session.encode_tasks.values()))


def test_users_see_their_position_and_a_second_video_replaces_the_first(open_page, red_video, slow_default, service):
    one, two = open_page(), open_page()
    upload(one, red_video, name="first.mp4")
    one.wait_for_selector("#encode-status .progress:has-text('Analyzing the video')")
    upload(two, red_video, name="waiting.mp4")
    two.wait_for_selector("#encode-status .progress:has-text('1 other task before yours')")
    num_sessions, (first, task) = len(service.sessions), session_and_task(service, "first.mp4")
    upload(one, red_video, name="second.mp4")   # The first video is being encoded.
    assert task.cancel_requested.wait(60)
    one.wait_for_selector("#encode-status .progress:has-text('2 other tasks before yours')")
    slow_default()
    two.wait_for_selector("#source-video .name:has-text('waiting.mp4')")
    one.wait_for_selector("#source-video .name:has-text('second.mp4')")
    one.wait_for_timeout(300)
    assert one.inner_text("#source-video .name") == "second.mp4"
    assert one.locator("#encode-status .progress").count() == 0
    assert task.state == "canceled"
    assert not first.folder.exists()
    assert len(service.sessions) == num_sessions


def test_a_crash_of_one_task_does_not_affect_others(open_page, red_video, slow_default, service):
    one, two = open_page(), open_page()
    upload(one, red_video)
    one.wait_for_selector("#encode-status .progress:has-text('Analyzing the video')")
    upload(two, red_video)
    two.wait_for_selector("#encode-status .progress:has-text('before yours')")
    os.kill(service.encoder.pids[0], signal.SIGKILL)
    slow_default()
    one.wait_for_selector("#encode-status .error:has-text('other users are not affected')")
    two.wait_for_selector("#source-video")


def test_closing_the_page_cancels_its_task_and_keeps_its_files_for_a_while(open_page, red_video, slow_default, service):
    page = open_page()
    upload(page, red_video, name="left.mp4")
    page.wait_for_selector("#encode-status .progress:has-text('Analyzing the video')")
    session, task = session_and_task(service, "left.mp4")
    page.context.close()
    assert task.cancel_requested.wait(60)
    slow_default()
    assert task.ended.wait(60)
    assert task.state == "canceled"
    remaining_s = session.used_s + LIMITS.idle_timeout_s - time.monotonic()
    assert session.folder.exists()
    assert 200 < remaining_s < 301


def test_a_reloaded_page_continues_with_its_video(open_page, red_video, service):
    page = upload_and_wait(open_page(), red_video)
    token = session_token(page)
    page.reload()
    page.wait_for_selector("#source-video")
    assert session_token(page) == token
    assert page.inner_text("#source-video .name") == "a video.mp4"
    submit_queries(page, "red")
    service.sessions.remove(token)
    page.reload()
    page.wait_for_selector(".dropzone")
    page.wait_for_function("!sessionStorage.getItem('video')")   # The page knows by now that the video is gone.
    assert page.locator("#source-video").count() == 0
    assert page.locator(".error:visible").count() == 0


def test_a_wrong_file_leaves_the_video_and_its_answer(open_page, red_video, service):
    page = submit_queries(upload_and_wait(open_page(), red_video), "red")
    token, num_sessions = session_token(page), len(service.sessions)
    upload(page, red_video, name="notes.mp4", content=b"a text\n" * 50)
    page.wait_for_selector("#encode-status .error:has-text('This file cannot be read as a video')")
    assert session_token(page) == token
    assert page.locator(".moments .query:has-text('red')").count() == 1
    assert len(service.sessions) == num_sessions
    submit_queries(page, "grey")
    upload(page, red_video, name="new.mp4")
    page.wait_for_selector("#source-video .name:has-text('new.mp4')")
    assert token not in service.sessions
    assert len(service.sessions) == num_sessions
    assert page.locator(".answer").count() == 0
