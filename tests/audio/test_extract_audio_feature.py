"""Extraction of audio features by command, and the shell scripts of both audio commands."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from audio.extract_audio_feature import extract, main
from models.encoders.base import AudioEncoder, Encoders
from models.encoders.log_mel_statistics import LogMelStatistics
from pipelines.features.extract import VideoExtraction
from pipelines.media import audio_files
from tests.paths import ROOT
from tests.pipelines.fakes import color_encoders, write_video

from .fakes import file_names, small_disk, write_audio


def test_features_have_one_row_per_clip_and_intact_files_are_skipped(tmp_path, capsys):
    write_audio(tmp_path / "s/a.wav", 5.0, rate=32000, layout="mono")
    write_audio(tmp_path / "s/b.wav", 1.0, rate=32000, layout="mono")
    assert main([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 0
    rows = np.load(tmp_path / "f/a.npy")
    assert rows.shape == (3, 256)
    assert np.load(tmp_path / "f/b.npy").shape == (1, 256)
    assert main([str(tmp_path / "s"), str(tmp_path / "g"), "--encoder", "offline", "--batch", "1"]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "g/a.npy"), rows, atol=1e-5)
    modified_ns = (tmp_path / "f/a.npy").stat().st_mtime_ns
    (tmp_path / "f/b.npy").write_bytes((tmp_path / "f/b.npy").read_bytes()[:100])   # A truncated file.
    (tmp_path / "s/c.wav").write_text("not audio")
    capsys.readouterr()
    assert main([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 1
    error = capsys.readouterr().err
    assert "extracted 1 file, skipped 1 with intact features, 1 failed" in error
    assert "c.wav" in error
    assert (tmp_path / "f/a.npy").stat().st_mtime_ns == modified_ns
    assert np.load(tmp_path / "f/b.npy").shape == (1, 256)


@pytest.fixture
def extracted(tmp_path, capsys):
    """Write two audio files and their features; return a function that extracts again and returns stderr."""
    write_audio(tmp_path / "s/a.wav", 3.0, rate=32000, layout="mono")
    write_audio(tmp_path / "s/b.wav", 3.0, rate=32000, layout="mono", hz=880.0)

    def run(*options):
        assert main([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline", *options]) == 0
        return capsys.readouterr().err

    run()
    return run


def test_features_are_extracted_again_if_the_audio_or_an_option_has_changed(tmp_path, extracted):
    assert "extracted 0 files, skipped 2 with intact features" in extracted()
    before = np.load(tmp_path / "f/a.npy")
    (tmp_path / "s/a.wav").write_bytes((tmp_path / "s/b.wav").read_bytes())
    error = extracted()
    assert "extracted 1 file, skipped 1 with intact features" in error
    assert "computed again, since the audio file has changed: 1 (a.wav)" in error
    np.testing.assert_array_equal(np.load(tmp_path / "f/a.npy"), np.load(tmp_path / "f/b.npy"))
    assert not np.array_equal(np.load(tmp_path / "f/a.npy"), before)
    assert "since their clip length in seconds was 2.0, not 1.0: 2 (a.wav, b.wav)" in extracted("--clip-len", "1")
    assert np.load(tmp_path / "f/a.npy").shape == (3, 256)
    assert "since their data type was float32, not float16" in extracted("--clip-len", "1", "--dtype", "float16")
    np.save(tmp_path / "f/a.npy", np.full((3, 256), np.nan))
    assert "since their features were damaged: 1 (a.wav)" in extracted("--clip-len", "1", "--dtype", "float16")
    assert "extracted 0 files, skipped 2" in extracted("--clip-len", "1", "--dtype", "float16")


def test_features_of_other_programs_are_moved_or_kept(tmp_path, extracted):
    np.save(tmp_path / "f/a.npy", np.ones((2, 256)))
    assert "extracted 0 files, skipped 2" in extracted("--keep-unverified")
    assert f"moved to {tmp_path}/f/replaced, since their origin is unknown: 1 (a.npy)" in extracted()
    assert (np.load(tmp_path / "f/replaced/a.npy") == 1).all()
    assert not (np.load(tmp_path / "f/a.npy") == 1).all()


def test_the_zeros_of_a_video_without_audio_are_replaced(tmp_path, extracted):
    """The extraction of videos writes zeros; the features of a separate audio file are better."""
    expected, encoders = np.load(tmp_path / "f/a.npy"), color_encoders()
    audio = LogMelStatistics().eval()
    extraction = VideoExtraction(Encoders(encoders.visual, encoders.text, audio), tmp_path / "g")
    video = write_video(tmp_path / "a.mp4", ["red"] * 3)
    extraction.extract(video)
    assert not np.load(tmp_path / "g/logmel/a.npy").any()
    assert main([str(tmp_path / "s"), str(tmp_path / "g/logmel"), "--encoder", "offline"]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "g/logmel/a.npy"), expected)
    assert extraction.extract(video) is None
    np.testing.assert_array_equal(np.load(tmp_path / "g/logmel/a.npy"), expected)


class Loudness(AudioEncoder):
    """An encoder whose only feature is the mean amplitude of a clip."""

    dims = 1

    def forward(self, clips):
        assert 1 <= len(clips) <= 8
        return clips.abs().mean(dim=1, keepdim=True)


def test_memory_is_independent_of_the_duration(monkeypatch, tmp_path):
    half_an_hour = 32000 * 1800   # Samples; 230 MB as float32.
    monkeypatch.setattr(audio_files, "read_audio_file",
                        lambda path, rate: (np.ones(1024, np.float32) for _ in range(half_an_hour // 1024)))
    tracemalloc.start()
    try:
        rows = extract("x", Loudness(), 8)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert rows.shape == (900, 1)


def test_full_disk_is_one_error_and_leaves_no_incomplete_file(tmp_path, capsys):
    for name in "abc":
        write_audio(tmp_path / f"s/{name}.wav", 40.0, rate=32000, layout="mono")
    with small_disk(tmp_path / "disk", 32):   # The features of one file occupy 20 kB.
        assert main([str(tmp_path / "s"), str(tmp_path / "disk/f"), "--encoder", "offline"]) == 2
        error = capsys.readouterr().err.splitlines()
        assert file_names(tmp_path / "disk/f") == [".provenance", "a.npy"]
        assert file_names(tmp_path / "disk/f/.provenance") == ["a.json"]
        assert np.load(tmp_path / "disk/f/a.npy").shape == (20, 256)
    assert error[-1] == (f"error: {tmp_path}/disk/f: cannot be written (No space left on device); free some space and "
                         "run the command again; finished files are kept")


@pytest.mark.parametrize("files, message", [
    pytest.param(None, "no such folder", id="missing-folder"),
    pytest.param([], "no audio files in it", id="empty-folder"),
    pytest.param(["x.wav", "x.flac"], "several files are named x", id="duplicate-names"),
])
def test_folder_without_usable_audio_is_an_error(tmp_path, capsys, files, message):
    if files is not None:
        (tmp_path / "s").mkdir()
        for name in files:
            (tmp_path / "s" / name).touch()
    assert main([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("script", ["unify_audio_name", "extract_audio_feature"])
def test_scripts_print_help_and_run_in_the_current_folder(tmp_path, script):
    def run(*args):
        env = {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
        return subprocess.run([ROOT / f"audio/{script}.sh", *args], cwd=tmp_path, env=env, capture_output=True,
                              text=True, check=False)

    done = run("--help")
    assert done.returncode == 0
    assert f"audio/{script}.sh" in done.stdout
    missing = run("gone", *(["out"] if "extract" in script else []))
    assert missing.returncode == 2
    assert "error: gone: no such folder" in missing.stderr
