"""pipelines/shots/trim.py: pieces lose the frames of neighboring shots, exactly to the frame, and nothing else."""

import json
from fractions import Fraction
from functools import partial

import av
import numpy as np
import pytest

from pipelines.editing.stream_copy import kept_intervals, plan_copy
from pipelines.export.copied_pieces import plan_copied_pieces
from pipelines.export.options import ExportOptions
from pipelines.export.plan import plan_export, shots_may_change
from pipelines.export.writer import write_export
from pipelines.media.probe import probe
from pipelines.options import ShortsOptions
from pipelines.selection.shorts import refine_shorts
from pipelines.shots import trim
from pipelines.shots.trim import trim_to_shots
from pipelines.summarizer import Summarizer
from tests.media import write_video
from tests.pipelines import fakes
from tests.pipelines.shots.scenes import joined, scene, write_frames

FPS, N_FRAMES = 25, 300                       # 12 s.
CUTS = (13, 62, 107, 139, 215)                # The first frames of new shots.
PIECES = [(0, 2), (2, 6), (8, 12)]            # Made of clips of 2 s.
# The pieces trimmed to the cuts; the first one starts with the video, so its start is not trimmed.
TRIMMED = [(0, 2), (Fraction(62, 25), Fraction(139, 25)), (Fraction(215, 25), 12)]
# The colors of each shot, in 6 x 10 patches.
PATCHES = np.random.default_rng(5).integers(20, 236, (len(CUTS) + 1, 6, 10, 3))


