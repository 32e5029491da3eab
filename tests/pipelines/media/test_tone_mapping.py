"""pipelines/media/tone_mapping.py: HDR becomes SDR with the brightness that BT.2390 defines, in features and in cuts."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc

from pipelines.editing.reencode import cut
from pipelines.editing.stream_copy import copy_cut, plan_copy
from pipelines.media.tone_mapping import is_hdr, sdr_signals, to_sdr, tone_mapped
from pipelines.media.video_reader import frames_at
from pipelines.shots.boundaries import thumbnail
from tests.media import write_video

PQ, HLG, BT2020, UNSPECIFIED = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67), 9, 2
# Grey patches of 0, 10, 100, 203 and 1000 cd/m2: their signals by SMPTE ST 2084 and ITU-R BT.2100, and the SDR levels.
SIGNALS = {PQ: (0, 0.29966, 0.50808, 0.58069, 0.75183), HLG: (0, 0.25423, 0.62951, 0.74988, 1)}
SDR_LEVELS = (0, 73, 189, 230, 255)
PATCH_PX = 32


def hdr_frame(transfer: int, pix_fmt: str = "yuv420p10le", tag: int | None = None) -> VideoFrame:
    """Return a frame with a patch of each brightness, in the limited range of 10 bits."""
    frame = VideoFrame(5 * PATCH_PX, 64, "yuv420p10le")
    luma = np.frombuffer(frame.planes[0], np.uint16).reshape(64, -1)
    luma[:, :5 * PATCH_PX] = np.repeat(np.round(64 + 876 * np.array(SIGNALS[transfer])), PATCH_PX)
    for plane in frame.planes[1:]:
        np.frombuffer(plane, np.uint16)[:] = 512
    frame.color_trc, frame.color_primaries = tag or transfer, BT2020 if tag is None else tag
    frame.colorspace, frame.color_range = BT2020 if tag is None else tag, 1
    return frame.reformat(format=pix_fmt)


def levels(pixels: np.ndarray) -> list[list[int]]:
    """Return the RGB levels in the middle of each patch."""
    return pixels[pixels.shape[0] // 2, PATCH_PX // 2::PATCH_PX].astype(int).tolist()


def write_hdr(path: Path, transfer: int, codec: str, options: dict[str, str], container_tags: bool) -> Path:
    """Write 2 s of HDR video; without `container_tags`, only the bitstream has color tags, if the options say so."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 5 * PATCH_PX, 64, "yuv420p10le"
        if container_tags:
            context = stream.codec_context
            context.color_trc, context.color_primaries, context.colorspace = transfer, BT2020, BT2020
        for index in range(50):
            frame = hdr_frame(transfer, tag=None if container_tags else UNSPECIFIED)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_vp9(path: Path, transfer: int) -> Path:
    """Write 2 s of HDR video as VP9 profile 2, which PyAV cannot encode."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("needs ffmpeg")
    raw = hdr_frame(transfer).to_ndarray().tobytes() * 50
    subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s", "160x64", "-r", "25",
                    "-i", "-", "-c:v", "libvpx-vp9", "-profile:v", "2", "-crf", "4", "-b:v", "0", "-cpu-used", "8",
                    "-deadline", "realtime", "-color_trc", str(transfer), "-color_primaries", "bt2020", "-colorspace",
                    "bt2020nc", str(path)], input=raw, check=True)
    return path


X265 = dict(preset="ultrafast", crf="4")
VUI = "log-level=none:keyint=25:colorprim=bt2020:transfer={}:colormatrix=bt2020nc"


@pytest.fixture(scope="module", params=["hevc-pq.mp4", "hevc-hlg.mkv", "bitstream-pq.mp4", "vp9-hlg.webm", "vp9-pq.mp4"])
def hdr_video(request, tmp_path_factory):
    kind, name = request.param.split("-")
    transfer = HLG if name.startswith("hlg") else PQ
    path = tmp_path_factory.mktemp("hdr") / name
    if kind == "vp9":
        return write_vp9(path, transfer)
    vui = {"x265-params": VUI.format("arib-std-b67" if transfer == HLG else "smpte2084")}
    return write_hdr(path, transfer, "libx265", X265 | vui, kind == "hevc")


def assert_sdr_levels(pixels: np.ndarray) -> None:
    assert np.abs(np.array(levels(pixels)) - np.array(SDR_LEVELS)[:, None]).max() <= 3


def test_features_see_sdr_levels(hdr_video):
    ((_, pixels),) = frames_at(hdr_video, [1.0])
    assert_sdr_levels(pixels)


def test_cuts_are_sdr_and_tagged_as_bt709(hdr_video, tmp_path):
    cut(hdr_video, [(Fraction(1, 5), Fraction(1))], tmp_path / "cut.mp4")
    with av.open(str(tmp_path / "cut.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 20
    assert_sdr_levels(frames[10].to_ndarray(format="rgb24"))
    tags = [(f.format.name, f.color_trc, f.color_primaries, f.colorspace, f.color_range) for f in frames]
    assert set(tags) == {("yuv420p", 1, 1, 1, 1)}


def test_copies_stay_hdr(hdr_video, tmp_path):
    copy_cut(hdr_video, plan_copy(hdr_video, [(Fraction(0), Fraction(1))]), tmp_path / "copy.mp4")
    with av.open(str(tmp_path / "copy.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (is_hdr(frame), frame.color_primaries, frame.colorspace) == (True, BT2020, BT2020)


def test_color_tags_only_in_the_container(tmp_path):
    """An HEVC decoder removes the tags of the container if the bitstream has none."""
    source = write_hdr(tmp_path / "a.mp4", PQ, "libx265", X265 | {"x265-params": "log-level=none"}, False)
    with av.open(str(source)) as reader, av.open(str(tmp_path / "b.mp4"), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0], opaque=True)
        context = stream.codec_context
        context.color_trc, context.color_primaries, context.colorspace = PQ, BT2020, BT2020
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux(packet)
    ((_, pixels),) = frames_at(tmp_path / "b.mp4", [1.0])
    assert_sdr_levels(pixels)


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "gbrp10le", "yuv420p"])
def test_pixel_formats(transfer, pix_fmt):
    frame = hdr_frame(transfer, pix_fmt)
    frame.color_trc, frame.color_primaries = transfer, BT2020
    assert_sdr_levels(to_sdr(frame).to_ndarray(format="rgb24"))
    assert np.abs(thumbnail(frame)[18, 6::13] - np.array(SDR_LEVELS)[:, None]).max() <= 3


def test_sdr_frames_are_unchanged(tmp_path):
    noise = np.random.default_rng(1).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    path = write_video(tmp_path / "a.mp4", 5, render=lambda *_: noise)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        expected = frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
    ((_, pixels),) = frames_at(path, [0])
    assert not is_hdr(frame)
    assert (pixels == expected).all()


def test_tone_mapping_keeps_dark_levels_and_compresses_highlights():
    light = np.array([0.0, 1, 50, 88, 203, 400, 1000, 4000])
    assert tone_mapped(light) == pytest.approx([0, 1, 50, 88, 159.1, 193.7, 203, 203], rel=0.01)


def test_colors_are_converted_to_bt709():
    """White stays neutral; the red of BT.2020 is outside of BT.709, so that its green and blue are clipped to 0."""
    white, red = sdr_signals(np.array([[0.58, 0.58, 0.58], [0.5, 0, 0]]), ColorTrc.SMPTE2084, ColorPrimaries.BT2020)
    assert np.ptp(white) < 1e-3
    assert red[0] > 0.7
    assert red[1:].tolist() == [0, 0]
