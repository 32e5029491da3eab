"""Over HTTP: what programs can do, and what nobody can."""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse

import httpx
import pytest

from tests.media import decoded
from tests.paths import ROOT
from tests.pipelines.fakes import write_video


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client


def send(http, content, name="a film.mp4"):
    answer = http.post("videos", params=dict(name=name), content=content)
    return answer.status_code, answer.json()


def call(http, what, **values):
    """A call as curl makes it: ask, then read the events until the end."""
    event = http.post(f"gradio_api/call/v2/{what}", json=values).json()["event_id"]
    kind = ""
    for line in http.get(f"gradio_api/call/{what}/{event}").text.splitlines():
        if line.startswith("event: "):
            kind = line[7:]
        elif line.startswith("data: ") and kind in ("complete", "error"):
            return kind, json.loads(line[6:])
    raise AssertionError("no end")


def files_below(service):
    return sorted(path.name for path in service.desks.folder.rglob("*") if path.is_file() and path.name != "example.npz")


def test_send_ask_and_fetch(http, film, tmp_path):
    status, sent = send(http, film.read_bytes(), "../My <b>film.mp4")
    assert status == 200 and sent["name"] == "My <b>film.mp4" and sent["bytes"] == film.stat().st_size
    kind, (found,) = call(http, "ask", video=sent["video"], sentences=["red"], mode="moments", budget="30%")
    assert kind == "complete" and found["video"] == "My <b>film.mp4"
    best = found["moments"][0]
    assert (best["start"], best["end"], best["text"]) == (20, 28, "red")
    assert set(found["urls"]) == {"summary.mp4", "summary.csv", "summary.edl", "summary.otio", "report.html", "summary.json"}
    cut = http.get(found["urls"]["summary.mp4"])
    (tmp_path / "cut.mp4").write_bytes(cut.content)
    pictures = decoded(tmp_path / "cut.mp4")
    assert len(pictures) == 80 and all(picture[:, 20:40, 0].mean() > 180 > 60 > picture[:, 20:40, 1].mean() for _, picture in pictures)
    assert cut.headers["content-type"] == "video/mp4" and cut.headers["content-disposition"].startswith("inline")
    part = http.get(found["urls"]["summary.mp4"], headers=dict(range="bytes=4-7"))
    assert part.status_code == 206 and part.content == b"ftyp"
    page = http.get(found["urls"]["report.html"])
    assert page.headers["content-disposition"].startswith("attachment") and "sandbox" in page.headers["content-security-policy"]
    assert page.headers["content-type"] == "application/octet-stream" and page.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("mode", ["moments", "shorts"])
def test_what_is_told_is_what_the_files_have(http, odd_film, mode):
    video = send(http, odd_film.read_bytes())[1]["video"]
    found = call(http, "ask", video=video, sentences=["red"], mode=mode, budget="30%", count=1, length="4-9")[1][0]
    written = http.get(found["urls"]["summary.json"]).json()
    assert found["summary"] == written["summary"] and found["summary"][0]["timestamps"] == ["00:00:20.500", "00:00:28.000"]
    assert found["pieces"] == written["pieces"] and found["kept"] == written["kept"] == 7.5


def blocks_of_the_readme():
    section = (ROOT / "README.md").read_text().split("\n## The page\n")[1].split("\n## ")[0]
    return dict(re.findall(r"```(python|bash)\n(url=.*?|from gradio_client.*?)```", section, re.DOTALL))


def test_python_and_curl_as_the_readme_has_them(url, http, film, tmp_path):
    (tmp_path / "match.mp4").write_bytes(film.read_bytes())
    blocks = {kind: text.replace("http://127.0.0.1:7860", url.rstrip("/")).replace("a goal", "red") for kind, text in blocks_of_the_readme().items()}
    assert set(blocks) == {"python", "bash"} and all(url.rstrip("/") in text and "red" in text for text in blocks.values())
    ends = "\nimport json; print(json.dumps([answer['moments'], answer['urls']['summary.mp4']]))"
    ran = {kind: subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200) for kind, command in (
        ("python", [sys.executable, "-c", blocks["python"] + ends]), ("bash", ["bash", "-euc", blocks["bash"]]))}
    assert [done.returncode for done in ran.values()] == [0, 0], ran
    moments, address = json.loads(ran["python"].stdout.splitlines()[-1])
    assert moments[0]["start"] == 20 and moments[0]["text"] == "red" and http.get(address).headers["content-type"] == "video/mp4"
    *_, event, data = filter(None, ran["bash"].stdout.splitlines())
    assert event == "event: complete" and json.loads(data.removeprefix("data: "))[0]["moments"] == moments
    listed = httpx.get(f"{url}gradio_api/info").json()["named_endpoints"]
    assert {"/ask", "/watch", "/models", "/folder", "/choose", "/remove"} == set(listed)   # and nothing of the page's own


