"""Scorers on videos whose features are known: what each one combines, and with which weight."""

import numpy as np
import pytest

from common.errors import InputError
from models.encoders.base import TextEncoder, TextFeature
from pipelines.media.subtitles import Cue
from pipelines.scoring import query_free
from pipelines.scoring.blend import BlendedScorer
from pipelines.scoring.evidence import Evidence, combined_match
from pipelines.scoring.moments import Moment
from pipelines.scoring.novelty import novelty
from pipelines.scoring.queries import CAPTIONS, SUBTITLES, EmbeddedQueries, Query, embed_queries, user_queries
from pipelines.scoring.query_free import ImportanceScorer, NoveltyScorer
from pipelines.scoring.relevance import query_scores
from pipelines.scoring.scorers import Provenance, Scorer, Scores, ScoringOptions, main_features, no_curves, user_texts
from pipelines.scoring.sliding_window import SlidingWindowScorer
from pipelines.scoring.subtitle_evidence import SubtitleEvidence
from pipelines.scoring.zero_shot import ZeroShotScorer
from tests.pipelines.fakes import COLORS, color_encoders
from tests.pipelines.videos import encoded_video

T = 20


def colored(**spans):
    """Return features (T, 3) of grey clips and of colored spans."""
    rows = np.full((T, 3), 120 / 255, np.float32)
    for color, (first, last) in spans.items():
        rows[first:last + 1] = np.array(COLORS[color]) / 255
    return rows + 0.001 * np.random.default_rng(0).random((T, 3), dtype=np.float32)


@pytest.fixture
def video():
    return encoded_video(colored(red=(4, 6), blue=(12, 15)))


class FixedScorer(Scorer):
    """A scorer with fixed scores."""

    def __init__(self, value, method="fixed", uses_audio=False):
        super().__init__(color_encoders(), evidence=())
        self.value, self.provenance = value, Provenance(method, uses_audio)

    def score_by_text(self, video, texts, cues, report_progress=None):
        curves = np.full((len(texts), video.n_clips), self.value)
        return Scores(curves[0], curves, [Moment(0, 2, self.value, texts[0])], user_queries(texts), self.provenance)

    def score_without_text(self, video, queries, report_progress=None):
        return Scores(np.full(video.n_clips, self.value), no_curves(video), [], tuple(queries), self.provenance)


class FixedEvidence(Evidence):
    """Evidence with fixed values."""

    def __init__(self, match, centrality=None):
        self.fixed_match, self.fixed_centrality = match, centrality

    def match(self, video, texts, cues, report_progress=None):
        return self.fixed_match

    def centrality(self, video, queries, report_progress=None):
        return self.fixed_centrality


@pytest.mark.parametrize(("weight", "expected"), [(0.8, 0.8 * 0.9 + 0.2 * 0.1), (0.25, 0.25 * 0.9 + 0.75 * 0.1), (1, 0.9)])
def test_relevance_and_the_prior_are_blended(video, weight, expected):
    scores = BlendedScorer(FixedScorer(0.9), FixedScorer(0.1, "prior", True), weight).score_by_text(video, ["a"], ())
    assert scores.clips == pytest.approx(expected)
    assert scores.curves.tolist() == [[0.9] * T]
    assert scores.moments == [Moment(0, 2, 0.9, "a")]
    assert scores.provenance == (Provenance("fixed") if weight == 1 else Provenance("fixed", True, "prior"))


@pytest.mark.parametrize(("first", "second", "uses_audio"), [
    (True, False, True), (False, True, True), (False, False, False)])
def test_a_blend_uses_audio_if_either_part_does(video, first, second, uses_audio):
    blend = BlendedScorer(FixedScorer(1, uses_audio=first), FixedScorer(0, uses_audio=second))
    assert blend.relevance_weight == 0.8
    assert blend.score_by_text(video, ["a"], ()).provenance.uses_audio is uses_audio


def test_without_a_query_only_the_prior_counts(video):
    scores = BlendedScorer(FixedScorer(0.9), FixedScorer(0.1, "prior")).score(video, [Query("x", CAPTIONS, 0, 2)])
    assert scores.clips.tolist() == [0.1] * T
    assert scores.provenance == Provenance("prior")
    assert scores.queries == (Query("x", CAPTIONS, 0, 2),)


def test_scorers_check_that_queries_are_accepted_and_given(video):
    queries, captions = user_queries(["a"]), [Query("x", CAPTIONS, 0, 2)]
    assert user_texts([*captions, *queries]) == ("a",)
    with pytest.raises(InputError, match="accepts no queries"):
        NoveltyScorer(color_encoders()).score(video, queries)
    with pytest.raises(InputError, match="requires a query"):
        ZeroShotScorer(color_encoders()).score(video, captions)
    with pytest.raises(NotImplementedError):
        NoveltyScorer(color_encoders()).score_by_text(video, ["a"], ())
    with pytest.raises(NotImplementedError):
        ZeroShotScorer(color_encoders()).score_without_text(video, ())
    NoveltyScorer(color_encoders()).check_queries([])
    ZeroShotScorer(color_encoders()).check_queries(["a"])


