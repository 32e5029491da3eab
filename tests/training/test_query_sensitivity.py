"""Query sensitivity: it measures how much the query matters, and summarizers return the same numbers for it again."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.scoring.subtitle_evidence import cue_similarity
from pipelines.summarizer import Summarizer, build_summarizer
from tests.pipelines.fakes import ColorTextEncoder, color_encoders, write_video
from tools.measure_query_sensitivity import main
from training.query_sensitivity import measure_query_sensitivity

# Videos of one color per second, at labeled positions.
SCENES = dict(a=["grey"] * 8 + ["red"] * 6 + ["grey"] * 10 + ["blue"] * 8 + ["grey"] * 8,
              b=["grey"] * 6 + ["green"] * 8 + ["grey"] * 16 + ["red"] * 6 + ["grey"] * 4)
MOMENTS = [("red", "a", [8, 14]), ("blue", "a", [24, 32]), ("green", "b", [6, 14]), ("red", "b", [30, 36])]
LABELS = [dict(qid=i, query=query, vid=vid, duration=40, relevant_windows=[window])
          for i, (query, vid, window) in enumerate(MOMENTS)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Encode the videos of SCENES with encoders that recognize colors."""
    root = tmp_path_factory.mktemp("v")
    return {vid: encode_video(write_video(root / f"{vid}.mp4", colors), color_encoders(), progress=False)
            for vid, colors in SCENES.items()}


def summarizer_with(text_encoder):
    return Summarizer(dataclasses.replace(color_encoders(), text=text_encoder.eval()))


def test_a_summarizer_that_recognizes_colors_depends_on_the_query(videos):
    found = measure_query_sensitivity(Summarizer(color_encoders()), LABELS, videos.__getitem__)
    assert found["own"] == {"R1@0.5": 100, "R1@0.7": 100, "mAP": 100}
    assert found["queries"] == 4
    assert found["other"]["R1@0.5"] <= 50   # `red` is in both videos.
    assert found["random"]["R1@0.5"] < 20
    assert found["repeated"]
    assert found["permuted"]


def test_a_summarizer_that_ignores_the_query_scores_the_same_with_any(videos):
    class AlwaysRed(ColorTextEncoder):
        def encode(self, texts):
            return super().encode(["red"] * len(texts))

    found = measure_query_sensitivity(summarizer_with(AlwaysRed()), LABELS, videos.__getitem__)
    assert found["own"] == found["other"]
    assert found["own"]["R1@0.5"] == 50


def shifted(features, amount):
    """Return text features with slightly different embeddings."""
    return dataclasses.replace(features, pooler_output=features.pooler_output + amount * np.arange(3))


class CallDependent(ColorTextEncoder):
    """An encoder whose result changes with every call."""

    calls = 0

    def encode(self, texts):
        CallDependent.calls += 1
        return [shifted(features, 1e-6 * CallDependent.calls) for features in super().encode(texts)]


class OrderDependent(ColorTextEncoder):
    """An encoder whose result depends on a text's position among the texts."""

    def encode(self, texts):
        return [shifted(features, 1e-3 * i) for i, features in enumerate(super().encode(texts))]


@pytest.mark.parametrize("encoder, repeated", [(CallDependent, False), (OrderDependent, True)])
def test_results_that_change_with_the_call_or_the_order_are_detected(videos, encoder, repeated):
    found = measure_query_sensitivity(summarizer_with(encoder()), LABELS, videos.__getitem__)
    assert (found["repeated"], found["permuted"]) == (repeated, False)


def test_subtitles_count(videos):
    cues = dict(a=[Cue(24, 32, "red")], b=[])
    found = measure_query_sensitivity(Summarizer(color_encoders()), LABELS[:1], videos.__getitem__, cues)
    assert found["own"]["R1@0.5"] == 0   # A subtitle mentions the query elsewhere, which outweighs the frames.


@pytest.fixture(scope="module")
def offline():
    """Build the default summarizer, which works offline."""
    return build_summarizer(captioner=None)


@pytest.fixture(scope="module")
def photographs(offline, tmp_path_factory):
    """Generate a small sample set of photographs; return its folder and its encoded videos by name."""
    from sample_set.make import make_sample
    from sample_set.script import Setting
    out = tmp_path_factory.mktemp("sample") / "s"
    setting = Setting(videos=3, min_duration_s=40, max_duration_s=60, width_px=160, height_px=90)
    make_sample(out, setting, workers=1, progress=False)
    return out, {path.stem: offline.encode(path, progress=False) for path in sorted((out / "videos").iterdir())}


TEXTS = ["a cat", "a cup of coffee on a table", "somebody rides a motorcycle", "stars",
         "a very old stone temple in the evening sun"]


@pytest.mark.slow
@pytest.mark.parametrize("has_subtitles", [False, True])
@pytest.mark.parametrize("mode", ["summary", "moments"])
def test_the_default_returns_exactly_the_same_again_and_in_any_order(offline, photographs, mode, has_subtitles):
    """Compare exactly: padding in a text encoder, or a sum in another order, would change the last digits."""
    _, encoded = photographs
    cues = [Cue(2, 6, "There is a cat."), Cue(9, 12, "I had soup for lunch.")] if has_subtitles else []
    for video in encoded.values():
        first = offline.summarize(video, TEXTS, subtitles=cues, mode=mode)
        for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
            other = offline.summarize(video, [TEXTS[i] for i in order], subtitles=cues, mode=mode)
            assert np.array_equal(other.scores_by_text, first.scores_by_text[order])
            assert np.array_equal(other.scores, first.scores)
            assert other.selected == first.selected
            assert other.intervals_s == first.intervals_s
            assert other.shots == first.shots
            assert sorted(other.moments) == sorted(first.moments)
        assert first.scores_by_text.std(axis=1).min() > 0.01   # Constant scores would be equal in any case.