def test_models_folder_and_example_are_told(http):
    assert [m["key"] for m in call(http, "models")[1][0]] == ["colours", "wordless", "slow", "missing"]
    assert call(http, "folder") == ("complete", [["a <i>tall one.mp4"]])
    chosen = call(http, "choose", name="example")[1][0]
    assert call(http, "watch", video=chosen["video"])[1][0]["duration"] == 40
    assert call(http, "remove", video=chosen["video"])[1] == [dict(removed=True)]
    assert call(http, "watch", video=chosen["video"])[0] == "error"


def test_two_models_are_compared(http):
    video = call(http, "choose", name="example")[1][0]["video"]
    found = call(http, "ask", video=video, sentences=["red"], compare="slow", cut=False)[1][0]
    assert found["other"]["clips"] == found["clips"] and found["other"]["text"] == ["red"]


@pytest.mark.parametrize("content, status, words", [(b"", 400, "0 bytes"), (b"x" * 2_000_001, 413, "too large: at most 2 MB")])
def test_what_cannot_be_taken_leaves_nothing(http, service, content, status, words):
    before = files_below(service)
    found = send(http, content)
    assert found[0] == status and words in found[1]["error"] and files_below(service) == before


def test_a_body_that_grows_over_the_limit_is_cut_off(http, service):
    before, sent = files_below(service), []

    def grow():
        for _ in range(200):
            sent.append(1)
            yield b"x" * 100_000

    answer = http.post("videos", content=grow())   # in pieces: no size is stated
    assert answer.status_code == 413 and files_below(service) == before and len(sent) < 200


