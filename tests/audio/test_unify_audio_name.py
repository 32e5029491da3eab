import contextlib
import os
import subprocess
import sys
import tracemalloc
import unicodedata
import wave
from fractions import Fraction

import av
import numpy as np
import pytest

from audio.extract_audio_feature import main as extract
from audio.unify_audio_name import clean_name, main, original_path
from models.encoders.base import AudioEncoder
from pipelines.media import audio_files as sound_files
from pipelines.media.audio_files import is_mono_wav, read_clips, write_wav
from tests.paths import ROOT


@contextlib.contextmanager
def small_disk(place, kilobytes):
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", place], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let a process mount")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)
        place.rmdir()


def write_sound(path, seconds=3.0, rate=44100, codec="pcm_s16le", layout="stereo", hz=440.0, container=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        samples = (0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.stack([samples] * (2 if layout == "stereo" else 1)), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in (frame, None):
            out.mux(stream.encode(part))
    return path


@pytest.mark.parametrize("name, clean", [
    ("Match 01 (1).WAV", "match_01"), ("a.mp3.wav", "a"), ("A.WAV.MP3", "a"), ("ep-1 copy 2.flac", "ep-1"), ("x_copy.ogg", "x"),
    ("  déjà  vu (12) (3).m4a", "déjà_vu"), ("v1.0_cut.wav", "v1.0_cut"), ("(1).wav", ""), ("song [live].opus", "song_live"), ("plain.wav", "plain"),
    ("copy.wav", "copy"), ("a(2).mp3.mp3", "a"), ("एपिसोड ०१ – हिन्दी (1).wav", "एपिसोड_०१_हिन्दी"), ("தமிழ் பாடல்.mp2", "தமிழ்_பாடல்"),
    (unicodedata.normalize("NFD", "Déjà Vu.caf"), "déjà_vu"), ("İx.WAV", unicodedata.normalize("NFC", "i\u0307x")), ("x.eac3.ts", "x")])
def test_names_lose_their_mess(name, clean):
    assert clean_name(name) == clean


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_any_sound_becomes_mono_wav_and_the_original_stays(tmp_path):
    write_sound(tmp_path / "Match 01 (1).WAV")
    write_sound(tmp_path / "talk.mp3.m4a", codec="aac", container="mp4")
    write_sound(tmp_path / "done.wav", rate=32000, layout="mono")
    (tmp_path / "notes.txt").write_text("no sound")
    before = (tmp_path / "Match 01 (1).WAV").read_bytes()
    assert main([str(tmp_path)]) == 0
    assert names(tmp_path) == ["done.wav", "match_01.wav", "notes.txt", "originals", "talk.wav"]
    assert (tmp_path / "originals" / "Match 01 (1).WAV").read_bytes() == before
    assert names(tmp_path / "originals") == ["Match 01 (1).WAV", "talk.mp3.m4a"]
    for name in ("match_01.wav", "talk.wav"):
        with wave.open(str(tmp_path / name)) as file:
            assert (file.getnchannels(), file.getframerate()) == (1, 32000)
            assert abs(file.getnframes() - 96000) < 3000
    spectrum = np.abs(np.fft.rfft(next(read_clips(tmp_path / "match_01.wav"))))
    assert spectrum.argmax() * 32000 / 64000 == pytest.approx(440, abs=1)
    state = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
    assert main([str(tmp_path)]) == 0   # again: nothing left to do
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")} == state


def test_a_wav_of_the_right_name_and_another_rate_is_converted(tmp_path):
    write_sound(tmp_path / "a.wav")
    assert main([str(tmp_path)]) == 0
    assert is_mono_wav(tmp_path / "a.wav")
    assert not is_mono_wav(tmp_path / "originals/a.wav")


def test_two_names_that_meet_both_stay(tmp_path, capsys):
    for name in ("a.wav", "A (1).wav", "b.wav"):
        write_sound(tmp_path / name, 0.5)
    assert main([str(tmp_path)]) == 1
    assert "A (1).wav: would become a.wav, like a.wav" in capsys.readouterr().err
    assert names(tmp_path) == ["A (1).wav", "a.wav", "b.wav", "originals"]
    assert is_mono_wav(tmp_path / "b.wav")


def test_a_dry_run_shows_the_plan_and_does_nothing(tmp_path, capsys):
    write_sound(tmp_path / "A B.wav", 0.5)
    (tmp_path / "(2).wav").write_bytes(b"")
    assert main([str(tmp_path), "--dry-run"]) == 1
    out = capsys.readouterr()
    assert out.out == "A B.wav -> a_b.wav\n"
    assert "(2).wav: its name has no letters or digits" in out.err
    assert names(tmp_path) == ["(2).wav", "A B.wav"]


def test_known_ids_give_names_their_case_back(tmp_path, capsys):
    for name in ("ep one.WAV", "other.wav"):
        write_sound(tmp_path / "s" / name, 0.5)
    (tmp_path / "ids.txt").write_text("Ep_One\nEP2\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 1
    assert names(tmp_path / "s") == ["Ep_One.wav", "originals", "other.wav"]
    assert "other.wav: other is not a known id" in capsys.readouterr().err
    (tmp_path / "r.csv").write_text("clip,video,start,end,rating\nEp_One,v,0,1,3\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "r.csv"), "--dry-run"]) == 1
    (tmp_path / "ids.txt").write_text("a b\nA_B\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 2
    assert "differ only in case or punctuation" in capsys.readouterr().err


def test_a_file_that_is_no_sound_stays_and_is_named(tmp_path, capsys):
    (tmp_path / "X.mp3").write_text("no sound")
    write_sound(tmp_path / "Y.wav", 0.5)
    assert main([str(tmp_path)]) == 1
    assert "X.mp3" in capsys.readouterr().err
    assert names(tmp_path) == ["X.mp3", "originals", "y.wav"]


def test_a_stopped_run_goes_on(tmp_path):
    stopped(tmp_path, "A.mp3.wav", "a.wav")
    assert main([str(tmp_path)]) == 0
    assert names(tmp_path) == ["a.wav", "originals"]
    assert names(tmp_path / "originals") == ["A.mp3.wav"]


def stopped(folder, name, target):
    """What a run leaves that is stopped before its last step, the old name's end."""
    source = write_sound(folder / name, 0.5)
    original_path(source).parent.mkdir()
    os.link(source, original_path(source))
    write_wav(source, folder / target)


def test_a_dry_run_after_a_stopped_one_removes_nothing(tmp_path, capsys):
    stopped(tmp_path, "A.mp3.wav", "a.wav")
    assert main([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out == "delete A.mp3.wav: a.wav and the original copy already exist\n"
    assert names(tmp_path) == ["A.mp3.wav", "a.wav", "originals"]


def test_a_stopped_run_with_ids_goes_on(tmp_path, capsys):
    stopped(tmp_path / "s", "ep one.WAV", "Ep_One.wav")
    (tmp_path / "ids.txt").write_text("Ep_One\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 0, capsys.readouterr().err
    assert names(tmp_path / "s") == ["Ep_One.wav", "originals"]


def test_ids_of_a_table_are_its_clips_and_its_videos(tmp_path):
    write_sound(tmp_path / "s/EP 7.wav", 0.5)
    (tmp_path / "r.csv").write_text("clip,video,start,end,rating\nEp7_one,Ep_7,0,1,3\nEp7_two,Ep_7,1,2,3\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "r.csv")]) == 0
    assert names(tmp_path / "s") == ["Ep_7.wav", "originals"]


@pytest.mark.parametrize("name, codec, container", [("a.caf", "pcm_s16le", "caf"), ("a.au", "pcm_s16be", "au"), ("a.w64", "pcm_s16le", "w64"), ("a.mp2", "mp2", "mp2"),
                                                    ("a.wv", "wavpack", "wv"), ("a.eac3", "eac3", "eac3"), ("a.ts", "mp2", "mpegts"), ("a.avi", "mp2", "avi"), ("a.m4b", "aac", "ipod")])
def test_usual_formats_are_read(tmp_path, name, codec, container):
    write_sound(tmp_path / name, codec=codec, container=container)
    assert main([str(tmp_path)]) == 0
    assert is_mono_wav(tmp_path / "a.wav")
    spectrum = np.abs(np.fft.rfft(next(read_clips(tmp_path / "a.wav"))))
    assert spectrum.argmax() / 2 == pytest.approx(440, abs=1)


def test_files_passed_over_are_counted_and_a_folder_without_sound_is_an_error(tmp_path, capsys):
    write_sound(tmp_path / "a.wav", 0.5, rate=32000, layout="mono")
    for name in ("b.txt", "c.xyz", ".DS_Store"):
        (tmp_path / name).touch()
    assert main([str(tmp_path)]) == 0
    assert "ignored 2 files without the suffix of an audio file (.txt .xyz)" in capsys.readouterr().err
    (tmp_path / "a.wav").unlink()
    assert main([str(tmp_path)]) == 2
    assert "no audio files in it, but 2 other files (.txt .xyz); audio files end in .3gp" in capsys.readouterr().err


def test_a_name_taken_in_originals_is_not_overwritten(tmp_path, capsys):
    write_sound(tmp_path / "A.wav", 0.5)
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals/A.wav").write_text("another")
    assert main([str(tmp_path)]) == 1
    assert "already exists; move one" in capsys.readouterr().err
    assert (tmp_path / "originals/A.wav").read_text() == "another"
    assert names(tmp_path) == ["A.wav", "originals"]


def test_features_are_one_row_per_clip_and_resume(tmp_path, capsys):
    write_sound(tmp_path / "s/a.wav", 5.0, rate=32000, layout="mono")
    write_sound(tmp_path / "s/b.wav", 1.0, rate=32000, layout="mono")
    assert extract([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 0
    rows = np.load(tmp_path / "f/a.npy")
    assert rows.shape == (3, 256)
    assert np.load(tmp_path / "f/b.npy").shape == (1, 256)
    assert extract([str(tmp_path / "s"), str(tmp_path / "g"), "--encoder", "offline", "--batch", "1"]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "g/a.npy"), rows, atol=1e-5)
    stamp = (tmp_path / "f/a.npy").stat().st_mtime_ns
    (tmp_path / "f/b.npy").write_bytes((tmp_path / "f/b.npy").read_bytes()[:100])   # not whole
    (tmp_path / "s/c.wav").write_text("no sound")
    capsys.readouterr()
    assert extract([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 1
    error = capsys.readouterr().err
    assert "extracted 1 file, skipped 1 with intact features, 1 failed" in error
    assert "c.wav" in error
    assert (tmp_path / "f/a.npy").stat().st_mtime_ns == stamp
    assert np.load(tmp_path / "f/b.npy").shape == (1, 256)


@pytest.mark.parametrize("seconds, chunk", [(4.0, 700), (4.4, 701), (4.6, 64000), (0.1, 5000), (12.0, 10**6), (3.99, 1)])
@pytest.mark.parametrize("clip_len_s, rate_hz", [(2, 1000), (0.3334, 1000), (1 / 3, 100)])
def test_streamed_clips_are_those_of_the_whole_sound(monkeypatch, seconds, chunk, clip_len_s, rate_hz):
    sound = np.random.default_rng(0).random(round(seconds * rate_hz), np.float32)
    monkeypatch.setattr(sound_files, "read_audio_file", lambda path, rate: (sound[i:i + chunk] for i in range(0, len(sound), chunk)))
    size, clips = round(clip_len_s * rate_hz), sound_files.num_clips(Fraction(len(sound), rate_hz), clip_len_s)
    whole = np.pad(sound[:clips * size], (0, max(0, clips * size - len(sound)))).reshape(clips, size)
    np.testing.assert_array_equal(np.stack(list(read_clips("x", clip_len_s, rate_hz))), whole)


def test_memory_stays_flat_with_a_sounds_length(monkeypatch, tmp_path):
    monkeypatch.setattr(sound_files, "read_audio_file", lambda path, rate: (np.ones(1024, np.float32) for _ in range(32000 * 1800 // 1024)))
    tracemalloc.start()
    try:
        import audio.extract_audio_feature as module
        module.extract("x", Loud(), tmp_path / "x.npy", 8, "float32")   # half an hour, 230 MB
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    assert np.load(tmp_path / "x.npy").shape == (900, 1)


class Loud(AudioEncoder):
    """A clip's loudness."""

    dims = 1

    def forward(self, clips):
        assert 1 <= len(clips) <= 8
        return clips.abs().mean(dim=1, keepdim=True)


def test_a_full_disk_is_one_error_and_leaves_no_half_file(tmp_path, capsys):
    for name in "abc":
        write_sound(tmp_path / f"s/{name}.wav", 40.0, rate=32000, layout="mono")
    with small_disk(tmp_path / "disk", 32):   # kB; a file's features are 20
        assert extract([str(tmp_path / "s"), str(tmp_path / "disk/f"), "--encoder", "offline"]) == 2
        error = capsys.readouterr().err.splitlines()
        assert sorted(p.name for p in (tmp_path / "disk/f").iterdir()) == ["a.npy"]
        assert np.load(tmp_path / "disk/f/a.npy").shape == (20, 256)
    assert error[-1] == f"error: {tmp_path}/disk/f: cannot be written (No space left on device); free some space and run the command again; finished files are kept"
    for name in "ab":
        write_sound(tmp_path / f"t/{name} x.wav", 3.0, rate=32000, layout="mono")
    with small_disk(tmp_path / "disk", 500):   # the two originals are 384, the new ones as much
        for name in "ab":
            (tmp_path / f"disk/{name} x.wav").write_bytes((tmp_path / f"t/{name} x.wav").read_bytes())
        assert main([str(tmp_path / "disk")]) == 2
        assert names(tmp_path / "disk") == ["a x.wav", "b x.wav"]
    assert f"error: {tmp_path}/disk: cannot be written (No space left on device); free some space" in capsys.readouterr().err


@pytest.mark.parametrize("files, message", [
    (None, "no such folder"), ([], "no audio files in it"), (["x.wav", "x.flac"], "several files are named x")])
def test_nothing_to_extract_is_named(tmp_path, capsys, files, message):
    if files is not None:
        (tmp_path / "s").mkdir()
        for name in files:
            (tmp_path / "s" / name).touch()
    assert extract([str(tmp_path / "s"), str(tmp_path / "f"), "--encoder", "offline"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("script", ["unify_audio_name", "extract_audio_feature"])
def test_scripts_help_and_keep_the_folder_that_they_are_called_from(tmp_path, script):
    env = {"VIRTUAL_ENV": sys.prefix, "PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run([ROOT / f"audio/{script}.sh", "--help"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"audio/{script}.sh" in done.stdout
    missing = subprocess.run([ROOT / f"audio/{script}.sh", "gone", *(["out"] if "extract" in script else [])], cwd=tmp_path, env=env,
                             capture_output=True, text=True, check=False)
    assert missing.returncode == 2
    assert "error: gone: no such folder" in missing.stderr
