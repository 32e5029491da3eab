"""Test the server over HTTP: what programs can do with it, and what it refuses."""

import html
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import httpx
import pytest

from page.answer_view import TEMPLATES, api_section
from tests.media import decoded
from tests.paths import ROOT
from tests.pipelines.fakes import write_video

README_URL = "http://127.0.0.1:7860"


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def send(http, content, name="a video.mp4"):
    """Upload a video and return the status and the JSON of the response."""
    response = http.post("videos", params=dict(name=name), content=content)
    return response.status_code, response.json()


def call(http, endpoint, **values):
    """Call an endpoint as curl does: start an event, then read its messages until the last."""
    event = http.post(f"gradio_api/call/v2/{endpoint}", json=values).json()["event_id"]
    kind = ""
    for line in http.get(f"gradio_api/call/{endpoint}/{event}").text.splitlines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: ") and kind in ("complete", "error"):
            return kind, json.loads(line[6:])
    raise AssertionError("the event did not end")


def uploaded_files(service):
    folders = os.walk(service.sessions.folder)   # Unlike rglob, it ignores folders that are removed meanwhile.
    return sorted(name for folder, _, names in folders for name in names if "shared" not in Path(folder).parts)


def test_upload_request_and_download(http, red_video, tmp_path):
    status, sent = send(http, red_video.read_bytes(), "../My <b>video.mp4")
    assert status == 200
    assert sent["name"] == "My <b>video.mp4"
    assert sent["bytes"] == red_video.stat().st_size
    kind, (found,) = call(http, "ask", video=sent["video"], queries=["red"], mode="moments", budget="30%")
    assert kind == "complete"
    assert found["video"] == "My <b>video.mp4"
    best = found["moments"][0]
    assert (best["start"], best["end"], best["text"]) == (20, 28, "red")
    assert set(found["urls"]) == {"summary.mp4", "summary.csv", "summary.edl", "summary.otio", "report.html",
                                  "summary.json"}
    cut = http.get(found["urls"]["summary.mp4"])
    (tmp_path / "cut.mp4").write_bytes(cut.content)
    frames = decoded(tmp_path / "cut.mp4")
    assert len(frames) == 80
    assert all(frame[:, 20:40, 0].mean() > 180 for _, frame in frames)
    assert all(frame[:, 20:40, 1].mean() < 60 for _, frame in frames)
    assert cut.headers["content-type"] == "video/mp4"
    assert cut.headers["content-disposition"].startswith("inline")
    part = http.get(found["urls"]["summary.mp4"], headers=dict(range="bytes=4-7"))
    assert part.status_code == 206
    assert part.content == b"ftyp"
    report = http.get(found["urls"]["report.html"])
    assert report.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in report.headers["content-security-policy"]
    assert report.headers["content-type"] == "application/octet-stream"
    assert report.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("mode", ["moments", "shorts"])
def test_the_response_agrees_with_the_files(http, offset_video, mode):
    video = send(http, offset_video.read_bytes())[1]["video"]
    found = call(http, "ask", video=video, queries=["red"], mode=mode, budget="30%", count=1, length="4-9")[1][0]
    written = http.get(found["urls"]["summary.json"]).json()
    assert found["summary"] == written["summary"]
    assert found["summary"][0]["timestamps"] == ["00:00:20.500", "00:00:28.000"]
    assert found["pieces"] == written["pieces"]
    assert found["kept"] == written["kept"] == 7.5


@pytest.mark.slow
@pytest.mark.parametrize("names", [
    pytest.param(dict(queries=["red"], aspect="1:1"), id="names"),
    pytest.param(dict(sentences=["red"], shape="1:1"), id="deprecated names")])
def test_queries_and_aspect_have_deprecated_names(http, red_video, names):
    video = send(http, red_video.read_bytes())[1]["video"]
    found = call(http, "ask", video=video, mode="moments", budget="30%", **names)[1][0]
    assert found["text"] == ["red"]
    assert http.get(found["urls"]["summary.json"]).json()["aspect"] == "1:1"


def test_encode_has_a_deprecated_name(http):
    video = call(http, "choose", name="example")[1][0]["video"]
    assert call(http, "watch", video=video) == call(http, "encode", video=video)


