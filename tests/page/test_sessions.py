import os
import stat
import time

import pytest

from common.errors import InputError
from page.sessions import Sessions
from page.task import Task


@pytest.fixture
def clock():
    """Return the time in seconds, in a list so that a test can change it."""
    return [0.0]


@pytest.fixture
def sessions(tmp_path, clock):
    sessions = Sessions(idle_timeout_s=60, max_sessions=3, root=tmp_path, clock=lambda: clock[0])
    yield sessions
    sessions.close()


def test_each_session_has_its_own_folder_that_cannot_be_guessed(sessions):
    one, two = sessions.add("../a.mp4"), sessions.add("a.mp4")
    assert one.name == two.name == "a.mp4"
    assert one.path != two.path
    assert one.folder != two.folder
    assert one.path.is_relative_to(one.folder)
    assert one.folder.is_relative_to(sessions.folder)
    assert len(one.token) >= 32
    assert one.token not in str(one.folder)   # Neither the address of a file nor its path reveals the other.
    assert stat.S_IMODE(sessions.folder.stat().st_mode) == 0o700
    assert sessions.find(one.token) is one


@pytest.mark.parametrize("token", [
    pytest.param("", id="empty"), pytest.param("x", id="unknown"), pytest.param(None, id="none"),
    pytest.param(7, id="number"), pytest.param(["a"], id="list"), pytest.param("../", id="path"),
    pytest.param("%00", id="NUL")])
def test_other_tokens_find_no_session(sessions, token):
    sessions.add("a.mp4")
    with pytest.raises(InputError, match="no longer available"):
        sessions.find(token)


def test_idle_sessions_are_removed(sessions, clock):
    one, two = sessions.add("a.mp4"), sessions.add("b.mp4")
    one.path.write_text("a")
    clock[0] = 50
    sessions.find(two.token)
    clock[0] = 61
    sessions.sweep()
    assert not one.folder.exists()
    assert two.folder.exists()
    with pytest.raises(InputError, match="no longer available"):
        sessions.find(one.token)


def test_the_session_of_a_closed_page_stays_for_some_minutes(sessions, clock, monkeypatch):
    monkeypatch.setattr("page.sessions.CLOSED_PAGE_S", 20)
    one, two, three = (sessions.add(name) for name in ("a.mp4", "b.mp4", "c.mp4"))
    task = one.add_task(Task(print, ()))
    clock[0] = 45   # The third session is not used again, so it is idle before its page's grace period ends.
    for session in (one, two):
        sessions.find(session.token)
    for session in (one, two, three):
        sessions.leave(session.token)
    assert task.cancel_requested.is_set()
    assert all(session.folder.exists() for session in (one, two, three))
    clock[0] = 64
    sessions.find(two.token)   # The page of the second session was opened again.
    sessions.sweep()
    assert [session.folder.exists() for session in (one, two, three)] == [True, True, False]
    clock[0] = 66
    sessions.sweep()
    assert [session.folder.exists() for session in (one, two)] == [False, True]
    sessions.leave(one.token)   # Leaving a removed session does nothing.


def test_folders_of_killed_servers_are_removed_and_those_of_living_ones_stay(sessions, tmp_path):
    old_s = time.time() - 3600
    dead, young = tmp_path / "video-summary-page-dead", tmp_path / "video-summary-page-young"
    for folder in (dead, young):
        (folder / "x").mkdir(parents=True)
        (folder / "x/video.mp4").write_text("video")
    for folder in (dead, sessions.folder):
        os.utime(folder, (old_s, old_s))
    Sessions(60, root=tmp_path).close()
    assert not dead.exists()
    assert young.exists()
    assert sessions.folder.exists()


def test_a_shared_file_stays_when_its_session_is_removed(sessions, tmp_path):
    video = tmp_path / "video.mp4"
    video.write_text("video")
    session = sessions.add("video.mp4", video)
    sessions.remove(session.token)
    assert video.exists()
    assert not session.folder.exists()
    sessions.remove(session.token)   # Removing it again does nothing.


def test_the_number_of_sessions_is_limited(sessions, clock):
    for _ in range(3):
        sessions.add("a.mp4")
    with pytest.raises(InputError, match="too many people"):
        sessions.add("a.mp4")
    clock[0] = 61
    sessions.add("a.mp4")   # The idle ones were removed.


def test_the_last_results_stay(sessions):
    session = sessions.add("a.mp4")
    folders = [session.new_result_folder() for _ in range(5)]
    assert [folder.exists() for folder in folders] == [False, False, True, True, True]
    assert session.results == folders[2:]


def test_closing_removes_everything(sessions):
    sessions.add("a.mp4").path.write_text("a")
    sessions.close()
    assert not sessions.folder.exists()
    assert len(sessions) == 0
