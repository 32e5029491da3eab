"""Conversion of audio files to 32 kHz mono .wav files with clean names."""

import os
import unicodedata
import wave

import numpy as np
import pytest

from audio.unify_audio_name import clean_name, main, original_path
from pipelines.media.audio_files import is_mono_wav, read_clips, write_wav

from .fakes import file_names, small_disk, write_audio


@pytest.mark.parametrize("name, clean", [
    pytest.param("Match 01 (1).WAV", "match_01", id="copy-number"),
    pytest.param("a.mp3.wav", "a", id="two-suffixes"),
    pytest.param("A.WAV.MP3", "a", id="two-upper-case-suffixes"),
    pytest.param("ep-1 copy 2.flac", "ep-1", id="numbered-copy"),
    pytest.param("x_copy.ogg", "x", id="copy-after-underscore"),
    pytest.param("  déjà  vu (12) (3).m4a", "déjà_vu", id="accents-and-two-copy-numbers"),
    pytest.param("v1.0_cut.wav", "v1.0_cut", id="dot-in-name"),
    pytest.param("(1).wav", "", id="only-a-copy-number"),
    pytest.param("song [live].opus", "song_live", id="brackets"),
    pytest.param("plain.wav", "plain", id="clean-name"),
    pytest.param("copy.wav", "copy", id="name-is-copy"),
    pytest.param("a(2).mp3.mp3", "a", id="copy-number-before-suffixes"),
    pytest.param("एपिसोड ०१ – हिन्दी (1).wav", "एपिसोड_०१_हिन्दी", id="devanagari"),
    pytest.param("தமிழ் பாடல்.mp2", "தமிழ்_பாடல்", id="tamil"),
    pytest.param(unicodedata.normalize("NFD", "Déjà Vu.caf"), "déjà_vu", id="decomposed-accents"),
    pytest.param("İx.WAV", unicodedata.normalize("NFC", "i\u0307x"), id="turkish-capital-i"),
    pytest.param("x.eac3.ts", "x", id="two-broadcast-suffixes"),
])
def test_clean_name(name, clean):
    assert clean_name(name) == clean


def test_audio_files_become_mono_wav_and_originals_are_kept(tmp_path):
    write_audio(tmp_path / "Match 01 (1).WAV")
    write_audio(tmp_path / "talk.mp3.m4a", codec="aac", container="mp4")
    write_audio(tmp_path / "done.wav", rate=32000, layout="mono")
    (tmp_path / "notes.txt").write_text("not audio")
    before = (tmp_path / "Match 01 (1).WAV").read_bytes()
    assert main([str(tmp_path)]) == 0
    assert file_names(tmp_path) == ["done.wav", "match_01.wav", "notes.txt", "originals", "talk.wav"]
    assert (tmp_path / "originals" / "Match 01 (1).WAV").read_bytes() == before
    assert file_names(tmp_path / "originals") == ["Match 01 (1).WAV", "talk.mp3.m4a"]
    for name in ("match_01.wav", "talk.wav"):
        with wave.open(str(tmp_path / name)) as file:
            assert (file.getnchannels(), file.getframerate()) == (1, 32000)
            assert abs(file.getnframes() - 96000) < 3000
    spectrum = np.abs(np.fft.rfft(next(read_clips(tmp_path / "match_01.wav"))))
    assert spectrum.argmax() * 32000 / 64000 == pytest.approx(440, abs=1)
    state = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")}
    assert main([str(tmp_path)]) == 0   # A second run has nothing to do.
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.*")} == state


def test_wav_of_another_sample_rate_is_converted_under_the_same_name(tmp_path):
    write_audio(tmp_path / "a.wav")
    assert main([str(tmp_path)]) == 0
    assert is_mono_wav(tmp_path / "a.wav")
    assert not is_mono_wav(tmp_path / "originals/a.wav")


def test_files_with_the_same_clean_name_are_left_unchanged(tmp_path, capsys):
    for name in ("a.wav", "A (1).wav", "b.wav"):
        write_audio(tmp_path / name, 0.5)
    assert main([str(tmp_path)]) == 1
    assert "A (1).wav: would become a.wav, like a.wav" in capsys.readouterr().err
    assert file_names(tmp_path) == ["A (1).wav", "a.wav", "b.wav", "originals"]
    assert is_mono_wav(tmp_path / "b.wav")


def test_dry_run_prints_the_plan_and_changes_nothing(tmp_path, capsys):
    write_audio(tmp_path / "A B.wav", 0.5)
    (tmp_path / "(2).wav").write_bytes(b"")
    assert main([str(tmp_path), "--dry-run"]) == 1
    out = capsys.readouterr()
    assert out.out == "A B.wav -> a_b.wav\n"
    assert "(2).wav: its name has no letters or digits" in out.err
    assert file_names(tmp_path) == ["(2).wav", "A B.wav"]


