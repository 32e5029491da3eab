"""Files whose resolution changes cannot be copied, except for pieces of one resolution."""

from fractions import Fraction

import av
import pytest

from pipelines.editing.copyability import NotCopyableError
from pipelines.editing.stream_copy import kept_intervals, plan_copy
from pipelines.media.probe import probe
from tests.media import write_video

CODECS = dict(
    h264=("libx264", dict(g="12", preset="ultrafast")),
    hevc=("libx265", {"preset": "ultrafast", "x265-params": "log-level=error:keyint=12"}),
    vp9=("libvpx-vp9", dict(deadline="realtime", g="12", **{"cpu-used": "8"})),
    mpeg4=("mpeg4", dict(g="12")),
)


def write_with_another_size(path, name, other_size):
    """Write 2 s of 80x48 pixels and 2 s of another size into one stream."""
    codec, options = CODECS[name]
    parts = [write_video(path.with_name(f"{i}{path.suffix}"), 50, codec=codec, options=options, size=size)
             for i, size in enumerate([(80, 48), other_size])]
    with av.open(str(path), "w") as out:
        stream = None
        for i, part in enumerate(parts):
            with av.open(str(part)) as source:
                video = source.streams.video[0]
                stream = stream or out.add_stream_from_template(video, opaque=True)
                for packet in [packet for packet in source.demux(video) if packet.pts is not None]:
                    shift = round((2 * i - video.start_time * video.time_base) / video.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    out.mux(packet)
    return path


@pytest.mark.parametrize(("name", "suffix"), [
    ("h264", ".ts"), ("h264", ".mkv"), ("hevc", ".ts"), ("vp9", ".webm"), ("mpeg4", ".ts")])
def test_a_change_of_the_resolution(tmp_path, name, suffix):
    if suffix == ".mkv":   # Matroska keeps the parameter sets of start codes in the stream.
        source = write_with_another_size(tmp_path / "a.ts", name, (64, 48))
        path = tmp_path / "a.mkv"
        with av.open(str(source)) as container, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(container.streams.video[0], opaque=True)
            for packet in container.demux(video=0):
                if packet.pts is not None:
                    packet.stream = stream
                    out.mux(packet)
    else:
        path = write_with_another_size(tmp_path / f"a{suffix}", name, (64, 48))
    info = probe(path)
    assert info.n_frames == 100
    with pytest.raises(NotCopyableError, match=r"its resolution or another decoder parameter differs at 3\.0 s"):
        plan_copy(info, [(0, Fraction(1, 2)), (3, 4)])
    with pytest.raises(NotCopyableError, match=r"differs at 2\.0 s"):
        plan_copy(info, [(1, 3)])
    assert kept_intervals(info, plan_copy(info, [(0, 1)]))[0][0] == 0


@pytest.mark.parametrize(("name", "suffix"), [("h264", ".ts"), ("hevc", ".ts"), ("vp9", ".webm"), ("mpeg4", ".ts")])
def test_no_change_of_the_resolution(tmp_path, name, suffix):
    info = probe(write_with_another_size(tmp_path / f"a{suffix}", name, (80, 48)))
    assert kept_intervals(info, plan_copy(info, [(0, 4)])) == [(0, info.duration_s)]
