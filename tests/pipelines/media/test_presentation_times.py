"""Streams without presentation times: AVI with B-frames, packed B-frames, and elementary streams."""

import re
from fractions import Fraction

import av
import numpy as np
import pytest

from common.errors import InputError
from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import plan_copy
from pipelines.media.frames import frames_from
from pipelines.media.presentation_times import FrameStamper, PresentationClock
from pipelines.media.probe import probe
from pipelines.media.video_reader import DecodeSettings, frames_at
from tests.media import clicks, decoded, read_number, write_video

N_FRAMES = 60
EMPTY_VOP = b"\0\0\1\xb6\x51\xd8"   # A P-frame that is not coded.
USER_DATA = b"\0\0\1\xb2DivX503b1393p"


def write_packed(path):
    """Write an AVI file with MPEG-4, in which a packet with a P-frame also contains the B-frame that follows it."""
    plain = write_video(path.with_name("plain.avi"), N_FRAMES, codec="mpeg4", options=dict(bf="1", g="12", qscale="2"))
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = source.streams.video[0]
        packets = [bytes(packet) for packet in source.demux(stream) if packet.size]
        is_b = [data[data.find(b"\0\0\1\xb6") + 4] >> 6 == 2 for data in packets]
        packed = [data + (packets[i + 1] if i + 1 < len(packets) and is_b[i + 1] else b"") if not is_b[i] else EMPTY_VOP
                  for i, data in enumerate(packets)]
        packed[0] = re.sub(rb"\x00\x00\x01\xb2Lavc[\d.]+", lambda _: USER_DATA, packed[0])
        out = target.add_mux_stream("mpeg4", width=80, height=48, time_base=Fraction(1, 25))
        for i, data in enumerate(packed):
            packet = av.Packet(data)
            packet.pts = packet.dts = i
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 25), out, i == 0
            target.mux(packet)
    assert any(is_b)
    return path


def write_stream(folder, kind):
    h264 = dict(options={"preset": "veryfast", "crf": "10", "x264-params": "bframes=3:keyint=20:b-adapt=0:scenecut=0"})
    if kind == "packed":
        return write_packed(folder / "packed.avi")
    suffix, options = {
        "avi": (".avi", h264),
        "avi-with-audio": (".avi", h264 | dict(audio=clicks([0.5, 1.5], 2.4), audio_codec="pcm_s16le")),
        "avi-without-b-frames": (".avi", dict(options=dict(preset="veryfast", crf="10", bf="0"))),
        "avi-mpeg4": (".avi", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2"))),
        "h264": (".h264", h264),
        "hevc": (".hevc", dict(codec="libx265", options={
            "preset": "ultrafast", "x265-params": "log-level=none:bframes=3:keyint=20"})),
        "m4v": (".m4v", dict(codec="mpeg4", options=dict(bf="2", g="12", qscale="2"))),
    }[kind]
    return write_video(folder / f"a{suffix}", N_FRAMES, **options)


@pytest.mark.parametrize("kind", ["avi", "avi-with-audio", "avi-without-b-frames", "avi-mpeg4", "packed", "h264", "hevc",
                                  "m4v"])
def test_every_frame_is_shown_for_one_frame_duration(tmp_path, kind):
    path = write_stream(tmp_path, kind)
    info = probe(path)
    assert (info.n_frames, info.duration_s, info.fps) == (N_FRAMES, Fraction(N_FRAMES, 25), 25)
    frames = [(time_s, read_number(frame.to_ndarray(format="rgb24")))
              for time_s, frame in frames_from(path, info.start_s, Fraction(0))]
    assert frames == [(Fraction(i, 25), i) for i in range(N_FRAMES)]
    times_s = [Fraction(2 * i + 1, 50) for i in range(N_FRAMES)]
    assert [read_number(frame) for _, frame in frames_at(path, times_s)] == list(range(N_FRAMES))
    cut(info, [(0.4, 0.8), (1.2, 2)], tmp_path / "cut.mp4")
    assert [read_number(frame) for _, frame in decoded(tmp_path / "cut.mp4")] == [*range(10, 20), *range(30, 50)]


@pytest.mark.parametrize("kind", ["avi", "packed"])
def test_copying_is_refused(tmp_path, kind):
    with pytest.raises(InputError, match=r"its time stamps \(avi\) are not exact enough to copy"):
        plan_copy(write_stream(tmp_path, kind), [(0.4, 0.8)])


@pytest.mark.parametrize("kind", ["avi", "h264"])
def test_key_frames(tmp_path, kind):
    path = write_stream(tmp_path, kind)
    shown = [read_number(frame) for _, frame in frames_at(path, [0.02, 0.82, 1.62], settings=DecodeSettings("keyframes"))]
    assert shown == [0, 20, 40]


def test_frames_after_a_damaged_group_keep_their_time(tmp_path):
    path = write_stream(tmp_path, "avi")
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for i, (pos, size) in enumerate(packets[:20]):
        kept = 60 if i == 0 else 0   # The parameter sets.
        data[pos + kept:pos + size] = bytes(size - kept)
    path.write_bytes(data)
    frames = [(time_s, read_number(frame.to_ndarray(format="rgb24")))
              for time_s, frame in frames_from(path, Fraction(0), Fraction(0))]
    assert frames[-40:] == [(Fraction(i, 25), i) for i in range(20, 60)]


def packet_at(dts, pts=None, data=b"data"):
    packet = av.Packet(data)
    packet.pts, packet.dts, packet.duration = pts, dts, 2
    return packet


def test_clock():
    clock = PresentationClock(Fraction(1, 50), Fraction(25))
    stamps = [(10, 14), (None, None), (None, None), (16, None), (5000, 5004), (7, 9), (None, None)]
    times = [clock.presentation_time(packet_at(dts, pts)) for dts, pts in stamps]
    assert times == [14, 16, 18, 20, 5004, 9, 11]


def test_stamper():
    stamper = FrameStamper(PresentationClock(Fraction(1, 50), Fraction(25)))
    for dts, pts in ((0, 4), (2, None), (4, None), (6, 6), (8, None)):
        stamper.send(packet_at(dts, pts))
    stamped = []
    for pts in (4, None, None, 10, None):
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        frame.pts = pts
        stamped.append(stamper.stamp(frame).pts)
    assert stamped == [4, 6, 8, 10, 12]
