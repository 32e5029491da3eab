"""Sampling of key frames, frames that need no decoding, and hardware devices that fail."""

from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.media import container, hwaccel, video_reader
from pipelines.media.hwaccel import find_device
from pipelines.media.video_reader import DecodeReport, DecodeSettings, frames_at
from tests.media import B_FRAMES, read_number, write_video

N_FRAMES = 100


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """100 frames at 25 fps with a key frame every 15 frames and B-frames in between."""
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", N_FRAMES, options=dict(
        **B_FRAMES | dict(bf="3", g="15"), sc_threshold="0"))


def key_numbers(path):
    with av.open(str(path)) as container:
        return sorted(round(float(p.pts * p.time_base) * 25) for p in container.demux(video=0) if p.is_keyframe)


def numbers(path, times_s, settings=None, report=None):
    return [read_number(frame) for _, frame in frames_at(path, times_s, settings=settings, report=report)]


def counted(monkeypatch):
    """Return a list whose only item is updated to the number of decoded frames."""
    count, decode = [0], video_reader.decode_packets

    def counting(*args, **keys):
        for frame in decode(*args, **keys):
            count[0] += 1
            yield frame

    monkeypatch.setattr(video_reader, "decode_packets", counting)
    return count


def test_nearest_key_frames(path, monkeypatch):
    keys, count = key_numbers(path), counted(monkeypatch)
    assert len(keys) == 7
    times_s = [Fraction(i, 50) for i in range(2 * N_FRAMES)]
    report = DecodeReport()
    expected = [min(keys, key=lambda k: (abs(Fraction(k, 25) - t), k)) for t in times_s]   # By linear search.
    assert numbers(path, times_s, DecodeSettings("keyframes"), report) == expected
    assert report.max_frame_offset_s == max(abs(Fraction(k, 25) - t) for k, t in zip(expected, times_s, strict=True))
    assert count == [7]


@pytest.mark.parametrize(("suffix", "bframes"), [
    (".mp4", "0"), (".mp4", "2"), (".mkv", "8"), (".ts", "2"), (".ts", "8"), (".h264", "2")])
def test_skipped_frames_do_not_change_the_others(tmp_path, monkeypatch, suffix, bframes):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, options={
        "preset": "veryfast", "crf": "10", "x264-params": f"bframes={bframes}:keyint=30:b-adapt=0"})
    count = counted(monkeypatch)
    for times_s in ([Fraction(2 * i + 1, 50) for i in range(N_FRAMES)], [0.5, 0.5, 1.3, 1.34, 3.9, 9]):
        shown = [min(int(t * 25 + 1e-6), N_FRAMES - 1) for t in times_s]
        count[0] = 0
        assert numbers(path, times_s, DecodeSettings()) == shown
        needs_all = len(times_s) == N_FRAMES or suffix == ".h264"   # A raw stream has no time stamps.
        assert (count[0] > 0.95 * N_FRAMES) if needs_all else (count[0] <= 0.85 * N_FRAMES)


def test_hevc_frames_are_skipped_too(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 60, codec="libx265",
                       options={"x265-params": "lossless=1:log-level=none:bframes=4"})
    count = counted(monkeypatch)
    assert numbers(path, [0.1, 1.1, 2.1], DecodeSettings()) == [2, 27, 52]
    assert count[0] < 50
    assert numbers(path, [Fraction(2 * i + 1, 50) for i in range(60)], DecodeSettings()) == list(range(60))


def test_a_stream_without_key_frames_falls_back_to_exact_frames(path, monkeypatch):
    packets = video_reader.read_packets

    def without_keys(container, stream):
        for packet in packets(container, stream):
            packet.is_keyframe = False
            yield packet

    monkeypatch.setattr(video_reader, "read_packets", without_keys)
    report = DecodeReport()
    assert numbers(path, [1], DecodeSettings("keyframes"), report) == [25]
    assert report.sampling == "exact"
    assert report.max_frame_offset_s == 0


def test_unknown_sampling(path):
    with pytest.raises(InputError, match="sampling 'keyframe' does not exist; did you mean 'keyframes'"):
        next(frames_at(path, [1], settings=DecodeSettings("keyframe")))


@pytest.mark.parametrize("after", [0, 7, 20])
def test_the_cpu_takes_over_if_a_device_fails(path, monkeypatch, after):
    opened, decode = [], video_reader.decode_packets
    monkeypatch.setattr(video_reader, "open_video", lambda path, device: (opened.append(device), real_open(path))[1])

    def failing(packets, stream, strict):
        for number, frame in enumerate(decode(packets, stream)):
            if strict and number == after:
                raise av.error.ExternalError(1, "the device is gone")
            yield frame

    monkeypatch.setattr(video_reader, "decode_packets", failing)
    report = DecodeReport()
    times_s = [Fraction(2 * i + 1, 50) for i in range(40)]
    found = list(frames_at(path, times_s, settings=DecodeSettings(device="cuda"), report=report))
    assert [index for index, _ in found] == list(range(40))
    assert [read_number(frame) for _, frame in found] == list(range(40))
    assert opened == ["cuda", None]
    assert report.device is None
    assert report.device_error.startswith("cuda failed")
    assert "gone" in report.device_error


def test_an_absent_device(path):
    report = DecodeReport()
    if find_device("h264") is None:
        assert numbers(path, [1], DecodeSettings(device="cuda"), report) == [25]
        assert report.device is None
        assert "cuda failed" in report.device_error
        assert str(path) not in report.device_error   # The file is not the cause.


class FakeHWAccel:
    """A device that can be opened but leaves decoding to the CPU."""

    arguments = ()

    def __init__(self, device, allow_software_fallback):
        FakeHWAccel.arguments = (device, allow_software_fallback)


@pytest.mark.parametrize("failure", [None, av.error.PermissionError(13, "Permission denied")])
def test_a_device_is_reported_only_if_it_decodes(path, monkeypatch, failure):
    """One device opens and then leaves the stream to the CPU; another cannot be opened."""
    plain = av.open

    def opened(name, hwaccel=None, **options):
        if hwaccel is not None and failure is not None:
            raise failure
        return plain(name, **options)

    monkeypatch.setattr(container, "HWAccel", FakeHWAccel)
    monkeypatch.setattr(av, "open", opened)
    report = DecodeReport()
    assert numbers(path, [1, 2], DecodeSettings(device="vaapi"), report) == [25, 50]
    assert FakeHWAccel.arguments == ("vaapi", False)   # FFmpeg would fall back silently.
    reason = "it does not decode h264" if failure is None else "Permission denied"
    assert (report.device, report.device_error) == (None, f"vaapi failed ({reason})")
    assert report.decoder == f"software, since vaapi failed ({reason})"


def test_devices_are_tried_in_order(monkeypatch):
    class FakeDevice:
        def __init__(self, name):
            self.name = name

        def create(self, codec):
            if self.name == "absent":
                raise av.error.PermissionError(1, "no such device")
            if codec.name != "hevc":
                raise NotImplementedError

    monkeypatch.setattr(hwaccel, "HWAccel", FakeDevice)
    monkeypatch.setattr(hwaccel, "hwdevices_available", lambda: ["absent", "present"])
    find_device.cache_clear()
    assert (find_device("hevc"), find_device("h264"), find_device("nonsense")) == ("present", None, None)
    find_device.cache_clear()


def test_frames_are_yielded_one_by_one(path):
    first = next(frames_at(path, [0, 1, 2]))
    assert isinstance(first[1], np.ndarray)


real_open = video_reader.open_video
