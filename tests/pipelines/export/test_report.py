import itertools
import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.export.charts import spread, ticks
from pipelines.export.plan import ExportPlan
from pipelines.export.report import report_html
from pipelines.export.summary_json import summary_to_json
from pipelines.features.encode import encode_video
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.result import Result
from pipelines.scoring.moments import Moment
from pipelines.scoring.scorers import NOVELTY, ZERO_SHOT
from pipelines.summary import frame_range
from pipelines.timecode import format_clock, format_timestamp
from tests.pipelines.fakes import color_encoders, write_video

EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(2)> {{data}} & \'quoted\''


class Page(HTMLParser):
    """What a browser would see: elements with attributes, and text outside of scripts and styles."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.text, self.script, self._inside = [], "", "", ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.script += data
        elif self._inside != "style":
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> EncodedVideo:
    path = write_video(tmp_path_factory.mktemp("v") / "a \"b\" & <i>c #1.mp4", ["red"] * 10 + ["blue"] * 10)
    return encode_video(path, color_encoders(), progress=False)


def make(video: EncodedVideo, texts=("red",), moments=None, cues=(), **provenance) -> Result:
    """Ten clips of two seconds, each its own shot; 2-4 s and 6-10 s are kept."""
    edges_s = [float(e) for e in video.edges_s]
    scores = np.linspace(0, 1, 10)
    by = dict(kind=ZERO_SHOT if texts else NOVELTY, visual="Eyes", text="Words", audio=None) | provenance
    if moments is None:
        moments = [Moment(7, 9, 0.9, t) for t in texts] + [Moment(12.0, 16.0, 0.4, t) for t in texts]
    return Result(video, tuple(texts), 0.3, scores, np.tile(scores[::-1], (len(texts), 1)), moments,
                   list(itertools.pairwise(edges_s)), [1, 3, 4], by, tuple(cues),
                   dict(encode=1.25, score=0.1))


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_needs_nothing_from_elsewhere_but_the_cut(video):
    text = report_html(make(video), ["summary.mp4"])
    page = Page(text)
    names = ("src", "href", "poster", "srcset")
    addresses = [attrs[name] for _, attrs in page.elements for name in names if name in attrs]
    assert {a for a in addresses if not a.startswith("data:")} == {"summary.mp4", "summary.mp4#t=0.01"}
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest", text)
    assert len(page.all("script")) == 2 and all("src" not in s for s in page.all("script"))


def test_what_was_asked_is_shown_and_never_run(video):
    page = Page(report_html(make(video, [EVIL]), ["summary.mp4"]))
    assert EVIL in page.text
    assert len(page.all("script")) == 2
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "alert" not in page.script
    cue = Page(report_html(make(video, ["red"], cues=[Cue(7, 8, EVIL)])))
    assert EVIL in cue.text and len(cue.all("script")) == 2


def test_a_file_name_can_hold_anything(video):
    page = Page(report_html(make(video), ["sub folder/a #1 \"b\"?.mp4"]))
    assert page.all("video")[0]["src"] == "sub%20folder/a%20%231%20%22b%22%3F.mp4#t=0.01"
    assert 'a "b" & <i>c #1.mp4' in page.text
    assert len(page.all("i")) == len(Page(report_html(make(video))).all("i"))


def test_curves_moments_and_kept_parts_are_drawn_in_place(video):
    page = Page(report_html(make(video, ["red", "blue"]), ["summary.mp4"]))
    curves = page.all("polyline")
    assert len(curves) == 2 and len(page.all("svg")) == 2
    points = [tuple(map(float, p.split(","))) for p in curves[0]["points"].split()]
    assert [round(x) for x, _ in points] == [0, *range(50, 1000, 100), 1000]   # clip middles and both ends
    heights = [y for _, y in points]
    assert heights == sorted(heights) and heights[0] < 10 and heights[-1] > 80    # falls: y grows downwards
    rects = page.all("rect")
    kept = [(round(float(r["x"])), round(float(r["width"]))) for r in rects if r["class"] == "kept"]
    assert kept == [(100, 100), (300, 200)] * 2
    bars = [(round(float(r["x"])), round(float(r["width"]))) for r in rects if r["class"] == "moment"]
    assert bars == [(350, 100), (600, 200)] * 2


def test_moments_lead_to_their_place_in_the_cut(video):
    page = Page(report_html(make(video), ["summary.mp4"]))
    kept, moments = page.all("button")[:2], page.all("button")[2:]
    assert [b["data-cut"] for b in kept] == ["0.000", "2.000"]
    assert moments[0]["data-cut"] == "3.000"     # 7 s is one second into 6-10 s, which comes after 2-4 s
    assert "disabled" in moments[1] and "data-cut" not in moments[1]
    assert [s["class"] for s in page.all("span") if s.get("class") == "mark"] == ["mark"]
    assert "0:07 – 0:09" in page.text and "0.90" in page.text and "0.40" in page.text
    assert all("disabled" in b for b in Page(report_html(make(video))).all("button"))


def test_the_script_knows_the_clips_and_the_pieces(video):
    data = data_of(report_html(make(video), ["summary.mp4"]))
    assert data["starts"] == list(range(0, 20, 2)) and data["end"] == pytest.approx(20, abs=0.1)
    assert data["pieces"] == [[2, 4, 0, 0], [6, 10, 2, 0]]
    assert data["files"] == ["summary.mp4"] and data["lines"] == [[]]
    np.testing.assert_allclose(data["scores"], np.linspace(0, 1, 10), atol=5e-4)
    assert data["preview_of"] == list(range(10)) and len(data["previews"]) == 10


def test_previews_of_a_long_video_are_limited(video):
    hours = EncodedVideo(video.info.__class__(**{**vars(video.info), "duration_s": Fraction(5000)}), 2,
                         video.encoders, video.visual, None, video.thumbnails[:1] * 2500)
    summary = replace(make(video), video=hours, scores=np.zeros(2500), scores_by_text=np.zeros((1, 2500)),
                      shots=[(0.0, 5000.0)], selected=[0])
    text = report_html(summary)
    data = data_of(text)
    assert len(data["previews"]) == 96 and data["preview_of"][0] == 0 and data["preview_of"][-1] == 95
    assert data["preview_of"] == sorted(data["preview_of"]) and len(text) < 1_000_000


def test_says_who_scored(video):
    text = Page(report_html(make(video, config="a.py"))).text
    assert text.count("zero-shot similarity") == 2
    assert "do not say whether" in text and "Watching and listening1.2 s16 ×" in text and "All together, once loaded1.4 s15 ×" in text
    assert "encoded anew, exact to the frame" in text
    trained = Page(report_html(make(video, kind="UMT", checkpoint="w/best.pth"))).text
    assert "trained model: UMT" in trained and "w/best.pth" in trained and "zero-shot" not in trained


def test_a_question_without_words_or_without_an_answer(video):
    text = Page(report_html(make(video, (), [Moment(0, 2, 0.5, "")]), ["summary.mp4"])).text
    assert "Nothing was asked" in text and "What stands out" in text
    assert "clips that even their most alike other clips look different from" in text and "How much a clip stands out" in text
    by_model = Page(report_html(make(video, (), [Moment(0, 2, 0.5, "")], kind="CLIP-It trained on TVSum"))).text
    assert "what a trained model (CLIP-It trained on TVSum) scores highest" in by_model and "How the model scores a clip" in by_model
    assert "most alike" not in by_model and "stands out from the rest" not in by_model
    text = Page(report_html(make(video, moments=[]), ["summary.mp4"])).text
    assert "no part of the video differs" in text


def shorts(video, cues=()):
    return replace(make(video, cues=cues), mode="shorts",
                   pieces_s=[(Fraction(1), Fraction(7, 2)), (Fraction(12), Fraction(18))])


def test_each_short_is_a_file_and_the_best_is_first(video):
    summary = shorts(video)
    text = report_html(summary, ["short-1.mp4", "short-2.mp4"], ["summary.csv"])
    page, data = Page(text), data_of(text)
    assert [p.file for p in summary.pieces] == ["short-1.mp4", "short-2.mp4"] and summary.pieces[0].start_s == 12
    assert summary.pieces[0].score == pytest.approx((6 + 7 + 8) / 27, abs=1e-6)
    assert data["pieces"] == [[1, 3.5, 0, 1], [12, 18, 0, 0]] and data["files"] == ["short-1.mp4", "short-2.mp4"]
    buttons = [b for b in page.all("button") if "data-cut" in b]
    assert [(b["data-file"], b["data-cut"]) for b in buttons] == [("0", "0.000"), ("1", "0.000"), ("0", "0.000")]
    assert "The shorts" in page.text and "asked for at most" not in page.text
    assert [a["href"] for a in page.all("a")] == ["short-1.mp4", "short-1.mp4", "short-2.mp4", "summary.csv"]


def test_what_is_said_is_listed_and_goes_along_with_the_cut(video):
    cues = [Cue(0, 1, "never"), Cue(2.5, 4.5, "both"), Cue(9, 9.5, "<late>")]
    text = report_html(make(video, cues=cues), ["summary.mp4"])
    page = Page(text)
    assert data_of(text)["lines"] == [[[0.5, 2, "both"], [5, 5.5, "<late>"]]]
    assert [li.get("class") for li in page.all("li") if li.get("class") in ("out", "in")] == ["out", "in", "in"]
    assert "<late>" in page.text and "What is said" in page.text
    assert "What is said" not in Page(report_html(make(video), ["summary.mp4"])).text
    many = [Cue(i / 300, i / 300 + 0.1, "x") for i in range(5000)]
    assert "and 1,000 more lines" in Page(report_html(make(video, cues=many))).text


def test_copies_and_crops_are_told(video):
    summary = make(video)
    assert "pieces begin at key frames" in Page(report_html(summary, plan=ExportPlan(runs=()))).text
    plan = ExportPlan(aspect=Fraction(9, 16))
    assert "cropped to 9:16" in Page(report_html(summary, plan=plan)).text
    assert summary_to_json(summary, plan)["aspect"] == "9:16"


def test_a_piece_is_named_after_the_sentence_that_fills_it(video):
    moments = [Moment(2, 3, 0.9, "short"), Moment(2, 5, 0.5, "long"), Moment(7, 9, 0.2, "x" * 200)]
    summary = make(video, ["short", "long", "x" * 200], moments)
    assert [summary.best_text(*i) for i in summary.intervals_s] == ["long", "x" * 200]
    assert summary.chapter_titles(summary.intervals_s) == ["long (0:02)", "x" * 80 + " (0:06)"]
    assert summary.chapter_titles([(Fraction(12), Fraction(14))]) == ["0:12"] and summary.best_text(12, 14) == ""


def test_long_and_strange_sentences_are_shown_whole(video):
    long = "word " * 2000
    page = Page(report_html(make(video, [long.strip(), "某人在走路", "nul\x00 and \ud800"])))
    assert long.strip() in page.text and "9,999 characters" in page.text and "某人在走路" in page.text
    assert "nul\ufffd and \ufffd" in page.text
    assert len(page.all("details")) == 1


def test_the_page_plays_the_cut_by_a_relative_address(video, tmp_path):
    summary = make(video)
    summary.save_report(tmp_path / "alone.html")
    assert not Page((tmp_path / "alone.html").read_text()).all("video")
    summary.save_video(tmp_path / "cuts/one.mp4")
    summary.save_report(tmp_path / "pages/report.html")
    page = Page((tmp_path / "pages/report.html").read_text())
    assert page.all("video")[0]["src"] == "../cuts/one.mp4#t=0.01"


def test_json_has_the_promised_names(video, tmp_path):
    summary = make(video, ["red", "blau <ü>"])
    summary.save_json(tmp_path / "summary.json")
    found = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert found["video"] == str(video.info.path) and found["text"] == ["red", "blau <ü>"]
    assert found["duration"] == pytest.approx(20, abs=0.1) and found["fps"] == 10
    assert found["clips"][3] == dict(start=6, end=8, score=0.3333) and len(found["clips"]) == 10
    assert found["moments"][0] == dict(start=7, end=9, score=0.9, text="red")
    assert found["summary"] == [dict(frame=[20, 39], timestamps=["00:00:02.000", "00:00:04.000"]),
                                dict(frame=[60, 99], timestamps=["00:00:06.000", "00:00:10.000"])]
    assert [s["selected"] for s in found["shots"]] == [i in (1, 3, 4) for i in range(10)]


def test_frames_of_an_interval():
    ntsc = Fraction(30000, 1001)
    assert frame_range(Fraction(0), Fraction(2), ntsc, 600) == (0, 59)      # 59 is at 1.97 s, 60 at 2.002 s
    assert frame_range(Fraction(2), Fraction(4), ntsc, 600) == (60, 119)    # no frame twice, none left out
    assert frame_range(Fraction(4), Fraction(9), Fraction(10), 60) == (40, 59)
    assert frame_range(Fraction(0), Fraction(1, 25), Fraction(25), 1) == (0, 0)


@pytest.mark.parametrize("time_s, text", [
    (0, "00:00:00.000"), (Fraction(1, 3), "00:00:00.333"), (59.9996, "00:01:00.000"),
    (3725.5, "01:02:05.500"), (360000, "100:00:00.000"),
])
def test_timestamp(time_s, text):
    assert format_timestamp(time_s) == text


def test_clock_andticks():
    texts = ["0:00", "1:05", "59:59", "1:00:00", "10:01:01"]
    assert [format_clock(t) for t in (0, 65.9, 3599, 3600, 36061)] == texts
    hours = [f"{h}:00:00" for h in range(12, 101, 12)]
    for end_s, shown in ((0.04, ["0:00", "0.04 s"]), (25, ["0:00", "0:05", "0:10", "0:15", "0:20", "0:25"]),
                         (139.4, ["0:00", *(f"{s // 60}:{s % 60:02}" for s in range(15, 130, 15)), "2:19"]),
                         (400_000, ["0:00", *hours, "111:06:40"])):
        assert re.findall(r">([^<]+)</span>", ticks(end_s)) == shown
    assert spread(3, 10) == [0, 1, 2] and spread(10, 2) == [2, 7]


def test_the_template_is_filled_wholly(video):
    assert not re.search(r"\{\{\w+\}\}", report_html(make(video), ["summary.mp4"]))
