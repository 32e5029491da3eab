import numpy as np
import pytest
import torch

from common.errors import InputError
from common.temporal import soft_nms, temporal_iou
from datasets import CharadesSTA
from datasets.annotations.charades_sta import read_charades
from datasets.charades_sta import read_glove, tokenize
from datasets.errors import LabelErrors
from datasets.eval import eval_charades

from .fakes import write_features

TEXT = "A1 0.0 6.9##a person is putting a book on a shelf.\n\nB2 9.5 4.0##Person sits down."


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "l.txt").write_text(TEXT)
    (tmp_path / "g.txt").write_text("the 9 9 9\nperson 1 2 3\nbook 4 5 6\nsits 0 0 1\n")
    for vid in ("A1", "B2"):
        write_features(tmp_path / f"rgb/{vid}.npy", 60, 4)
        write_features(tmp_path / f"opt/{vid}.npy", 62, 3)
    return tmp_path


def dataset(folder, **options):
    return CharadesSTA(**{**dict(label_path=str(folder / "l.txt"), video_path=str(folder / "rgb/{vid}.npy"),
                                 audio_path=str(folder / "opt"), glove_path=str(folder / "g.txt"), video_dims=4), **options})


def test_labels_are_numbered_by_line_and_reversed_windows_turned(folder):
    assert read_charades(folder / "l.txt") == [
        (1, dict(qid=1, vid="A1", query="a person is putting a book on a shelf.", relevant_windows=[[0, 6.9]])),
        (3, dict(qid=3, vid="B2", query="Person sits down.", relevant_windows=[[4, 9.5]]))]


