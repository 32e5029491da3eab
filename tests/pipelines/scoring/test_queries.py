from fractions import Fraction

from pipelines.media.subtitles import Cue
from pipelines.scoring.captions import UNNAMED, Caption
from pipelines.scoring.queries import MAX_VIDEO_QUERIES, Query, video_queries


def test_many_subtitles_are_joined_into_passages():
    lines = [Cue(i, i + 2, f"line {i}") for i in range(100)]
    passages = video_queries(lines, [])
    assert len(passages) == 34
    assert passages[0] == Query("line 0 line 1 line 2", "subtitles", 0, 4)
    assert " ".join(p.text for p in passages) == " ".join(c.text for c in lines)   # No text is lost.


def test_many_captions_are_subsampled_evenly():
    captions = [Caption(Fraction(i), Fraction(i + 1), f"shot {i}") for i in range(500)]
    queries = video_queries([], captions)
    assert len(queries) == MAX_VIDEO_QUERIES
    assert (queries[0].text, queries[-1].text) == ("shot 0", "shot 499")


def test_empty_subtitles_and_captions_without_names_are_skipped():
    assert video_queries([], [Caption(Fraction(0), Fraction(1), UNNAMED)]) == ()
    assert video_queries([Cue(0, 1, " ")], []) == ()