def test_the_main_features_are_those_of_the_first_part(video):
    assert main_features(video, color_encoders()) is video.visual["color"]


def test_the_strongest_source_of_evidence_counts(video):
    sources = [FixedEvidence(np.array([[0.1, 0.9]])), FixedEvidence(None), FixedEvidence(np.array([[0.5, 0.2]]))]
    assert combined_match(sources, video, ["a"], ()).tolist() == [[0.5, 0.9]]
    assert combined_match(sources[1:2], video, ["a"], ()) is None
    assert combined_match([], video, ["a"], ()) is None
    assert Evidence.centrality(sources[0], video, EmbeddedQueries((), np.empty((0, 0)), np.empty((0, 0)))) is None


def test_zero_shot_scores_are_similarities_plus_evidence(video):
    encoders = color_encoders()
    evidence = np.zeros((2, T))
    evidence[1, 18] = 1
    options = ScoringOptions(sigma_clips=0.5, max_moments=1)
    scorer = ZeroShotScorer(encoders, [FixedEvidence(evidence)], options)
    scores = scorer.score(video, user_queries(["red", "blue"]))
    rows = np.stack([feature.pooler_output for feature in encoders.text.encode(["red", "blue"])])
    expected = query_scores(encoders.visual.similarity(video.visual["color"], rows), evidence, 0.5)
    np.testing.assert_allclose(scores.curves, expected, atol=1e-6)
    np.testing.assert_allclose(scores.clips, expected.max(axis=0), atol=1e-6)
    assert [(m.start_s, m.end_s, m.text) for m in scores.moments] == [(36, 38, "blue"), (8, 14, "red")]
    assert scores.provenance == Provenance("zero-shot similarity")
    assert scores.queries == user_queries(["red", "blue"])


def test_a_constant_video_has_no_similarity():
    constant = encoded_video(np.full((T, 3), 0.5, np.float32))
    assert ZeroShotScorer(color_encoders()).similarity(constant, np.ones((2, 3))).tolist() == [[0, 0]] * T


@pytest.mark.parametrize("audio", [None, np.arange(T, dtype=np.float32)[:, None] % 7])
def test_novelty_scores_are_novelty(audio):
    video = encoded_video(colored(red=(4, 6)), audio=audio, blank=(18, 19))
    scores = NoveltyScorer(color_encoders(), options=ScoringOptions(sigma_clips=0.7)).score(video, [])
    np.testing.assert_array_equal(scores.clips, novelty(video.visual["color"], audio, video.blank_clips, 0.7))
    assert scores.provenance == Provenance("visual novelty", uses_audio=audio is not None)
    assert scores.curves.shape == (0, T)
    assert (scores.moments[0].start_s, scores.moments[0].text) == (8, "")


def test_the_centrality_of_text_has_a_weight_of_10_percent(video):
    centrality = np.linspace(0, 1, T)
    plain = NoveltyScorer(color_encoders(), evidence=()).score(video, [])
    sources = [FixedEvidence(None, centrality), FixedEvidence(None)]
    scores = NoveltyScorer(color_encoders(), evidence=sources).score(video, [])
    np.testing.assert_allclose(scores.clips, 0.9 * plain.clips + 0.1 * centrality)


def test_novelty_uses_subtitles_and_no_captions(video):
    queries = [Query("a", SUBTITLES, 0, 2), Query("b", CAPTIONS, 0, 2)]
    assert NoveltyScorer(color_encoders()).used_queries(video, queries) == queries[:1]


@pytest.mark.parametrize(("weight", "method"), [
    (0, "visual novelty"), (0.25, "CLIP-It trained on TVSum + visual novelty"), (1, "CLIP-It trained on TVSum")])
def test_importance_and_novelty_are_mixed_by_familiarity(monkeypatch, weight, method):
    audio = np.arange(T, dtype=np.float32)[:, None] % 7
    video = encoded_video(colored(red=(4, 6)), audio=audio, blank=(0, 19))
    importance = np.linspace(0.2, 0.9, T)
    monkeypatch.setattr(query_free, "domain_familiarity", lambda visual: weight)
    monkeypatch.setattr(query_free, "run_clip_it", lambda model, video, encoders, rows: importance)
    scorer = ImportanceScorer(None, color_encoders(), evidence=())
    queries = [Query("a", SUBTITLES, 0, 2), Query("b", CAPTIONS, 0, 2)]
    scores = scorer.score(video, queries)
    by_model = np.where(video.blank_clips, 0, importance)
    assert video.blank_clips.tolist() == [i in (0, 19) for i in range(T)]
    expected = weight * by_model + (1 - weight) * novelty(video.visual["color"], audio, video.blank_clips)
    np.testing.assert_allclose(scores.clips, expected)
    assert scores.provenance == Provenance(method, uses_audio=weight < 1)
    assert scores.queries == tuple(queries if weight else queries[:1])


