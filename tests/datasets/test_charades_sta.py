"""The dataset of Charades-STA: items, predictions, metrics, and checks of its files."""

import numpy as np
import pytest
import torch

from common.errors import InputError
from datasets import CharadesSTA
from datasets.charades_sta import read_glove, tokenize
from datasets.errors import LabelErrors

from .fakes import write_features

TEXT = "A1 0.0 6.9##a person is putting a book on a shelf.\n\nB2 9.5 4.0##Person sits down."


@pytest.fixture
def folder(tmp_path):
    """Write two labels, GloVe vectors, and visual features of 60 rows with optical-flow features of 62 rows."""
    (tmp_path / "l.txt").write_text(TEXT)
    (tmp_path / "g.txt").write_text("the 9 9 9\nperson 1 2 3\nbook 4 5 6\nsits 0 0 1\n")
    for vid in ("A1", "B2"):
        write_features(tmp_path / f"rgb/{vid}.npy", 60, 4)
        write_features(tmp_path / f"opt/{vid}.npy", 62, 3)
    return tmp_path


def dataset(folder, **options):
    defaults = dict(label_path=str(folder / "l.txt"), video_path=str(folder / "rgb/{vid}.npy"),
                    audio_path=str(folder / "opt"), glove_path=str(folder / "g.txt"), video_dims=4)
    return CharadesSTA(**{**defaults, **options})


def test_items_have_normalized_rows_and_word_vectors(folder):
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


def test_text_features_can_be_read_from_files(folder):
    expected = write_features(folder / "text/qid3.npz", 4, 5, "last_hidden_state")
    write_features(folder / "text/qid1.npz", 4, 5, "last_hidden_state")
    data = dataset(folder, glove_path=None, query_path=str(folder / "text"))
    np.testing.assert_array_equal(data[1]["query"].data, expected)


@pytest.mark.parametrize("options", [
    pytest.param(dict(glove_path=None), id="neither"),
    pytest.param(dict(query_path="x"), id="both"),
])
def test_exactly_one_source_of_text_is_required(folder, options):
    with pytest.raises(InputError, match="give query_path.* or glove_path"):
        dataset(folder, **options)


def test_windows_are_evaluated_after_soft_nms(folder):
    data = dataset(folder)
    blob = [dict(meta=data.labels, boundary=torch.tensor([
        [[20.0, 30, 0.9], [20, 29.5, 0.8], [0, 7, 0.5], [50, 51, 0.1]],
        [[5, 6, 0.3], [4, 9, 0.9], [0, 1, 0.2], [0, 1, 0.1]]]))]
    assert data.evaluate(blob) == {"Rank1@0.5": 0.5, "Rank1@0.7": 0.5, "Rank5@0.5": 1.0, "Rank5@0.7": 1.0}
    lines = data.predictions(blob)
    assert lines[1]["pred_relevant_windows"][0] == [4, 9, pytest.approx(0.9)]
    assert lines[0]["query"].startswith("a person")


def test_window_after_the_end_of_the_features_is_an_error(folder):
    (folder / "l.txt").write_text("A1 10.1 12##too late\nA1 9.9 12##within the tolerance")
    errors = dataset(folder, glove_path=None, query_path=str(folder)).check()
    late = [error for error in map(str, errors) if "starts or ends after" in error]
    assert len(late) == 1
    assert "[10.1, 12.0] starts or ends after the features, which end at 10.0 s" in late[0]
    assert late[0].endswith("line 1)")
    (folder / "l.txt").write_text("A1 9 20##as in the public files\nA1 9 21##far beyond")
    errors = dataset(folder, glove_path=None, query_path=str(folder)).check()
    late = [str(error) for error in errors if "starts or ends" in error.problem]
    assert len(late) == 1
    assert "[9.0, 21.0]" in late[0]


def test_features_of_inconsistent_lengths_are_reported(folder):
    """Compare 60 rows of visual features with a varying number of rows of the second type of features."""
    audio_path = dataset(folder, glove_path=None, query_path=str(folder)).audio_path
    for rows, expected in ((55, True), (56, False), (64, False), (65, True)):
        np.save(f"{audio_path}/A1.npy", np.ones((rows, 3), np.float32))
        errors = dataset(folder, glove_path=None, query_path=str(folder)).check()
        reported = [error for error in errors if "A1: 60 rows in" in str(error)]
        assert bool(reported) == expected, (rows, errors)


def test_errors_of_lines_and_of_features_are_all_reported(folder, tmp_path):
    (folder / "l.txt").write_text("A1 0##no end\ngone 0 1##a person")
    with pytest.raises(LabelErrors, match="line 1: .*\n.*glove.txt: no such file") as err:
        dataset(folder, glove_path=str(tmp_path / "glove.txt"))
    assert any("gone" in str(error) and "no such feature file" in str(error) for error in err.value.dataset.check())


def test_unusable_glove_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such file; download https://nlp.stanford.edu"):
        read_glove(tmp_path / "g.txt", {"a"})
    for text, message in (("b 1 2", "contains none of the 1 words"), ("a x y", "not GloVe's text format"),
                          ("a 1\nc 1 2\na x", "line 2: not GloVe's text format .2 values instead of 1.\n"
                                               ".*line 3: not GloVe's text format .could not")):
        (tmp_path / "g.txt").write_text(text)
        with pytest.raises(InputError, match=message):
            read_glove(tmp_path / "g.txt", {"a"} if "c" not in text else {"a", "c"})


def test_tokenize_removes_punctuation_but_returns_at_least_one_token():
    assert tokenize("Person (sits) down, now.") == ["person", "(sits)", "down", "now"]
    assert tokenize("...") == ["..."]


def test_baselines(folder):
    baselines = dataset(folder).baselines()
    assert set(baselines["oracle"].values()) == {1}
    assert 0 < baselines["random"]["Rank5@0.5"] < 1
