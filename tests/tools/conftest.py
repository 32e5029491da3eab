"""Videos of known colors, invalid media files, and encoders that recognize colors only."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipelines import summarizer as module
from pipelines.summarizer import Summarizer
from tests.media import write_video as write_small_video
from tests.pipelines.fakes import color_encoders, write_video

SECONDS = ["grey"] * 20 + ["red"] * 8 + ["grey"] * 12


@pytest.fixture(scope="module")
def media(tmp_path_factory) -> Path:
    """Write a folder with a valid video, invalid and unusual videos, and subtitle files."""
    folder = tmp_path_factory.mktemp("media")
    valid = write_video(folder / "valid.mp4", SECONDS, loud_s=[21, 22])
    (folder / "text.mp4").write_text("this is no video\n" * 100)
    (folder / "empty.mp4").touch()
    (folder / "truncated.mp4").write_bytes(valid.read_bytes()[:2000])
    write_video(folder / "silent.mp4", SECONDS)
    write_video(folder / "frame.mp4", ["red"], n_frames=1)
    with av.open(str(folder / "audio_only.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=32000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 32000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 32000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write_small_video(folder / "old.mkv", 20, codec="mpeg2video", options={})
    (folder / "talk.srt").write_text("1\n00:00:02,000 --> 00:00:05,000\nEverything here is green, green.\n")
    (folder / "noise.srt").write_bytes(bytes(range(256)) * 9)
    return folder


@pytest.fixture
def fast_encoders(monkeypatch):
    """Let the command use encoders that recognize colors only."""
    summarizer = Summarizer(color_encoders(with_audio=True))
    monkeypatch.setattr(module, "build_summarizer", lambda config, checkpoint, captioner: summarizer)
