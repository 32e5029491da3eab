import io
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from models.encoders.base import Encoders
from pipelines.features import encode
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo, clip_edges_s
from tests.pipelines.fakes import COLORS, ColorVisualEncoder, color_encoders, write_video


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    colours = ["red"] * 4 + ["green"] * 3 + ["blue"] * 4 + ["black"]
    return write_video(tmp_path_factory.mktemp("video") / "colours.mp4", colours, loud_s=[2, 3])


def test_features_are_the_clips_in_order(path):
    video = encode_video(path, color_encoders(with_audio=True), progress=False)
    assert video.n_clips == 6
    assert [float(e) for e in video.edges_s] == pytest.approx([0, 2, 4, 6, 8, 10, 12], abs=0.1)
    middles = ["red", "red", "green", "blue", "blue", "black"]   # at 1, 3, 5, 7, 9, 11 s
    expected = np.array([COLORS[c] for c in middles]) / 255
    np.testing.assert_allclose(video.visual["color"], expected, atol=0.03)
    assert video.visual["color"].dtype == np.float32
    assert video.audio.shape == (6, 1) and video.audio[:, 0].argmax() == 1
    assert np.delete(video.audio[:, 0], 1).max() < 0.1 * video.audio[1, 0]
    assert video.encoders == dict(visual="ColorVisualEncoder", audio="LoudnessEncoder")
    assert video.blank_clips.tolist() == [False] * 5 + [True]


def test_frames_of_a_clip_are_averaged(path):
    class TwoLooks(ColorVisualEncoder):
        frames_per_clip = 2   # at 0.5 and 1.5 s of every clip

    encoders = color_encoders()
    encoders = type(encoders)(TwoLooks().eval(), encoders.text)
    found = encode_video(path, encoders, progress=False).visual["color"]
    mixed = (np.array(COLORS["green"]) + COLORS["blue"]) / 2 / 255   # the clip from 6 to 8 s
    np.testing.assert_allclose(found[3], mixed, atol=0.03)
    np.testing.assert_allclose(found[0], np.array(COLORS["red"]) / 255, atol=0.03)


def test_a_picture_of_several_clips_is_encoded_once(path, tmp_path):
    class Counting(ColorVisualEncoder):
        frames_per_clip, seen = 2, 0

        def forward(self, images):
            self.seen += len(images)
            return super().forward(images)

    slow = write_video(tmp_path / "slow.mp4", ["red", "green", "blue"] * 2, fps=1)   # a frame a second
    eyes = Counting().eval()
    eyes.clip_len_s = 0.5
    video = encode_video(slow, Encoders(eyes, color_encoders().text), progress=False)
    assert eyes.seen == 6 and video.n_clips == 12
    expected = [COLORS[c] for c in ["red", "green", "blue"] * 2 for _ in range(2)]
    np.testing.assert_allclose(video.visual["color"], np.array(expected) / 255, atol=0.04)
    assert len(set(video.thumbnails)) <= 6 and video.thumbnails[0] == video.thumbnails[1] != video.thumbnails[2]


def test_batches_change_nothing(path, monkeypatch):
    whole = encode_video(path, color_encoders(with_audio=True), progress=False)
    monkeypatch.setattr(encode, "BATCH_CLIPS", 5)
    monkeypatch.setattr(ColorVisualEncoder, "batch_frames", 5)
    parts = encode_video(path, color_encoders(with_audio=True), progress=False)
    np.testing.assert_array_equal(parts.visual["color"], whole.visual["color"])
    np.testing.assert_array_equal(parts.audio, whole.audio)
    assert parts.thumbnails == whole.thumbnails


def test_sound_is_none_without_ears_or_without_a_track(path, tmp_path):
    assert encode_video(path, color_encoders(), progress=False).audio is None
    silent = write_video(tmp_path / "silent.mp4", ["red"] * 2)
    assert encode_video(silent, color_encoders(with_audio=True), progress=False).audio is None


def test_thumbnails_show_the_clips(path):
    thumbnails = encode_video(path, color_encoders(), progress=False).thumbnails
    pictures = [np.asarray(Image.open(io.BytesIO(t))) for t in thumbnails]
    assert all(p.shape == (48, 64, 3) for p in pictures)
    np.testing.assert_allclose(pictures[2].mean(axis=(0, 1)), COLORS["green"], atol=8)


def test_saved_and_loaded_it_is_the_same(path, tmp_path):
    video = encode_video(path, color_encoders(with_audio=True), progress=False)
    video.save(tmp_path / "video.npz")
    again = EncodedVideo.load(tmp_path / "video.npz")
    assert again.info == video.info and again.thumbnails == video.thumbnails
    assert (again.clip_len_s, again.encoders, again.encoding_s) == (2, video.encoders, video.encoding_s)
    np.testing.assert_array_equal(again.visual["color"], video.visual["color"])
    np.testing.assert_array_equal(again.audio, video.audio)
    silent = EncodedVideo(video.info, 2, video.encoders, video.visual, None, video.thumbnails)
    silent.save(tmp_path / "silent.npz")
    assert EncodedVideo.load(tmp_path / "silent.npz").audio is None


