"""Tests of scoring without a query: importance, novelty, and the text of the video."""

import json

import numpy as np
import pytest

from pipelines.export.report import report_html
from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.scoring.builder import zero_shot_scorer
from pipelines.summarizer import Summarizer
from tests.pipelines.fakes import color_encoders, write_video

from .fakes import FixedCaptioner

CUES = [Cue(4, 8, "green"), Cue(52, 60, "red"), Cue(61, 66, "red red"), Cue(70, 80, " ")]
IMPORTANCE = np.linspace(0.2, 0.8, 80)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Return a video of 80 clips with five shots."""
    colors = ["grey"] * 50 + ["red"] * 20 + ["blue"] * 30 + ["grey"] * 40 + ["green"] * 20
    path = write_video(tmp_path_factory.mktemp("v") / "v.mp4", colors, fps=2)
    return encode_video(path, color_encoders(), progress=False)


@pytest.fixture
def embeddings(monkeypatch):
    """Replace the importance model by fixed scores, and return the list of the embeddings that it gets."""
    received = []

    def run(model, video, encoders, rows):
        received.append(np.array(rows))
        return IMPORTANCE

    monkeypatch.setattr("pipelines.scoring.query_free.domain_familiarity", lambda visual: 1.0)
    monkeypatch.setattr("pipelines.scoring.query_free.run_clip_it", run)
    return received


def summarizer_with_importance():
    encoders = color_encoders()
    return Summarizer(encoders, zero_shot_scorer(encoders, "importance model"), FixedCaptioner())


def test_captions_guide_the_importance_model(video, embeddings):
    result = summarizer_with_importance().summarize(video)
    queries = result.to_json()["sentences"]
    np.testing.assert_allclose(result.scores, IMPORTANCE)
    assert [query["text"] for query in queries] == ["This shows red.", "This shows blue."]
    assert {query["source"] for query in queries} == {"captions"}
    assert queries[0]["start"] == 50
    assert queries[0]["end"] == 70
    assert len(result.captions) == 5
    assert len(embeddings[0]) == 2
    assert "Scored with 2 sentences from the generated captions of the shots" in report_html(result)


def test_subtitles_replace_the_captions(video, embeddings):
    result = summarizer_with_importance().summarize(video, subtitles=CUES)
    assert result.to_json()["sentences"] == [
        dict(text=cue.text, source="subtitles", start=cue.start_s, end=cue.end_s) for cue in CUES[:3]]
    expected = {tuple(f.pooler_output) for f in color_encoders().text.encode(["green", "red", "red red"])}
    assert {tuple(row) for row in embeddings[0]} == expected
    assert "Scored with 3 sentences from the subtitles" in report_html(result)
    assert "red red" in report_html(result)
    assert json.dumps(result.to_json())


def test_the_centrality_of_the_subtitles_is_10_percent_of_the_score(video, embeddings):
    """Two of three lines are about red; they are spoken from 52 to 66 s."""
    result = summarizer_with_importance().summarize(video, subtitles=CUES)
    rest = result.scores - 0.9 * IMPORTANCE
    assert np.flatnonzero(rest > 0.09).tolist() == list(range(26, 33))
    np.testing.assert_allclose(np.delete(rest, range(26, 33)), 0, atol=1e-9)


def test_the_importance_model_gets_no_sentence_if_there_is_a_query(video, embeddings):
    result = summarizer_with_importance().summarize(video, ["red"])
    assert "Scored with" not in report_html(result)
    assert len(embeddings[-1]) == 0


def test_captions_are_not_used_in_an_unfamiliar_domain(video, monkeypatch):
    monkeypatch.setattr("pipelines.scoring.query_free.domain_familiarity", lambda visual: 0.0)
    result = summarizer_with_importance().summarize(video)
    assert result.queries == ()
    assert len(result.captions) == 5
