"""Synchronization of audio: clicks at known times in audio that starts late or early, or has gaps."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.media.audio_reader import audio_clips, read_audio, read_samples
from pipelines.media.probe import probe
from tests.media import RATE_HZ, click_times, clicks, write_video
from tests.paths import VIDEOS

CLICKS_S = [0.25, 1.0, 1.7, 2.4]
TOLERANCE_S = 0.0001


def read_complete(path, rate_hz=32000):
    chunks = list(read_audio(path, rate_hz=rate_hz))
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 for chunk in chunks)
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)


def write_pcm(path, blocks, *, rate_hz=RATE_HZ, n_frames=100):
    """Write a video with audio in blocks of (index of the first sample, samples (n,)), with or without gaps."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("pcm_f32le", rate=rate_hz, layout="mono")
        for i in range(n_frames):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for first, samples in blocks:
            frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], "flt", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, first, Fraction(1, rate_hz)
            container.mux(audio.encode(frame))
    return path


@pytest.mark.parametrize(("suffix", "codec"), [
    (".mp4", "aac"), (".mov", "pcm_s16le"), (".mkv", "libopus"), (".mkv", "flac"), (".ts", "aac"),
    (".avi", "pcm_s16le"), (".mp4", "libmp3lame"), (".webm", "libopus")])
def test_clicks_keep_their_times(tmp_path, suffix, codec):
    video_options = {".webm": dict(codec="libvpx", options={}), ".avi": dict(codec="ffv1", options={})}.get(suffix, {})
    path = write_video(tmp_path / f"a{suffix}", 75, audio=clicks(CLICKS_S, 3), audio_codec=codec, **video_options)
    found = click_times(read_complete(path), 32000)
    # Lossy coding smears the onset of a click.
    assert found == pytest.approx(CLICKS_S, abs=0.002)


def test_lossless_audio_is_exact(tmp_path):
    samples = np.random.default_rng(0).uniform(-1, 1, 3 * RATE_HZ).astype(np.float32)
    path = write_pcm(tmp_path / "a.mov", [(i, samples[i:i + 1000]) for i in range(0, len(samples), 1000)])
    assert np.array_equal(read_complete(path, RATE_HZ), samples)


@pytest.mark.parametrize("source_hz", [8000, 22050, 32000, 44100, 48000, 96000])
def test_resampling_keeps_frequency_and_time(tmp_path, source_hz):
    t = np.arange(2 * source_hz) / source_hz
    samples = 0.5 * np.sin(2 * np.pi * 440 * t) * (t >= 0.5)
    path = write_pcm(tmp_path / "a.mov", [(0, samples)], rate_hz=source_hz)
    found = read_complete(path)
    assert abs(len(found) - 64000) <= 1
    t = np.arange(len(found)) / 32000
    expected = 0.5 * np.sin(2 * np.pi * 440 * t)
    inner = slice(round(0.52 * 32000), round(1.98 * 32000))
    assert np.abs(found - expected)[inner].max() < 0.01
    assert np.abs(found[:round(0.48 * 32000)]).max() < 0.01


def test_stereo_is_averaged_and_stays_in_range(tmp_path):
    left, right = clicks([0.5], 2), clicks([1.0], 2)
    path = write_video(tmp_path / "a.mov", 50, audio=np.stack([left, right]), audio_codec="pcm_s16le")
    assert np.abs(read_complete(path, RATE_HZ) - (left + right) / 2).max() < 0.001
    around = write_video(tmp_path / "around.mov", 50, audio=np.stack([left] * 6), audio_codec="pcm_s16le")
    assert click_times(read_complete(around, RATE_HZ)) == pytest.approx([0.5], abs=TOLERANCE_S)
    assert 0.85 < np.abs(read_complete(around, RATE_HZ)).max() <= 0.95
    loud = write_pcm(tmp_path / "loud.mov", [(0, np.array([3.0, -3.0] * 5000))])
    assert np.abs(read_complete(loud, RATE_HZ)).max() == 1