def test_key_frames_are_taken_when_asked_and_it_is_recorded(path, tmp_path, capsys):
    video = encode_video(path, color_encoders(), sampling="keyframes")
    assert (video.sampling, video.decoder) == ("keyframes", "software")
    assert video.max_frame_offset_s == 11.0   # the only key frame is the first
    assert "key frames lie up to 11.0 s from" in capsys.readouterr().err
    exact = encode_video(path, color_encoders())
    assert (exact.sampling, exact.max_frame_offset_s) == ("exact", 0)
    assert "decoded by" not in capsys.readouterr().err   # nothing to say of hardware
    np.testing.assert_allclose(video.visual["color"][0], exact.visual["color"][0], atol=0.03)   # red is keyed at 0 s
    video.save(tmp_path / "k.npz")
    again = EncodedVideo.load(tmp_path / "k.npz")
    assert (again.sampling, again.decoder, again.max_frame_offset_s) == ("keyframes", "software", video.max_frame_offset_s)
    with pytest.raises(InputError, match="sampling 'all' does not exist"):
        encode_video(path, color_encoders(), sampling="all")


def test_a_device_that_fails_is_said_in_a_line(path, monkeypatch, capsys):
    monkeypatch.setattr(encode, "find_device", lambda codec: "nonsense")
    video = encode_video(path, color_encoders())
    assert video.decoder.startswith("software, since nonsense failed")
    assert "decoded by software, since nonsense failed" in capsys.readouterr().err
    np.testing.assert_allclose(video.visual["color"][2], np.array(COLORS["green"]) / 255, atol=0.03)


def test_an_error_in_the_sound_comes_out_and_ends_the_work(path, monkeypatch):
    def broken(*_args, **_keys):
        raise InputError("the sound is broken")
        yield

    monkeypatch.setattr(encode, "audio_clips", broken)
    with pytest.raises(InputError, match="the sound is broken"):
        encode_video(path, color_encoders(with_audio=True), progress=False)


def test_refuses_files_that_are_no_encoded_video(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        EncodedVideo.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", features=np.ones(3))
    np.savez(tmp_path / "code.npz", head=np.array([print], dtype=object))
    for name in ("text", "other", "code"):
        with pytest.raises(InputError, match="not an encoded video"):
            EncodedVideo.load(tmp_path / f"{name}.npz")


def test_pictures_that_end_early_are_an_error(path, monkeypatch):
    complete = encode.frames_at
    monkeypatch.setattr(encode, "frames_at", lambda path, times, reading: list(complete(path, times))[:4])
    with pytest.raises(InputError, match=r"end at 8\.0 s of 12\.\d s"):
        encode_video(path, color_encoders(), progress=False)


def test_edges_are_exact():
    third = Fraction(1, 3)
    assert clip_edges_s(6 + third, 2) == [0, 2, 4, 6 + third]      # a rest below a quarter clip is joined
    assert clip_edges_s(6 + 2 * third, 2) == [0, 2, 4, 6, 6 + 2 * third]
    assert clip_edges_s(Fraction(1, 25), 2) == [0, Fraction(1, 25)]


def test_progress_is_told_and_may_end_the_work(tmp_path):
    path, shares = write_video(tmp_path / "a.mp4", ["grey"] * 12), []
    encode_video(path, color_encoders(), progress=shares.append)
    assert shares == sorted(shares) and shares[-1] == 1

    def stop(share):
        raise InterruptedError(share)

    with pytest.raises(InterruptedError):
        encode_video(path, color_encoders(with_audio=True), progress=stop)


def test_freed_memory_is_given_back_on_the_way(tmp_path, monkeypatch):
    """Else what the threads free in pieces would add up over a long video."""
    told = []
    monkeypatch.setattr(encode, "trim_heap", lambda: told.append(len(seen)))
    seen = []

    class Counting(ColorVisualEncoder):
        batch_frames = 4

        def forward(self, images):
            seen.extend(images)
            return super().forward(images)

    slow = write_video(tmp_path / "slow.mp4", ["red", "green"] * 64, fps=1)
    encode_video(slow, Encoders(Counting().eval(), color_encoders().text), progress=False)
    assert len(seen) == 64 and [at for at in told if 0 < at < 64] and max(np.diff([0, *told])) <= 16 + 4 * 8


def test_what_is_left_without_features_shows_and_cuts_the_same(path):
    video = encode_video(path, color_encoders(with_audio=True), progress=False)
    left = video.without_features()
    assert left.visual == {} and left.audio is None
    assert (left.info, left.edges_s, left.thumbnails) == (video.info, video.edges_s, video.thumbnails)
    assert left.blank().tolist() == video.blank_clips.tolist()
