"""Words steer: what is measured is what it says, and the very same question gives the very same answer."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.features.encode import encode_video
from pipelines.media.subtitles import Cue
from pipelines.scoring.subtitle_evidence import cue_similarity
from pipelines.summarizer import Summarizer, build_summarizer
from tests.pipelines.fakes import ColorTextEncoder, color_encoders, write_video
from tools.measure_words import main
from training.query_sensitivity import measure_query_sensitivity

SCENES = dict(a=["grey"] * 8 + ["red"] * 6 + ["grey"] * 10 + ["blue"] * 8 + ["grey"] * 8,
              b=["grey"] * 6 + ["green"] * 8 + ["grey"] * 16 + ["red"] * 6 + ["grey"] * 4)
LABELS = [dict(qid=i, query=query, vid=vid, duration=40, relevant_windows=[window]) for i, (query, vid, window) in enumerate([
    ("red", "a", [8, 14]), ("blue", "a", [24, 32]), ("green", "b", [6, 14]), ("red", "b", [30, 36])])]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("v")
    return {vid: encode_video(write_video(root / f"{vid}.mp4", colours), color_encoders(), progress=False) for vid, colours in SCENES.items()}


def test_who_sees_colours_follows_the_words(videos):
    found = measure_query_sensitivity(Summarizer(color_encoders()), LABELS, videos.__getitem__)
    assert found["own"] == {"R1@0.5": 100, "R1@0.7": 100, "mAP": 100} and found["queries"] == 4
    assert found["other"]["R1@0.5"] <= 50 and found["random"]["R1@0.5"] < 20   # `red` is in both videos
    assert found["repeated"] and found["permuted"]


def test_who_ignores_the_words_scores_alike_with_any(videos):
    class Deaf(ColorTextEncoder):
        def encode(self, texts):
            return super().encode(["red"] * len(texts))

    encoders = color_encoders()
    found = measure_query_sensitivity(Summarizer(dataclasses.replace(encoders, text=Deaf().eval())), LABELS, videos.__getitem__)
    assert found["own"] == found["other"] and found["own"]["R1@0.5"] == 50


def test_what_changes_from_call_to_call_or_with_the_order_is_told(videos):
    class Moody(ColorTextEncoder):
        calls = 0

        def encode(self, texts):
            Moody.calls += 1
            return [dataclasses.replace(f, pooler_output=f.pooler_output + 1e-6 * Moody.calls * np.arange(3)) for f in super().encode(texts)]

    class First(ColorTextEncoder):
        def encode(self, texts):
            return [dataclasses.replace(f, pooler_output=f.pooler_output + 1e-3 * i * np.arange(3)) for i, f in enumerate(super().encode(texts))]

    for words, repeated in ((Moody, False), (First, True)):
        found = measure_query_sensitivity(Summarizer(dataclasses.replace(color_encoders(), text=words().eval())), LABELS, videos.__getitem__)
        assert (found["repeated"], found["permuted"]) == (repeated, False)


def test_spoken_words_count(videos):
    cues = dict(a=[Cue(24, 32, "red")], b=[])
    found = measure_query_sensitivity(Summarizer(color_encoders()), LABELS[:1], videos.__getitem__, cues)
    assert found["own"]["R1@0.5"] == 0   # somebody says it elsewhere, which outweighs what is seen


@pytest.fixture(scope="module")
def offline():
    return build_summarizer(captioner=None)


@pytest.fixture(scope="module")
def photographs(offline, tmp_path_factory):
    """A minute of photographs, watched by the embedded encoders."""
    from sample_set.make import make_sample
    from sample_set.script import Setting
    out = tmp_path_factory.mktemp("sample") / "s"
    make_sample(out, Setting(videos=3, min_duration_s=40, max_duration_s=60, width_px=160, height_px=90), workers=1, progress=False)
    return out, {path.stem: offline.encode(path, progress=False) for path in sorted((out / "videos").iterdir())}


TEXTS = ["a cat", "a cup of coffee on a table", "somebody rides a motorcycle", "stars", "a very old stone temple in the evening sun"]


@pytest.mark.parametrize("spoken", [False, True])
@pytest.mark.parametrize("mode", ["summary", "moments"])
def test_the_embedded_default_gives_exactly_the_same_again_and_in_any_order(offline, photographs, mode, spoken):
    """Not close: equal. What a text encoder pads, or a sum in another order, would show."""
    _, encoded = photographs
    cues = [Cue(2, 6, "There is a cat."), Cue(9, 12, "I had soup for lunch.")] if spoken else []
    for video in encoded.values():
        first = offline.summarize(video, TEXTS, subtitles=cues, mode=mode)
        for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]):
            other = offline.summarize(video, [TEXTS[i] for i in order], subtitles=cues, mode=mode)
            assert np.array_equal(other.scores_by_text, first.scores_by_text[order]) and np.array_equal(other.scores, first.scores)
            assert other.selected == first.selected and other.intervals_s == first.intervals_s and other.shots == first.shots
            assert sorted(other.moments) == sorted(first.moments)
        assert first.scores_by_text.std(axis=1).min() > 0.01   # nothing is constant, so equality says something


@pytest.mark.parametrize("number", [2, 7, 24, 33])
def test_many_sentences_do_not_round_each_other(offline, number):
    """A product of matrices rounds a column by its place: 24 sentences of a video of ten minutes showed it."""
    r = np.random.default_rng(number)
    sentences = r.normal(size=(number, 384)).astype(np.float32)
    clips = SimpleNamespace(visual=dict(conse=r.normal(size=(301, 384)).astype(np.float32)))
    lines, unrelated = r.normal(size=(211, 384)).astype(np.float32), r.normal(size=(8, 384)).astype(np.float32)
    scorer = offline.scorer.relevance
    seen, said = scorer.similarity(clips, sentences), cue_similarity(sentences, lines, unrelated)
    for order in (np.arange(number)[::-1], r.permutation(number), np.array([number - 1])):
        assert np.array_equal(scorer.similarity(clips, sentences[order]), seen[:, order])
        assert np.array_equal(cue_similarity(sentences[order], lines, unrelated), said[order])
    unit = sentences / np.linalg.norm(sentences, axis=1, keepdims=True)
    np.testing.assert_allclose(seen, offline.encoders.visual.similarity(clips.visual["conse"], sentences), atol=1e-6)
    floor = (unit @ (unrelated / np.linalg.norm(unrelated, axis=1, keepdims=True)).T).max(axis=1, keepdims=True).clip(0, 0.9)
    plain = (unit @ (lines / np.linalg.norm(lines, axis=1, keepdims=True)).T - floor) / (1 - floor)
    np.testing.assert_allclose(said, plain.clip(0, 1), atol=1e-5)


def test_moments_of_one_score_come_in_one_order(videos):
    """`red` and `crimson` are one colour to the eyes, so their moments tie."""
    class Crimson(ColorTextEncoder):
        def encode(self, texts):
            return super().encode([text.replace("crimson", "red") for text in texts])

    summarizer = Summarizer(dataclasses.replace(color_encoders(), text=Crimson().eval()))
    for mode in ("summary", "moments", "shorts"):
        one, other = (summarizer.summarize(videos["a"], texts, mode=mode) for texts in (["red", "crimson"], ["crimson", "red"]))
        assert one.moments == other.moments and one.intervals_s == other.intervals_s
        assert one.moments[0].score == one.moments[1].score and one.moments[0].text != one.moments[1].text


def test_a_new_summarizer_gives_exactly_the_same(offline, photographs):
    path, video = min((photographs[0] / "videos").iterdir()), next(iter(photographs[1].values()))
    again = build_summarizer(captioner=None)
    assert np.array_equal(again.summarize(again.encode(path, False), TEXTS).scores_by_text, offline.summarize(video, TEXTS).scores_by_text)


def test_the_command_measures_a_set(photographs, tmp_path, capsys):
    root, _ = photographs
    options = ["--videos", str(root / "videos"), "--cache", str(tmp_path / "c"), "--out", str(tmp_path / "m.json")]
    assert main([str(root / "test.jsonl"), str(root / "val.jsonl"), *options, "--subtitles", str(root / "subtitles")]) == 0
    printed = capsys.readouterr().out
    assert printed.count("the very same") == 2 and "the own sentence" in printed and (tmp_path / "m.json").is_file()
    assert main([str(root / "test.jsonl"), *options, "--subtitles", str(root / "videos")]) == 2
    assert "videos: holds no subtitles of a labelled video" in capsys.readouterr().err
    (tmp_path / "other.jsonl").write_text((root / "test.jsonl").read_text().replace("sample_002", "unknown"))
    assert main([str(tmp_path / "other.jsonl"), *options]) == 2
    assert "has no unknown: 1 of 1" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("videos, length_s", [(18, 120), (4, 600)])
def test_words_find_at_least_twice_what_other_words_find(offline, tmp_path, videos, length_s):
    """The default of tools/summarize.py: nothing trained. Short videos as the sample set's, and long ones of 40 shots."""
    from datasets.annotations.qvhighlights import read_labels
    from sample_set.make import make_sample
    from sample_set.script import Setting
    make_sample(tmp_path / "s", Setting(seed=5, videos=videos, min_duration_s=length_s, max_duration_s=length_s), workers=2, progress=False)
    labels = [label for split in ("train", "val", "test") for label in read_labels(tmp_path / "s" / f"{split}.jsonl")]
    found = measure_query_sensitivity(offline, labels, lambda vid: offline.encode(tmp_path / "s" / "videos" / f"{vid}.mp4", False))
    assert found["own"]["R1@0.5"] >= 2 * max(found["other"]["R1@0.5"], 2 * found["random"]["R1@0.5"])
    assert found["own"]["mAP"] >= 2 * found["other"]["mAP"] and found["repeated"] and found["permuted"]