def test_known_ids_restore_the_case_of_names(tmp_path, capsys):
    for name in ("ep one.WAV", "other.wav"):
        write_audio(tmp_path / "s" / name, 0.5)
    (tmp_path / "ids.txt").write_text("Ep_One\nEP2\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 1
    assert file_names(tmp_path / "s") == ["Ep_One.wav", "originals", "other.wav"]
    assert "other.wav: other is not a known id" in capsys.readouterr().err
    (tmp_path / "r.csv").write_text("clip,video,start,end,rating\nEp_One,v,0,1,3\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "r.csv"), "--dry-run"]) == 1
    (tmp_path / "ids.txt").write_text("a b\nA_B\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 2
    assert "differ only in case or punctuation" in capsys.readouterr().err


def test_ids_of_a_ratings_table_are_its_clips_and_its_videos(tmp_path):
    write_audio(tmp_path / "s/EP 7.wav", 0.5)
    (tmp_path / "r.csv").write_text("clip,video,start,end,rating\nEp7_one,Ep_7,0,1,3\nEp7_two,Ep_7,1,2,3\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "r.csv")]) == 0
    assert file_names(tmp_path / "s") == ["Ep_7.wav", "originals"]


def test_file_without_audio_is_left_unchanged_and_reported(tmp_path, capsys):
    (tmp_path / "X.mp3").write_text("not audio")
    write_audio(tmp_path / "Y.wav", 0.5)
    assert main([str(tmp_path)]) == 1
    assert "X.mp3" in capsys.readouterr().err
    assert file_names(tmp_path) == ["X.mp3", "originals", "y.wav"]


def interrupt(folder, name, target):
    """Create the state after a run that was interrupted before its last step, the deletion of the source."""
    source = write_audio(folder / name, 0.5)
    original_path(source).parent.mkdir()
    os.link(source, original_path(source))
    write_wav(source, folder / target)


def test_interrupted_run_is_resumed(tmp_path):
    interrupt(tmp_path, "A.mp3.wav", "a.wav")
    assert main([str(tmp_path)]) == 0
    assert file_names(tmp_path) == ["a.wav", "originals"]
    assert file_names(tmp_path / "originals") == ["A.mp3.wav"]


def test_dry_run_after_an_interrupted_run_deletes_nothing(tmp_path, capsys):
    interrupt(tmp_path, "A.mp3.wav", "a.wav")
    assert main([str(tmp_path), "--dry-run"]) == 0
    assert capsys.readouterr().out == "delete A.mp3.wav: a.wav and the original copy already exist\n"
    assert file_names(tmp_path) == ["A.mp3.wav", "a.wav", "originals"]


def test_interrupted_run_with_ids_is_resumed(tmp_path, capsys):
    interrupt(tmp_path / "s", "ep one.WAV", "Ep_One.wav")
    (tmp_path / "ids.txt").write_text("Ep_One\n")
    assert main([str(tmp_path / "s"), "--ids", str(tmp_path / "ids.txt")]) == 0, capsys.readouterr().err
    assert file_names(tmp_path / "s") == ["Ep_One.wav", "originals"]


@pytest.mark.parametrize("name, codec, container", [
    ("a.caf", "pcm_s16le", "caf"),
    ("a.au", "pcm_s16be", "au"),
    ("a.w64", "pcm_s16le", "w64"),
    ("a.mp2", "mp2", "mp2"),
    ("a.wv", "wavpack", "wv"),
    ("a.eac3", "eac3", "eac3"),
    ("a.ts", "mp2", "mpegts"),
    ("a.avi", "mp2", "avi"),
    ("a.m4b", "aac", "ipod"),
])
def test_common_formats_are_converted(tmp_path, name, codec, container):
    write_audio(tmp_path / name, codec=codec, container=container)
    assert main([str(tmp_path)]) == 0
    assert is_mono_wav(tmp_path / "a.wav")
    spectrum = np.abs(np.fft.rfft(next(read_clips(tmp_path / "a.wav"))))
    assert spectrum.argmax() / 2 == pytest.approx(440, abs=1)


def test_ignored_files_are_counted_and_a_folder_without_audio_is_an_error(tmp_path, capsys):
    write_audio(tmp_path / "a.wav", 0.5, rate=32000, layout="mono")
    for name in ("b.txt", "c.xyz", ".DS_Store"):
        (tmp_path / name).touch()
    assert main([str(tmp_path)]) == 0
    assert "ignored 2 files without the suffix of an audio file (.txt .xyz)" in capsys.readouterr().err
    (tmp_path / "a.wav").unlink()
    assert main([str(tmp_path)]) == 2
    assert "no audio files in it, but 2 other files (.txt .xyz); audio files end in .3gp" in capsys.readouterr().err


def test_existing_original_is_not_overwritten(tmp_path, capsys):
    write_audio(tmp_path / "A.wav", 0.5)
    (tmp_path / "originals").mkdir()
    (tmp_path / "originals/A.wav").write_text("another")
    assert main([str(tmp_path)]) == 1
    assert "already exists; move one" in capsys.readouterr().err
    assert (tmp_path / "originals/A.wav").read_text() == "another"
    assert file_names(tmp_path) == ["A.wav", "originals"]


def test_full_disk_is_one_error_and_leaves_no_incomplete_file(tmp_path, capsys):
    for name in "ab":
        write_audio(tmp_path / f"t/{name} x.wav", 3.0, rate=32000, layout="mono")
    with small_disk(tmp_path / "disk", 500):   # The two originals occupy 384 kB, and the converted files as much.
        for name in "ab":
            (tmp_path / f"disk/{name} x.wav").write_bytes((tmp_path / f"t/{name} x.wav").read_bytes())
        assert main([str(tmp_path / "disk")]) == 2
        assert file_names(tmp_path / "disk") == ["a x.wav", "b x.wav"]
    message = f"error: {tmp_path}/disk: cannot be written (No space left on device); free some space"
    assert message in capsys.readouterr().err
