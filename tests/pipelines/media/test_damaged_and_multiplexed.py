"""Streams with several programs, with a damaged first key frame, and with HE-AAC audio."""

import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.reencode import cut
from pipelines.media.audio_reader import has_audio, read_audio
from pipelines.media.frames import frames_from
from pipelines.media.probe import probe
from pipelines.media.video_reader import frames_at
from tests.media import RATE_HZ, click_times, clicks, decoded, numbered_frame, read_number, write_video

H264 = dict(preset="veryfast", crf="10", bf="2", g="25", **{"x264-params": "scenecut=0"})
HE_AAC_24_TO_48_KHZ_MONO = bytes([0x2B, 0x09, 0x88, 0x00])   # AudioSpecificConfig with explicit SBR signaling.


def packet_positions(path):
    with av.open(str(path)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_damaged_first_key_frame(tmp_path, suffix):
    audio_codec = "aac" if suffix == ".mp4" else "mp2"
    path = write_video(tmp_path / f"a{suffix}", 75, options=H264, audio=clicks([0.5, 1.5, 2.5], 3),
                       audio_codec=audio_codec, render=lambda i, size: numbered_frame(i, size))
    (pos, size), (following, _) = packet_positions(path)[:2]
    data = bytearray(path.read_bytes())
    if suffix == ".ts":   # The first TS packet with the parameter sets stays; headers of the others too.
        for at in range(pos, following, 188):
            kept = 100 if at == pos else 8
            data[at + kept:at + 188] = bytes(188 - kept)
    else:
        data[pos + 60:pos + size] = bytes(size - 60)   # The parameter sets stay.
    path.write_bytes(data)
    info = probe(path)
    frames = [(time_s, read_number(frame.to_ndarray(format="rgb24")))
              for time_s, frame in frames_from(path, info.start_s, Fraction(0))]
    assert frames == [(Fraction(i, 25), 25 + i) for i in range(50)]   # Time counts from the first decodable frame.
    assert (info.n_frames, info.duration_s) == (50, 2)
    assert [read_number(frame) for _, frame in frames_at(path, [0.5, 1.5])] == [37, 62]
    found = click_times(np.concatenate([*read_audio(path, rate_hz=RATE_HZ)]))
    assert found == pytest.approx([0.5, 1.5], abs=0.02)


def write_programs(folder, programs):
    """Write a transport stream with several programs; each is (width, number of the first frame, click or None)."""
    inputs, mapping, streams = [], [], 0
    for number, (width, first, click_s) in enumerate(programs):
        audio = None if click_s is None else clicks([click_s], 2)
        inputs += ["-i", str(write_video(folder / f"{number}.mkv", 50, size=(width, width // 2), options=H264, audio=audio,
                                         render=lambda i, size, first=first: numbered_frame(first + i, size)))]
        n_streams = 1 if click_s is None else 2
        mapping += ["-map", str(number), "-program", ":".join(
            [f"title={number}", *(f"st={streams + i}" for i in range(n_streams))])]
        streams += n_streams
    path = folder / "programs.ts"
    subprocess.run(["ffmpeg", "-v", "error", *inputs, *mapping, "-c", "copy", str(path)], check=True)
    return path


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="PyAV cannot write programs")


@needs_ffmpeg
def test_the_first_of_two_programs_with_its_own_audio(tmp_path):
    path = write_programs(tmp_path, [(80, 0, 0.5), (320, 500, 1.25)])
    info = probe(path)
    assert (info.width, info.n_frames, info.has_audio) == (80, 50, True)
    assert [read_number(frame) for _, frame in frames_at(path, [0.02, 1.02])] == [0, 25]
    assert click_times(np.concatenate([*read_audio(path, rate_hz=RATE_HZ)])) == pytest.approx([0.5], abs=0.02)
    cut(info, [(0.4, 0.8)], tmp_path / "cut.mp4")
    assert [read_number(frame) for _, frame in decoded(tmp_path / "cut.mp4")] == [*range(10, 20)]


@needs_ffmpeg
def test_a_program_without_audio_has_none(tmp_path):
    path = write_programs(tmp_path, [(80, 0, None), (320, 500, 1.25)])
    assert (probe(path).width, probe(path).has_audio, has_audio(path)) == (80, False, False)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_he_aac_doubles_the_sampling_rate(tmp_path, suffix):
    """No free encoder is at hand; AAC-LC declared as HE-AAC exercises the decoder, which adds its delay of 20 ms."""
    source = write_video(tmp_path / "lc.mp4", 50, audio=clicks([0.5, 1.5], 2, 24000), rate_hz=24000)
    path = tmp_path / f"he{suffix}"
    with av.open(str(source)) as lc, av.open(str(path), "w") as target:
        video, audio = lc.streams.video[0], lc.streams.audio[0]
        targets = {video: target.add_stream_from_template(video, opaque=True),
                   audio: target.add_stream_from_template(audio)}
        targets[audio].codec_context.extradata = HE_AAC_24_TO_48_KHZ_MONO
        for packet in lc.demux(video, audio):
            if packet.dts is not None:
                packet.stream = targets[packet.stream]
                target.mux(packet)
    with av.open(str(path)) as container:
        assert next(container.decode(audio=0)).sample_rate == 48000
    samples = np.concatenate([*read_audio(path, rate_hz=RATE_HZ)])
    assert len(samples) / RATE_HZ == pytest.approx(2, abs=0.05)
    assert click_times(samples) == pytest.approx([0.52, 1.52], abs=0.005)
    cut(path, [(0.4, 1)], tmp_path / "cut.mp4")
    assert click_times(np.concatenate([*read_audio(tmp_path / "cut.mp4", rate_hz=RATE_HZ)])) == pytest.approx(
        [0.12], abs=0.005)
