"""Rendering of scripts: frames, transitions, styles, audio, and files."""

from dataclasses import replace

import av
import numpy as np
import pytest
from scipy.ndimage import zoom

from sample_set.render import BLACK, Camera, frames, write_video
from sample_set.scenes import SCENES, load_photo
from sample_set.script import AudioEvent, Script, Setting, Shot, View

SETTING = Setting(width_px=160, height_px=90)


def make_shot(scene="cat", first=0, last=16, **changes):
    shot = Shot(scene, "plain", first, last, View(220, 150, 320), View(230, 140, 240), near=(0.2, 0.6), light=(1, 1),
                sway=(0, 0, 0, 0), grain=0, join="cut", join_frames=4, seed=7)
    return replace(shot, **changes)


def luma(frame):
    return frame[:SETTING.height_px].astype(float)


def cropped(scene, view, shape=(90, 160)):
    """Return the gray values of the photograph inside a view, by a slower method than the camera's."""
    gray = np.asarray(load_photo(SCENES[scene].photo).convert("L"), dtype=float)
    half_x, half_y = view.width / 2, view.width * shape[0] / shape[1] / 2
    box = gray[round(view.y - half_y):round(view.y + half_y), round(view.x - half_x):round(view.x + half_x)]
    return zoom(box, np.array(shape) / box.shape, order=1, mode="nearest", grid_mode=True)


