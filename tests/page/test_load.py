"""Test that expensive requests of one user delay no other user, and end when their user leaves."""

import json
import os
import signal
import threading
import time

import httpx
import pytest

from page.service import MAX_ANSWERS_PER_SESSION

from .fake_models import ENDLESS
from .test_pool import wait_until
from .test_server import call, send
from .test_uploads import connect, head

INTERNAL_ERROR = "Something went wrong on the server; other users are not affected."


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


class Calls:
    """Calls of the endpoint `ask` that run in the background.

    Args:
        url: address of the server.
        service: its service.
    """

    def __init__(self, url, service):
        self.url, self.service = url, service
        self.threads, self.outcomes, self.sessions = [], [], set()

    def start(self, video, **values):
        """Ask for something that the model never answers."""
        def run():
            with httpx.Client(base_url=self.url, timeout=120) as client:
                self.outcomes.append(call(client, "ask", video=video, **(dict(queries=[ENDLESS], cut=False) | values)))

        self.sessions.add(self.service.sessions.find(video))
        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def tasks(self):
        return [task for session in self.sessions for task in list(session.tasks)]

    def wait_until_running(self, count=1):
        wait_until(lambda: sum(task.state == "running" and task.is_slow for task in self.tasks()) >= count)

    def end(self):
        """Remove all videos, and return the kinds and messages of the calls' ends."""
        for session in self.sessions:
            self.service.sessions.remove(session.token)
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        wait_until(lambda: not self.tasks())
        return [(kind, json.dumps(data)) for kind, data in self.outcomes]


@pytest.fixture
def calls(url, service):
    calls = Calls(url, service)
    yield calls
    calls.end()


def choose(http):
    """Open the example, and return its token once it is encoded."""
    video = call(http, "choose", name="example")[1][0]["video"]
    assert call(http, "encode", video=video)[0] == "complete"
    return video


@pytest.mark.slow
def test_expensive_requests_of_eight_users_delay_no_other_user(http, calls):
    for _ in range(8):
        calls.start(choose(http))
    calls.wait_until_running()
    wait_until(lambda: len(calls.tasks()) == 8)
    video = choose(http)
    for query in ("red", "grey") * 3:
        kind, (found,) = call(http, "ask", video=video, queries=[query], cut=False)
        assert (kind, found["text"]) == ("complete", [query])
    assert len(calls.tasks()) == 8   # None has ended meanwhile.
    assert all(kind == "error" for kind, _ in calls.end())
    assert len(calls.outcomes) == 8


@pytest.mark.slow
def test_expensive_subtitles_delay_no_other_user(http, calls):
    videos = [choose(http) for _ in range(4)]
    for video in videos:
        text = f"1\n00:00:01,000 --> 00:00:03,000\n{ENDLESS}\n"
        assert http.post(f"videos/{video}/subtitles", content=text.encode()).json()["lines"] == 1
        calls.start(video, queries=["red"])
    calls.wait_until_running()
    wait_until(lambda: len(calls.tasks()) == 4)
    other = choose(http)
    assert http.post(f"videos/{other}/subtitles", content=b"1\n00:00:01,000 --> 00:00:03,000\nred\n").status_code == 200
    assert call(http, "ask", video=other, queries=["red"], cut=False)[0] == "complete"
    assert len(calls.tasks()) == 4


def test_removing_the_video_ends_its_requests(http, calls, service):
    video = choose(http)
    for _ in range(3):
        calls.start(video)
    calls.wait_until_running()
    wait_until(lambda: len(calls.tasks()) == 3)
    tasks = calls.tasks()
    assert call(http, "remove", video=video) == ("complete", [dict(removed=True)])
    wait_until(lambda: all(task.ended.is_set() for task in tasks))
    assert [task.state for task in tasks] == ["canceled"] * 3
    assert not any(session.folder.exists() for session in calls.sessions)
    assert {kind for kind, _ in calls.end()} == {"error"}


def test_an_unused_session_ends_its_requests(http, calls, service, monkeypatch):
    calls.start(choose(http))
    calls.wait_until_running()
    task, = calls.tasks()
    # A request that is running counts as a use, so the session only expires if its page was closed.
    session, = calls.sessions
    service.sessions.leave(session.token)
    wait_until(task.ended.is_set)
    assert task.state == "canceled"


