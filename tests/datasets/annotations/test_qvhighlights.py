"""Parsing of QVHighlights' labels: unusual but valid labels are read, and errors are reported with their line."""

import json

import pytest

from common.errors import InputError
from datasets.annotations.json_files import read_jsonl
from datasets.annotations.qvhighlights import read_labels, read_numbered_labels
from datasets.errors import LabelErrors
from tests.paths import SHARED

VAL = SHARED / "data" / "qvhighlights" / "highlight_val_release.jsonl"
LABEL = dict(qid=1, query="a cat", vid="a", duration=10.5, relevant_windows=[[2, 6]], relevant_clip_ids=[1, 2],
             saliency_scores=[[4, 4, 4], [1, 2, 3]])


def write(path, *labels):
    path.write_text("".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in labels), encoding="utf-8")
    return path


@pytest.mark.skipif(not VAL.is_file(), reason="../shared is missing")
def test_public_labels_are_valid():
    labels = read_labels(VAL)
    assert len(labels) == 1550
    assert labels == [json.loads(line) for line in VAL.read_text().splitlines()]


@pytest.mark.parametrize("change", [
    pytest.param(dict(relevant_windows=[[0, 10.5]], relevant_clip_ids=[0, 4]), id="complete-video"),
    pytest.param(dict(relevant_windows=[], relevant_clip_ids=[], saliency_scores=[]), id="nothing-relevant"),
    pytest.param(dict(duration=1.5, relevant_windows=[[0, 1.5]], relevant_clip_ids=[0], saliency_scores=[[4]]),
                 id="shorter-than-a-clip"),
    pytest.param(dict(qid="q-1", vid=7, query=""), id="other-types"),
    # str.splitlines() would split this query.
    pytest.param(dict(query="two\u2028lines, \x85 or 三"), id="unicode-line-separators"),
])
def test_valid_labels_are_returned_unchanged(tmp_path, change):
    label = LABEL | change
    assert read_labels(write(tmp_path / "l.jsonl", label)) == [label]


def test_labels_may_lack_annotations(tmp_path):
    bare = {k: LABEL[k] for k in ("qid", "query", "vid", "duration")}
    assert read_labels(write(tmp_path / "l.jsonl", bare)) == [bare]


@pytest.mark.parametrize("change, message", [
    (dict(relevant_windows=[[6, 2]]), r"window \[6, 2\] is not \[start s, end s\] within \[0, 10.5\] with start < end"),
    (dict(relevant_windows=[[4, 4]]), r"window \[4, 4\] is not"),
    (dict(relevant_windows=[[6, 12]]), r"window \[6, 12\] is not"),
    (dict(relevant_windows=[[-1, 2]]), r"window \[-1, 2\] is not"),
    (dict(relevant_windows=[[2, 6, 1]]), r"window \[2, 6, 1\] is not"),
    (dict(relevant_windows=[["2", 6]]), r"window \['2', 6\] is not"),
    (dict(relevant_windows=[2, 6]), "window 2 is not"),
    (dict(relevant_windows=None), "relevant_windows None is not a list"),
    (dict(duration=0), "duration 0 is not a number of seconds above 0"),
    (dict(duration="long"), "duration 'long' is not"),
    (dict(duration=True), "duration True is not"),
    (dict(duration=float("inf")), "duration inf is not"),
    (dict(duration=10**400), "duration 1000"),
    (dict(relevant_clip_ids=[1]), "1 relevant_clip_ids but 2 rows"),
    (dict(relevant_clip_ids=[1, 5]), r"clips \[5\] are outside the video, which has 5 clips"),
    (dict(relevant_clip_ids=[-1, 2]), r"clips \[-1\] are outside"),
    (dict(relevant_clip_ids=[1, 1]), r"duplicate clips \[1\] in relevant_clip_ids"),
    (dict(relevant_clip_ids=[1, 2.0]), "relevant_clip_ids are not integers"),
    (dict(saliency_scores=[[1], [1, 2]]), "rows of saliency_scores differ in their number"),
    (dict(saliency_scores=[[4, 4, 5], [1, 2, -3]]), r"saliency_scores \[5, -3\] are not numbers from 0 to 4"),
    (dict(saliency_scores=[[float("nan")], [1]]), r"saliency_scores \[nan\] are not"),
    (dict(saliency_scores=[4, 4]), "saliency_scores are not a list of annotators' scores per clip"),
    (dict(saliency_scores=[[], []]), "saliency_scores are not a list of annotators' scores per clip"),
    (dict(qid="1"), "duplicate qid 1, first used in line 1"),
    (dict(qid=[2]), r"qid \[2\] is neither an integer nor a valid file name"),
    (dict(vid="../a"), "vid '../a' is neither an integer nor a valid file name"),
    (dict(query=None), "query None is not text"),
])
def test_invalid_label_is_reported_with_its_line(tmp_path, change, message):
    path = write(tmp_path / "l.jsonl", LABEL, LABEL | dict(qid=2) | change)
    with pytest.raises(InputError, match=f"l.jsonl: line 2: {message}"):
        read_labels(path)


