"""Test items, predictions and metrics of the QVHighlights dataset, and the errors of its check before training."""

import json
import logging
import os
import re

import numpy as np
import pytest
import torch
from nncore.parallel import collate

from common.errors import InputError
from datasets.qvhighlights import QVHighlights
from tests.paths import SHARED


def label(qid=1, vid="a", duration=10.5):
    return dict(qid=qid, query=f"query {qid}", vid=vid, duration=duration, relevant_windows=[[2, 6]],
                relevant_clip_ids=[1, 2], saliency_scores=[[4, 4, 4], [1, 2, 3]])


@pytest.fixture
def files(tmp_path):
    """Write two folders of visual features (6 x 3 and 5 x 2), audio features (7 x 4), two queries, and two labels."""
    r = np.random.default_rng(0)
    for folder in ("slow", "clip", "audio", "text"):
        (tmp_path / folder).mkdir()
    for vid in "ab":
        np.savez(tmp_path / "slow" / f"{vid}.npz", features=r.random((6, 3)).astype("f2"))
        np.savez(tmp_path / "clip" / f"{vid}.npz", features=r.random((5, 2)))
        np.save(tmp_path / "audio" / f"{vid}.npy", r.random((7, 4)))
    for qid, num_tokens in ((1, 2), (2, 4)):
        np.savez(tmp_path / "text" / f"qid{qid}.npz", last_hidden_state=r.random((num_tokens, 5)),
                 pooler_output=r.random(5))
    write_labels(tmp_path, [label(), label(2, "b")])
    return tmp_path