def test_closing_the_connection_ends_the_request(http, url, calls, service):
    video = choose(http)
    session = service.sessions.find(video)
    event = http.post("gradio_api/call/v2/ask", json=dict(video=video, queries=[ENDLESS])).json()["event_id"]
    with httpx.Client(base_url=url, timeout=60) as client, client.stream("GET", f"gradio_api/call/ask/{event}") as stream:
        wait_until(lambda: any(task.state == "running" for task in session.tasks))
        task, = session.tasks
        assert stream.status_code == 200
    wait_until(task.ended.is_set)
    assert task.state == "canceled"
    assert call(http, "ask", video=video, queries=["red"], cut=False)[0] == "complete"   # The video is still there.


def test_a_killed_worker_process_affects_one_user_only(http, calls, service):
    calls.start(choose(http))
    calls.wait_until_running()
    worker, = (worker for worker in service.answerer._workers if worker.task is not None)
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: calls.outcomes)
    kind, data = calls.outcomes[0]
    assert kind == "error"
    assert INTERNAL_ERROR in json.dumps(data)
    assert call(http, "ask", video=choose(http), queries=["red"], cut=False)[0] == "complete"


def test_the_requests_for_one_video_are_limited(http, calls):
    video = choose(http)
    for _ in range(MAX_ANSWERS_PER_SESSION):
        calls.start(video)
    wait_until(lambda: len(calls.tasks()) == MAX_ANSWERS_PER_SESSION)
    kind, data = call(http, "ask", video=video, queries=["red"], cut=False)
    assert kind == "error"
    assert f"{MAX_ANSWERS_PER_SESSION} requests for this video are not finished yet. Wait for one" in json.dumps(data)


@pytest.mark.parametrize("values, message", [
    pytest.param(dict(queries=["red"] * 10_000), "There are 10000 queries, and the limit is 20. Remove some.", id="many"),
    pytest.param(dict(queries=["x" * 100_000]), "A query has 100,000 characters, and the limit is 500", id="long"),
    pytest.param(dict(queries=["red"], budget="9" * 100_000), "The value of “budget” has 100,000 characters, and the "
                                                              "limit is 300", id="budget"),
    pytest.param(dict(queries=["red"], aspect="1:" + "9" * 5000), "The value of “aspect” has 5,002 characters",
                 id="aspect"),
    pytest.param(dict(queries=["red"], mode="shorts", count=10**400), "The number of shorts is 1000000000", id="count")])
def test_large_values_are_rejected(http, values, message):
    video = call(http, "choose", name="example")[1][0]["video"]
    kind, data = call(http, "ask", video=video, **values)
    assert kind == "error"
    assert message in json.dumps(data, ensure_ascii=False)
    assert len(json.dumps(data)) < 500


def test_a_long_name_is_shortened_and_a_longer_head_is_rejected(http, url, service):
    sent = http.post(f"videos?name={'x' * 60_000}", content=b"x").json()
    assert sent["name"] == "x" * 119
    service.sessions.remove(sent["video"])
    with connect(url) as raw:
        raw.sendall(head(url, "Content-Length: 0", path=f"/videos?name={'x' * 70_000}"))
        assert raw.recv(100).startswith(b"HTTP/1.1 400 ")


def test_requests_and_results_leave_no_files(http, service, red_video):
    video = send(http, red_video.read_bytes())[1]["video"]
    for _ in range(4):
        assert call(http, "ask", video=video, queries=["red"])[0] == "complete"
    assert call(http, "ask", video=video, queries=["red"], cut=False)[0] == "complete"
    folder = service.sessions.find(video).folder
    assert sorted(path.suffix for path in folder.iterdir() if path.is_file()) == [".cues", ".npz"]
    assert len([path for path in folder.iterdir() if path.name.startswith("result-")]) == 3
    assert time.monotonic() - service.sessions.find(video).used_s < 60
    service.sessions.remove(video)
    assert not folder.exists()
