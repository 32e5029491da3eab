import os

import av
import pytest

from common.errors import InputError
from page.limits import (
    Limits,
    check_film,
    folder_video,
    folder_videos,
    parse_bytes,
    plain_name,
    shown_bytes,
    shown_time,
)
from pipelines.media.probe import probe
from tests.media import write_video


@pytest.mark.parametrize("raw, name", [
    ("match.mp4", "match.mp4"), ("../../etc/passwd", "passwd"), ("..\\..\\boot.ini", "boot.ini"), ("/", "video"), ("", "video"),
    ("...", "video"), (".bashrc", "bashrc"), ("http:evil.mp4", "http_evil.mp4"), ("a\0b\nc\u202e.mp4", "a_b_c_.mp4"),
    ("<script>alert(1)</script>.mp4", "script>.mp4"), ("<img src=x onerror=alert(1)>.mp4", "<img src=x onerror=alert(1)>.mp4"),
    ("Fußball – 2. Tag.mkv", "Fußball – 2. Tag.mkv"), ("noend", "noend"), ("x" * 999 + ".mp4", "x" * 116 + ".mp4"), ("\ud800.mp4", "_.mp4")])
def test_names_lead_nowhere_and_mean_nothing(raw, name):
    found = plain_name(raw)
    assert found == name
    assert "/" not in found and not found.startswith(".") and len(found.encode()) <= 120


def test_names_of_many_bytes_are_cut_between_characters():
    assert plain_name("ß" * 200 + ".mp4") == "ß" * 58 + ".mp4"


def test_only_videos_inside_the_folder_are_found(tmp_path):
    folder, outside = tmp_path / "videos", tmp_path / "secret.mp4"
    (folder / "deep").mkdir(parents=True)
    for path in (outside, folder / "b.mp4", folder / "deep/a.MKV", folder / "notes.txt"):
        path.touch()
    os.symlink(outside, folder / "link.mp4")
    os.symlink(folder / "b.mp4", folder / "inner.mp4")
    assert folder_videos(folder) == ["b.mp4", "deep/a.MKV", "inner.mp4"]
    assert folder_video(folder, "deep/a.MKV") == folder / "deep/a.MKV"
    for name in ("../secret.mp4", str(outside), "link.mp4", "notes.txt", "deep", "", "none.mp4", "b.mp4\0", "x" * 5000):
        with pytest.raises(InputError, match="no such video in the folder"):
            folder_video(folder, name)


def test_what_is_no_film_is_refused_before_anything_else_opens_it(tmp_path):
    film = write_video(tmp_path / "film.mp4", 5)
    check_film(film)
    check_film(write_video(tmp_path / "film.mkv", 5))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    segment = write_video(tmp_path / "segment.ts", 5)
    faults = dict(text=b"hello\n" * 100, playlist=playlist.format(segment).encode(), zeros=b"\0" * 5000,
                  concat=f"ffconcat version 1.0\nfile {segment.name}\n".encode(), page=b"<html><script>1</script></html>")
    for name, content in faults.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(InputError, match="not a video that can be read"):   # not even opened
            check_film(tmp_path / f"{name}.mp4")
    with av.open(str(tmp_path / "concat.mp4")) as container:   # which FFmpeg would follow, left to itself
        assert container.format.name == "concat"
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match="0 bytes"):
        check_film(tmp_path / "empty.mp4")


def test_long_and_large_videos_are_refused(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 50))   # 2 s of 80 × 48
    Limits(video_s=2, pixels=80 * 48).check_video(info)
    with pytest.raises(InputError, match=r"lasts 2 seconds; at most 1.5 seconds"):
        Limits(video_s=1.5).check_video(info)
    with pytest.raises(InputError, match="80 × 48 dots"):
        Limits(pixels=80 * 48 - 1).check_video(info)
    Limits(upload_bytes=5).check_size(5)
    with pytest.raises(InputError, match="too large: at most 2 GB"):
        Limits().check_size(2 * 10**9 + 1)


def test_sentences_are_lines():
    limits = Limits(sentences=2, characters=10)
    assert limits.read_sentences(" a goal \n\n the crowd\n") == ("a goal", "the crowd")
    assert limits.read_sentences(["a", " "]) == ("a",) and limits.read_sentences("") == ()
    for bad, message in (("a\nb\nc", "at most 2"), ("x" * 11, "at most 10"), ([1], "list of texts"), (None, "list of texts"),
                         ("\ud800", "UTF-8")):
        with pytest.raises(InputError, match=message):
            limits.read_sentences(bad)


def test_sizes_and_times_as_people_write_them():
    assert parse_bytes("500 MB") == 500_000_000 and parse_bytes("1.5gb") == 1_500_000_000
    for bad in ("", "5", "-1MB", "0kb", "many"):
        with pytest.raises(InputError, match="500MB"):
            parse_bytes(bad)
    assert [shown_bytes(n) for n in (2 * 10**9, 1_500_000, 300_000)] == ["2 GB", "1.5 MB", "300 kB"]
    assert [shown_time(s) for s in (10800, 3600, 5400, 60, 90, 1)] == ["3 hours", "1 hour", "90 minutes", "1 minute", "90 seconds", "1 second"]
