"""Encoding of videos: the features of every clip, samplings, devices, progress, memory and errors."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from models.encoders.base import Encoders
from pipelines.features import encode
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.probe import probe
from tests.pipelines.fakes import COLORS, ColorVisualEncoder, color_encoders, write_video


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    colors = ["red"] * 4 + ["green"] * 3 + ["blue"] * 4 + ["black"]
    return write_video(tmp_path_factory.mktemp("video") / "colors.mp4", colors, loud_s=[2, 3])


def test_features_are_those_of_the_clips_in_order(path):
    video = encode_video(path, color_encoders(with_audio=True), progress=False)
    assert video.n_clips == 6
    assert [float(e) for e in video.edges_s] == pytest.approx([0, 2, 4, 6, 8, 10, 12], abs=0.1)
    at_centers = ["red", "red", "green", "blue", "blue", "black"]   # The colors at 1, 3, 5, 7, 9 and 11 s.
    expected = np.array([COLORS[c] for c in at_centers]) / 255
    np.testing.assert_allclose(video.visual["color"], expected, atol=0.03)
    assert video.visual["color"].dtype == np.float32
    assert video.audio.shape == (6, 1)
    assert video.audio[:, 0].argmax() == 1
    assert np.delete(video.audio[:, 0], 1).max() < 0.1 * video.audio[1, 0]
    assert video.encoders == dict(visual="ColorVisualEncoder", audio="LoudnessEncoder")
    assert video.blank_clips.tolist() == [False] * 5 + [True]


def test_the_frames_of_a_clip_are_averaged(path):
    class TwoFramesEncoder(ColorVisualEncoder):
        frames_per_clip = 2   # At 0.5 and 1.5 s of every clip.

    encoders = color_encoders()
    encoders = type(encoders)(TwoFramesEncoder().eval(), encoders.text)
    found = encode_video(path, encoders, progress=False).visual["color"]
    mixed = (np.array(COLORS["green"]) + COLORS["blue"]) / 2 / 255   # The clip from 6 to 8 s.
    np.testing.assert_allclose(found[3], mixed, atol=0.03)
    np.testing.assert_allclose(found[0], np.array(COLORS["red"]) / 255, atol=0.03)


def test_a_frame_shared_by_several_clips_is_encoded_once(path, tmp_path):
    class CountingEncoder(ColorVisualEncoder):
        frames_per_clip, seen = 2, 0

        def forward(self, images):
            self.seen += len(images)
            return super().forward(images)

    slow = write_video(tmp_path / "slow.mp4", ["red", "green", "blue"] * 2, fps=1)   # One frame per second.
    visual = CountingEncoder().eval()
    visual.clip_len_s = 0.5
    video = encode_video(slow, Encoders(visual, color_encoders().text), progress=False)
    assert visual.seen == 6
    assert video.n_clips == 12
    expected = [COLORS[c] for c in ["red", "green", "blue"] * 2 for _ in range(2)]
    np.testing.assert_allclose(video.visual["color"], np.array(expected) / 255, atol=0.04)
    assert len(set(video.thumbnails)) <= 6
    assert video.thumbnails[0] == video.thumbnails[1] != video.thumbnails[2]


def test_results_do_not_depend_on_batch_sizes(path, monkeypatch):
    expected = encode_video(path, color_encoders(with_audio=True), progress=False)
    monkeypatch.setattr(encode, "AUDIO_BATCH_CLIPS", 5)
    monkeypatch.setattr(ColorVisualEncoder, "batch_frames", 5)
    found = encode_video(path, color_encoders(with_audio=True), progress=False)
    np.testing.assert_array_equal(found.visual["color"], expected.visual["color"])
    np.testing.assert_array_equal(found.audio, expected.audio)
    assert found.thumbnails == expected.thumbnails


def test_audio_is_none_without_an_encoder_or_a_stream(path, tmp_path):
    assert encode_video(path, color_encoders(), progress=False).audio is None
    silent = write_video(tmp_path / "silent.mp4", ["red"] * 2)
    assert encode_video(silent, color_encoders(with_audio=True), progress=False).audio is None


def test_thumbnails_show_the_clips(path):
    thumbnails = encode_video(path, color_encoders(), progress=False).thumbnails
    images = [np.asarray(Image.open(io.BytesIO(t))) for t in thumbnails]
    assert all(image.shape == (48, 64, 3) for image in images)
    np.testing.assert_allclose(images[2].mean(axis=(0, 1)), COLORS["green"], atol=8)


def test_key_frames_are_used_on_request_and_recorded(path, tmp_path, capsys):
    video = encode_video(path, color_encoders(), sampling="keyframes")
    assert (video.sampling, video.decoder) == ("keyframes", "software")
    assert video.max_frame_offset_s == 11.0   # The only key frame is the first frame.
    assert "key frames are up to 11.0 s away from the clips' centers" in capsys.readouterr().err
    exact = encode_video(path, color_encoders())
    assert (exact.sampling, exact.max_frame_offset_s) == ("exact", 0)
    assert "video decoder" not in capsys.readouterr().err   # No hardware decoder was involved.
    np.testing.assert_allclose(video.visual["color"][0], exact.visual["color"][0], atol=0.03)   # Red, the key frame.
    video.save(tmp_path / "k.npz")
    again = EncodedVideo.load(tmp_path / "k.npz")
    assert (again.sampling, again.decoder, again.max_frame_offset_s) == (
        "keyframes", "software", video.max_frame_offset_s)
    with pytest.raises(InputError, match="sampling 'all' does not exist"):
        encode_video(path, color_encoders(), sampling="all")


def test_a_failing_device_is_reported(path, monkeypatch, capsys):
    monkeypatch.setattr(encode, "find_device", lambda codec: "nonsense")
    video = encode_video(path, color_encoders())
    assert video.decoder.startswith("software, since nonsense failed")
    assert "video decoder: software, since nonsense failed" in capsys.readouterr().err
    np.testing.assert_allclose(video.visual["color"][2], np.array(COLORS["green"]) / 255, atol=0.03)


def test_an_error_in_the_audio_thread_is_raised(path, monkeypatch):
    def broken(*_args, **_keys):
        raise InputError(None, "the audio is broken")
        yield

    monkeypatch.setattr(encode, "audio_clips", broken)
    with pytest.raises(InputError, match="the audio is broken"):
        encode_video(path, color_encoders(with_audio=True), progress=False)


def test_frames_that_end_before_the_duration_are_an_error(path, monkeypatch):
    complete = encode.frames_at
    monkeypatch.setattr(encode, "frames_at", lambda path, times, settings, report: list(complete(path, times))[:4])
    with pytest.raises(InputError, match=r"its frames end at 8\.0 s of 12\.\d s"):
        encode_video(path, color_encoders(), progress=False)


def test_a_given_info_saves_probing(path, monkeypatch):
    info = dataclasses.replace(probe(path), timecode="01:02:03:04")
    monkeypatch.setattr(encode, "probe", lambda path: pytest.fail("probed again"))
    assert encode_video(path, color_encoders(), progress=False, info=info).info == info


def test_progress_is_reported_and_can_stop_the_encoding(tmp_path):
    path, shares = write_video(tmp_path / "a.mp4", ["grey"] * 12), []
    encode_video(path, color_encoders(), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1

    def stop(share):
        raise InterruptedError(share)

    with pytest.raises(InterruptedError):
        encode_video(path, color_encoders(with_audio=True), progress=stop)


def test_the_heap_is_trimmed_regularly(tmp_path, monkeypatch):
    """Otherwise the memory that threads free in fragments would add up over a long video."""
    trimmed_at = []   # Numbers of frames encoded when the heap is trimmed.
    monkeypatch.setattr(encode, "trim_heap", lambda: trimmed_at.append(len(seen)))
    seen = []

    class CountingEncoder(ColorVisualEncoder):
        batch_frames = 4

        def forward(self, images):
            seen.extend(images)
            return super().forward(images)

    slow = write_video(tmp_path / "slow.mp4", ["red", "green"] * 64, fps=1)
    encode_video(slow, Encoders(CountingEncoder().eval(), color_encoders().text), progress=False)
    assert len(seen) == 64
    assert [n_frames for n_frames in trimmed_at if 0 < n_frames < 64]
    assert max(np.diff([0, *trimmed_at])) <= 16 + 4 * 8
