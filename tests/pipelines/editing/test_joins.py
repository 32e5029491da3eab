"""Joins of copied pieces that start inside open GOPs: all frames are shown, in order, and decode without errors."""

import re
import shutil
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.h264_joins import escape, unescape
from pipelines.editing.stream_copy import copy_cut, kept_intervals, plan_copy
from pipelines.media.nal_units import length_size, nal_units, parameter_sets, stored_parameter_sets
from pipelines.media.probe import probe
from tests.media import decoded, read_number, write_video

N_FRAMES = 500
PIECES = [(Fraction(1, 2), 2), (Fraction(35, 10), 4), (Fraction(104, 10), Fraction(113, 10)), (14, 15), (18, 20)]
HEVC = "log-level=error:keyint=20:min-keyint=20:open-gop=1:bframes=4:b-adapt=0:scenecut=0"
H264 = "keyint=20:min-keyint=20:open-gop=1:bframes=3:b-adapt=0:scenecut=0"
SOURCES = dict(
    hevc=("libx265", {"preset": "ultrafast", "crf": "12", "x265-params": HEVC}),
    hevc_repeated_headers=("libx265", {"preset": "ultrafast", "x265-params": f"{HEVC}:repeat-headers=1:slices=2"}),
    h264=("libx264", {"preset": "veryfast", "crf": "12", "x264-params": f"{H264}:b-pyramid=none"}),
    h264_pyramid=("libx264", {"preset": "veryfast", "x264-params": f"{H264}:b-pyramid=normal:slices=3:ref=4"}),
    h264_fields=("libx264", {"preset": "veryfast", "x264-params": f"{H264}:tff=1:cabac=0"}),
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Return a function that writes a source video once."""
    folder, written = tmp_path_factory.mktemp("sources"), {}

    def source(name, suffix):
        if (name, suffix) not in written:
            codec, options = SOURCES[name]
            written[name, suffix] = write_video(folder / f"{name}{suffix}", N_FRAMES, codec=codec, options=options,
                                                size=(80, 64))
        return written[name, suffix]

    return source


def errors_of_ffmpeg(path):
    """Return what FFmpeg reports when it decodes a file."""
    run = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"], capture_output=True, text=True,
                         check=False)
    return run.stderr


@pytest.mark.parametrize("suffix", [
    ".mp4", pytest.param(".mkv", marks=pytest.mark.slow), pytest.param(".ts", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", list(SOURCES))
def test_open_gops_are_joined_in_order(sources, tmp_path, name, suffix):
    path, out = sources(name, suffix), tmp_path / "out.mp4"
    info = probe(path)
    ranges = plan_copy(info, PIECES)
    copy_cut(info, ranges, out)
    kept = kept_intervals(info, ranges)
    numbers = [number for start_s, end_s in kept for number in range(round(25 * start_s), round(25 * end_s))]
    found = decoded(out)
    assert len(kept) > 1
    assert [read_number(frame) for _, frame in found] == numbers
    assert [float(time_s) for time_s, _ in found] == pytest.approx([i / 25 for i in range(len(numbers))], abs=0.002)
    if shutil.which("ffmpeg"):
        assert errors_of_ffmpeg(out) == ""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("name", ["hevc", "hevc_repeated_headers"])
def test_hevc_is_tagged_hvc1_with_parameter_sets_in_the_sample_description_only(sources, tmp_path, name, suffix):
    path, out = sources(name, suffix), tmp_path / "out.mp4"
    copy_cut(path, plan_copy(path, PIECES), out)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        extradata = stream.codec_context.extradata
        assert stream.codec_context.codec_tag == "hvc1"
        assert sorted(unit[0] >> 1 for unit in stored_parameter_sets("hevc", extradata) if unit[0] >> 1 < 35) == [
            32, 33, 34]
        prefix_size = length_size("hevc", extradata)
        types = [[kind for kind, _ in nal_units(bytes(p), "hevc", prefix_size)]
                 for p in container.demux(stream) if p.size and p.is_keyframe]
        assert not any(parameter_sets(bytes(p), "hevc", prefix_size) for p in container.demux(stream) if p.size)
    assert {32, 33, 34}.isdisjoint(kind for kinds in types for kind in kinds)
    assert sum(18 in kinds for kinds in types) == len(plan_copy(path, PIECES)) - 1   # Broken links at the joins.


def test_escaping_is_reversible_and_never_contains_a_start_code():
    rng = np.random.default_rng(0)
    for _ in range(500):
        data = bytes(rng.choice([0, 0, 0, 1, 2, 3, 4, 255], 20).tolist()) + b"\4"
        assert unescape(escape(data)) == data
        assert not re.search(rb"\0\0[\0-\2]", escape(data))
