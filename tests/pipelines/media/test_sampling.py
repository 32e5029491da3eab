"""Key frames instead of exact pictures, pictures that need no decoding, and devices that fail."""

from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.features.encode import decoder_of
from pipelines.media import container as media
from pipelines.media import hwaccel as hardware
from pipelines.media import video_reader as video
from pipelines.media.hwaccel import find_device
from pipelines.media.video_reader import DecodeSettings, frames_at
from tests.media import B_FRAMES, read_number, write_video

N_FRAMES = 100


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """100 frames at 25 a second, key frames every 15, B-frames between."""
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", N_FRAMES, options=dict(
        **B_FRAMES | dict(bf="3", g="15"), sc_threshold="0"))


def key_numbers(path):
    with av.open(str(path)) as container:
        return sorted(round(float(p.pts * p.time_base) * 25) for p in container.demux(video=0) if p.is_keyframe)


def numbers(path, times_s, reading):
    return [read_number(picture) for _, picture in frames_at(path, times_s, reading=reading)]


def counted(monkeypatch):
    """How many frames came out of the decoder, in a list of one."""
    count, decode = [0], video.decode_packets

    def counting(*args, **keys):
        for frame in decode(*args, **keys):
            count[0] += 1
            yield frame

    monkeypatch.setattr(video, "decode_packets", counting)
    return count


def test_the_nearest_key_frame(path, monkeypatch):
    keys, count = key_numbers(path), counted(monkeypatch)
    assert len(keys) == 7
    times_s = [Fraction(i, 50) for i in range(2 * N_FRAMES)]
    reading = DecodeSettings("keyframes")
    expected = [min(keys, key=lambda k: (abs(Fraction(k, 25) - t), k)) for t in times_s]   # the slow twin
    assert numbers(path, times_s, reading) == expected
    assert reading.max_frame_offset_s == max(abs(Fraction(k, 25) - t) for k, t in zip(expected, times_s, strict=True))
    assert count == [7]


@pytest.mark.parametrize("bframes", ["0", "2", "8"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".h264"])
def test_pictures_left_out_change_none_that_is_given(tmp_path, monkeypatch, suffix, bframes):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, options={
        "preset": "veryfast", "crf": "10", "x264-params": f"bframes={bframes}:keyint=30:b-adapt=0"})
    count = counted(monkeypatch)
    for times_s in ([Fraction(2 * i + 1, 50) for i in range(N_FRAMES)], [0.5, 0.5, 1.3, 1.34, 3.9, 9]):
        shown = [min(int(t * 25 + 1e-6), N_FRAMES - 1) for t in times_s]
        count[0] = 0
        assert numbers(path, times_s, DecodeSettings()) == shown
        whole = len(times_s) == N_FRAMES or suffix == ".h264"   # a bare stream has no time stamps
        assert (count[0] > 0.95 * N_FRAMES) if whole else (count[0] <= 0.85 * N_FRAMES)


def test_hevc_leaves_out_pictures_too(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", 60, codec="libx265",
                       options={"x265-params": "lossless=1:log-level=none:bframes=4"})
    count = counted(monkeypatch)
    assert numbers(path, [0.1, 1.1, 2.1], DecodeSettings()) == [2, 27, 52]
    assert count[0] < 50
    assert numbers(path, [Fraction(2 * i + 1, 50) for i in range(60)], DecodeSettings()) == list(range(60))


def test_a_stream_without_key_frames_is_read_exactly(path, monkeypatch):
    packets = video.read_packets

    def without_keys(container, stream):
        for packet in packets(container, stream):
            packet.is_keyframe = False
            yield packet

    monkeypatch.setattr(video, "read_packets", without_keys)
    reading = DecodeSettings("keyframes")
    assert numbers(path, [1], reading) == [25]
    assert reading.sampling == "exact" and reading.max_frame_offset_s == 0


def test_samplings_that_do_not_exist(path):
    with pytest.raises(InputError, match="sampling 'keyframe' does not exist; did you mean 'keyframes'"):
        next(frames_at(path, [1], reading=DecodeSettings("keyframe")))


@pytest.mark.parametrize("after", [0, 7, 20])
def test_the_processor_takes_over_where_a_device_fails(path, monkeypatch, after):
    opened, decode = [], video.decode_packets
    monkeypatch.setattr(video, "open_video", lambda path, device: (opened.append(device), real_open(path))[1])

    def failing(packets, stream, strict):
        for number, frame in enumerate(decode(packets, stream)):
            if strict and number == after:
                raise av.error.ExternalError(1, "the device is gone")
            yield frame

    monkeypatch.setattr(video, "decode_packets", failing)
    reading = DecodeSettings(device="cuda")
    times_s = [Fraction(2 * i + 1, 50) for i in range(40)]
    found = list(frames_at(path, times_s, reading=reading))
    assert [index for index, _ in found] == list(range(40))
    assert [read_number(picture) for _, picture in found] == list(range(40))
    assert opened == ["cuda", None]
    assert reading.device is None and reading.failure.startswith("cuda failed") and "gone" in reading.failure


def test_a_device_that_is_not_there(path):
    reading = DecodeSettings(device="cuda")
    if find_device("h264") is None:
        assert numbers(path, [1], reading) == [25]
        assert reading.device is None and "cuda failed" in reading.failure
        assert str(path) not in reading.failure                               # it is not the file's fault


class Opened:
    """PyAV's HWAccel as far as it opens: what follows is the processor's."""

    asked = ()

    def __init__(self, device, allow_software_fallback):
        Opened.asked = (device, allow_software_fallback)


@pytest.mark.parametrize("failure", [None, av.error.PermissionError(13, "Permission denied")])
def test_a_device_is_named_only_where_it_decodes(path, monkeypatch, failure):
    """A device that opens and then leaves the stream to the processor, and one that may not be opened."""
    plain = av.open

    def opened(name, hwaccel=None, **options):
        if hwaccel is not None and failure is not None:
            raise failure
        return plain(name, **options)

    monkeypatch.setattr(media, "HWAccel", Opened)
    monkeypatch.setattr(av, "open", opened)
    reading = DecodeSettings(device="vaapi")
    assert numbers(path, [1, 2], reading) == [25, 50]
    assert Opened.asked == ("vaapi", False)                                    # FFmpeg itself falls back silently
    why = "it does not decode h264" if failure is None else "Permission denied"
    assert (reading.device, reading.failure) == (None, f"vaapi failed ({why})")
    assert decoder_of(reading) == f"software, since vaapi failed ({why})"


def test_devices_are_tried_in_turn(monkeypatch):
    class Fake:
        def __init__(self, name):
            self.name = name

        def create(self, codec):
            if self.name == "absent":
                raise av.error.PermissionError(1, "no such device")
            if codec.name != "hevc":
                raise NotImplementedError

    monkeypatch.setattr(hardware, "HWAccel", Fake)
    monkeypatch.setattr(hardware, "hwdevices_available", lambda: ["absent", "present"])
    find_device.cache_clear()
    assert (find_device("hevc"), find_device("h264"), find_device("nonsense")) == ("present", None, None)
    find_device.cache_clear()


def test_frames_are_never_gathered(path):
    first = next(frames_at(path, [0, 1, 2]))
    assert isinstance(first[1], np.ndarray)


real_open = video.open_video
