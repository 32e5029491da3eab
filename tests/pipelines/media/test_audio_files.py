"""Reading an audio file as clips."""

from fractions import Fraction

import numpy as np
import pytest

from common.temporal import num_clips
from pipelines.media import audio_files
from pipelines.media.audio_files import read_clips


@pytest.mark.parametrize("seconds, chunk", [
    (4.0, 700), (4.4, 701), (4.6, 64000), (0.1, 5000), (12.0, 10**6), (3.99, 1)])
@pytest.mark.parametrize("clip_len_s, rate_hz", [(2, 1000), (0.3334, 1000), (1 / 3, 100)])
def test_clips_are_independent_of_the_chunks_that_are_decoded(monkeypatch, seconds, chunk, clip_len_s, rate_hz):
    samples = np.random.default_rng(0).random(round(seconds * rate_hz), np.float32)
    monkeypatch.setattr(audio_files, "read_audio_file",
                        lambda path, rate: (samples[i:i + chunk] for i in range(0, len(samples), chunk)))
    size, clips = round(clip_len_s * rate_hz), num_clips(Fraction(len(samples), rate_hz), clip_len_s)
    padded = np.pad(samples[:clips * size], (0, max(0, clips * size - len(samples))))
    np.testing.assert_array_equal(np.stack(list(read_clips("x", clip_len_s, rate_hz))), padded.reshape(clips, size))
