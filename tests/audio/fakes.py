"""Synthetic audio files, and a file system that is soon full."""

import contextlib
import subprocess

import av
import numpy as np
import pytest


def write_audio(path, seconds=3.0, rate=44100, codec="pcm_s16le", layout="stereo", hz=440.0, container=None):
    """Write a sine tone of `hz`, and return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        samples = (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        channels = np.stack([samples] * (2 if layout == "stereo" else 1))
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in (frame, None):   # None flushes the encoder.
            out.mux(stream.encode(part))
    return path


@contextlib.contextmanager
def small_disk(path, kilobytes):
    """Mount a file system of the given size at a new folder; skip the test if the machine does not allow it."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", path]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process mount")
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)
        path.rmdir()


def file_names(folder):
    """Return the sorted names of a folder's files."""
    return sorted(p.name for p in folder.iterdir())
