import os
import stat
import time

import pytest

from common.errors import InputError
from page.sessions import Desks
from page.worker import Work


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def desks(tmp_path, clock):
    desks = Desks(keep_s=60, most=3, root=tmp_path, clock=lambda: clock[0])
    yield desks
    desks.close()


def test_every_desk_has_a_folder_of_its_own_that_nobody_can_guess(desks, tmp_path):
    one, two = desks.add("../a.mp4"), desks.add("a.mp4")
    assert one.name == two.name == "a.mp4" and one.path != two.path and one.folder != two.folder
    assert one.path.is_relative_to(one.folder) and one.folder.is_relative_to(desks.folder)
    assert len(one.token) >= 32 and one.token not in str(one.folder)   # an address leaks no folder, nor the other way
    assert stat.S_IMODE(desks.folder.stat().st_mode) == 0o700
    assert desks.find(one.token) is one


@pytest.mark.parametrize("token", ["", "x", None, 7, ["a"], "../", "%00"])
def test_other_keys_open_nothing(desks, token):
    desks.add("a.mp4")
    with pytest.raises(InputError, match="no longer here"):
        desks.find(token)


def test_what_is_not_used_goes_after_a_time(desks, clock):
    one, two = desks.add("a.mp4"), desks.add("b.mp4")
    one.path.write_text("a")
    clock[0] = 50
    desks.find(two.token)
    clock[0] = 61
    desks.sweep()
    assert not one.folder.exists() and two.folder.exists()
    with pytest.raises(InputError, match="no longer here"):
        desks.find(one.token)


def test_a_page_that_closed_may_come_back_for_some_minutes(desks, clock, monkeypatch):
    monkeypatch.setattr("page.sessions.LEFT_S", 20)
    one, two, three = (desks.add(name) for name in ("a.mp4", "b.mp4", "c.mp4"))
    one.cutting = Work(print, ())
    clock[0] = 45                                                # three goes by age, sooner than by having been left
    for desk in (one, two):
        desks.find(desk.token)
    for desk in (one, two, three):
        desks.leave(desk.token)
    assert one.cutting.unwanted.is_set() and all(desk.folder.exists() for desk in (one, two, three))
    clock[0] = 64
    desks.find(two.token)                                        # it came back
    desks.sweep()
    assert [desk.folder.exists() for desk in (one, two, three)] == [True, True, False]
    clock[0] = 66
    desks.sweep()
    assert [desk.folder.exists() for desk in (one, two)] == [False, True]
    desks.leave(one.token)                                       # nothing


def test_folders_of_pages_that_were_killed_go_and_those_of_others_stay(desks, tmp_path):
    old_s = time.time() - 3600
    dead, young = tmp_path / "video-summary-page-dead", tmp_path / "video-summary-page-young"
    for folder in (dead, young):
        (folder / "x").mkdir(parents=True)
        (folder / "x/film.mp4").write_text("film")
    for folder in (dead, desks.folder):
        os.utime(folder, (old_s, old_s))
    Desks(60, root=tmp_path).close()
    assert not dead.exists() and young.exists() and desks.folder.exists()


def test_a_shared_file_stays_when_its_desk_goes(desks, tmp_path):
    film = tmp_path / "film.mp4"
    film.write_text("film")
    desk = desks.add("film.mp4", film)
    desks.remove(desk.token)
    assert film.exists() and not desk.folder.exists()
    desks.remove(desk.token)   # a second time is nothing


def test_there_are_only_so_many(desks, clock):
    for _ in range(3):
        desks.add("a.mp4")
    with pytest.raises(InputError, match="Many people"):
        desks.add("a.mp4")
    clock[0] = 61
    desks.add("a.mp4")   # the old ones have gone


def test_the_last_results_stay(desks):
    desk = desks.add("a.mp4")
    folders = [desk.new_result() for _ in range(5)]
    assert [folder.exists() for folder in folders] == [False, False, True, True, True] and desk.results == folders[2:]


def test_nothing_is_left_at_the_end(desks):
    desks.add("a.mp4").path.write_text("a")
    desks.close()
    assert not desks.folder.exists() and len(desks) == 0
