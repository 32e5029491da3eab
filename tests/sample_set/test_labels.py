"""Labels of scripts: relevant clips, windows, ratings and wordings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sample_set.audio_events import AUDIO_CLASSES
from sample_set.labels import annotate, label_lines, loudness, phrases, relevant_clips, windows_s
from sample_set.plan import draw_scripts
from sample_set.scenes import SCENES, STYLES
from sample_set.script import AudioEvent, Query, Script, Setting, Shot, View

FPS = Setting().fps


def make_shot(scene, style, first_s, last_s, near=(0.0, 1.0)):
    view = View(100, 100, 100)
    return Shot(scene, style, round(first_s * FPS), round(last_s * FPS), view, view, near, light=(1, 1),
                sway=(0, 0, 0, 0), grain=0, join="cut", join_frames=4, seed=0)


@pytest.fixture
def script():
    shots = (make_shot("cat", "plain", 0, 5), make_shot("coffee", "dark", 5, 13), make_shot("cat", "dark", 13, 16.5),
             make_shot("moon", "plain", 16.5, 20))
    audio_events = (AudioEvent("bell", 3.0, 7.0, (0.0, -18.0), 1),)
    return Script(0, "v", "train", 20 * FPS, shots, audio_events, (), ())


def ids_of(script, **query):
    return relevant_clips(script, Query(**query), Setting())[0].tolist()


def test_a_clip_is_relevant_if_half_of_it_matches(script):
    assert ids_of(script, scene="cat") == [0, 1, 2, 6, 7]     # Half of [4, 6) and [12, 14), a quarter of [16, 18).
    assert ids_of(script, scene="moon") == [8, 9]
    assert ids_of(script, style="dark") == [2, 3, 4, 5, 6, 7]
    assert ids_of(script, scene="cat", style="dark") == [6, 7]
    assert ids_of(script, audio="bell") == [1, 2, 3]
    assert ids_of(script, scene="coffee", audio="bell") == [2, 3]
    assert ids_of(script, scene="temple") == []
    assert ids_of(script, audio="siren") == []


def test_windows_are_runs_of_adjacent_clips():
    assert windows_s(np.array([0, 1, 2, 7]), 2) == [[0, 6], [14, 16]]
    assert windows_s(np.array([], dtype=int), 2) == []


def test_relevance_increases_with_nearness_and_loudness(script):
    _, qualities = relevant_clips(script, Query(scene="coffee", style="dark"), Setting())
    assert np.all(np.diff(qualities) > 0)
    assert qualities[0] < 0.15
    assert qualities[-1] > 0.85
    _, loud = relevant_clips(script, Query(audio="bell"), Setting())
    assert np.all(np.diff(loud) < 0)
    assert loudness(script, "bell", Setting())[3 * FPS] == 1
    _, joint = relevant_clips(script, Query(scene="coffee", audio="bell"), Setting())
    near = relevant_clips(script, Query(scene="coffee", style="dark"), Setting())[1][:2]
    assert 0 < joint[0] < 1
    assert joint[0] != pytest.approx(near[0])


def test_annotators_follow_the_relevance():
    qualities = np.linspace(0, 1, 200)
    scores = np.array(annotate(qualities, np.array([-0.3, 0, 0.3]), np.random.default_rng(0)))
    assert scores.shape == (200, 3)
    assert scores.min() >= 0
    assert scores.max() == 4
    assert min(np.corrcoef(qualities, scores[:, i])[0, 1] for i in range(3)) > 0.85
    assert scores[:, 0].mean() < scores[:, 1].mean() < scores[:, 2].mean()
    assert (scores[:, 0] != scores[:, 2]).any()


def test_lines_are_consistent():
    setting = Setting(videos=9)
    scripts = draw_scripts(setting)
    lines = label_lines(scripts, setting)
    durations = {script.vid: script.n_frames // setting.fps for script in scripts}
    assert [line["qid"] for line in lines] == list(range(1, len(lines) + 1))
    for line in lines:
        assert line["duration"] == durations[line["vid"]]
        assert isinstance(line["duration"], int)
        ids = line["relevant_clip_ids"]
        from_windows = [i for start, end in line["relevant_windows"] for i in range(start // 2, end // 2)]
        assert ids
        assert ids == from_windows
        assert ids[-1] < line["duration"] / 2
        ends = [edge for window in line["relevant_windows"] for edge in window]
        # Windows are merged and never touch.
        assert ends == sorted(set(ends))
        assert all(edge % 2 == 0 for edge in ends)
        assert np.array(line["saliency_scores"]).shape == (len(ids), 3)
        assert all(score in range(5) for row in line["saliency_scores"] for score in row)
    assert json.loads(json.dumps(lines)) == lines             # Only plain numbers.


def test_wordings_of_a_query_differ_and_share_their_labels():
    setting = Setting(videos=9)
    lines = [line for line in label_lines(draw_scripts(setting), setting) if line["vid"] == "sample_000"]
    assert len(lines) == len({line["query"] for line in lines}) == 24
    for first, second in zip(lines[::2], lines[1::2], strict=True):
        assert first["relevant_windows"] == second["relevant_windows"]
        assert first["saliency_scores"] == second["saliency_scores"]


def test_unseen_wordings_contain_no_phrase_of_training():
    setting = Setting()
    scripts = draw_scripts(setting)
    lines = label_lines(scripts, setting)
    train_vids = {script.vid for script in scripts if script.split == "train"}
    trained = {line["query"] for line in lines if line["vid"] in train_vids}
    unseen = [line["query"] for line in lines if line["wording"] == "unseen"]
    others = [line for line in lines if line["vid"] not in train_vids]
    assert len(unseen) * 2 == pytest.approx(len(others), abs=2)
    assert not trained & set(unseen)
    held_out = [p for s in SCENES.values() for p in s.held_out] \
        + [p for s in AUDIO_CLASSES.values() for p in s.held_out] \
        + [p.replace("{}", "") for style in STYLES.values() for p in (*style.held_out, *style.alone_held_out)]
    assert not [(phrase, query) for phrase in held_out for query in trained if phrase in query]


def test_phrases_of_every_kind():
    assert "a shot of a cat" in phrases(Query(scene="cat"), held_out=False)
    assert "a cat in the dark" in phrases(Query(scene="cat", style="dark"), held_out=False)
    assert "a cat while a bell is ringing" in phrases(Query(scene="cat", audio="bell"), held_out=False)
    assert set(phrases(Query(audio="bell"), held_out=True)) == set(AUDIO_CLASSES["bell"].held_out)
    for query in (Query(scene="cat"), Query(style="dark"), Query(audio="bell"), Query(scene="cat", style="dark"),
                  Query(scene="cat", audio="bell")):
        known, kept = (set(phrases(query, held_out)) for held_out in (False, True))
        assert known
        assert kept
        assert not known & kept


def test_scores_follow_the_seed():
    setting = Setting(videos=9)
    scripts = draw_scripts(setting)

    def scores(seed):
        lines = label_lines(scripts, replace(setting, seed=seed))
        return np.array([row for line in lines for row in line["saliency_scores"]])

    first, again, other = scores(0), scores(0), scores(1)
    assert np.array_equal(first, again)
    for annotator in range(3):                               # The noise differs, not only the bias.
        change = other[:, annotator] - first[:, annotator]
        assert (change > 0).any()
        assert (change < 0).any()