@pytest.mark.parametrize("content", [b"this is a text\n" * 100, b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"])
def test_what_is_no_video_is_told_in_words(http, content):
    video = send(http, content, "notes.mp4")[1]["video"]
    kind, told = call(http, "ask", video=video, sentences=["red"])
    assert kind == "error" and "This is not a video that can be read" in json.dumps(told) and "Traceback" not in json.dumps(told)


def test_too_long_a_video_is_refused(http, tmp_path):
    path = write_video(tmp_path / "long.mp4", ["grey"] * 61, fps=2)
    kind, told = call(http, "watch", video=send(http, path.read_bytes())[1]["video"])
    assert kind == "error" and "lasts 61 seconds; at most 1 minute" in json.dumps(told)


def test_a_connection_dropped_while_sending_leaves_nothing(http, service, url):
    before, desks = files_below(service), len(service.desks)
    address = urllib.parse.urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as raw:
        raw.sendall(f"POST /videos?name=half.mp4 HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 900000\r\n\r\n".encode() + b"x" * 50_000)
        end_s = time.monotonic() + 20
        while len(service.desks) == desks and time.monotonic() < end_s:
            time.sleep(0.01)
        assert len(service.desks) == desks + 1
        assert call(http, "choose", name="example")[0] == "complete"   # a slow sender holds up nobody
        desks += 1
    while len(service.desks) > desks and time.monotonic() < end_s:
        time.sleep(0.01)
    assert len(service.desks) == desks and files_below(service) == before


def test_a_file_that_comes_slowly_is_not_taken_for_one_that_nobody_uses(http, service, monkeypatch):
    clock, before = [time.monotonic()], set(service.desks._desks)
    monkeypatch.setattr(service.desks, "_clock", lambda: clock[0])

    def slowly():
        for size in range(1, 5):
            yield b"x" * 1000
            end_s = time.monotonic() + 20
            while not (new := set(service.desks._desks) - before) or service.desks._desks[next(iter(new))].used_s < clock[0]:
                assert time.monotonic() < end_s, size
                time.sleep(0.01)
            clock[0] += 0.6 * service.desks.keep_s
            service.desks.sweep()

    status, sent = send(http, slowly())
    assert status == 200 and sent["bytes"] == 4000
    service.desks.remove(sent["video"])


def test_subtitles_are_looked_through(http, film):
    video = send(http, film.read_bytes())[1]["video"]
    lines = "1\n00:00:05,000 --> 00:00:08,000\nblue\n"
    told = http.post(f"videos/{video}/subtitles", params=dict(name="../talk.srt"), content=lines.encode())
    assert told.json() == dict(lines=1, name="talk.srt")
    found = call(http, "ask", video=video, sentences=["blue"], cut=False)[1][0]
    assert found["subtitles"] == 1 and found["moments"][0]["start"] <= 6 <= found["moments"][0]["end"]
    for content, words in ((b"no times", "“talk.srt”: contains no subtitles, no line such as 00:00:01,000 --> 00:00:02,500. Choose an .srt or .vtt file"), (b"x" * 1001, "too large: at most 1 kB")):
        told = http.post(f"videos/{video}/subtitles", params=dict(name="talk.srt"), content=content)
        assert told.status_code in (400, 413) and words in told.json()["error"]


@pytest.mark.parametrize("path", [
    "gradio_api/file=/etc/passwd", "gradio_api/file=http://127.0.0.1/", "gradio_api/upload", "gradio_api/proxy=http://127.0.0.1/",
    "gradio_api/stream/x/y/1/playlist.m3u8", "docs", "openapi.json", "monitoring", "gradio_api/vibe-code/", "gradio_api/run/ask",
    "files/x/video", "files/../../../etc/passwd", "files/%2e%2e/%2e%2e/etc/passwd", "static/../../../../etc/passwd",
    "assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "gradio_api/heartbeat/../file=/etc/passwd"])
def test_paths_lead_to_no_file_of_the_machine(url, path):
    """As they are: httpx would tidy them."""
    address = urllib.parse.urlsplit(url)
    for method in ("GET", "POST"):
        with socket.create_connection((address.hostname, address.port), timeout=20) as raw:
            raw.sendall(f"{method} /{path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert int(answer.split()[1]) in (400, 403, 404, 405), answer[:200]
        assert b"root:" not in answer


def test_results_are_found_by_name_only(http, film):
    video = send(http, film.read_bytes())[1]["video"]
    assert http.get(f"files/{video}/video").status_code == 404   # not before it turned out to be one
    urls = call(http, "ask", video=video, sentences=["red"])[1][0]["urls"]
    base = urls["summary.mp4"].rsplit("/", 1)[0]
    assert http.get(f"files/{video}/video").status_code == 200
    for path in (f"{base}/other.mp4", f"{base}/..%2f..%2fvideo", f"files/{video}/video/a film.mp4", f"files/{video}/..%2f/x", f"{base}/"):
        assert http.get(path).status_code == 404
    other = send(http, film.read_bytes())[1]["video"]
    assert http.get(urls["summary.mp4"].replace(video, other)).status_code == 404   # another user's key opens it not


def test_gradio_is_given_no_files_and_no_addresses(http):
    for data in ({"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, {"path": "http://127.0.0.1/", "meta": {"_type": "gradio.FileData"}}):
        body = json.dumps(dict(data=[data])).replace("gradio", "\\u0067radio")
        for path in ("gradio_api/call/choose", "gradio_api/call/v2/choose", "gradio_api/queue/join"):
            assert http.post(path, content=body, headers={"content-type": "application/json"}).status_code == 400
    assert http.post("gradio_api/call/ask", json=dict(data=["x" * 1_000_001])).status_code == 400


def test_other_web_sites_cannot_reach_it(http):
    assert http.get("", headers=dict(host="evil.example")).status_code == 400            # a name that was made to mean loopback
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "http://evil.example"},
                    {"origin": "null"}, {"origin": "http://127.0.0.1:1"}):   # another port is another site
        assert http.post("videos", content=b"x", headers=headers).status_code == 403, headers
    own = {"origin": f"http://{http.base_url.netloc.decode()}"}
    for headers in (own, own | {"sec-fetch-site": "same-origin"}, {},
                    {"origin": "https://video.example", "x-forwarded-host": "video.example"}):   # in front of it stands another server
        assert http.post("videos", content=b"x", headers=headers).status_code == 200, headers
    policy = http.get("").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'self'" in policy and "http" not in policy


def test_folder_tricks(http):
    for name in ("../film.mp4", "/etc/passwd", "", "a <i>tall one.mp4/..", "..%2f"):
        assert call(http, "choose", name=name)[0] == "error"
