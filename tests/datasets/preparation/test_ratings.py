"""Parsing and splitting of tables of rated clips, and the labels of rated clips."""

from collections import Counter

import pytest

from common.errors import InputError
from datasets.preparation.ratings import RatedClip, make_label, read_ratings, split_by_video
from tests.datasets.fakes import rated_clips

HEADER = "clip,video,start,end,text,rating\n"


def table(tmp_path, text, encoding="utf-8"):
    (tmp_path / "r.csv").write_text(text, encoding=encoding)
    return tmp_path / "r.csv"


@pytest.mark.parametrize("text, encoding", [
    (HEADER + 'e1_0,e1,0,150,"a six, at last",3.5\ne1_1,e1,0:02:30,5:00,,2\n', "utf-8"),
    (HEADER + 'e1_0,e1,0,150,"a six, at last",3.5\r\ne1_1,e1,0:02:30,5:00,,2\r\n', "utf-8-sig"),
    ("Clip ID;Source Video;Start;End;Description;Rating A;Rating B\n"
     "e1_0;e1;0;150;a six, at last;3;4\n\ne1_1;e1;150;300,0;;2;\n", "utf-8-sig"),
    ("id\tepisode\tstart_s\tend_s\tsubtitle\trating\ne1_0\te1\t0\t150\ta six, at last\t3,5\ne1_1\te1\t150\t300\t\t2\n",
     "utf-8"),
])
def test_dialects_of_csv_files(tmp_path, text, encoding):
    clips = read_ratings(table(tmp_path, text, encoding))
    assert [(c.clip, c.video, c.start_s, c.end_s, c.text, c.rating) for c in clips] == [
        ("e1_0", "e1", 0, 150, "a six, at last", 3.5), ("e1_1", "e1", 150, 300, "", 2)]
    assert [c.positive() for c in clips] == [True, False]


@pytest.mark.parametrize("line, message", [
    ("c,v,0,150,t,6", r"clip c is rated \[6.0\]; ratings are from 1 to 5"),
    ("c,v,0,150,t,0.5", "ratings are from 1 to 5"),
    ("c,v,0,150,t,", "clip c has no rating"),
    ("c,v,0,150,t,good", "rating 'good' is not a number"),
    ("c,v,0,150,t,nan", "rating 'nan'"),
    ("c,v,zero,150,t,3", "start 'zero' is not a number"),
    ("c,v,1:2:3:4,150,t,3", "start '1:2:3:4' is not a number of seconds or h:mm:ss"),
    ("c,v,-5,150,t,3", "clip c starts at -5.0 s, before its video"),
    ("c,v,0,150,t,3,also said", "7 cells, but the header has 6; put quotes around texts with commas"),
    ("c,ok_v,0,9,t,3\nd2,ok_v,0,9,t,4", "line 4: clip d2 is ok_v from 0.0 to 9.0 s, like clip c in line 3"),
    ("c,v,150,150,t,3", "clip c ends at 150.0 s, not after its start"),
    ("a/b,v,0,1,t,3", "clip 'a/b' is not a valid file name"),
    (",v,0,1,t,3", "clip ''"),
    ("ok,v,0,1,t,3", "duplicate clip ok, first used in line 2"),
])
def test_faulty_lines_are_listed_together(tmp_path, line, message):
    path = table(tmp_path, HEADER + "ok,v,0,150,t,3\n" + line + "\nd,v,0,x,t,3\n")
    last_line = 4 + line.count("\n")
    with pytest.raises(InputError, match=rf"(?s)r\.csv: .*{message}.*line {last_line}: end 'x' is not a number"):
        read_ratings(path)


def test_line_numbers_are_those_of_the_file(tmp_path):
    text = HEADER + 'a,v,0,1,"two\nlines, at ""last""",3\n\nb,v,1,2,t,9\nc,v,2,3,"x\ny\nz",zero\n'
    with pytest.raises(InputError, match=r"(?s)line 5: clip b is rated.*line 6: rating 'zero'"):
        read_ratings(table(tmp_path, text))
    clips = read_ratings(table(tmp_path, text.replace(",9", ",2").replace("zero", "1")))
    assert [(c.clip, c.line, c.text) for c in clips] == [
        ("a", 2, 'two\nlines, at "last"'), ("b", 5, "t"), ("c", 6, "x\ny\nz")]


