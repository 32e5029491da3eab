"""The studio's sound files: from messy names to features, by the scripts that people type."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.audio.test_unify import write_sound

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_messy_sound_files_become_features(tmp_path):
    sounds = tmp_path / "sounds"
    for i, name in enumerate(("E00 00.WAV", "e00_01 (1).wav", "E00-02.wav.wav")):
        write_sound(sounds / name, 4.0, hz=300 + 100 * i)
    subprocess.run([ROOT / "audio/unify_audio_name.sh", sounds], check=True, capture_output=True)
    subprocess.run([ROOT / "audio/extract_audio_feature.sh", sounds, tmp_path / "f", "--encoder", "offline"], check=True, capture_output=True)
    made = {p.stem: np.load(p) for p in (tmp_path / "f").glob("*.npy")}
    assert sorted(made) == ["e00-02", "e00_00", "e00_01"] and all(rows.shape == (2, 256) for rows in made.values())
