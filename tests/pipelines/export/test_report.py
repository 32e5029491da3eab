"""The report: complete, escaped, and independent of the network."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest

from pipelines.export.plan import ExportPlan
from pipelines.export.report import report_html
from pipelines.features.encoded_video import EncodedVideo
from pipelines.media.subtitles import Cue
from pipelines.scoring.moments import Moment

from .summaries import make_result, make_shorts

# A text that would end the script, run code, or be taken for a template expression if it were not escaped.
EVIL = '</script><script>alert("1")</script><img src=x onerror=alert(2)> {{data}} & \'quoted\''


class Page(HTMLParser):
    """The parsed report: elements with attributes, and text outside of scripts and styles."""

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


def data_of(text: str) -> dict:
    """Return the data that the script of the report reads."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_needs_no_file_but_the_summary_video(video):
    text = report_html(make_result(video), ["summary.mp4"])
    page = Page(text)
    names = ("src", "href", "poster", "srcset")
    addresses = [attrs[name] for _, attrs in page.elements for name in names if name in attrs]
    assert {a for a in addresses if not a.startswith("data:")} == {"summary.mp4", "summary.mp4#t=0.01"}
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest", text)
    assert len(page.all("script")) == 2
    assert all("src" not in script for script in page.all("script"))


def test_queries_are_escaped(video):
    page = Page(report_html(make_result(video, [EVIL]), ["summary.mp4"]))
    assert EVIL in page.text
    assert len(page.all("script")) == 2
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)
    assert "alert" not in page.script


def test_subtitles_are_escaped(video):
    page = Page(report_html(make_result(video, ["red"], cues=[Cue(7, 8, EVIL)])))
    assert EVIL in page.text
    assert len(page.all("script")) == 2


def test_file_names_are_escaped(video):
    page = Page(report_html(make_result(video), ["sub folder/a #1 \"b\"?.mp4"]))
    assert page.all("video")[0]["src"] == "sub%20folder/a%20%231%20%22b%22%3F.mp4#t=0.01"
    assert 'a "b" & <i>c #1.mp4' in page.text
    assert len(page.all("i")) == len(Page(report_html(make_result(video))).all("i"))


def test_curves_moments_and_kept_pieces_are_drawn_at_their_times(video):
    page = Page(report_html(make_result(video, ["red", "blue"]), ["summary.mp4"]))
    curves = page.all("polyline")
    assert len(curves) == 2
    assert len(page.all("svg")) == 2
    points = [tuple(map(float, p.split(","))) for p in curves[0]["points"].split()]
    assert [round(x) for x, _ in points] == [0, *range(50, 1000, 100), 1000]   # The middles of clips, and both ends.
    heights = [y for _, y in points]
    assert heights == sorted(heights)   # The scores fall, and y points down.
    assert heights[0] < 10
    assert heights[-1] > 80
    rects = page.all("rect")
    kept = [(round(float(r["x"])), round(float(r["width"]))) for r in rects if r["class"] == "kept"]
    assert kept == [(100, 100), (300, 200)] * 2
    bars = [(round(float(r["x"])), round(float(r["width"]))) for r in rects if r["class"] == "moment"]
    assert bars == [(350, 100), (600, 200)] * 2


def test_moments_play_their_position_in_the_summary_video(video):
    page = Page(report_html(make_result(video), ["summary.mp4"]))
    kept, moments = page.all("button")[:2], page.all("button")[2:]
    assert [b["data-cut"] for b in kept] == ["0.000", "2.000"]
    assert moments[0]["data-cut"] == "3.000"     # 7 s is one second into 6-10 s, which follows 2-4 s.
    assert "disabled" in moments[1]
    assert "data-cut" not in moments[1]
    assert [s["class"] for s in page.all("span") if s.get("class") == "mark"] == ["mark"]
    for shown in ("0:07 – 0:09", "0.90", "0.40"):
        assert shown in page.text


def test_nothing_can_be_played_without_a_video_file(video):
    assert all("disabled" in b for b in Page(report_html(make_result(video))).all("button"))


def test_data_of_the_script(video):
    data = data_of(report_html(make_result(video), ["summary.mp4"]))
    assert data["starts"] == list(range(0, 20, 2))
    assert data["end"] == pytest.approx(20, abs=0.1)
    assert data["pieces"] == [[2, 4, 0, 0], [6, 10, 2, 0]]
    assert data["files"] == ["summary.mp4"]
    assert data["lines"] == [[]]
    np.testing.assert_allclose(data["scores"], np.linspace(0, 1, 10), atol=5e-4)
    assert data["preview_of"] == list(range(10))
    assert len(data["previews"]) == 10


def test_previews_of_a_long_video_are_limited(video):
    hours = EncodedVideo(video.info.__class__(**{**vars(video.info), "duration_s": Fraction(5000)}), 2,
                         video.encoders, video.visual, None, video.thumbnails[:1] * 2500)
    result = replace(make_result(video), video=hours, scores=np.zeros(2500), scores_by_text=np.zeros((1, 2500)),
                     shots=[(0.0, 5000.0)], selected=[0])
    text = report_html(result)
    data = data_of(text)
    assert len(data["previews"]) == 96
    assert data["preview_of"][0] == 0
    assert data["preview_of"][-1] == 95
    assert data["preview_of"] == sorted(data["preview_of"])
    assert len(text) < 1_000_000


