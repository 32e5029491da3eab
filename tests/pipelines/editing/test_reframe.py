"""The crop keeps the subject in the picture, stands still when it can, moves without jitter and jumps only with the shot."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.reencode import cut
from pipelines.editing.reframe import Camera, camera_path, crop_size, plan_camera, saliency
from pipelines.media.frames import frames_from, probe_first_frame
from pipelines.media.probe import probe
from tests.media import decoded, write_video

SIZE = (320, 180)
TALL = Fraction(9, 16)
NOISE = np.random.default_rng(0).integers(0, 14, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("size, aspect, cropped", [
    ((1280, 720), TALL, (404, 720)), ((1920, 1080), TALL, (608, 1080)), ((720, 1280), Fraction(16, 9), (720, 404)),
    ((1280, 720), Fraction(1), (720, 720)), ((1280, 720), Fraction(16, 9), (1280, 720)), ((640, 480), Fraction(4), (640, 160)),
    ((2, 2), TALL, (2, 2)), ((1280, 720), Fraction(4, 5), (576, 720))])
def test_the_largest_even_shape(size, aspect, cropped):
    assert crop_size(*size, aspect) == cropped


def bumps(centres, n=60, width=4.0):
    places = np.arange(n)
    return np.stack([np.exp(-0.5 * ((places - c) / width) ** 2) for c in centres])


def shown(profiles, places, window):
    starts = np.round(places * (profiles.shape[1] - window)).astype(int)
    return np.array([row[s:s + window].sum() / row.sum() for row, s in zip(profiles, starts, strict=True)])


@pytest.mark.parametrize("seed", range(4))
def test_a_subject_that_trembles_is_watched_standing_still(seed):
    profiles = bumps(40 + 3 * np.random.default_rng(seed).standard_normal(80))
    places = camera_path(profiles, 20)
    assert len(set(places)) == 1 and shown(profiles, places, 20).mean() > 0.9
    assert abs(places[0] * 40 + 10 - 40) < 2                     # in the middle of the window


def test_a_subject_that_walks_is_followed_smoothly():
    centres = np.concatenate([np.full(20, 12.0), np.linspace(12, 48, 40), np.full(20, 48.0)])
    centres += np.random.default_rng(1).standard_normal(80)
    places = camera_path(bumps(centres), 20)
    assert shown(bumps(centres), places, 20).mean() > 0.85
    steps = np.diff(places)
    assert (steps > -1e-9).all()                                  # no way back
    assert steps.max() < 0.12 and np.abs(np.diff(steps)).max() < 0.03
    assert np.abs(steps[:8]).max() < 1e-3 and np.abs(steps[-8:]).max() < 1e-3


def test_what_is_there_only_for_a_moment_or_hardly_does_not_pull():
    centres = np.full(80, 15.0)
    centres[40] = 50
    assert np.ptp(camera_path(bumps(centres), 20)) == 0
    profiles = bumps(np.full(80, 15.0))
    profiles[40:] = 1e-3 * bumps(np.full(40, 50.0))
    assert np.ptp(camera_path(profiles, 20)) == 0


def test_where_nothing_draws_the_eye_the_middle_is_shown():
    assert camera_path(np.zeros((5, 41)), 21).tolist() == [0.5] * 5
    assert camera_path(np.ones((1, 41)), 41 - 2).tolist() == [0.5]


def test_contrast_and_movement_draw_the_eye():
    plain = np.full((72, 128, 3), 100, np.float32)
    patch = plain.copy()
    patch[20:40, 90:100] = 200
    assert saliency(plain, None).max() == 0
    still, moved = saliency(patch, patch), saliency(patch, plain)
    assert still[:, 85:105].sum() > 0.8 * still.sum() and moved[20:40, 90:100].sum() > 1.2 * still[20:40, 90:100].sum()


def scene(index, size):
    """A light square: at the left for two seconds, then it walks right; from picture 100 on it is at the right, in another place."""
    at = 40 if index < 50 else 40 + 4 * (index - 50) if index < 100 else 270
    picture = (np.full((size[1], size[0], 3), 60 if index < 100 else 150, np.uint8) + NOISE)
    if index >= 100:
        picture[:, ::16] += 40
    picture[70:110, at - 20:at + 20] = 240
    return np.ascontiguousarray(picture)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("crop") / "film.mp4", 150, size=SIZE, render=scene, options=dict(crf="10", preset="ultrafast", bf="2"))


def camera_of(path, start_s, end_s, aspect):
    zero_s, display = probe_first_frame(path)
    return plan_camera(frames_from(path, zero_s, start_s), display, start_s, end_s, aspect)


def subject_of(picture):
    columns = (picture[80:100].min(axis=2) > 215).sum(axis=0)
    return (columns > 10).sum()


def test_the_subject_stays_in_the_cut(film, tmp_path):
    cut(film, [(0, 3), (3.5, 6)], tmp_path / "out.mp4", aspect=TALL)
    found = [picture for _, picture in decoded(tmp_path / "out.mp4")]
    assert (probe(tmp_path / "out.mp4").width, probe(tmp_path / "out.mp4").height) == (102, 180)
    assert len(found) == 75 + 62
    seen = np.array([subject_of(picture) for picture in found])
    assert (seen[:50] >= 38).all() and (seen > 15).mean() > 0.95
    assert (seen[75 + 12:] >= 38).all()                         # from the first picture of the new shot on


def test_the_camera_stands_moves_evenly_and_jumps_with_the_shot(film):
    camera = camera_of(film, Fraction(0), Fraction(6), TALL)
    assert camera.size == (102, 180) and camera.room == (218, 0)
    assert [round(begin_s, 3) for begin_s, _, _ in camera.segments] == [0, 4]
    places = [camera.offset(i / 25)[0] for i in range(150)]
    assert all(x % 2 == 0 and 0 <= x <= 218 for x in places) and camera.offset(1)[1] == 0
    assert len(set(places[:25])) == 1 and len(set(places[100:])) == 1
    assert max(np.abs(np.diff(places[:100]))) <= 8 and min(np.diff(places[:100])) >= 0
    assert places[100] - places[99] != 0


def test_the_crop_is_the_sources_own_pixels():
    frame = av.VideoFrame.from_ndarray(scene(0, SIZE), format="rgb24").reformat(format="yuv420p")
    camera = Camera((102, 180), (218, 0), [(0.0, np.array([0.0, 1.0]), np.array([0.0, 1.0]))])
    whole = frame.to_ndarray()
    for time_s, x in ((0, 0), (0.25, 54), (0.5, 108), (1, 218), (9, 218)):
        assert camera.offset(time_s) == (x, 0)
        taken = camera.take(frame, time_s).to_ndarray()
        assert np.array_equal(taken[:180], whole[:180, x:x + 102])
        assert np.array_equal(taken[180:225].reshape(90, 51), whole[180:225].reshape(90, 160)[:, x // 2:x // 2 + 51])


def test_up_and_down_turned_and_whole(tmp_path):
    turned = write_video(tmp_path / "a.mp4", 30, size=SIZE, render=scene, rotation_deg=90)
    camera = camera_of(turned, Fraction(0), Fraction(1), Fraction(1))
    assert camera.size == (180, 180) and camera.room == (0, 140)
    subject = 320 - 40                      # anticlockwise: the left becomes the bottom
    assert camera.offset(0.5)[1] <= subject - 20 and subject + 20 <= camera.offset(0.5)[1] + 180
    cut(turned, [(0, 1)], tmp_path / "out.mp4", aspect=Fraction(9, 16))
    assert (probe(tmp_path / "out.mp4").width, probe(tmp_path / "out.mp4").height) == (180, 320)   # it has this shape


def test_a_slide_that_stands_and_one_picture(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3, size=SIZE, render=scene, pts=[0, 10, 20], time_base=Fraction(1))
    cut(path, [(2, 4), (12, 13)], tmp_path / "out.mp4", aspect=TALL)
    assert [subject_of(picture) >= 38 for _, picture in decoded(tmp_path / "out.mp4")] == [True, True]
    camera = camera_of(path, Fraction(8), Fraction(11), TALL)
    assert camera.segments[0][0] == 8 and camera.segments[0][1].tolist() == [8, 10]
    one = write_video(tmp_path / "b.mp4", 1, size=SIZE, render=scene)
    cut(one, [(0, 1)], tmp_path / "one.mp4", aspect=TALL)
    assert probe(tmp_path / "one.mp4").n_frames == 1