def still(shot, size):
    """Return the patches of a shot at a frame size."""
    return np.kron(PATCHES[int(shot)].astype(np.uint8), np.ones((size[1] // 6, size[0] // 10, 1), np.uint8))


def shots(index: int, size: tuple[int, int]) -> np.ndarray:
    """Return a frame of a video with hard cuts at `CUTS`, whose shots pan slowly."""
    return np.roll(still(sum(index >= cut for cut in CUTS), size), index // 2, axis=1)


def trimmed(path, pieces=PIECES, max_trim_s=Fraction(1)):
    return trim_to_shots(probe(path), [(Fraction(a), Fraction(b)) for a, b in pieces], max_trim_s)


@pytest.mark.parametrize(("x264", "suffix"), [
    ("keyint=250", ".mp4"), ("keyint=100:scenecut=0", ".mkv"), ("keyint=25:scenecut=0:open-gop=1", ".ts"),
    ("keyint=25:scenecut=0:open-gop=1", ".mp4"), ("keyint=250:scenecut=0", ".mkv")])
def test_pieces_are_trimmed_to_their_shots(tmp_path, x264, suffix):
    path = write_video(tmp_path / f"a{suffix}", N_FRAMES, render=shots, options={"crf": "20", "x264-params": x264})
    assert trimmed(path) == TRIMMED


def test_variable_frame_rate(tmp_path):
    pts = np.cumsum([0, *np.tile([1, 3, 2, 2], N_FRAMES)])[:N_FRAMES].tolist()   # Half the frame rate on average.
    path = write_video(tmp_path / "a.mkv", N_FRAMES, render=shots, pts=pts, time_base=Fraction(1, 50))
    cut_s = Fraction(pts[62], 50)
    (start_s, end_s), = trimmed(path, [(2, 6)])
    assert abs(start_s - cut_s) < Fraction(1, 500)
    assert end_s == Fraction(pts[139], 50).limit_denominator(1000)


@pytest.mark.parametrize("x264", ["bframes=3", "bframes=0"])
def test_a_still_frame_before_the_cut(tmp_path, x264):
    # In milliseconds: the frame at 9.6 s is shown for 1.3 s, until the cut at 10.9 s.
    pts = [*range(0, 9600, 40), 9600, *range(10900, 18900, 40)]
    path = write_video(tmp_path / "a.mkv", len(pts), render=lambda i, size: still(i >= 241, size), pts=pts,
                       time_base=Fraction(1, 1000), options={"crf": "20", "x264-params": x264})
    assert trimmed(path, [(9, 16)], Fraction(2)) == [(Fraction(109, 10), 16)]


@pytest.mark.parametrize("fps", [3, 5, 10])
def test_cut_at_a_low_frame_rate(tmp_path, fps):
    path = write_video(tmp_path / "a.mp4", 20 * fps, fps=fps, render=lambda i, size: still(i >= 5 * fps, size),
                       options={"crf": "20"})
    assert trimmed(path, [(4, 10)], Fraction(2)) == [(5, 10)]


@pytest.mark.parametrize("fps", [2, 3, 5])
def test_motion_at_a_low_frame_rate_is_no_cut(tmp_path, fps):
    path = write_video(tmp_path / "pan.mp4", 20 * fps, fps=fps,
                       render=lambda i, size: np.roll(still(0, size), 8 * i, axis=1),
                       options={"crf": "20", "x264-params": f"keyint={5 * fps}:scenecut=0"})
    assert trimmed(path, [(4, 12)], Fraction(2)) == [(4, 12)]


@pytest.mark.parametrize("bframes", [8, 16])
def test_the_large_packet_is_a_later_frame_than_the_first_of_the_shot(tmp_path, bframes):
    """With many B-frames, the frame that is stored first after a cut is not the first frame after the cut."""
    x264 = f"keyint=250:scenecut=0:bframes={bframes}:b-adapt=0"
    path = write_video(tmp_path / "a.mp4", 250, render=lambda i, size: still(i >= 55, size),
                       options={"crf": "20", "x264-params": x264})
    assert trimmed(path, [(2, 8)]) == [(Fraction(11, 5), 8)]


def test_av1_packets_that_contain_later_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, size=(120, 72), render=shots, codec="libsvtav1",
                       options={"preset": "10", "crf": "30", "svtav1-params": "keyint=100:lp=1"})
    assert trimmed(path) == TRIMMED


def test_cut_to_a_uniform_shot_whose_packets_and_key_frame_are_small(tmp_path):
    def render(index, size):
        """Return a noisy frame before the cut at frame 55, a uniform one after it."""
        texture = np.random.default_rng(1).integers(20, 220, (size[1], size[0], 3))
        noise = np.random.default_rng(index).integers(0, 8, (size[1], size[0], 3))
        return (texture + noise if index < 55 else np.full_like(texture, 16)).astype(np.uint8)

    path = write_video(tmp_path / "a.mp4", 250, size=(160, 96), render=render,
                       options={"crf": "24", "x264-params": "keyint=70:scenecut=0"})
    assert trimmed(path, [(2, 8)]) == [(Fraction(11, 5), 8)]


@pytest.mark.parametrize(("fps", "before_s", "after_s"), [
    pytest.param(25, 0.5, 0.25, id="context-in-seconds"),
    pytest.param(4, 1, 0.5, id="context-of-4-and-2-frames"),
])
def test_only_frames_around_large_packets_are_decoded(tmp_path, monkeypatch, fps, before_s, after_s):
    decoded = []
    monkeypatch.setattr(trim, "read_thumbnails", lambda info, *args: decoded.append(args[:2]) or ([], np.zeros((0, 1))))
    path = write_video(tmp_path / "a.mp4", 12 * fps, fps=fps, render=lambda i, size: still(i >= 9 * fps, size),
                       options={"crf": "20"})
    # The cut is at 9 s; the range from 8 to 10 s is searched.
    trim_to_shots(probe(path), [(Fraction(8), Fraction(12))], Fraction(2), lambda *_: False)
    (from_s, until_s), = decoded
    assert 9 - before_s - 0.5 <= from_s <= 9 - before_s
    assert 9 + after_s <= until_s <= 9 + after_s + 0.5


def test_pieces_lose_dissolves_but_no_motion(tmp_path):
    def dissolve(index, size):
        """Return a frame of a dissolve in the frames 56 to 69 into a moving shot."""
        share = np.clip((index - 55) / 15, 0, 1)
        return ((1 - share) * shots(20, size) + share * np.roll(shots(70, size), index, axis=1)).astype(np.uint8)

    path = write_video(tmp_path / "a.mp4", 200, render=dissolve, options={"crf": "20"})
    (start_s, end_s), *moving = trimmed(path, [(2, 4), (5, 8)])
    assert Fraction(70, 25) <= start_s <= Fraction(72, 25)
    assert [end_s, *moving] == [4, (5, 8)]


def test_pieces_keep_their_minimum_length(tmp_path):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, render=shots, options={"crf": "20"})
    first_cut_s, second_cut_s = Fraction(62, 25), Fraction(107, 25)
    assert trimmed(path, [(2, 5)]) == [(first_cut_s, second_cut_s)]
    assert trimmed(path, [(2, 5)], Fraction(19, 10)) == [(first_cut_s, 5)]
    assert trimmed(path, [(2, Fraction(22, 5))], Fraction(12, 5)) == [(2, Fraction(22, 5))]


def test_files_without_exact_seeking_are_not_trimmed(tmp_path):
    path = write_video(tmp_path / "a.mpg", N_FRAMES, render=shots, codec="mpeg2video", options={"b": "4M"})
    assert trimmed(path) == PIECES


@pytest.mark.parametrize("mode", ["summary", "moments"])
def test_summary_and_all_files_show_only_the_selected_shot(tmp_path, mode):
    """The video is green from 4.6 to 9.4 s and red elsewhere; the clips from 4 to 10 s are green in their middle."""
    def render(index, size):
        return np.full((size[1], size[0], 3), fakes.COLORS["green" if 46 <= index < 94 else "red"], np.uint8)

    path = write_video(tmp_path / "a.mp4", 200, fps=10, render=render, options={"crf": "12"})
    summarizer = Summarizer(fakes.color_encoders())
    summary = summarizer.summarize(summarizer.encode(path, progress=False), ["green"], budget=0.3, mode=mode)
    assert summary.intervals_s == [(4, 10)]
    out = tmp_path / "out"
    out.mkdir()
    write_export(summary, plan_export(summary, ExportOptions(edit_lists=("csv",))), out)
    found = json.loads((out / "summary.json").read_text())
    assert found["kept"] == 4.8
    assert found["summary"][0]["frame"] == [46, 93]
    assert (found["pieces"][0]["start"], found["pieces"][0]["end"]) == (4.6, 9.4)
    assert "4.600" in (out / "summary.csv").read_text()
    assert found["timings_s"]["borders"] > 0
    with av.open(str(out / "summary.mp4")) as container:
        levels = [frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in container.decode(video=0)]
    assert len(levels) == 48
    assert all(green > 150 and red < 100 for red, green, _ in levels)


LENGTH = 13   # Frames of the transitions of `transition_video`.


@pytest.fixture(scope="module", params=["dissolve", "black", "wipe"])
def transition_video(request, tmp_path_factory):
    """Return a video of 12 s at 25 fps with transitions in the frames [96, 109) and [198, 211), and a key frame per second."""
    a, b, c = (scene(seed, speed, size=(96, 54)) for seed, speed in ((1, (9, 2)), (2, (-8, 3)), (3, (6, -2))))
    frames = np.concatenate([joined(request.param, 25, 96, LENGTH, 150, a, b),
                             joined(request.param, 25, 48, LENGTH, 150, lambda time_s: b(time_s + 6), c)])
    return write_frames(tmp_path_factory.mktemp("transitions") / "a.mp4", frames, 25,
                        {"crf": "18", "x264-params": "keyint=25:scenecut=0"})


def frames_of(pieces):
    """Return pieces as [first, end) frames."""
    return [(start_s * 25, end_s * 25) for start_s, end_s in pieces]


@pytest.mark.parametrize("piece", [(4, 8), (3, 9), (Fraction(18, 5), Fraction(42, 5))])
def test_pieces_start_after_and_end_before_transitions(transition_video, piece):
    ((first, end),) = frames_of(trimmed(transition_video, [piece]))
    assert 109 <= first <= 111
    assert 196 <= end <= (200 if piece[1] == 8 else 198)


def test_transitions_inside_a_piece_stay(transition_video):
    assert trimmed(transition_video, [(1, 11)]) == [(1, 11)]


def test_pieces_that_would_be_too_short_stay_unchanged(transition_video):
    assert trimmed(transition_video, [(4, 5)]) == [(4, 5)]


def test_no_frame_is_decoded_where_thumbnails_are_alike(transition_video, tmp_path, monkeypatch):
    encode = partial(Summarizer(fakes.color_encoders()).encode, progress=False)
    assert shots_may_change(encode(transition_video), Fraction(4), Fraction(5))
    pan = scene(1, (9, 2), size=(96, 54))
    path = write_frames(tmp_path / "a.mp4", joined("dissolve", 25, 250, 1, 250, pan, pan), 25)
    may_change = partial(shots_may_change, encode(path))
    monkeypatch.setattr(trim, "gradual_transitions", lambda *_: pytest.fail("decodes a range without a change"))
    assert trim_to_shots(probe(path), [(Fraction(4), Fraction(8))], Fraction(1), may_change) == [(4, 8)]


def test_no_transition_is_searched_near_a_hard_cut(tmp_path, monkeypatch):
    """It costs the decoding of several seconds, and the cut explains why the shots differ."""
    path = write_video(tmp_path / "a.mp4", N_FRAMES, render=shots, options={"crf": "20"})
    monkeypatch.setattr(trim, "gradual_transitions", lambda *_: pytest.fail("decodes a range near a hard cut"))
    at_cuts = Fraction(107, FPS), Fraction(139, FPS)
    inside = Fraction(438, 100), Fraction(546, 100)
    for piece in (at_cuts, inside):
        assert trimmed(path, [piece]) == [piece]
    with pytest.raises(pytest.fail.Exception):
        trimmed(path, [(Fraction(139, FPS), Fraction(176, FPS))], Fraction(1, 8))   # The end is far from all cuts.


def test_copied_pieces_start_at_a_key_frame_after_the_transition(transition_video):
    info = probe(transition_video)
    assert kept_intervals(info, plan_copy(info, [(Fraction(4), Fraction(8))]))[0][0] == 4
    ((first, end),) = frames_of(kept_intervals(info, plan_copied_pieces(info, [(Fraction(4), Fraction(9))], Fraction(1))))
    assert first == 125
    assert 190 <= end <= 198
    assert kept_intervals(info, plan_copied_pieces(info, [(Fraction(6), Fraction(7))], Fraction(1)))[0][0] == 6


def test_copied_pieces_keep_half_of_their_length(transition_video, tmp_path):
    """No key frame is inside the piece, so that it starts with the video."""
    path = write_frames(tmp_path / "a.mp4", np.concatenate([
        joined("dissolve", 25, 40, LENGTH, 100, scene(1, size=(96, 54)), scene(2, size=(96, 54)))]), 25,
        {"crf": "18", "x264-params": "keyint=250:scenecut=0"})
    info = probe(path)
    assert kept_intervals(info, plan_copied_pieces(info, [(Fraction(2), Fraction(4))], Fraction(1))) == [(0, 4)]


def test_shorts_start_after_and_end_before_transitions(transition_video):
    info, options = probe(transition_video), ShortsOptions(1, Fraction(2), Fraction(8))
    ((first, end),) = frames_of(refine_shorts(info, [(Fraction(4), Fraction(8))], options, (), 2.0))
    assert 109 <= first <= 111
    assert 196 <= end <= 198


@pytest.mark.parametrize(("options", "mode"), [
    pytest.param(ExportOptions(copy=True), "summary", id="stream-copy"),
    pytest.param(ExportOptions(), "shorts", id="shorts"),
])
def test_stream_copies_and_shorts_are_not_trimmed_again(tmp_path, options, mode):
    path = write_video(tmp_path / "a.mp4", N_FRAMES, render=shots, options={"crf": "20"})
    summarizer = Summarizer(fakes.color_encoders())
    video = summarizer.encode(path, progress=False)
    summary = summarizer.summarize(video, ["red"], mode=mode, shorts=ShortsOptions(1, Fraction(2), Fraction(6)))
    (tmp_path / mode).mkdir()
    export = write_export(summary, plan_export(summary, options), tmp_path / mode)
    assert "borders" not in export.summary.timings_s