def correlation(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def test_a_frame_shows_its_view_of_the_photograph():
    camera = Camera(make_shot(), SETTING)
    first, last = luma(camera.frame(0)), luma(camera.frame(15))
    assert correlation(first, cropped("cat", View(220, 150, 320))) > 0.97
    assert correlation(last, cropped("cat", View(230, 140, 240))) > 0.97
    assert correlation(first, cropped("cat", View(230, 140, 240))) < 0.9
    assert abs(correlation(first, cropped("coffee", View(300, 200, 320)))) < 0.5


def test_sway_moves_the_camera():
    still, moved = Camera(make_shot(), SETTING), Camera(make_shot(sway=(0.01, 0.5, 0, 0)), SETTING)
    assert np.array_equal(still.frame(0)[:90], moved.frame(0)[:90])
    frame = 4                                                # An eighth of a period at 8 frames per second.
    dx = 0.01 * 320 * np.sin(2 * np.pi * 0.5 * frame / SETTING.fps)
    assert dx > 2
    assert correlation(luma(still.frame(frame)), luma(moved.frame(frame))) < 0.999


def test_styles():
    plain = luma(Camera(make_shot(), SETTING).frame(0))
    over = luma(Camera(make_shot(style="upside_down"), SETTING).frame(0))
    assert correlation(over[::-1, ::-1], plain) > 0.99
    assert correlation(over, plain) < 0.7
    dark = Camera(make_shot(style="dark", light=(0.15, 0.15)), SETTING).frame(0)
    assert (luma(dark) - BLACK).mean() == pytest.approx(0.15 * (plain - BLACK).mean(), abs=1)
    blurred = luma(Camera(make_shot(style="blurred"), SETTING).frame(0))
    assert np.abs(np.diff(blurred)).mean() < 0.5 * np.abs(np.diff(plain)).mean()
    mono = Camera(make_shot(style="mono"), SETTING).frame(0)
    assert np.abs(mono[90:].astype(int) - 128).max() <= 1    # No color is left.
    assert correlation(luma(mono), plain) > 0.999


def test_light_and_grain():
    bright, dim = (luma(Camera(make_shot(light=(g, g)), SETTING).frame(3)) - BLACK for g in (1.0, 0.5))
    assert dim.mean() == pytest.approx(0.5 * bright.mean(), rel=0.02)
    noisy = Camera(make_shot(grain=3), SETTING)
    errors = [luma(noisy.frame(i)) - luma(Camera(make_shot(), SETTING).frame(i)) for i in (2, 3)]
    assert errors[0][20:70].std() == pytest.approx(3, rel=0.1)
    assert abs(correlation(errors[0], errors[1])) < 0.05        # Every frame has new noise.


def two_shots(join):
    shots = (make_shot(), make_shot("coffee", 16, 32, begin=View(300, 200, 400), end=View(300, 200, 380), join=join,
                                    join_frames=8))
    return Script(0, "v", "train", 32, shots, (), (), ())


def test_transitions():
    cut, dissolve, fade = (np.array(list(frames(two_shots(join), SETTING)), dtype=float)
                           for join in ("cut", "dissolve", "fade"))
    assert cut.shape == (32, 135, 160)
    far = [*range(12), *range(20, 32)]
    assert np.array_equal(cut[far], dissolve[far])
    assert np.array_equal(cut[far], fade[far])
    after = Camera(two_shots("cut").shots[1], SETTING)
    share = 0.5 + 0.5 / 8                                    # Half a frame before the transition.
    blend = share * cut[15] + (1 - share) * after.frame(15)
    assert np.abs(dissolve[15] - blend).max() <= 0.5
    brightness = fade[:, :90].mean((1, 2)) - BLACK
    assert brightness[15] < 0.2 * brightness[10]
    assert brightness[16] < 0.2 * brightness[22]
    assert np.all(np.diff(brightness[12:16]) < 0)
    assert np.all(np.diff(brightness[16:20]) > 0)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Render a video of eight seconds and return it with its script: a cat, coffee, and a siren from 2.5 to 5.5 s."""
    shots = (make_shot(last=32, grain=2), make_shot("coffee", 32, 64, begin=View(300, 200, 400),
                                                    end=View(300, 200, 380), grain=2))
    script = Script(0, "v", "train", 64, shots, (AudioEvent("siren", 2.5, 5.5, (0, 0), 4),), (), ())
    path = tmp_path_factory.mktemp("film") / "v.mp4"
    write_video(script, SETTING, path)
    return script, path


def test_the_file_contains_every_frame_at_its_time(rendered):
    script, path = rendered
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 160, 90)
        assert stream.average_rate == 8
        assert stream.start_time == 0
        pairs = zip(container.decode(video=0), frames(script, SETTING), strict=True)
        for index, (decoded, expected) in enumerate(pairs):
            assert decoded.pts * decoded.time_base * 8 == index
            assert np.abs(decoded.to_ndarray()[:90].astype(float) - expected[:90]).mean() < 4
            assert correlation(decoded.to_ndarray()[:90], expected[:90]) > 0.97


def test_the_audio_event_is_at_its_time(rendered):
    _, path = rendered
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        rate, audio = SETTING.rate_hz, np.zeros(9 * SETTING.rate_hz)
        for frame in container.decode(audio=0):              # Samples are placed by their timestamps.
            first = round(frame.pts * frame.time_base * rate)
            assert first >= 0
            audio[first:first + frame.samples] = frame.to_ndarray()[0]
    assert 8 * rate <= first + frame.samples < 8.1 * rate

    def siren_level(start_s, end_s):
        power = np.abs(np.fft.rfft(audio[round(start_s * rate):round(end_s * rate)])) ** 2 / (end_s - start_s)
        freq = np.fft.rfftfreq(round(end_s * rate) - round(start_s * rate), 1 / rate)
        return power[(freq > 400) & (freq < 1300)].sum()

    inside = siren_level(2.7, 5.3)
    assert inside > 1000 * max(siren_level(0, 2.4), siren_level(5.6, 8))
    tenth = np.array([np.abs(audio[i:i + rate // 10]).max() for i in range(0, 8 * rate, rate // 10)]) > 0.02
    assert abs(np.flatnonzero(tenth)[0] - 25) <= 1
    assert abs(np.flatnonzero(tenth)[-1] - 54) <= 1


def test_equal_scripts_give_equal_bytes(rendered, tmp_path):
    script, path = rendered
    write_video(script, SETTING, tmp_path / "again.mp4")
    assert (tmp_path / "again.mp4").read_bytes() == path.read_bytes()