def test_nan_becomes_silence(tmp_path):
    samples = np.full(4800, 0.5)
    samples[100:200] = np.nan
    found = read_complete(write_pcm(tmp_path / "a.mov", [(0, samples)]), RATE_HZ)
    assert np.array_equal(found[100:200], np.zeros(100))
    assert np.array_equal(found[200:4800], samples[200:].astype(np.float32))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_audio_that_starts_late(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", 75, audio=clicks([0, 0.5], 1), audio_start_s=Fraction(3, 2))
    found = read_complete(path)
    assert click_times(found, 32000) == pytest.approx([1.5, 2.0], abs=0.002)
    assert np.abs(found[:int(1.45 * 32000)]).max() < 0.01


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_frames_that_start_late(tmp_path, suffix):
    path = write_video(tmp_path / f"a{suffix}", 50, pts=[1000 + 40 * i for i in range(50)],
                       time_base=Fraction(1, 1000), audio=clicks([0.5, 1.25, 2.5], 3))
    assert click_times(read_complete(path), 32000) == pytest.approx([0.25, 1.5], abs=0.002)


def test_gaps_are_zeros_and_overlaps_are_dropped(tmp_path):
    tone = 0.5 * np.ones(RATE_HZ // 2)
    blocks = [(0, tone), (RATE_HZ, tone), (RATE_HZ * 5 // 4, -tone)]
    found = read_complete(write_pcm(tmp_path / "a.mkv", blocks), RATE_HZ)
    expected = np.zeros(RATE_HZ * 7 // 4)
    expected[:RATE_HZ // 2] = 0.5
    expected[RATE_HZ:RATE_HZ * 3 // 2] = 0.5
    expected[RATE_HZ * 3 // 2:] = -0.5
    assert len(found) == len(expected)
    assert np.mean(found != expected) < 0.001   # Matroska rounds time stamps to milliseconds.


def test_a_long_gap_is_yielded_in_small_chunks(tmp_path):
    path = write_pcm(tmp_path / "a.mkv", [(0, np.ones(4800)), (600 * RATE_HZ, np.ones(4800))], n_frames=2)
    chunks = list(read_audio(path))
    assert max(map(len, chunks)) <= 32000
    assert sum(map(len, chunks)) == pytest.approx(600.1 * 32000, abs=40)


def test_small_errors_of_time_stamps_are_not_gaps(tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 2 * RATE_HZ)
    blocks = [(at + (int(rng.integers(-400, 400)) if at else 0), samples[at:at + 960])
              for at in range(0, len(samples), 960)]
    found = read_complete(write_pcm(tmp_path / "a.mkv", blocks), RATE_HZ)
    assert np.array_equal(found, samples.astype(np.float32))


def test_changes_of_layout_and_rate(monkeypatch):
    """A broadcast may change between mono and stereo and change its rate; each part is resampled separately."""
    frames, at_s = [], Fraction(5)
    for rate_hz, layout, channels in [(48000, "mono", 1), (44100, "stereo", 2), (48000, "mono", 1)]:
        for _ in range(10):
            frame = av.AudioFrame.from_ndarray(np.full((channels, rate_hz // 100), 0.25, np.float32), "fltp", layout)
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = round(at_s * rate_hz)
            frames.append(frame)
            at_s += Fraction(1, 100)
    monkeypatch.setattr("pipelines.media.audio_reader._frames_from", lambda *_: iter(frames))
    chunks = read_samples(Path("x"), Fraction(5), Fraction(0), 32000, "mono")
    found = np.concatenate(list(chunks), axis=1)[0]
    assert abs(len(found) - 9600) <= 4
    assert np.abs(found[100:3000] - 0.25).max() < 0.001
    assert np.abs(found[3400:6200] - 0.25).max() < 0.001
    assert np.abs(found[6600:9500] - 0.25).max() < 0.001


@pytest.mark.parametrize("suffix", [
    ".mp4", ".ts", *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in (".mkv", ".avi", ".mpg"))])
def test_reading_from_a_time_equals_reading_everything(tmp_path, suffix):
    samples = clicks(np.arange(0.5, 20, 0.75), 20) + 0.1 * np.sin(np.arange(20 * RATE_HZ) / 30).astype(np.float32)
    path = write_video(tmp_path / f"a{suffix}", 500, options=dict(crf="40", g="50"), audio=samples,
                       audio_codec="mp2" if suffix == ".mpg" else "aac")
    zero_s = probe(path).start_s
    everything = np.concatenate(list(read_samples(path, zero_s, Fraction(0), RATE_HZ, "mono")), axis=1)[0]
    for from_s in (Fraction(1, 3), Fraction(5), Fraction(1234, 100), Fraction(199, 10)):
        part = np.concatenate(list(read_samples(path, zero_s, from_s, RATE_HZ, "mono")), axis=1)[0]
        expected = everything[round(from_s * RATE_HZ):]
        assert abs(len(part) - len(expected)) <= 50
        n = min(len(part), len(expected))
        shift_s = 0.0011 if suffix == ".mkv" else TOLERANCE_S
        assert click_times(part[:n]) == pytest.approx(click_times(expected[:n]), abs=shift_s)


@pytest.mark.parametrize("clip_len_s", [2, 0.5, 0.7, 1 / 3])
def test_clips_are_consecutive_parts_of_the_audio(tmp_path, clip_len_s):
    samples = np.random.default_rng(0).uniform(-1, 1, 5 * 32000).astype(np.float32)
    path = write_pcm(tmp_path / "a.mov", [(i, samples[i:i + 777]) for i in range(0, len(samples), 777)], rate_hz=32000)
    size = round(clip_len_s * 32000)
    clips = list(audio_clips(path, 12, clip_len_s))
    assert [clip.shape for clip in clips] == [(size,)] * 12
    padded = np.concatenate([samples, np.zeros(30 * 32000, np.float32)])
    for i, clip in enumerate(clips):
        start = round(i * Fraction(clip_len_s) * 32000)
        assert np.array_equal(clip, padded[start:start + size])


def test_number_of_clips(tmp_path):
    path = write_video(tmp_path / "a.mp4", 75, audio=clicks([2.5], 3))
    assert [float(np.abs(clip).max() > 0.3) for clip in audio_clips(path, 2, 1)] == [0, 0]
    assert [float(np.abs(clip).max() > 0.3) for clip in audio_clips(path, 4, 1)] == [0, 0, 1, 0]


def test_video_without_audio(tmp_path):
    path = write_video(tmp_path / "a.mp4", 5)
    assert list(read_audio(path)) == []
    assert list(audio_clips(path, 3)) == []


def test_audio_that_ends_before_the_first_frame(tmp_path):
    path = write_video(tmp_path / "a.mkv", 5, pts=[2000 + i for i in range(5)], time_base=Fraction(1, 1000),
                       audio=clicks([0.5], 1))
    assert len(read_complete(path)) == 0
    assert [clip.any() for clip in audio_clips(path, 2, 1)] == [False, False]


def test_not_a_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no")
    for use in (read_audio, lambda p: audio_clips(p, 1)):
        with pytest.raises(InputError, match=r"a.mp4: is not a readable video"):
            list(use(tmp_path / "a.mp4"))


@pytest.mark.skipif(not VIDEOS.is_dir(), reason="needs the real videos of ../shared/video")
@pytest.mark.parametrize(("name", "seconds"), [("car-detection.mp4", 30.16), ("big_buck_bunny_0_30.webm", 30.0)])
def test_real_audio_is_complete(name, seconds):
    found = read_complete(VIDEOS / name)
    assert len(found) / 32000 == pytest.approx(seconds, abs=0.05)