def test_describes_zero_shot_scores_and_timings(video):
    text = Page(report_html(make_result(video, config="a.py"))).text
    assert text.count("zero-shot similarity") == 2
    assert "does not mean that the video contains" in text
    assert "Feature extraction1.2 s16 ×" in text
    assert "Total, without loading models1.4 s15 ×" in text
    assert "re-encoded, exact to the frame" in text


def test_describes_a_trained_model(video):
    text = Page(report_html(make_result(video, kind="UMT", checkpoint="w/best.pth"))).text
    assert "trained model: UMT" in text
    assert "w/best.pth" in text
    assert "zero-shot" not in text


def test_zero_shot_without_a_query(video):
    text = Page(report_html(make_result(video, (), [Moment(0, 2, 0.5, "")]), ["summary.mp4"])).text
    assert "No query" in text
    assert "Highlights" in text
    assert "differ most from even their most similar clips" in text
    assert "Novelty: how much each clip differs" in text


def test_trained_model_without_a_query(video):
    result = make_result(video, (), [Moment(0, 2, 0.5, "")], kind="CLIP-It trained on TVSum")
    text = Page(report_html(result)).text
    assert "a trained model (CLIP-It trained on TVSum) scores highest" in text
    assert "Score of each clip, predicted by the model" in text
    assert "most similar" not in text
    assert "differs from the rest" not in text


def test_no_moments(video):
    text = Page(report_html(make_result(video, moments=[]), ["summary.mp4"])).text
    assert "all parts of the video score alike" in text


def test_each_short_is_a_file_and_the_best_is_first(video):
    text = report_html(make_shorts(video), ["short-1.mp4", "short-2.mp4"], ["summary.csv"])
    page, data = Page(text), data_of(text)
    assert data["pieces"] == [[1, 3.5, 0, 1], [12, 18, 0, 0]]
    assert data["files"] == ["short-1.mp4", "short-2.mp4"]
    buttons = [b for b in page.all("button") if "data-cut" in b]
    assert [(b["data-file"], b["data-cut"]) for b in buttons] == [("0", "0.000"), ("1", "0.000"), ("0", "0.000")]
    assert "Shorts" in page.text
    assert "budget" not in page.text
    assert [a["href"] for a in page.all("a")] == ["short-1.mp4", "short-1.mp4", "short-2.mp4", "summary.csv"]


def test_subtitles_are_listed_and_shown_with_the_summary_video(video):
    cues = [Cue(0, 1, "never"), Cue(2.5, 4.5, "both"), Cue(9, 9.5, "<late>")]
    text = report_html(make_result(video, cues=cues), ["summary.mp4"])
    page = Page(text)
    assert data_of(text)["lines"] == [[[0.5, 2, "both"], [5, 5.5, "<late>"]]]
    assert [li.get("class") for li in page.all("li") if li.get("class") in ("out", "in")] == ["out", "in", "in"]
    assert "<late>" in page.text
    assert "Subtitles" in page.text
    assert "Subtitles" not in Page(report_html(make_result(video), ["summary.mp4"])).text


def test_the_list_of_subtitles_is_limited(video):
    many = [Cue(i / 300, i / 300 + 0.1, "x") for i in range(5000)]
    assert "and 1,000 more lines" in Page(report_html(make_result(video, cues=many))).text


def test_describes_copied_and_cropped_exports(video):
    result = make_result(video)
    assert "pieces start at key frames" in Page(report_html(result, plan=ExportPlan(packet_ranges=()))).text
    assert "cropped to 9:16" in Page(report_html(result, plan=ExportPlan(aspect=Fraction(9, 16)))).text


def test_long_and_unusual_queries_are_shown_completely(video):
    long = "word " * 2000
    page = Page(report_html(make_result(video, [long.strip(), "某人在走路", "nul\x00 and \ud800"])))
    assert long.strip() in page.text
    assert "9,999 characters" in page.text
    assert "某人在走路" in page.text
    assert "nul\ufffd and \ufffd" in page.text
    assert len(page.all("details")) == 1


def test_a_saved_report_plays_the_saved_video_by_its_relative_path(video, tmp_path):
    result = make_result(video)
    result.save_report(tmp_path / "alone.html")
    assert not Page((tmp_path / "alone.html").read_text()).all("video")
    result.save_video(tmp_path / "cuts/one.mp4")
    result.save_report(tmp_path / "pages/report.html")
    page = Page((tmp_path / "pages/report.html").read_text())
    assert page.all("video")[0]["src"] == "../cuts/one.mp4#t=0.01"


def test_all_template_expressions_are_replaced(video):
    assert not re.search(r"\{\{\w+\}\}", report_html(make_result(video), ["summary.mp4"]))
