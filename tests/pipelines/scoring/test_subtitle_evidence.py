"""Subtitles as evidence for queries."""

from types import SimpleNamespace

import numpy as np

from pipelines.media.subtitles import Cue
from pipelines.scoring.queries import Query
from pipelines.scoring.subtitle_evidence import SubtitleEvidence, centrality, cue_similarity, max_over_cues
from tests.pipelines.fakes import ColorTextEncoder


def test_similarity_starts_at_the_closest_unrelated_sentence():
    query = np.array([[2.0, 0, 0]])
    unrelated = np.array([[1, 0, 3**0.5], [0, 0, 1.0]])       # The cosine similarities are 0.5 and 0.
    lines = np.array([[1, 0, 0], [0, 1, 0], [0.75, 0, (1 - 0.75**2) ** 0.5], [0.5, 0.5 * 3**0.5, 0]])
    np.testing.assert_allclose(cue_similarity(query, lines, unrelated), [[1, 0, 0.5, 0]], atol=1e-12)


def test_a_query_that_equals_an_unrelated_sentence_has_finite_similarities():
    query = np.array([[2.0, 0, 0]])
    lines = np.array([[1, 0, 0], [0, 1, 0], [0.75, 0, (1 - 0.75**2) ** 0.5], [0.5, 0.5 * 3**0.5, 0]])
    assert np.isfinite(cue_similarity(query, lines, query)).all()


def test_a_clip_gets_the_maximum_over_its_cues():
    edges_s = np.array([0, 2, 4, 6, 7.3])
    cues = [Cue(1.5, 4.0, "a"), Cue(2, 3.5, "b"), Cue(7, 9, "c"), Cue(50, 60, "d")]
    by_clip = max_over_cues(np.array([[0.2, 0.9, 0.4, 1.0]]), cues, edges_s)
    assert by_clip.tolist() == [[0.2, 0.9, 0, 0.4]]


def test_centrality_is_the_similarity_to_the_mean_sentence():
    queries = [Query(t, "subtitles", s, s + 2) for t, s in (("a", 0), ("b", 4), ("c", 4.5))]
    rows = np.array([[1.0, 0], [0, 1], [0, 1]])
    edges_s = np.arange(0, 11, 2.0)
    assert centrality(rows, queries, edges_s).tolist() == [0, 0, 1, 1, 0]
    assert centrality(rows[[0, 0, 0]], queries, edges_s).tolist() == [0] * 5


def test_subtitles_are_embedded_for_the_first_query_only():
    class CountingEncoder(ColorTextEncoder):
        encoded = []   # noqa: RUF012

        def encode(self, texts):
            self.encoded.extend(texts)
            return super().encode(texts)

    evidence, shares = SubtitleEvidence(CountingEncoder()), []
    video = SimpleNamespace(n_clips=2, float_edges_s=np.array([0, 2, 4]))
    cues = [Cue(0, 1, "red light"), Cue(3, 4, "green light")]
    first = evidence.match(video, ["red"], cues, shares.append)
    assert shares == [1]
    assert evidence.match(video, ["red"], list(cues), shares.append).tolist() == first.tolist()
    assert shares == [1]
    assert CountingEncoder.encoded.count("green light") == 1
    assert CountingEncoder.encoded.count("red") == 2
    changed = evidence.match(video, ["red"], [cues[0], Cue(3, 4, "red light")])
    assert changed[0, 1] == changed[0, 0] == first[0, 0] > first[0, 1]