def test_items_have_unit_rows_and_word_vectors(folder):
    data = dataset(folder)
    assert data.check() == []
    item = {key: value.data for key, value in data[0].items()}
    raw = np.load(folder / "rgb/A1.npy")
    np.testing.assert_allclose(item["video"], raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    assert item["audio"].shape == (60, 3)
    assert item["saliency"].tolist() == [1] * 60
    assert item["boundary"].tolist() == [[0, pytest.approx(6.9)]]
    assert item["query"].shape == (9, 3)
    assert item["query"][1].tolist() == [1, 2, 3]
    assert not item["query"][0].any()
    assert data[1]["query"].data.tolist() == [[1, 2, 3], [0, 0, 1], [0, 0, 0]]


def test_text_features_of_files_do_as_well(folder):
    expected = write_features(folder / "text/qid3.npz", 4, 5, "last_hidden_state")
    write_features(folder / "text/qid1.npz", 4, 5, "last_hidden_state")
    np.testing.assert_array_equal(dataset(folder, glove_path=None, query_path=str(folder / "text"))[1]["query"].data, expected)


@pytest.mark.parametrize("options", [dict(glove_path=None), dict(query_path="x")])
def test_text_comes_from_one_place(folder, options):
    with pytest.raises(InputError, match="give query_path.* or glove_path"):
        dataset(folder, **options)


def test_evaluation_is_after_soft_nms(folder):
    data = dataset(folder)
    blob = [dict(meta=data.labels, boundary=torch.tensor([
        [[20.0, 30, 0.9], [20, 29.5, 0.8], [0, 7, 0.5], [50, 51, 0.1]],
        [[5, 6, 0.3], [4, 9, 0.9], [0, 1, 0.2], [0, 1, 0.1]]]))]
    assert data.evaluate(blob) == {"Rank1@0.5": 0.5, "Rank1@0.7": 0.5, "Rank5@0.5": 1.0, "Rank5@0.7": 1.0}
    lines = data.predictions(blob)
    assert lines[1]["pred_relevant_windows"][0] == [4, 9, pytest.approx(0.9)]
    assert lines[0]["query"].startswith("a person")


def slow_soft_nms(windows, sigma):
    left, kept = [list(w) for w in windows], []
    while left:
        best = max(left, key=lambda w: w[2])
        left.remove(best)
        kept.append(best)
        for w in left:
            inside = max(0, min(best[1], w[1]) - max(best[0], w[0]))
            union = best[1] - best[0] + w[1] - w[0] - inside
            w[2] *= np.exp(-(inside / union if union else 0)**2 / sigma)
    return kept


def test_soft_nms_equals_a_slow_twin():
    r = np.random.default_rng(1)
    windows = np.column_stack([np.sort(r.random((40, 2)), axis=1), r.random(40)])
    before = windows.copy()
    np.testing.assert_allclose(soft_nms(windows, 0.5), slow_soft_nms(windows, 0.5), atol=1e-12)
    np.testing.assert_array_equal(windows, before)
    assert soft_nms(np.zeros((0, 3))).shape == (0, 3)
    assert temporal_iou(np.array([1.0, 1.0]), np.array([[1.0, 1.0], [0, 2]])).tolist() == [0, 0]


def test_features_shorter_than_a_window_are_a_fault(folder):
    (folder / "l.txt").write_text("A1 10.1 12##too late\nA1 9.9 12##just in time")
    faults = dataset(folder, glove_path=None, query_path=str(folder)).check()
    late = [fault for fault in map(str, faults) if "starts or ends after" in fault]
    assert len(late) == 1
    assert "[10.1, 12.0] starts or ends after the features, which end at 10.0 s" in late[0]
    assert late[0].endswith("line 1)")
    (folder / "l.txt").write_text("A1 9 20##as some public ones\nA1 9 21##far beyond")
    faults = dataset(folder, glove_path=None, query_path=str(folder)).check()
    late = [str(fault) for fault in faults if "starts or ends" in fault.problem]
    assert len(late) == 1
    assert "[9.0, 21.0]" in late[0]


def test_streams_of_other_lengths_are_named(folder):
    """Pictures of six rows a second beside sound of one every two."""
    sound = dataset(folder, glove_path=None, query_path=str(folder)).audio_path
    for rows, wrong in ((55, True), (56, False), (64, False), (65, True)):
        np.save(f"{sound}/A1.npy", np.ones((rows, 3), np.float32))
        faults = dataset(folder, glove_path=None, query_path=str(folder)).check()
        named = [f for f in faults if "A1: 60 rows in" in str(f)]
        assert bool(named) == wrong, (rows, faults)


def test_faulty_lines_hide_no_faulty_features_and_words(folder, tmp_path):
    (folder / "l.txt").write_text("A1 0##no end\ngone 0 1##a person")
    with pytest.raises(LabelErrors, match="line 1: .*\n.*glove.txt: no such file") as err:
        dataset(folder, glove_path=str(tmp_path / "glove.txt"))
    assert any("gone" in str(fault) and "no such feature file" in str(fault) for fault in err.value.dataset.check())


@pytest.mark.parametrize("line", ["A1 0.0##no end", "A1 0 1 no marks", "A1 a b##words", "A1 0 1##  ", "A1 -1 1##x", "a/b 0 1##x",
                                  "A1 nan 1##x"])
def test_faulty_lines_are_listed(tmp_path, line):
    (tmp_path / "l.txt").write_text(f"A1 0 1##fine\n{line}\n")
    with pytest.raises(InputError, match=r"l\.txt: line 2: .* is not 'vid start end##sentence'"):
        read_charades(tmp_path / "l.txt")


def test_glove_that_cannot_serve_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file; download https://nlp.stanford.edu"):
        read_glove(tmp_path / "g.txt", {"a"})
    for text, message in (("b 1 2", "contains none of the 1 words"), ("a x y", "not GloVe's text format"), ("a 1\nc 1 2\na x", "line 2: not GloVe's text format .2 values instead of 1.\n.*line 3: not GloVe's text format .could not")):
        (tmp_path / "g.txt").write_text(text)
        with pytest.raises(InputError, match=message):
            read_glove(tmp_path / "g.txt", {"a"} if "c" not in text else {"a", "c"})


def test_words_lose_punctuation_and_never_run_out():
    assert tokenize("Person (sits) down, now.") == ["person", "(sits)", "down", "now"]
    assert tokenize("...") == ["..."]


@pytest.mark.parametrize("predictions, message", [
    ([], "1 missing"), ([dict(qid=1, pred_relevant_windows=[])] * 2, "1 duplicate"), ([dict(qid=1, pred_relevant_windows=[]), dict(qid=2)], "1 unknown"),
    ([dict(qid=1)], "qid 1: pred_relevant_windows must"), ([dict(qid=1, pred_relevant_windows=[[0, 1, float("nan")]])], "NaN")])
def test_faulty_predictions_are_named(predictions, message):
    with pytest.raises(InputError, match=message):
        eval_charades(predictions, [dict(qid=1, relevant_windows=[[0, 1]])])


def test_no_window_is_a_miss():
    assert set(eval_charades([dict(qid=1, pred_relevant_windows=[])], [dict(qid=1, relevant_windows=[[0, 1]])]).values()) == {0}


def test_floors_stand_beside(folder):
    baselines = dataset(folder).baselines()
    assert set(baselines["oracle"].values()) == {1}
    assert 0 < baselines["random"]["Rank5@0.5"] < 1