def test_clip_ids_without_scores_are_an_error(tmp_path):
    label = {k: v for k, v in LABEL.items() if k != "saliency_scores"}
    with pytest.raises(InputError, match="line 1: relevant_clip_ids and saliency_scores require each other"):
        read_labels(write(tmp_path / "l.jsonl", label))


@pytest.mark.parametrize("keys", [
    ("relevant_windows",),
    ("relevant_clip_ids", "saliency_scores"),
    ("relevant_windows", "relevant_clip_ids", "saliency_scores"),
])
def test_annotations_must_be_in_all_lines_or_in_none(tmp_path, keys):
    bare = {k: v for k, v in LABEL.items() if k not in keys} | dict(qid=2)
    missing = keys[0] if len(keys) != 2 else keys[1]
    with pytest.raises(LabelErrors, match=f"l.jsonl: line 2: no {missing}, which other lines") as err:
        read_labels(write(tmp_path / "l.jsonl", LABEL, bare))
    assert err.value.valid == [(1, LABEL)]
    assert read_labels(write(tmp_path / "l.jsonl", bare, bare | dict(qid=3))) == [bare, bare | dict(qid=3)]


def test_up_to_twenty_errors_are_listed(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_text('{"qid": 1}\n\n' + json.dumps(LABEL | dict(qid=2, duration=-1)) + "\n")
    with pytest.raises(InputError) as err:
        read_labels(path)
    assert str(err.value).endswith("l.jsonl: line 1: missing query, vid, duration\n"
                                   "  line 3: duration -1 is not a number of seconds above 0")
    write(path, *[LABEL | dict(qid=i, duration=0) for i in range(23)])
    with pytest.raises(InputError, match="line 20: duration 0 is not .*\n  and 3 more$"):
        read_labels(path)


def test_empty_lines_count_as_lines(tmp_path):
    path = tmp_path / "l.jsonl"
    path.write_text("\n" + json.dumps(LABEL) + "\r\n\n  \n" + json.dumps(LABEL | dict(qid=2)), encoding="utf-8-sig")
    assert [number for number, _ in read_numbered_labels(path)] == [2, 5]


@pytest.mark.parametrize("content, message", [
    (b"[1]\nnot json\n", r"line 1: not a JSON object but '\[1\]'\n  line 2: not JSON"),
    (b'{"qid": 1', "line 1: not JSON"),
    (b"[" * 100_000, "line 1: cannot be parsed"),
    (b'{"qid": ' + b"9" * 5000 + b"}", "line 1: cannot be parsed"),
    (b"\xff\xfe\x00", "cannot be read as text"),
])
def test_invalid_json_lines_are_an_error(tmp_path, content, message):
    (tmp_path / "l.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_jsonl(tmp_path / "l.jsonl")


def test_missing_file_and_missing_labels_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"gone.jsonl: no such file"):
        read_labels(tmp_path / "gone.jsonl")
    (tmp_path / "l.jsonl").write_text("\n")
    assert read_jsonl(tmp_path / "l.jsonl") == []
    with pytest.raises(InputError, match="contains no labels"):
        read_labels(tmp_path / "l.jsonl")