@pytest.mark.parametrize("text, message", [
    ('a,v,0,1,t,3\nb,v,1,2,"open,3\nc,v,2,3,t,4\n',
     r"r\.csv: line 3: not CSV \(unexpected end of data\); check for a missing closing quote"),
    ('a,v,0,1,"t" and,3\n', r"line 2: not CSV \('.' expected after"),
    (f"a,v,0,1,{'t' * 200_000},3\n", r"line 2: not CSV \(field larger than field limit"),
])
def test_text_that_is_no_csv_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_ratings(table(tmp_path, HEADER + text))


@pytest.mark.parametrize("names, ratings", [
    ("rating", "3"),
    ("Rating 1,Rating 2", "3,4"),
    ("rating_a,rating_b,raters", "3,4,900"),
    ("rating-m,rating-n", "1,5"),
    ("rating (Nora),rating (Paul)", "2,2"),
])
def test_columns_of_ratings(tmp_path, names, ratings):
    clip, = read_ratings(table(tmp_path, f"clip,video,start,end,{names}\nc,v,0,1,{ratings}\n"))
    assert clip.ratings == tuple(float(x) for x in ratings.split(",")[:2])


@pytest.mark.parametrize("name", [
    "rating_count",
    "Rating Mean",
    "rating_n",
    "ratings_total",
    "rating-std",
    "ratingcount",
    "rating_avg",
])
def test_columns_that_tell_of_ratings_are_refused(tmp_path, name):
    """A column of 1 to 5 that is a count would be averaged as a person's opinion."""
    with pytest.raises(InputError, match=rf"column '{name}' does not contain a person's ratings; rename or remove it"):
        read_ratings(table(tmp_path, f"clip,video,start,end,rating,{name}\nc,v,0,1,5,2\n"))


@pytest.mark.parametrize("text, message", [
    ("", "has no clip, no video"),
    (HEADER, "contains no clips"),
    ("clip,video,start,end\nx,y,0,1", "no rating"),
    ("clip,id,video,start,end,rating\n", "two columns of clip"),
    ("\x00", "has no clip"),
])
def test_files_that_are_not_rating_tables_are_rejected(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_ratings(table(tmp_path, text))
    with pytest.raises(InputError, match="no such file"):
        read_ratings(tmp_path / "none.csv")


def test_train_and_val_share_no_video_and_are_balanced():
    clips = rated_clips()
    train, val = split_by_video(clips, 0.2, seed=3)
    assert not {c.video for c in train} & {c.video for c in val}
    assert Counter(train) + Counter(val) == Counter(clips)
    assert abs(len(val) / len(clips) - 0.2) < 0.02
    train_positive, val_positive = (sum(c.positive() for c in part) / len(part) for part in (train, val))
    assert abs(train_positive - val_positive) < 0.03
    assert split_by_video(clips, 0.2, seed=3) == (train, val) != split_by_video(clips, 0.2, seed=4)
    assert {c.video for c in split_by_video(clips[::-1], 0.2, seed=3)[1]} == {c.video for c in val}


def test_impossible_splits_are_named():
    with pytest.raises(InputError, match="all .* clips are from one video .v0."):
        split_by_video(rated_clips(1))
    with pytest.raises(InputError, match="validation share 1 is out of range"):
        split_by_video(rated_clips(3), 1)
    train, val = split_by_video(rated_clips(2), 0.01)
    assert train
    assert val


@pytest.mark.parametrize("rating, grade", [(3.2, 1), (4, 2), (4.5, 3), (5, 4)])
def test_a_positive_clip_is_one_window_with_the_saliency_of_its_rating(rating, grade):
    label = make_label(RatedClip("c", "v", 300, 450, "", (rating,), 2), 7, "query")
    assert label["relevant_windows"] == [[0, 150]]
    assert label["relevant_clip_ids"] == list(range(75))
    assert label["positive"] is True
    assert label["saliency_scores"] == [[grade] * 3] * 75
    assert (label["qid"], label["query"], label["vid"], label["rating"]) == (7, "query", "c", rating)


def test_a_negative_clip_has_no_relevant_window():
    label = make_label(RatedClip("c", "v", 0, 150, "", (3.0,), 2), 7, "query")
    assert (label["relevant_windows"], label["relevant_clip_ids"], label["saliency_scores"]) == ([], [], [])
    assert label["positive"] is False
