"""The photographs, scenes and styles of the sample set."""

import itertools

import numpy as np
import pytest

from common.errors import InputError
from sample_set import scenes
from sample_set.scenes import PHOTOS, PLAIN, SCENES, STYLES, load_photo, photo_path


def test_photographs_show_their_subjects():
    assert len(PHOTOS) == 20
    assert {scene.photo for scene in SCENES.values()} == set(PHOTOS)
    cat = np.asarray(load_photo("chelsea"))
    assert cat.shape == (300, 451, 3)
    assert cat[..., 0].mean() > cat[..., 2].mean() + 40          # The cat is ginger.
    horse = np.asarray(load_photo("horse"))
    assert horse[0, 0].tolist() == [255, 255, 255]               # The horse is black on white.
    assert horse[150, 200].tolist() == [0, 0, 0]


def test_every_scene_is_complete():
    for name, scene in SCENES.items():
        left, top, right, bottom = scene.region
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1, name
        assert scene.focus is None or (left < scene.focus[0] < right and top < scene.focus[1] < bottom), name
        assert set(scene.styles) <= set(STYLES) - {PLAIN}, name
        assert name not in scene.like and set(scene.like) <= set(SCENES), name
        assert len(scene.names) >= 3 and len(scene.held_out) >= 2 and len(scene.remarks) >= 2, name


def test_gray_photographs_have_no_monochrome_style():
    for name, scene in SCENES.items():
        red, green, blue = np.moveaxis(np.asarray(load_photo(scene.photo), dtype=int), -1, 0)
        is_gray = max(np.abs(red - green).max(), np.abs(green - blue).max()) == 0
        assert not (is_gray and "mono" in scene.styles), name


def test_no_two_scenes_share_a_phrase():
    phrases = [phrase for scene in SCENES.values() for phrase in (*scene.names, *scene.held_out)]
    twice = [a for a, b in itertools.combinations(phrases, 2) if a == b]
    assert twice == []


def test_a_missing_photograph_is_an_input_error(monkeypatch):
    monkeypatch.setitem(scenes.PHOTOS, "lost", scenes.Photo("skimage", "data/lost.png", "none"))
    with pytest.raises(InputError, match=r"data/lost\.png: the installed release of skimage .* constraints\.txt"):
        photo_path("lost")
    monkeypatch.setitem(scenes.PHOTOS, "gone", scenes.Photo("no_such_package_here", "a.png", "none"))
    with pytest.raises(InputError, match="the package no_such_package_here .* is not installed"):
        photo_path("gone")
