"""pipelines/editing/reframe.py: the crop contains the subject, and moves rarely, smoothly, and at cuts."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.reencode import cut
from pipelines.editing.reframe import RGB_TO_YCBCR, Camera, camera_path, crop_size, plan_camera, saliency
from pipelines.media.frames import frames_from, probe_first_frame
from pipelines.media.probe import probe
from tests.media import decoded, write_video

SIZE = (320, 180)
TALL = Fraction(9, 16)
NOISE = np.random.default_rng(0).integers(0, 14, (SIZE[1], SIZE[0], 3), dtype=np.uint8)


@pytest.mark.parametrize(("size", "aspect", "cropped"), [
    ((1280, 720), TALL, (404, 720)),
    ((1920, 1080), TALL, (608, 1080)),
    ((720, 1280), Fraction(16, 9), (720, 404)),
    ((1280, 720), Fraction(1), (720, 720)),
    ((1280, 720), Fraction(16, 9), (1280, 720)),
    ((640, 480), Fraction(4), (640, 160)),
    ((2, 2), TALL, (2, 2)),
    ((1280, 720), Fraction(4, 5), (576, 720)),
])
def test_crop_size_is_the_largest_even_size(size, aspect, cropped):
    assert crop_size(*size, aspect) == cropped


def profiles_of_subject(centers, n=60, width=4.0):
    """Return (T, n) profiles of a subject at the given centers."""
    cells = np.arange(n)
    return np.stack([np.exp(-0.5 * ((cells - c) / width) ** 2) for c in centers])


def shown_share(profiles, positions, window):
    """Return (T,) the share of each profile that the window shows."""
    starts = np.round(positions * (profiles.shape[1] - window)).astype(int)
    return np.array([row[s:s + window].sum() / row.sum() for row, s in zip(profiles, starts, strict=True)])


@pytest.mark.parametrize("seed", range(4))
def test_the_camera_is_stationary_for_a_trembling_subject(seed):
    profiles = profiles_of_subject(40 + 3 * np.random.default_rng(seed).standard_normal(80))
    positions = camera_path(profiles, 20)
    assert len(set(positions)) == 1
    assert shown_share(profiles, positions, 20).mean() > 0.9
    assert abs(positions[0] * 40 + 10 - 40) < 2   # The subject is in the middle of the window.


def test_the_camera_follows_a_walking_subject_smoothly():
    centers = np.concatenate([np.full(20, 12.0), np.linspace(12, 48, 40), np.full(20, 48.0)])
    centers += np.random.default_rng(1).standard_normal(80)
    positions = camera_path(profiles_of_subject(centers), 20)
    assert shown_share(profiles_of_subject(centers), positions, 20).mean() > 0.85
    steps = np.diff(positions)
    assert (steps > -1e-9).all()   # It never moves back.
    assert steps.max() < 0.12
    assert np.abs(np.diff(steps)).max() < 0.03
    assert np.abs(steps[:8]).max() < 1e-3
    assert np.abs(steps[-8:]).max() < 1e-3


def test_brief_saliency_does_not_move_the_camera():
    centers = np.full(80, 15.0)
    centers[40] = 50
    assert np.ptp(camera_path(profiles_of_subject(centers), 20)) == 0


def test_faint_saliency_does_not_move_the_camera():
    profiles = profiles_of_subject(np.full(80, 15.0))
    profiles[40:] = 1e-3 * profiles_of_subject(np.full(40, 50.0))
    assert np.ptp(camera_path(profiles, 20)) == 0


@pytest.mark.parametrize(("profiles", "window"), [
    pytest.param(np.zeros((5, 41)), 21, id="no-saliency"),
    pytest.param(np.ones((1, 41)), 41 - 2, id="one-uniform-sample"),
])
def test_without_salient_region_the_middle_is_shown(profiles, window):
    assert camera_path(profiles, window).tolist() == [0.5] * len(profiles)


def test_contrast_and_motion_are_salient():
    plain = np.full((72, 128, 3), 100, np.float32)
    patch = plain.copy()
    patch[20:40, 90:100] = 200
    assert saliency(plain, None).max() == 0
    still, moved = saliency(patch, patch), saliency(patch, plain)
    assert still[:, 85:105].sum() > 0.8 * still.sum()
    assert moved[20:40, 90:100].sum() > 1.2 * still[20:40, 90:100].sum()


def scene(index, size):
    """Return a frame with a bright square.

    The square is at the left for two seconds (frames 0 to 49) and then moves to the right. From frame 100 on, another
    shot has it at the right, before a striped background.
    """
    x = 40 if index < 50 else 40 + 4 * (index - 50) if index < 100 else 270
    frame = np.full((size[1], size[0], 3), 60 if index < 100 else 150, np.uint8) + NOISE
    if index >= 100:
        frame[:, ::16] += 40
    frame[70:110, x - 20:x + 20] = 240
    return np.ascontiguousarray(frame)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return the path of a video of 6 s that shows `scene`."""
    return write_video(tmp_path_factory.mktemp("crop") / "video.mp4", 150, size=SIZE, render=scene,
                       options=dict(crf="10", preset="ultrafast", bf="2"))


