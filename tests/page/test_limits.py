import os

import av
import pytest

from common.errors import InputError
from page.limits import (
    Limits,
    check_video_file,
    find_folder_video,
    list_folder_videos,
    safe_name,
)
from page.units import format_bytes, format_duration, parse_bytes
from pipelines.media.probe import probe
from tests.media import write_video


@pytest.mark.parametrize("raw, name", [
    pytest.param("match.mp4", "match.mp4", id="plain"),
    pytest.param("../../etc/passwd", "passwd", id="parent folders"),
    pytest.param("..\\..\\boot.ini", "boot.ini", id="Windows folders"),
    pytest.param("/", "video", id="slash"),
    pytest.param("", "video", id="empty"),
    pytest.param("...", "video", id="dots"),
    pytest.param(".bashrc", "bashrc", id="hidden file"),
    pytest.param("http:evil.mp4", "http_evil.mp4", id="FFmpeg protocol"),
    pytest.param("a\0b\nc\u202e.mp4", "a_b_c_.mp4", id="control characters"),
    pytest.param("<script>alert(1)</script>.mp4", "script>.mp4", id="script"),
    pytest.param("<img src=x onerror=alert(1)>.mp4", "<img src=x onerror=alert(1)>.mp4", id="HTML"),
    pytest.param("Fußball – 2. Tag.mkv", "Fußball – 2. Tag.mkv", id="Unicode"),
    pytest.param("noend", "noend", id="no suffix"),
    pytest.param("x" * 999 + ".mp4", "x" * 116 + ".mp4", id="long"),
    pytest.param("\ud800.mp4", "_.mp4", id="surrogate")])
def test_safe_names_have_no_folder_and_no_special_characters(raw, name):
    found = safe_name(raw)
    assert found == name
    assert "/" not in found
    assert not found.startswith(".")
    assert len(found.encode()) <= 120


def test_names_are_shortened_between_characters_not_inside_them():
    assert safe_name("ß" * 200 + ".mp4") == "ß" * 58 + ".mp4"


def test_only_videos_inside_the_folder_are_found(tmp_path):
    folder, outside = tmp_path / "videos", tmp_path / "secret.mp4"
    (folder / "deep").mkdir(parents=True)
    for path in (outside, folder / "b.mp4", folder / "deep/a.MKV", folder / "notes.txt"):
        path.touch()
    os.symlink(outside, folder / "link.mp4")
    os.symlink(folder / "b.mp4", folder / "inner.mp4")
    assert list_folder_videos(folder) == ["b.mp4", "deep/a.MKV", "inner.mp4"]
    assert find_folder_video(folder, "deep/a.MKV") == folder / "deep/a.MKV"
    for name in ("../secret.mp4", str(outside), "link.mp4", "notes.txt", "deep", "", "none.mp4", "b.mp4\0", "x" * 5000):
        with pytest.raises(InputError, match="no such video in the folder"):
            find_folder_video(folder, name)


def test_files_other_than_videos_are_refused_before_other_code_opens_them(tmp_path):
    check_video_file(write_video(tmp_path / "video.mp4", 5))
    check_video_file(write_video(tmp_path / "video.mkv", 5))
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
    segment = write_video(tmp_path / "segment.ts", 5)
    contents = dict(text=b"hello\n" * 100, playlist=playlist.format(segment).encode(), zeros=b"\0" * 5000,
                    concat=f"ffconcat version 1.0\nfile {segment.name}\n".encode(),
                    page=b"<html><script>1</script></html>")
    for name, content in contents.items():
        (tmp_path / f"{name}.mp4").write_bytes(content)
        with pytest.raises(InputError, match="cannot be read as a video"):   # FFmpeg does not open them at all.
            check_video_file(tmp_path / f"{name}.mp4")
    with av.open(str(tmp_path / "concat.mp4")) as container:   # Without a whitelist, FFmpeg opens the named file.
        assert container.format.name == "concat"
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(InputError, match="0 bytes"):
        check_video_file(tmp_path / "empty.mp4")


def test_long_and_large_videos_are_refused(tmp_path):
    info = probe(write_video(tmp_path / "a.mp4", 50))   # 2 s of 80 × 48 pixels.
    Limits(max_video_s=2, max_pixels=80 * 48).check_video(info)
    with pytest.raises(InputError, match=r"lasts 2 seconds, and the limit is 1.5 seconds"):
        Limits(max_video_s=1.5).check_video(info)
    with pytest.raises(InputError, match="80 × 48 pixels"):
        Limits(max_pixels=80 * 48 - 1).check_video(info)
    Limits(max_upload_bytes=5).check_size(5)
    with pytest.raises(InputError, match="too large, and the limit is 2 GB"):
        Limits().check_size(2 * 10**9 + 1)


def test_queries_are_lines_or_a_list():
    limits = Limits(max_queries=2, max_query_chars=10)
    assert limits.parse_queries(" a goal \n\n the crowd\n") == ("a goal", "the crowd")
    assert limits.parse_queries(["a", " "]) == ("a",)
    assert limits.parse_queries("") == ()


@pytest.mark.parametrize("queries, message", [
    pytest.param("a\nb\nc", "the limit is 2", id="too many"), pytest.param("x" * 11, "the limit is 10", id="too long"),
    pytest.param([1], "list of texts", id="number"), pytest.param(None, "list of texts", id="none"),
    pytest.param("\ud800", "UTF-8", id="surrogate")])
def test_invalid_queries_are_refused(queries, message):
    with pytest.raises(InputError, match=message):
        Limits(max_queries=2, max_query_chars=10).parse_queries(queries)


def test_sizes_are_parsed():
    assert parse_bytes("500 MB") == 500_000_000
    assert parse_bytes("1.5gb") == 1_500_000_000
    for bad in ("", "5", "-1MB", "0kb", "many"):
        with pytest.raises(InputError, match="500MB"):
            parse_bytes(bad)


def test_sizes_and_durations_are_formatted():
    assert [format_bytes(n) for n in (2 * 10**9, 1_500_000, 300_000)] == ["2 GB", "1.5 MB", "300 kB"]
    assert [format_duration(s) for s in (10800, 3600, 5400, 60, 90, 1)] == [
        "3 hours", "1 hour", "90 minutes", "1 minute", "90 seconds", "1 second"]
