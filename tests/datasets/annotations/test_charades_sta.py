"""Parsing of Charades-STA's annotations."""

import pytest

from common.errors import InputError
from datasets.annotations.charades_sta import read_charades

TEXT = "A1 0.0 6.9##a person is putting a book on a shelf.\n\nB2 9.5 4.0##Person sits down."


def test_labels_are_numbered_by_line_and_reversed_windows_are_swapped(tmp_path):
    (tmp_path / "l.txt").write_text(TEXT)
    assert read_charades(tmp_path / "l.txt") == [
        (1, dict(qid=1, vid="A1", query="a person is putting a book on a shelf.", relevant_windows=[[0, 6.9]])),
        (3, dict(qid=3, vid="B2", query="Person sits down.", relevant_windows=[[4, 9.5]]))]


@pytest.mark.parametrize("line", [
    "A1 0.0##no end",
    "A1 0 1 no marks",
    "A1 a b##text",
    "A1 0 1##  ",
    "A1 -1 1##x",
    "a/b 0 1##x",
    "A1 nan 1##x",
])
def test_invalid_line_is_reported_with_its_number(tmp_path, line):
    (tmp_path / "l.txt").write_text(f"A1 0 1##valid\n{line}\n")
    with pytest.raises(InputError, match=r"l\.txt: line 2: .* is not 'vid start end##sentence'"):
        read_charades(tmp_path / "l.txt")