def write_labels(folder, labels):
    (folder / "l.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in labels))


def dataset(files, **more):
    return QVHighlights(**{**dict(label_path=str(files / "l.jsonl"), query_path=str(files / "text"),
                                  video_path=[str(files / "slow"), str(files / "clip")],
                                  audio_path=str(files / "audio")), **more})


def test_features_are_concatenated_in_order_and_trimmed_to_the_shortest(files):
    item = dataset(files)[0]
    slow, clip = (np.load(files / f / "a.npz")["features"] for f in ("slow", "clip"))
    np.testing.assert_array_equal(item["video"].data, np.concatenate([slow[:5], clip], axis=1).astype("f4"))
    np.testing.assert_array_equal(item["audio"].data, np.load(files / "audio" / "a.npy")[:5].astype("f4"))
    assert item["saliency"].data.tolist() == [0, 1, 0.5, 0, 0]
    assert item["boundary"].data.tolist() == [[2, 6]]


def test_collate_pads_as_the_model_expects(files):
    write_labels(files, [label(), label(2, "b", duration=6) | dict(relevant_windows=[[0, 2], [4, 6]])])
    np.save(files / "audio/b.npy", np.ones((5, 4)))
    batch = collate([dataset(files)[i] for i in range(2)])
    tensors = {k: v.data[0] for k, v in batch.items()}
    assert tensors["saliency"][1].tolist() == [0, 1, 0.5, -1, -1]
    assert torch.all(tensors["video"][1, 3:] == 0)
    assert torch.all(tensors["audio"][1, 3:] == 0)
    assert torch.all(tensors["query"][0, 2:] == float("inf"))
    assert torch.isfinite(tensors["query"][1]).all()
    assert tensors["boundary"][0].tolist() == [[2, 6], [-1, -1]]


def test_a_split_without_labels_works(files):
    bare = {k: v for k, v in label().items() if k in ("qid", "query", "vid", "duration")}
    write_labels(files, [bare])
    item = dataset(files, audio_path=None)[0]
    assert item["saliency"].data.tolist() == [1] * 5
    assert item["boundary"].data.tolist() == [[-1, -1]]
    assert "audio" not in item


def test_the_cache_returns_the_same_items(files):
    plain, cached = dataset(files), dataset(files, cache=True)
    for _ in range(2):
        for key in ("video", "audio", "query"):
            assert torch.equal(plain[1][key].data, cached[1][key].data)
    (files / "slow" / "b.npz").unlink()
    assert cached[1]["video"].data.shape == (5, 5)


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared is missing")
def test_the_public_files_are_read():
    one = SHARED / "data" / "qvhighlights" / "one_sample"
    data = QVHighlights(str(one / "label.jsonl"), [str(one / f"{n}_video_features") for n in ("slowfast", "clip")],
                        str(one / "clip_text_features"), video_dims=[2304, 512])
    assert data.check() == []
    item = data[0]
    assert (item["video"].data.shape, item["query"].data.shape) == ((75, 2816), (13, 512))
    assert item["saliency"].data[:2].tolist() == [0.75, 0.75]
    assert item["saliency"].data[15] == 0
    assert item["boundary"].data.tolist() == [[0, 30], [78, 110]]


def outputs(data):
    """Return the outputs that the engine collects, two batches nested as in nncore."""
    blob = []
    for i in range(2):
        meta = collate([data[i]])["meta"].data
        boundary = torch.tensor([[[4.0, 30, 0.2], [-2, 3, 0.9], [11, 14, 0.5]]])
        blob.append(dict(meta=meta[0], saliency=torch.linspace(0, 1, 7)[None], boundary=boundary))
    return blob


def test_predictions_are_clipped_to_the_video_and_sorted(files):
    data = dataset(files)
    lines = data.predictions(outputs(data))
    assert lines[1]["qid"] == 2
    assert lines[1]["vid"] == "b"
    assert lines[1]["query"] == "query 2"
    assert lines[0]["pred_saliency_scores"] == [0, 0.1667, 0.3333, 0.5, 0.6667]
    assert lines[0]["pred_relevant_windows"] == [[0, 3, 0.9], [4, 10.5, 0.2]]


def test_queries_that_a_sampler_repeats_count_once(files):
    data = dataset(files)
    blob = outputs(data)
    assert data.predictions([*blob, blob[0]]) == data.predictions(blob)


def test_batches_are_trimmed_to_the_length_of_each_video(files):
    """Pass a batch through nncore's collate and containers, as the engine does."""
    write_labels(files, [label(), label(2, "b", duration=6)])
    np.save(files / "audio/b.npy", np.ones((5, 4)))
    data = dataset(files)
    batch = collate([data[i] for i in range(2)])
    saliency = torch.arange(10.0).view(2, 5)
    line_a, line_b = data.predictions([dict(meta=batch["meta"], saliency=saliency)])
    assert line_a["pred_saliency_scores"] == [0, 1, 2, 3, 4]
    assert line_b["pred_saliency_scores"] == [5, 6, 7]
    assert "pred_relevant_windows" not in line_a


def test_a_split_without_annotations_is_predicted_but_not_evaluated(files, caplog):
    write_labels(files, [{k: v for k, v in label(q, v).items() if k in ("qid", "query", "vid", "duration")}
                         for q, v in ((1, "a"), (2, "b"))])
    data = dataset(files)
    assert data.evaluate(outputs(data), logger=logging.getLogger("test")) == {}
    assert "l.jsonl has neither relevant_windows nor saliency_scores; no metrics are computed" in caplog.text
    assert len(data.predictions(outputs(data))) == 2


def test_a_query_without_relevant_windows_is_trained_on_and_evaluated(files):
    write_labels(files, [label(), label(2, "b") | dict(relevant_windows=[], relevant_clip_ids=[], saliency_scores=[])])
    data = dataset(files)
    assert data[1]["boundary"].data.tolist() == [[-1, -1]]
    assert data[1]["saliency"].data.tolist() == [0] * 5
    assert data.evaluate(outputs(data))["MR-full-R1@0.5"] == 0


def test_evaluate_scores_the_predictions(files):
    data = dataset(files)
    metrics = data.evaluate(outputs(data))
    assert metrics["HL-min-Fair-Hit1"] == 0
    assert metrics["MR-full-mAP@0.5"] == 0
    blob = outputs(data)
    for batch in blob:
        batch["saliency"] = torch.tensor([[0.0, 1, 0.5, 0, 0]])
        batch["boundary"] = torch.tensor([[[2.0, 6, 1]]])
    assert data.evaluate(blob)["MR-full-mAP"] == data.evaluate(blob)["HL-min-VeryGood-Hit1"] == 100


def spoil(path, **arrays):
    path.unlink()
    if arrays:
        np.savez(path, **arrays)


@pytest.mark.parametrize("damage, message", [
    (lambda f: spoil(f / "slow" / "b.npz"), "slow/b.npz: no such feature file"),
    (lambda f: (f / "slow" / "b.npz").write_bytes(b"text"), "slow/b.npz: cannot be read as a feature file"),
    (lambda f: spoil(f / "clip" / "b.npz", other=np.ones((5, 2))), "clip/b.npz: no 'features' in it, only other"),
    (lambda f: spoil(f / "clip" / "b.npz", features=np.full((5, 2), np.nan)), "clip/b.npz: contains NaN"),
    (lambda f: spoil(f / "clip" / "b.npz", features=np.ones((2, 2))), "slow: 6, .*clip: 2.*; extract all of them"),
    (lambda f: np.save(f / "audio" / "b.npy", np.ones((2, 4))),
     "b: features have 2 clips, but the label's 10.5 s are 5 clips"),
    (lambda f: long_files(f, 8),
     "b: features have 8 clips, but the label's 10.5 s are 5 clips.*; extract the features of this video again"),
    (lambda f: spoil(f / "clip" / "b.npz", features=np.ones((5, 9))),
     "clip/b.npz: width 9, but a.npz in its folder has width 2"),
    (lambda f: np.save(f / "audio" / "b.npy", np.ones((5, 9))),
     "audio/b.npy: width 9, but a.npy in its folder has width 4"),
    (lambda f: spoil(f / "text" / "qid2.npz", last_hidden_state=np.ones((3, 9))),
     "qid2.npz: width 9, but qid1.npz in its folder has width 5"),
    (lambda f: spoil(f / "text" / "qid2.npz", last_hidden_state=np.ones(5)), r"qid2.npz: features have shape \(5,\)"),
])
def test_check_and_access_report_the_same_error(files, damage, message):
    damage(files)
    data = dataset(files, video_dims=[3, 2])
    errors = data.check()
    assert len(errors) == 1
    assert re.search(message, str(errors[0]))
    assert errors[0].problem.endswith(f"(needed by {files / 'l.jsonl'}, line 2)")
    assert data[0]["video"].data.shape == (5, 5)
    with pytest.raises(InputError, match=message):
        data[1]


def long_files(files, rows):
    """Write features with `rows` rows, as of another video under the same name."""
    for folder, width in (("slow", 3), ("clip", 2)):
        spoil(files / folder / "b.npz", features=np.ones((rows, width)))
    np.save(files / "audio" / "b.npy", np.ones((rows, 4)))


def test_the_number_of_rows_may_differ_by_two(files):
    long_files(files, 7)
    assert dataset(files).check() == []
    assert len(dataset(files)[1]["video"].data) == 5
    long_files(files, 3)
    assert dataset(files).check() == []
    assert len(dataset(files)[1]["saliency"].data) == 3


def test_features_of_another_clip_length_are_named(files):
    np.save(files / "audio/a.npy", np.ones((10, 4)))
    assert "a: features have 10 clips, but the label's 10.5 s are 5 clips" in str(dataset(files).check()[0])
    np.savez(files / "slow/b.npz", features=np.ones((10, 3)))
    assert (f"b: the number of clips differs between folders ({files / 'slow'}: 10, {files / 'clip'}: 5)"
            in str(dataset(files).check()[1]))


@pytest.mark.parametrize("dims", [5, [3, 2], (3, 2), None])
def test_matching_widths_pass(files, dims):
    assert dataset(files, video_dims=dims).check() == []


@pytest.mark.parametrize("dims, shown", [(7, "7"), ([2, 3], "[2, 3]"), ([5], "[5]"), ([3, 2, 2], "[3, 2, 2]")])
def test_folders_in_another_order_or_width_are_named(files, dims, shown):
    data = dataset(files, video_dims=dims)
    message = (f"{files / 'slow'} (3) + {files / 'clip'} (2) have total width 5, but video_dims in the config "
               f"is {shown}")
    error, = data.check()
    assert str(error).startswith(f"a, b: {message}")
    assert error.hint == "specify the folders that the model expects, in its order"
    with pytest.raises(InputError, match=re.escape(message)):
        data[0]


def many_videos(files, num=30):
    """Write labels and features of videos v0, v1, ...; return a function that builds their dataset."""
    write_labels(files, [label(i, f"v{i}") for i in range(num)])
    for i in range(num):
        for name in ("slow", "clip"):
            os.link(files / name / "a.npz", files / name / f"v{i}.npz")
        os.link(files / "audio/a.npy", files / f"audio/v{i}.npy")
        os.link(files / "text/qid1.npz", files / f"text/qid{i}.npz") if i not in (1, 2) else None
    return files


@pytest.mark.parametrize("cache, number", [(False, 0), (True, 0), (False, 17), (True, 29)])
@pytest.mark.parametrize("folder, key", [("clip", "v{}.npz"), ("audio", "v{}.npy"), ("text", "qid{}.npz")])
def test_the_one_file_of_another_width_is_named(files, cache, number, folder, key):
    many_videos(files)
    odd = files / folder / key.format(number)
    odd.unlink()
    values = np.ones((5, 9), np.float32)
    np.save(odd, values) if odd.suffix == ".npy" else np.savez(odd, features=values, last_hidden_state=values)
    expected, num_others = dict(clip=(2, 31), audio=(4, 31), text=(5, 29))[folder]
    error, = dataset(files, video_dims=[3, 2], cache=cache).check()
    assert str(error) == (f"{odd}: width 9, but {num_others} other files in its folder have width {expected} (needed by "
                          f"{files / 'l.jsonl'}, line {number + 1}); extract both with the same encoder")


def test_an_odd_first_file_is_named_on_access_too(files):
    many_videos(files, 9)
    (files / "clip/v0.npz").unlink()
    np.savez(files / "clip/v0.npz", features=np.ones((5, 9)))
    data = dataset(files)
    assert data[0]["video"].data.shape == (5, 12)   # Nothing is known about the others yet.
    with pytest.raises(InputError, match=r"clip/v0\.npz: width 9, but 10 other files in its folder have width 2"):
        data[1]
    assert data[1]["video"].data.shape == (5, 5)
    with pytest.raises(InputError, match=r"clip/v0\.npz: width 9, but 10 other"):
        data[0]


@pytest.mark.parametrize("values, message", [
    (np.full((5, 2), np.nan), "contains NaN or infinity"), (np.ones(5), r"features have shape \(5,\), not \(rows, width\)"),
    (np.ones((1, 5, 2)), r"features have shape \(1, 5, 2\)"), (np.ones((0, 2)), r"contains float64 of shape \(0, 2\)"),
    (np.full((5, 2), "x"), "contains <U1"), (np.ones((5, 2), complex), "contains complex128"),
    (np.full((5, 2), None), "Object arrays cannot be loaded")])
def test_one_invalid_file_among_many_is_one_error(files, values, message):
    many_videos(files)
    (files / "clip/v0.npz").unlink()
    np.savez(files / "clip/v0.npz", features=values)
    error, = dataset(files).check()
    assert re.search(rf"clip/v0\.npz: .*{message}.* \(needed by .*l\.jsonl, line 1\)", str(error))


def test_the_same_problem_of_several_files_is_one_error(files):
    many_videos(files)
    for number in (3, 7, 20, 21, 29):
        (files / f"clip/v{number}.npz").unlink()
    for number in (5, 8):
        (files / f"audio/v{number}.npy").unlink()
        np.save(files / f"audio/v{number}.npy", np.full((5, 4), np.inf))
    assert list(map(str, dataset(files).check())) == [
        f"{files / 'clip'}: 5 files (v3.npz, v7.npz, v20.npz and 2 more): no such feature file (needed by "
        f"{files / 'l.jsonl'}, line 4, line 8, line 21 and 2 more); create it with tools/extract_features.py",
        f"{files / 'audio'}: 2 files (v5.npy, v8.npy): contains NaN or infinity (needed by {files / 'l.jsonl'}, line 6, "
        "line 9); create it again"]


@pytest.mark.parametrize("argument, name", [("video_path", "none"), ("audio_path", "none"), ("query_path", "none"),
                                            ("audio_path", "deep/er/none"), ("video_path", "none/{vid}.npz"),
                                            ("video_path", "none/{vid}/clip.npz")])
def test_a_missing_folder_is_one_error_and_other_folders_are_checked(files, argument, name):
    many_videos(files)
    (files / "slow/v7.npz").unlink()
    np.savez(files / "slow/v7.npz", features=np.full((5, 3), np.nan))
    path = str(files / name)
    errors = dataset(files, **{argument: [str(files / "slow"), path] if argument == "video_path" else path}).check()
    assert [str(error).split(" (")[0] for error in errors] == [
        f"{files / name.split('/{')[0]}: no such folder of features; create it with tools/extract_features.py, or correct "
        "the path in the config", f"{files / 'slow/v7.npz'}: contains NaN or infinity"]


def test_a_missing_query_is_named_with_its_line(files):
    write_labels(files, [label(), label(3, "b")])
    error, = dataset(files).check()
    assert error.path == files / "text/qid3.npz"
    assert error.problem.endswith(", line 2)")


def test_reordering_moves_clips_and_labels_together(files):
    r = np.random.default_rng(0)
    np.savez(files / "slow" / "a.npz", features=np.arange(40)[:, None] + np.zeros((40, 3)))
    np.savez(files / "clip" / "a.npz", features=r.random((40, 2)))
    np.save(files / "audio" / "a.npy", np.arange(40)[:, None] + np.zeros((40, 4)))
    inside = [*range(3, 8), *range(20, 30)]
    write_labels(files, [label(duration=80) | dict(relevant_windows=[[6, 16], [40, 60]], relevant_clip_ids=inside,
                                                   saliency_scores=[[1 + c % 4] for c in inside])])
    torch.manual_seed(0)
    data, orders = dataset(files, reorder=True), set()
    for _ in range(50):
        item = {k: v.data for k, v in data[0].items()}
        clips = item["video"][:, 0].long()
        assert sorted(clips.tolist()) == list(range(40))
        assert torch.equal(item["audio"][:, 0].long(), clips)
        expected = torch.tensor([(1 + c % 4) / 4 if c in inside else 0 for c in clips.tolist()])
        assert torch.equal(item["saliency"], expected)
        windows = [c for s, e in item["boundary"].tolist() for c in clips[int(s) // 2:int(e) // 2].tolist()]
        assert sorted(windows) == inside
        orders.add(tuple(clips.tolist()))
    assert len(orders) > 40