@pytest.mark.parametrize("num_queries", [2, 7, 24, 33])
def test_other_queries_do_not_change_the_rounding_of_a_query(offline, num_queries):
    """Guard against a matrix product, whose rounding depends on the position and number of the columns."""
    r = np.random.default_rng(num_queries)
    queries = r.normal(size=(num_queries, 384)).astype(np.float32)
    clips = SimpleNamespace(visual=dict(conse=r.normal(size=(301, 384)).astype(np.float32)))
    lines, unrelated = r.normal(size=(211, 384)).astype(np.float32), r.normal(size=(8, 384)).astype(np.float32)
    scorer = offline.scorer.relevance
    visual, spoken = scorer.similarity(clips, queries), cue_similarity(queries, lines, unrelated)
    for order in (np.arange(num_queries)[::-1], r.permutation(num_queries), np.array([num_queries - 1])):
        assert np.array_equal(scorer.similarity(clips, queries[order]), visual[:, order])
        assert np.array_equal(cue_similarity(queries[order], lines, unrelated), spoken[order])


@pytest.mark.parametrize("num_queries", [2, 7, 24, 33])
def test_similarities_equal_their_definition(offline, num_queries):
    r = np.random.default_rng(num_queries)
    queries = r.normal(size=(num_queries, 384)).astype(np.float32)
    clips = SimpleNamespace(visual=dict(conse=r.normal(size=(301, 384)).astype(np.float32)))
    lines, unrelated = r.normal(size=(211, 384)).astype(np.float32), r.normal(size=(8, 384)).astype(np.float32)
    np.testing.assert_allclose(offline.scorer.relevance.similarity(clips, queries),
                               offline.encoders.visual.similarity(clips.visual["conse"], queries), atol=1e-6)
    unit, unit_lines, unit_unrelated = (x / np.linalg.norm(x, axis=1, keepdims=True)
                                        for x in (queries, lines, unrelated))
    baseline = (unit @ unit_unrelated.T).max(axis=1, keepdims=True).clip(0, 0.9)
    expected = (unit @ unit_lines.T - baseline) / (1 - baseline)
    np.testing.assert_allclose(cue_similarity(queries, lines, unrelated), expected.clip(0, 1), atol=1e-5)


@pytest.mark.parametrize("mode", ["summary", "moments", "shorts"])
def test_moments_of_equal_scores_have_a_fixed_order(videos, mode):
    """`red` and `crimson` have the same embedding, so their moments tie."""
    class Crimson(ColorTextEncoder):
        def encode(self, texts):
            return super().encode([text.replace("crimson", "red") for text in texts])

    summarizer = summarizer_with(Crimson())
    one, other = (summarizer.summarize(videos["a"], texts, mode=mode)
                  for texts in (["red", "crimson"], ["crimson", "red"]))
    assert one.moments == other.moments
    assert one.intervals_s == other.intervals_s
    assert one.moments[0].score == one.moments[1].score
    assert one.moments[0].text != one.moments[1].text


@pytest.mark.slow
def test_a_new_summarizer_returns_exactly_the_same(offline, photographs):
    path, video = min((photographs[0] / "videos").iterdir()), next(iter(photographs[1].values()))
    again = build_summarizer(captioner=None)
    assert np.array_equal(again.summarize(again.encode(path, False), TEXTS).scores_by_text,
                          offline.summarize(video, TEXTS).scores_by_text)


@pytest.mark.slow
def test_the_command_measures_a_dataset(photographs, tmp_path, capsys):
    root, _ = photographs
    labels = str(root / "test.jsonl")
    options = ["--videos", str(root / "videos"), "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "m.json")]
    assert main([labels, str(root / "val.jsonl"), *options, "--subtitles", str(root / "subtitles")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("identical") == 2
    assert "own query" in printed
    assert (tmp_path / "m.json").is_file()
    assert main([labels, *options, "--subtitles", str(root / "videos")]) == 2
    assert "videos: contains no subtitles of a labeled video" in capsys.readouterr().err
    (tmp_path / "other.jsonl").write_text((root / "test.jsonl").read_text().replace("sample_002", "unknown"))
    assert main([str(tmp_path / "other.jsonl"), *options]) == 2
    assert "1 of 1 labeled videos are missing: unknown" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("videos, length_s", [pytest.param(18, 120, id="short videos, as in the sample set"),
                                              pytest.param(3, 600, id="long videos of 40 shots")])
def test_queries_find_at_least_twice_as_much_as_mismatched_queries(offline, tmp_path, videos, length_s):
    """Measure the default of tools/summarize.py, which is not trained on these videos."""
    from datasets.annotations.qvhighlights import read_labels
    from sample_set.make import make_sample
    from sample_set.script import Setting
    setting = Setting(seed=5, videos=videos, min_duration_s=length_s, max_duration_s=length_s)
    make_sample(tmp_path / "s", setting, workers=2, progress=False)
    labels = [label for split in ("train", "val", "test") for label in read_labels(tmp_path / "s" / f"{split}.jsonl")]
    found = measure_query_sensitivity(
        offline, labels, lambda vid: offline.encode(tmp_path / "s" / "videos" / f"{vid}.mp4", False))
    assert found["own"]["R1@0.5"] >= 2 * max(found["other"]["R1@0.5"], 2 * found["random"]["R1@0.5"])
    assert found["own"]["mAP"] >= 2 * found["other"]["mAP"]
    assert found["repeated"]
    assert found["permuted"]