class AxisTextEncoder(TextEncoder):
    """A text encoder that knows "x" and "y", and for which every other text is orthogonal to both."""

    name, dims = "axis", 3

    def encode(self, texts):
        vectors = {"x": [1, 0, 0], "y": [0, 2, 0], "x and y": [1, 1, 0]}
        rows = np.array([vectors.get(text, [0, 0, 1]) for text in texts], dtype=np.float32)
        return [TextFeature(row[None], row) for row in rows]


def test_subtitles_that_are_similar_to_a_query_support_it(video):
    cues = [Cue(0, 2, "x"), Cue(6, 9, "x and y"), Cue(20, 24, "z"), Cue(30, 31, " ")]
    match = SubtitleEvidence(AxisTextEncoder()).match(video, ["x", "y"], cues)
    expected = np.zeros((2, T))
    expected[0, 0] = 1
    expected[:, 3:5] = 0.5**0.5
    np.testing.assert_allclose(match, expected, atol=1e-6)


def test_no_and_empty_subtitles_support_nothing(video):
    evidence = SubtitleEvidence(AxisTextEncoder())
    assert evidence.match(video, ["x"], []) is None
    assert evidence.match(video, ["x", "y"], [Cue(0, 2, " ")]).tolist() == [[0] * T] * 2


def test_only_subtitles_have_a_centrality(video):
    evidence = SubtitleEvidence(AxisTextEncoder())
    encoders = color_encoders()
    cues = (Query("red", SUBTITLES, 0, 2), Query("red", SUBTITLES, 4, 6), Query("green", SUBTITLES, 8, 10))
    found = evidence.centrality(video, embed_queries(encoders, cues))
    assert found.tolist() == pytest.approx([1, 0, 1] + [0] * (T - 3))
    captions = tuple(Query(query.text, CAPTIONS, query.start_s, query.end_s) for query in cues)
    assert evidence.centrality(video, embed_queries(encoders, captions)) is None
    assert evidence.centrality(video, embed_queries(encoders, [])) is None


class RampModel:
    """A model whose saliency is the first feature, with an optional moment."""

    accepts_text, requires_text = True, False

    def __init__(self, moments, audio_enc=None):
        self.moments, self.audio_enc, self.seen = moments, audio_enc, []

    def parameters(self):
        return iter(())

    buffers = parameters

    def __call__(self, data, mode):
        import torch
        self.seen.append({key: tuple(value.shape) for key, value in data.items()})
        return dict(_out=dict(saliency=data["video"][..., 0], boundary=torch.tensor([self.moments]).reshape(1, -1, 3)))


def ramp_video(**options):
    rows = np.stack([np.linspace(0, 0.4, T), np.zeros(T), np.zeros(T)], axis=1).astype(np.float32)
    return encoded_video(rows, **options)


def test_windows_add_evidence_to_curves_and_moments():
    evidence = np.zeros((1, T))
    evidence[0, 3], evidence[0, 9], evidence[0, 5] = 0.9, 0.5, 0.49
    model = RampModel([[30.0, 34.0, 0.7]])
    scorer = SlidingWindowScorer(model, color_encoders(), ["color"], evidence=[FixedEvidence(evidence)])
    scores = scorer.score(ramp_video(), user_queries(["red"]))
    np.testing.assert_allclose(scores.curves[0], np.maximum(np.linspace(0, 0.4, T), evidence[0]), atol=1e-6)
    np.testing.assert_array_equal(scores.clips, scores.curves[0])
    assert [(m.start_s, m.end_s, round(m.score, 6)) for m in scores.moments] == [(6, 8, 0.9), (30, 34, 0.7), (18, 20, 0.5)]
    assert {m.text for m in scores.moments} == {"red"}
    assert scores.queries == user_queries(["red"])
    assert model.seen == [dict(video=(1, T, 3), saliency=(1, T), query=(1, 1, 3))]


def test_moments_are_clipped_to_the_video_and_found_in_the_curve_if_there_are_none():
    model = RampModel([[-3.0, 2.0, 0.9], [37.0, 42.0, 0.8], [39.4, 44.0, 0.7]])
    scorer = SlidingWindowScorer(model, color_encoders(), ["color"], evidence=())
    scores = scorer.score(ramp_video(duration_s=39), ())
    assert [(m.start_s, m.end_s) for m in scores.moments] == [(0, 2), (37, 39)]
    assert scores.queries == ()
    model.moments = []
    curve, = (scorer.score(ramp_video(), ()).moments,)
    assert [(m.start_s, m.end_s, m.text) for m in curve] == [(30, 40, "")]   # From the middle of median and peak on.


@pytest.mark.parametrize(("audio_enc", "audio", "uses_audio"), [
    ("encoder", np.zeros((T, 1), np.float32), True), ("encoder", None, False), (None, np.zeros((T, 1), np.float32), False)])
def test_videos_without_audio_get_zeros(audio_enc, audio, uses_audio):
    model = RampModel([], audio_enc)
    scorer = SlidingWindowScorer(model, color_encoders(with_audio=True), ["color"], evidence=())
    scores = scorer.score(ramp_video(audio=audio), ())
    assert model.seen == [dict(video=(1, T, 3), saliency=(1, T), audio=(1, T, 1))]
    assert scores.provenance == Provenance("RampModel", uses_audio)
