import stat

import pytest

from common.errors import InputError
from page.desks import Desks


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
