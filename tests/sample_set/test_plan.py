"""The random scripts of the sample set: balanced, varied, and inside the photographs."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sample_set.labels import loudness, matches_visually, relevant_clips, windows_s
from sample_set.plan import MOMENT_S, SHOT_S, SHOTS, Deck, draw_scripts, split_names
from sample_set.scenes import SCENES, photo_size_px
from sample_set.script import Setting, nearness, view_at, width_range_px


@pytest.fixture(scope="module")
def full():
    return Setting(), draw_scripts(Setting())


def test_a_deck_draws_all_cards_before_any_card_again():
    deck = Deck("abc", np.random.default_rng(0))
    dealt = [deck.deal() for _ in range(9)]
    assert [sorted(dealt[i:i + 3]) for i in (0, 3, 6)] == [["a", "b", "c"]] * 3
    assert deck.deal(lambda card: card == "b") == "b"
    assert sorted([deck.deal(), deck.deal()]) == ["a", "c"]


def test_splits():
    assert Counter(split_names(48)) == dict(train=32, val=5, test=11)
    assert split_names(3) == ["train", "val", "test"]


def test_scripts_follow_the_seed(full):
    setting, scripts = full
    assert draw_scripts(setting) == scripts
    others = draw_scripts(replace(setting, seed=1))
    assert all(a.shots != b.shots and a.audio_events != b.audio_events for a, b in zip(scripts, others, strict=True))


def test_durations_are_in_range_and_shots_are_contiguous(full):
    setting, scripts = full
    for script in scripts:
        assert setting.min_duration_s <= script.n_frames / setting.fps <= setting.max_duration_s
        assert script.n_frames % setting.frames_per_clip == 0
        assert SHOTS[0] <= len(script.shots) <= SHOTS[1]
        edges = [0, *(shot.last for shot in script.shots)]
        assert [shot.first for shot in script.shots] == edges[:-1]
        assert edges[-1] == script.n_frames
        lengths = [shot.last - shot.first for shot in script.shots]
        assert SHOT_S[0] * setting.fps - 1 <= min(lengths)
        assert max(lengths) <= SHOT_S[1] * setting.fps + 1
        assert all(a.scene != b.scene for a, b in zip(script.shots, script.shots[1:], strict=False))


def test_camera_stays_inside_the_photograph(full):
    setting, scripts = full
    for shot in (shot for script in scripts for shot in script.shots):
        width, height = photo_size_px(SCENES[shot.scene].photo)
        for frame in np.linspace(shot.first - 4, shot.last + 4, 9).astype(int):
            view = view_at(shot, int(frame), setting.fps)
            assert view.width / 2 <= view.x <= width - view.width / 2
            assert view.width / setting.aspect / 2 <= view.y <= height - view.width / setting.aspect / 2


def test_nearness_follows_the_width_of_the_view(full):
    setting, scripts = full
    for shot in (shot for script in scripts for shot in script.shots):
        closest, widest = width_range_px(shot.scene, setting.aspect)
        for frame in (shot.first, shot.last - 1):
            view = view_at(shot, frame, setting.fps)
            expected = np.log(widest / view.width) / np.log(widest / closest)
            assert float(nearness(shot, np.array(frame))) == pytest.approx(expected, abs=1e-6)
        if shot.style == "zoom_in":
            assert shot.end.width < 0.75 * shot.begin.width
        if shot.style == "zoom_out":
            assert shot.begin.width < 0.75 * shot.end.width


def test_the_camera_moves_from_its_first_to_its_last_view(full):
    setting, scripts = full
    for shot in scripts[1].shots:
        still = replace(shot, sway=(0, 0, 0, 0))
        for frame, expected in ((shot.first, shot.begin), (shot.last - 1, shot.end)):
            view = view_at(still, frame, setting.fps)
            assert (view.x, view.y, view.width) == pytest.approx((expected.x, expected.y, expected.width))
        widths = [view_at(still, frame, setting.fps).width for frame in range(shot.first, shot.last)]
        assert sorted(widths, reverse=shot.begin.width > shot.end.width) == widths   # The camera never reverses.


def test_moments_are_short_relative_to_their_video(full):
    setting, scripts = full
    for script in scripts:
        for query in script.queries:
            ids, _ = relevant_clips(script, query, setting)
            lengths = [end - start for start, end in windows_s(ids, setting.clip_len_s)]
            assert 1 <= len(lengths) <= 3
            assert MOMENT_S[0] <= min(lengths)
            assert max(lengths) <= MOMENT_S[1]
            assert sum(lengths) <= 0.4 * script.n_frames / setting.fps


def test_evaluation_videos_have_three_or_four_queries_with_distractors(full):
    setting, scripts = full
    both = 0
    for script in (script for script in scripts if script.split != "train"):
        assert 3 <= len(script.queries) <= 4
        for query in script.queries:
            if query.scene and query.style:                   # The same scene also appears in another style.
                assert {shot.style for shot in script.shots if shot.scene == query.scene} > {query.style}
            if query.scene and query.audio:                  # The scene also appears without the event.
                silent = np.isnan(loudness(script, query.audio, setting))
                assert (matches_visually(script, replace(query, audio=None)) & silent).sum() >= 2 * setting.fps
                assert sum(shot.scene == query.scene for shot in script.shots) >= 2
                both += 1
    assert both >= 3


def test_splits_query_all_scenes_about_equally_often(full):
    _, scripts = full
    queried = Counter(q.scene for s in scripts if s.split == "train" for q in s.queries if q.kind == "scene")
    able = {name for name, scene in SCENES.items() if scene.queried}
    assert set(queried) == able
    assert min(queried.values()) >= 4
    test = Counter(q.scene for s in scripts if s.split == "test" for q in s.queries if q.kind == "scene")
    assert set(test) <= able
    assert max(test.values()) - min(test.values()) <= 1


def test_no_framing_is_repeated(full):
    _, scripts = full
    seen = {}
    for script in scripts:
        for shot in script.shots:
            key = (shot.scene, *(round(value, 1) for view in (shot.begin, shot.end) for value in vars(view).values()))
            assert seen.setdefault(key, script.vid) == script.vid
            assert key not in seen or seen[key] == script.vid
    assert len(seen) == sum(len(script.shots) for script in scripts)


def test_remarks_are_within_voice_events(full):
    _, scripts = full
    about = 0
    for script in scripts:
        voices = [span for span in script.audio_events if span.kind == "voice"]
        assert script.remarks
        for remark in script.remarks:
            assert any(v.start_s <= remark.start_s < remark.end_s <= v.end_s for v in voices)
            about += any(remark.text in scene.remarks for scene in SCENES.values())
        texts = [remark.text for remark in script.remarks]
        assert len(set(texts)) == len(texts)
    assert 0.3 < about / sum(len(script.remarks) for script in scripts) < 0.6