def documented_examples():
    """Return the Python and curl examples in README.md and docs/, by language."""
    text = "\n".join(path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
    blocks = re.findall(r"```(python|bash)\n(url=.*?|from gradio_client.*?)```", text, re.DOTALL)
    return {kind: block for kind, block in blocks if README_URL in block}


def page_examples():
    """Return the Python and curl examples on the page, by language."""
    return dict(python=(TEMPLATES / "api_python.txt").read_text(), bash=(TEMPLATES / "api_curl.txt").read_text())


def test_the_page_shows_its_examples():
    shown = html.unescape(api_section())
    assert all(example.strip() in shown for example in page_examples().values())


@pytest.mark.slow
@pytest.mark.parametrize("examples", [
    pytest.param(documented_examples, id="documents"), pytest.param(page_examples, id="page")])
def test_the_examples_work(url, http, red_video, tmp_path, examples):
    (tmp_path / "match.mp4").write_bytes(red_video.read_bytes())
    address = url.rstrip("/")
    blocks = {kind: text.replace(README_URL, address).replace("a goal", "red") for kind, text in examples().items()}
    assert set(blocks) == {"python", "bash"}
    assert all(address in text for text in blocks.values())
    assert all("red" in text for text in blocks.values())
    ends = "\nimport json; print(json.dumps([answer['moments'], answer['urls']['summary.mp4']]))"
    commands = dict(python=[sys.executable, "-c", blocks["python"] + ends], bash=["bash", "-euc", blocks["bash"]])
    ran = {kind: subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
           for kind, command in commands.items()}
    assert [done.returncode for done in ran.values()] == [0, 0], ran
    moments, cut = json.loads(ran["python"].stdout.splitlines()[-1])
    assert moments[0]["start"] == 20
    assert moments[0]["text"] == "red"
    assert http.get(cut).headers["content-type"] == "video/mp4"
    *_, event, data = filter(None, ran["bash"].stdout.splitlines())
    assert event == "event: complete"
    assert json.loads(data.removeprefix("data: "))[0]["moments"] == moments


def test_only_the_api_is_documented(http):
    listed = http.get("gradio_api/info").json()["named_endpoints"]
    # "watch" is the deprecated name of "encode".
    assert set(listed) == {"/ask", "/encode", "/watch", "/models", "/folder", "/choose", "/remove"}


def test_models_folder_and_example_are_listed(http):
    models = call(http, "models")[1][0]
    assert [entry["key"] for entry in models] == ["colors", "no_text", "slow", "missing"]
    assert all(entry["what"] == entry["description"] for entry in models)      # Deprecated name.
    assert all(entry["measured"] == entry["metrics"] for entry in models)      # Deprecated name.
    assert call(http, "folder") == ("complete", [["a <i>tall one.mp4"]])
    chosen = call(http, "choose", name="example")[1][0]
    assert call(http, "encode", video=chosen["video"])[1][0]["duration"] == 40
    assert call(http, "remove", video=chosen["video"])[1] == [dict(removed=True)]
    assert call(http, "encode", video=chosen["video"])[0] == "error"


def test_two_models_are_compared(http):
    video = call(http, "choose", name="example")[1][0]["video"]
    found = call(http, "ask", video=video, queries=["red"], compare="slow", cut=False)[1][0]
    assert found["other"]["clips"] == found["clips"]
    assert found["other"]["text"] == ["red"]


@pytest.mark.parametrize("content, status, message", [
    pytest.param(b"", 400, "0 bytes", id="empty"),
    pytest.param(b"x" * 2_000_001, 413, "too large, and the limit is 2 MB", id="too large")])
def test_a_refused_upload_leaves_no_file(http, service, content, status, message):
    before = uploaded_files(service)
    found = send(http, content)
    assert found[0] == status
    assert message in found[1]["error"]
    assert uploaded_files(service) == before


def test_a_body_of_unknown_size_is_rejected_at_the_limit(http, service):
    before, sessions, sent = uploaded_files(service), len(service.sessions), []

    def chunks():
        for _ in range(200):
            yield b"x" * 100_000
            sent.append(len(service.sessions))

    response = http.post("videos", content=chunks())   # A chunked body has no Content-Length.
    assert response.status_code == 413
    assert sent[-1] == sessions   # The file was removed before the client had sent everything.
    assert uploaded_files(service) == before


@pytest.mark.parametrize("content", [
    pytest.param(b"this is a text\n" * 100, id="text"),
    pytest.param(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", id="playlist")])
def test_a_file_that_is_not_a_video_is_refused(http, content):
    video = send(http, content, "notes.mp4")[1]["video"]
    kind, data = call(http, "ask", video=video, queries=["red"])
    assert kind == "error"
    assert "This file cannot be read as a video" in json.dumps(data)
    assert "Traceback" not in json.dumps(data)


def test_too_long_a_video_is_refused(http, tmp_path):
    path = write_video(tmp_path / "long.mp4", ["grey"] * 61, fps=2)
    kind, data = call(http, "encode", video=send(http, path.read_bytes())[1]["video"])
    assert kind == "error"
    assert "lasts 61 seconds, and the limit is 1 minute" in json.dumps(data)


def test_an_interrupted_upload_leaves_no_file(http, service, url):
    before, num_sessions = uploaded_files(service), len(service.sessions)
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as raw:
        head = f"POST /videos?name=half.mp4 HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 900000\r\n\r\n"
        raw.sendall(head.encode() + b"x" * 50_000)
        end_s = time.monotonic() + 20
        while len(service.sessions) == num_sessions and time.monotonic() < end_s:
            time.sleep(0.01)
        assert len(service.sessions) == num_sessions + 1
        assert call(http, "choose", name="example")[0] == "complete"   # A slow upload delays no other user.
        num_sessions += 1
    while len(service.sessions) > num_sessions and time.monotonic() < end_s:
        time.sleep(0.01)
    assert len(service.sessions) == num_sessions
    while uploaded_files(service) != before:   # The folder is removed after the session.
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_a_slow_upload_counts_as_a_use_of_the_session(http, service, monkeypatch):
    clock, before = [time.monotonic()], service.sessions.all()
    monkeypatch.setattr(service.sessions, "clock", lambda: clock[0])

    def slow_chunks():
        for size in range(1, 5):
            yield b"x" * 1000
            end_s = time.monotonic() + 20
            # The server has received the chunk when it has recorded a use of the new session.
            while not any(session.used_s >= clock[0] for session in service.sessions.all() if session not in before):
                assert time.monotonic() < end_s, size
                time.sleep(0.01)
            clock[0] += 0.6 * service.sessions.idle_timeout_s
            service.sessions.sweep()

    status, sent = send(http, slow_chunks())
    assert status == 200
    assert sent["bytes"] == 4000
    service.sessions.remove(sent["video"])


def test_subtitles_are_searched(http, red_video):
    video = send(http, red_video.read_bytes())[1]["video"]
    lines = "1\n00:00:05,000 --> 00:00:08,000\nblue\n"
    response = http.post(f"videos/{video}/subtitles", params=dict(name="../talk.srt"), content=lines.encode())
    assert response.json() == dict(lines=1, name="talk.srt")
    found = call(http, "ask", video=video, queries=["blue"], cut=False)[1][0]
    assert found["subtitles"] == 1
    assert found["moments"][0]["start"] <= 6 <= found["moments"][0]["end"]


def test_the_detected_encoding_of_subtitles_is_reported(http, red_video):
    video = send(http, red_video.read_bytes())[1]["video"]
    content = "[Events]\nDialogue: 0,0:00:05.00,0:00:08.00,,,,,,,Добрый вечер".encode("cp1251")
    response = http.post(f"videos/{video}/subtitles", params=dict(name="talk.ass"), content=content)
    assert response.json() == dict(lines=1, name="talk.ass", note="its text was decoded as windows-1251; if it looks "
                                   "wrong, save the file as UTF-8")


@pytest.mark.parametrize("content, status, message", [
    pytest.param(b"no times", 400, "“talk.srt”: contains no subtitles, no line such as 00:00:01,000 --> 00:00:02,500. "
                                   "Choose an .srt, .vtt, .ass or .ssa file", id="no times"),
    pytest.param(b"x" * 1001, 413, "too large, and the limit is 1 kB", id="too large")])
def test_invalid_subtitles_are_refused(http, red_video, content, status, message):
    video = send(http, red_video.read_bytes())[1]["video"]
    response = http.post(f"videos/{video}/subtitles", params=dict(name="talk.srt"), content=content)
    assert response.status_code == status
    assert message in response.json()["error"]


@pytest.mark.parametrize("path", [
    "gradio_api/file=/etc/passwd", "gradio_api/file=http://127.0.0.1/", "gradio_api/upload",
    "gradio_api/proxy=http://127.0.0.1/", "gradio_api/stream/x/y/1/playlist.m3u8", "docs", "openapi.json", "monitoring",
    "gradio_api/vibe-code/", "gradio_api/run/ask", "files/x/video", "files/../../../etc/passwd",
    "files/%2e%2e/%2e%2e/etc/passwd", "static/../../../../etc/passwd", "assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "gradio_api/heartbeat/../file=/etc/passwd"])
def test_no_path_leads_to_a_file_of_the_machine(url, path):
    """A raw socket sends the path unchanged; httpx would normalize it."""
    address = urllib.parse.urlsplit(url)
    for method in ("GET", "POST"):
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            head = f"{method} /{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            raw.sendall(head.encode())
            response = b"".join(iter(lambda: raw.recv(65536), b""))
        assert int(response.split()[1]) in (400, 403, 404, 405), response[:200]
        assert b"root:" not in response


def test_results_are_found_by_name_only(http, red_video):
    video = send(http, red_video.read_bytes())[1]["video"]
    assert http.get(f"files/{video}/video").status_code == 404   # The file is not known to be a video yet.
    urls = call(http, "ask", video=video, queries=["red"])[1][0]["urls"]
    base = urls["summary.mp4"].rsplit("/", 1)[0]
    assert http.get(f"files/{video}/video").status_code == 200
    for path in (f"{base}/other.mp4", f"{base}/..%2f..%2fvideo", f"files/{video}/video/a video.mp4",
                 f"files/{video}/..%2f/x", f"{base}/"):
        assert http.get(path).status_code == 404
    other = send(http, red_video.read_bytes())[1]["video"]
    assert http.get(urls["summary.mp4"].replace(video, other)).status_code == 404   # Another user's token.


@pytest.mark.parametrize("file", [pytest.param("/etc/passwd", id="path"), pytest.param("http://127.0.0.1/", id="URL")])
def test_gradio_receives_no_file_names(http, file):
    data = {"path": file, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps(dict(data=[data])).replace("gradio", "\\u0067radio")   # The escape must not hide the name.
    for path in ("gradio_api/call/choose", "gradio_api/call/v2/choose", "gradio_api/queue/join"):
        assert http.post(path, content=body, headers={"content-type": "application/json"}).status_code == 400


def test_large_calls_are_refused(http):
    assert http.post("gradio_api/call/ask", json=dict(data=["x" * 1_000_001])).status_code == 400


def test_other_web_sites_cannot_reach_the_server(http):
    # A foreign host name may resolve to 127.0.0.1 (DNS rebinding).
    assert http.get("", headers=dict(host="evil.example")).status_code == 400
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
                    {"origin": "null"}, {"origin": "http://127.0.0.1:1"}):   # Another port is another site.
        assert http.post("videos", content=b"x", headers=headers).status_code == 403, headers
    own = {"origin": f"http://{http.base_url.netloc.decode()}"}
    for headers in (own, own | {"sec-fetch-site": "same-origin"}, {},
                    {"origin": "https://video.example", "x-forwarded-host": "video.example"}):   # Behind a proxy.
        assert http.post("videos", content=b"x", headers=headers).status_code == 200, headers
    policy = http.get("").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http" not in policy


@pytest.mark.parametrize("name", ["../a video.mp4", "/etc/passwd", "", "a <i>tall one.mp4/..", "..%2f"])
def test_no_name_leads_out_of_the_shared_folder(http, name):
    assert call(http, "choose", name=name)[0] == "error"
