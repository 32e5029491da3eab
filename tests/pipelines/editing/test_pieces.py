"""Intervals, output files and chapters of cuts, and the audio of their pieces, by exact values."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing import piece_audio
from pipelines.editing.piece_audio import _fade, read_piece_audio
from pipelines.editing.pieces import as_video_info, check_intervals, check_output, make_chapters, piece_starts_s
from pipelines.media.probe import VideoInfo

INFO = VideoInfo(Path("/v.mp4"), Fraction(10), Fraction(25), 250, 64, 48, Fraction(1), True, 0, "h264")


@pytest.mark.parametrize(("given", "expected"), [
    ([(0, 1)], [(0, 1)]), ([(0, 1), (1, 2.5)], [(0, 1), (1, Fraction(5, 2))]), ([(9, 99)], [(9, 10)]), ([(0, 10)], [(0, 10)]),
    ([(0.1, 0.2)], [(Fraction(1, 10), Fraction(1, 5))]), ([(Fraction(1, 3), Fraction(2, 3))], [(Fraction(1, 3), Fraction(2, 3))]),
])
def test_intervals_are_exact_and_end_with_the_video(given, expected):
    found = check_intervals(INFO, given)
    assert found == expected
    assert all(isinstance(time_s, Fraction) for interval in found for time_s in interval)


@pytest.mark.parametrize(("given", "message"), [
    ([], "no interval to cut"), ([(-0.1, 1)], "cannot cut from -0.1 to 1 s"), ([(1, 1)], "cannot cut from 1 to 1 s"),
    ([(2, 1)], "cannot cut from 2 to 1 s"), ([(float("nan"), 1)], "cannot cut from nan"), ([(0, float("nan"))], "cannot cut"),
    ([(0, 2), (1.5, 3)], "cannot cut from 1.5 s after 2.0 s"), ([(10, 11)], "cannot cut from 10.0 s, because the video ends at 10.000 s"),
    ([(3, 4), (1, 2)], "cannot cut from 1.0 s after 4.0 s"),
])
def test_invalid_intervals_are_named(given, message):
    with pytest.raises(InputError) as err:
        check_intervals(INFO, given)
    assert message in str(err.value)


def test_the_output_is_another_mp4_file(tmp_path):
    video = tmp_path / "v.mp4"
    video.touch()
    (tmp_path / "folder.mp4").mkdir()
    check_output(video, tmp_path / "a.MP4")
    (tmp_path / "b.mp4").touch()
    check_output(video, tmp_path / "b.mp4")
    for name, message in (("folder.mp4", "is a folder"), ("a.mkv", "is not an .mp4 file"), ("v.mp4", "is the video itself")):
        with pytest.raises(InputError, match=message):
            check_output(video, tmp_path / name)


def test_pieces_follow_each_other_in_the_result():
    intervals = [(Fraction(1), Fraction(3)), (Fraction(5), Fraction(11, 2)), (Fraction(8), Fraction(9))]
    assert piece_starts_s(intervals) == [0, 2, Fraction(5, 2)]
    assert make_chapters(intervals, ["a", "b", "c"]) == [(0, 2, "a"), (2, Fraction(5, 2), "b"), (Fraction(5, 2), Fraction(7, 2), "c")]
    assert make_chapters(intervals, []) == []
    with pytest.raises(ValueError):
        make_chapters(intervals, ["a"])


def test_properties_are_probed_only_from_a_path():
    assert as_video_info(INFO) is INFO


def slow_fade(samples, n_samples, n_fade):
    """Return (channels, n_samples), faded linearly over `n_fade` samples at both ends and padded with zeros."""
    result = np.zeros((len(samples), n_samples))
    for i in range(min(n_samples, samples.shape[1])):
        result[:, i] = samples[:, i] * min(1, (i + 0.5) / n_fade, (n_samples - i - 0.5) / n_fade)
    return result


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("rate_hz", "n_given", "n_samples", "n_fade"), [
    pytest.param(1000, 50, 50, 5, id="exact"), pytest.param(1000, 80, 50, 5, id="too-many"),
    pytest.param(1000, 30, 50, 5, id="too-few"), pytest.param(1000, 0, 2500, 5, id="none"),
    pytest.param(1000, 6, 6, 3, id="shorter-than-two-fades"), pytest.param(1000, 1, 1, 1, id="one-sample"),
    pytest.param(100, 50, 50, 1, id="fade-of-half-a-sample"),
])
def test_pieces_are_faded_and_padded(channels, rate_hz, n_given, n_samples, n_fade):
    samples = np.random.default_rng(0).normal(size=(channels, n_given)).astype(np.float32)
    for size in (7, 50, 1000):   # The size of the blocks makes no difference.
        blocks = (samples[:, i:i + size] for i in range(0, n_given, size))
        faded = list(_fade(blocks, n_samples, rate_hz, channels))
        assert all(block.dtype == np.float32 and 0 < block.shape[1] <= max(size, rate_hz) for block in faded)
        np.testing.assert_allclose(np.concatenate(faded, axis=1), slow_fade(samples, n_samples, n_fade), atol=1e-6)


def test_samples_of_pieces_add_up_without_rounding_errors(monkeypatch):
    """Thirds of a second at 100 Hz are 33, 34 and 33 samples."""
    received = []

    class Opened:
        def __enter__(self):
            return "container"

        def __exit__(self, *error):
            pass

    def read_samples(path, zero_s, from_s, rate_hz, layout, opened):
        received.append((path, zero_s, from_s, rate_hz, layout, opened))
        yield np.full((1 if layout == "mono" else 2, 500), 1 + from_s, np.float32)

    monkeypatch.setattr(piece_audio, "open_container", lambda path: Opened())
    monkeypatch.setattr(piece_audio, "read_samples", read_samples)
    intervals = [(Fraction(i), i + Fraction(1, 3)) for i in range(3)]
    for layout, channels in (("mono", 1), ("stereo", 2)):
        received.clear()
        blocks = list(read_piece_audio(INFO, intervals, 100, layout))
        assert [block.shape for block in blocks] == [(channels, 33), (channels, 34), (channels, 33)]
        assert [block.max() for block in blocks] == [1, 2, 3]
        assert received == [(INFO.path, 1, i, 100, layout, "container") for i in range(3)]
    silent = SimpleNamespace(has_audio=False)
    assert list(read_piece_audio(silent, intervals, 100, "mono")) == []
