"""pipelines/borders.py: pieces lose what they show of other shots, to the frame, and nothing else."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from pipelines.export.writer import ExportOptions, write_outputs
from pipelines.media.probe import probe
from pipelines.options import Shorts
from pipelines.shots import trim as borders
from pipelines.shots.trim import trim_to_shots
from pipelines.summarizer import Summarizer
from tests.media import write_video
from tests.pipelines import fakes

FPS, N_FRAMES = 25, 300                                        # 12 s
CUTS = (13, 62, 107, 139, 215)                                 # first frames of new shots
LOOKS = np.random.default_rng(5).integers(20, 236, (len(CUTS) + 1, 6, 10, 3))   # of the shots, 6 x 10 patches
PIECES = [(0, 2), (2, 6), (8, 12)]                             # of clips of 2 s
KEPT = [(Fraction(13, 25), 2), (Fraction(62, 25), Fraction(139, 25)), (Fraction(215, 25), 12)]


def shots(index: int, size: tuple[int, int]) -> np.ndarray:
    look = LOOKS[sum(index >= cut for cut in CUTS)].astype(np.uint8)
    return np.roll(np.kron(look, np.ones((size[1] // 6, size[0] // 10, 1), np.uint8)), index // 2, axis=1)


def kept(path, pieces=PIECES, reach_s=Fraction(1)):
    return trim_to_shots(probe(path), [(Fraction(a), Fraction(b)) for a, b in pieces], reach_s)


@pytest.mark.parametrize("x264", ["keyint=250", "keyint=100:scenecut=0", "keyint=25:scenecut=0:open-gop=1",
                                  "keyint=250:scenecut=0"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pieces_end_with_their_shots(tmp_path, x264, suffix):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, render=shots, options={"crf": "20", "x264-params": x264})
    assert kept(path) == [(0, 2), *KEPT[1:]]   # the film's own beginning stays


def test_time_stamps_of_any_distance(tmp_path):
    pts = np.cumsum([0, *np.tile([1, 3, 2, 2], N_FRAMES)])[:N_FRAMES].tolist()   # twice as slow, and uneven
    path = write_video(tmp_path / "a.mkv", N_FRAMES, render=shots, pts=pts, time_base=Fraction(1, 50))
    cut_s = Fraction(pts[62], 50)
    (start_s, end_s), = kept(path, [(2, 6)])
    assert abs(start_s - cut_s) < Fraction(1, 500) and end_s == Fraction(pts[139], 50).limit_denominator(1000)


def look(number, size):
    return np.kron(LOOKS[int(number)].astype(np.uint8), np.ones((size[1] // 6, size[0] // 10, 1), np.uint8))


@pytest.mark.parametrize("x264", ["bframes=3", "bframes=0"])
def test_a_still_before_the_cut(tmp_path, x264):
    pts = [*range(0, 9600, 40), 9600, *range(10900, 18900, 40)]   # ms; the second picture of the still has no third
    path = write_video(tmp_path / "a.mkv", len(pts), render=lambda i, size: look(i >= 241, size), pts=pts,
                       time_base=Fraction(1, 1000), options={"crf": "20", "x264-params": x264})
    assert kept(path, [(9, 16)], Fraction(2)) == [(Fraction(109, 10), 16)]


@pytest.mark.parametrize("fps", [3, 5, 10])
def test_few_pictures_a_second(tmp_path, fps):
    path = write_video(tmp_path / "a.mp4", 20 * fps, fps=fps, render=lambda i, size: look(i >= 5 * fps, size), options={"crf": "20"})
    assert kept(path, [(4, 10)], Fraction(2)) == [(5, 10)]


@pytest.mark.parametrize("fps", [2, 3, 5])
def test_movement_in_few_pictures_a_second(tmp_path, fps):
    path = write_video(tmp_path / "pan.mp4", 20 * fps, fps=fps, render=lambda i, size: np.roll(look(0, size), 8 * i, axis=1),
                       options={"crf": "20", "x264-params": f"keyint={5 * fps}:scenecut=0"})
    assert kept(path, [(4, 12)], Fraction(2)) == [(4, 12)]


@pytest.mark.parametrize("bframes", [8, 16])
def test_the_bytes_come_with_a_later_picture_than_the_shots_first(tmp_path, bframes):
    x264 = f"keyint=250:scenecut=0:bframes={bframes}:b-adapt=0"
    path = write_video(tmp_path / "a.mp4", 250, render=lambda i, size: look(i >= 55, size), options={"crf": "20", "x264-params": x264})
    assert kept(path, [(2, 8)]) == [(Fraction(11, 5), 8)]


def test_av1_whose_bytes_come_earlier(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(120, 72), render=shots, codec="libsvtav1",
                       options={"preset": "10", "crf": "30", "svtav1-params": "keyint=100:lp=1"})
    assert kept(path) == [(0, 2), *KEPT[1:]]


def test_a_plain_shot_takes_few_bytes_and_its_key_frame_too(tmp_path):
    def picture(index, size):
        grain = np.random.default_rng(1).integers(20, 220, (size[1], size[0], 3)) + np.random.default_rng(index).integers(0, 8, (size[1], size[0], 3))
        return (grain if index < 55 else np.full_like(grain, 16)).astype(np.uint8)

    path = write_video(tmp_path / "a.mp4", 250, size=(160, 96), render=picture,
                       options={"crf": "24", "x264-params": "keyint=70:scenecut=0"})
    assert kept(path, [(2, 8)]) == [(Fraction(11, 5), 8)]


@pytest.mark.parametrize(("fps", "before_s", "behind_s"), [(25, 0.5, 0.25), (4, 1, 0.5)])
def test_only_what_is_around_large_packets_is_decoded(tmp_path, monkeypatch, fps, before_s, behind_s):
    """At least four pictures before them and two behind."""
    looked = []
    monkeypatch.setattr(borders, "hard_cuts", lambda info, *span_and_file: looked.append(span_and_file[:2]) or [])
    path = write_video(tmp_path / "a.mp4", 12 * fps, fps=fps, render=lambda i, size: look(i >= 9 * fps, size), options={"crf": "20"})
    kept(path, [(8, 12)], Fraction(2))
    (from_s, until_s), = looked   # of the two seconds from 8 on
    assert 9 - before_s - 0.5 <= from_s <= 9 - before_s and 9 + behind_s <= until_s <= 9 + behind_s + 0.5


def test_soft_changes_and_movement_are_no_cuts(tmp_path):
    def soft(index, size):
        share = np.clip((index - 55) / 15, 0, 1)   # from 2.2 to 2.8 s
        return ((1 - share) * shots(20, size) + share * np.roll(shots(70, size), 3 * index, axis=1)).astype(np.uint8)

    path = write_video(tmp_path / "a.mp4", 200, render=soft, options={"crf": "20"})
    assert kept(path, [(2, 4), (5, 8)]) == [(2, 4), (5, 8)]


def test_enough_of_a_piece_stays(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, render=shots, options={"crf": "20"})
    begin, end = Fraction(62, 25), Fraction(107, 25)
    assert kept(path, [(2, 5)]) == [(begin, end)]
    assert kept(path, [(2, 5)], Fraction(19, 10)) == [(begin, 5)]
    assert kept(path, [(2, Fraction(22, 5))], Fraction(12, 5)) == [(2, Fraction(22, 5))]


def test_files_without_exact_seeking_stay_as_they_are(tmp_path):
    path = write_video(tmp_path / "a.mpg", N_FRAMES, render=shots, codec="mpeg2video", options={"b": "4M"})
    assert kept(path) == PIECES


@pytest.mark.parametrize("mode", ["summary", "moments"])
def test_a_cut_shows_no_other_shot_and_all_files_say_so(tmp_path, mode):
    """Red until 4.6 s, green until 9.4; clips of two seconds are green from 4 to 10 by their middles."""
    def picture(index, size):
        return np.full((size[1], size[0], 3), fakes.COLORS["green" if 46 <= index < 94 else "red"], np.uint8)

    path = write_video(tmp_path / "a.mp4", 200, fps=10, render=picture, options={"crf": "12"})
    summarizer = Summarizer(fakes.color_encoders())
    summary = summarizer.summarize(summarizer.encode(path, progress=False), ["green"], budget=0.3, mode=mode)
    assert summary.intervals_s == [(4, 10)]
    out = tmp_path / "out"
    out.mkdir()
    write_outputs(summary, out, ExportOptions(edit_lists=("csv",)))
    found = json.loads((out / "summary.json").read_text())
    assert found["kept"] == 4.8 and found["summary"][0]["frame"] == [46, 93]
    assert (found["pieces"][0]["start"], found["pieces"][0]["end"]) == (4.6, 9.4)
    assert "4.600" in (out / "summary.csv").read_text() and found["timings_s"]["borders"] > 0
    with av.open(str(out / "summary.mp4")) as container:
        levels = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    assert len(levels) == 48 and all(green > 150 and red < 100 for red, green, _ in levels)


def test_copies_and_shorts_keep_their_own_ends(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, render=shots, options={"crf": "20"})
    summarizer = Summarizer(fakes.color_encoders())
    video = summarizer.encode(path, progress=False)
    for form, mode in ((ExportOptions(copy=True), "summary"), (ExportOptions(), "shorts")):
        summary = summarizer.summarize(video, ["red"], mode=mode, shorts=Shorts(1, Fraction(2), Fraction(6)))
        (tmp_path / mode).mkdir()
        write_outputs(summary, tmp_path / mode, form)
        assert "borders" not in summary.timings_s
