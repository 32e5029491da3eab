"""Deinterlacing: one progressive frame per interlaced frame, at the same time."""

from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.editing.reencode import cut
from pipelines.media import deinterlace as module
from pipelines.media.deinterlace import deinterlace
from pipelines.media.probe import probe
from tests.media import decoded, write_video

SIZE = (128, 96)


def moving_bar(field: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a frame (H, W, 3) with a bright bar, which moves four columns to the right per field."""
    frame = np.full((size[1], size[0], 3), 40, dtype=np.uint8)
    begin = 4 * field % (size[0] - 32)
    frame[:, begin:begin + 32] = 210
    return frame


def interlaced(index: int, size: tuple[int, int]) -> np.ndarray:
    """Return a frame whose even lines belong to one field and whose odd lines to the next."""
    frame = moving_bar(2 * index, size)
    frame[1::2] = moving_bar(2 * index + 1, size)[1::2]
    return frame


def combing(frame: np.ndarray) -> float:
    """Return by how much a line differs more from adjacent lines than from those two lines away."""
    lines = frame.mean(axis=2)
    return float(np.abs(np.diff(lines, axis=0)).mean() - np.abs(lines[2:] - lines[:-2]).mean())


def write_bar_video(path, render=interlaced, flags="tff=1:bframes=2:keyint=12"):
    options = {"crf": "8", "preset": "veryfast", "x264-params": flags}
    return write_video(path, 60, render=render, size=SIZE, options=options)


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_a_cut_has_no_comb_artifacts_and_keeps_frame_times(tmp_path, suffix):
    path = write_bar_video(tmp_path / f"a{suffix}")
    assert min(combing(frame) for _, frame in decoded(path)) > 5
    cut(path, [(Fraction(1, 5), Fraction(3, 5)), (1, 2)], tmp_path / "out.mp4")
    found = decoded(tmp_path / "out.mp4")
    assert [time_s for time_s, _ in found] == [Fraction(i, 25) for i in range(35)]
    assert probe(tmp_path / "out.mp4").duration_s == Fraction(7, 5)
    for (_, frame), index in zip(found, [*range(5, 15), *range(25, 50)], strict=True):
        assert combing(frame) < 1
        expected = moving_bar(2 * index + 1)   # The position at the time of the second field.
        assert np.abs(frame.astype(int) - expected)[8:-8].mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_progressive_frames_are_not_filtered(tmp_path, monkeypatch):
    def never(frame):
        raise AssertionError("filtered")

    path = write_bar_video(tmp_path / "a.mp4", lambda i, size: moving_bar(2 * i, size), "keyint=12")
    monkeypatch.setattr(module, "_Bwdif", never)
    cut(path, [(0, 1)], tmp_path / "out.mp4")
    assert len(decoded(tmp_path / "out.mp4")) == 25


def test_mixed_frames_and_sizes_keep_their_order(tmp_path):
    def frames(name, size, flags):
        def uniform(index, size):
            return np.full((size[1], size[0], 3), 20 * index + 20, dtype=np.uint8)

        path = write_video(tmp_path / name, 10, render=uniform, size=size,
                           options={"crf": "1", "preset": "ultrafast", "x264-params": flags})
        with av.open(str(path)) as container:
            return list(container.decode(video=0))

    plain, combed = frames("a.mp4", SIZE, "keyint=12"), frames("b.mp4", SIZE, "tff=1")
    large = frames("c.mp4", (192, 96), "tff=1")
    given = [plain[0], combed[1], plain[2], combed[3], large[4], plain[5], combed[6]]
    assert [frame.interlaced_frame for frame in given] == [False, True, False, True, True, False, True]
    found = [(time_s, frame.width, round(frame.to_ndarray(format="rgb24").mean() / 20) - 1)
             for time_s, frame in deinterlace([(Fraction(i, 25), frame) for i, frame in enumerate(given)])]
    assert found == [(Fraction(i, 25), 192 if i == 4 else 128, i) for i in range(7)]