def plan(path, start_s, end_s, aspect):
    zero_s, display = probe_first_frame(path)
    return plan_camera(frames_from(path, zero_s, start_s), display, start_s, end_s, aspect)


def subject_width(frame):
    """Return the number of columns of a frame that show the bright square."""
    columns = (frame[80:100].min(axis=2) > 215).sum(axis=0)
    return (columns > 10).sum()


def test_the_cut_contains_the_subject(video, tmp_path):
    cut(video, [(0, 3), (3.5, 6)], tmp_path / "out.mp4", aspect=TALL)
    frames = [frame for _, frame in decoded(tmp_path / "out.mp4")]
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == (102, 180)
    assert len(frames) == 75 + 62
    widths = np.array([subject_width(frame) for frame in frames])
    assert (widths[:50] >= 38).all()
    assert (widths > 15).mean() > 0.95
    assert (widths[75 + 12:] >= 38).all()   # From the first frame of the new shot on.


def test_the_camera_moves_smoothly_within_a_shot_and_jumps_at_the_cut(video):
    camera = plan(video, Fraction(0), Fraction(6), TALL)
    assert camera.size == (102, 180)
    assert camera.travel_px == (218, 0)
    assert [round(start_s, 3) for start_s, _, _ in camera.segments] == [0, 4]
    offsets = [camera.offset(i / 25)[0] for i in range(150)]
    assert all(x % 2 == 0 and 0 <= x <= 218 for x in offsets)
    assert camera.offset(1)[1] == 0
    assert len(set(offsets[:25])) == 1
    assert len(set(offsets[100:])) == 1
    assert max(np.abs(np.diff(offsets[:100]))) <= 8
    assert min(np.diff(offsets[:100])) >= 0
    assert offsets[100] - offsets[99] != 0


@pytest.mark.parametrize(("time_s", "x"), [(0, 0), (0.25, 54), (0.5, 108), (1, 218), (9, 218)])
def test_the_crop_has_the_pixels_of_the_source(time_s, x):
    frame = av.VideoFrame.from_ndarray(scene(0, SIZE), format="rgb24").reformat(format="yuv420p")
    camera = Camera((102, 180), (218, 0), [(0.0, np.array([0.0, 1.0]), np.array([0.0, 1.0]))])
    complete = frame.to_ndarray()
    assert camera.offset(time_s) == (x, 0)
    cropped = camera.crop(frame, time_s).to_ndarray()
    assert np.array_equal(cropped[:180], complete[:180, x:x + 102])
    chroma = complete[180:225].reshape(90, 160)   # The first chroma plane, at half the resolution.
    assert np.array_equal(cropped[180:225].reshape(90, 51), chroma[:, x // 2:x // 2 + 51])


def test_rotated_video_is_cropped_vertically(tmp_path):
    rotated = write_video(tmp_path / "a.mp4", 30, size=SIZE, render=scene, rotation_deg=90)
    camera = plan(rotated, Fraction(0), Fraction(1), Fraction(1))
    assert camera.size == (180, 180)
    assert camera.travel_px == (0, 140)
    subject_y = 320 - 40   # Counterclockwise: the left side becomes the bottom.
    assert camera.offset(0.5)[1] <= subject_y - 20
    assert subject_y + 20 <= camera.offset(0.5)[1] + 180


def test_a_video_of_the_aspect_ratio_is_not_cropped(tmp_path):
    rotated = write_video(tmp_path / "a.mp4", 30, size=SIZE, render=scene, rotation_deg=90)
    cut(rotated, [(0, 1)], tmp_path / "out.mp4", aspect=Fraction(9, 16))
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height) == (180, 320)


def test_still_frames_are_cropped(tmp_path):
    path = write_video(tmp_path / "a.mp4", 3, size=SIZE, render=scene, pts=[0, 10, 20], time_base=Fraction(1))
    cut(path, [(2, 4), (12, 13)], tmp_path / "out.mp4", aspect=TALL)
    assert [subject_width(frame) >= 38 for _, frame in decoded(tmp_path / "out.mp4")] == [True, True]
    camera = plan(path, Fraction(8), Fraction(11), TALL)
    start_s, times_s, _ = camera.segments[0]
    assert start_s == 8
    assert times_s.tolist() == [8, 10]


def test_a_video_of_one_frame_is_cropped(tmp_path):
    path = write_video(tmp_path / "a.mp4", 1, size=SIZE, render=scene)
    cut(path, [(0, 1)], tmp_path / "out.mp4", aspect=TALL)
    assert probe(tmp_path / "out.mp4").n_frames == 1


def test_gray_has_no_chroma_and_colors_have_the_luma_and_chroma_of_jpeg():
    """Compare with the coefficients of ITU-T T.871, which are exact to six digits."""
    exact = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    np.testing.assert_allclose(RGB_TO_YCBCR, exact, atol=5e-4)
    np.testing.assert_allclose(RGB_TO_YCBCR @ np.ones(3), [1, 0, 0], atol=1e-6)
