"""Evaluations of prediction files, with the metrics of baselines."""

import json

import h5py
import numpy as np
import pytest

from common.errors import InputError
from datasets.eval.benchmarks import (
    EVALUATORS,
    Evaluation,
    evaluate_charades,
    evaluate_qvhighlights,
    evaluate_summary,
    evaluate_tvsum,
    evaluate_youtube,
    tvsum_evaluation,
    youtube_evaluation,
)
from pipelines.selection.knapsack import key_frames
from tests.golden.inputs import charades_pairs, qvhighlights_pairs, read_golden, tvsum_pairs, youtube_pairs


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_qvhighlights_files(tmp_path):
    predictions, labels = qvhighlights_pairs()
    pred = write_lines(tmp_path / "p.jsonl", predictions)
    label = write_lines(tmp_path / "l.jsonl", [dict(row, query="q", vid=f"v{row['qid']}") for row in labels])
    evaluation = evaluate_qvhighlights(pred, label)
    assert evaluation.full == read_golden("evaluators")["qvhighlights"]
    assert evaluation.metrics == evaluation.full["brief"]
    assert evaluation.oracle()["MR-full-R1@0.7"] == 100
    assert evaluation.random()["MR-full-R1@0.7"] < 20
    assert evaluation.human is None
    with pytest.raises(InputError, match="is not a clip length"):
        evaluate_qvhighlights(pred, label, 0)


def test_tvsum_files(tmp_path):
    scores, ratings = tvsum_pairs()
    label = tmp_path / "l.json"
    label.write_text(json.dumps({vid: dict(anno=rows) for vid, rows in ratings.items()}))
    pred = write_lines(tmp_path / "p.jsonl", [dict(vid=vid, pred_saliency_scores=row) for vid, row in scores.items()])
    assert evaluate_tvsum(pred, label).metrics == dict(mAP=read_golden("evaluators")["tvsum_top5_map"])
    with pytest.raises(InputError, match="no labels for the validation videos of BK"):
        evaluate_tvsum(pred, label, "BK")


def test_missing_clips_rank_last(tmp_path):
    """Two of four scores are missing; the clips that are not scored rank behind the negative ones."""
    (tmp_path / "l.json").write_text(json.dumps(dict(v=dict(anno=[[1], [1], [5], [5]]))))
    pred = write_lines(tmp_path / "p.jsonl", [dict(vid="v", pred_saliency_scores=[-3, -2])])
    precision = [0, 0, 1 / 3, 2 / 4]
    area = ((precision[1] + precision[2]) / 2 + (precision[2] + precision[3]) / 2) / 2
    assert evaluate_tvsum(pred, tmp_path / "l.json").metrics == dict(mAP=round(area, 5))


def test_youtube_files(tmp_path):
    scores, matches = youtube_pairs()
    label = tmp_path / "l.json"
    label.write_text(json.dumps({vid: dict(match=row) for vid, row in matches.items()}))
    pred = write_lines(tmp_path / "p.jsonl", [dict(vid=vid, pred_saliency_scores=row) for vid, row in scores.items()])
    evaluation = evaluate_youtube(pred, label)
    assert evaluation.metrics == evaluation.full == dict(mAP=read_golden("evaluators")["youtube_map"])
    assert evaluation.oracle() == dict(mAP=round(5 / 6, 5))   # The last video has no highlight.


def test_matches_without_a_score_are_ignored():
    assert youtube_evaluation(dict(v=[2, 1]), dict(v=[1, -1, 1])).metrics == dict(mAP=1)


@pytest.mark.parametrize("evaluate", [tvsum_evaluation, youtube_evaluation])
def test_random_scores_are_the_mean_of_twenty_seeds(evaluate):
    truth = dict(a=np.array([1.0, 0, 0, 1, 0, 0]), b=np.array([0.0, 1, 0, 0]))
    if evaluate is tvsum_evaluation:
        truth = {vid: rows[:, None] for vid, rows in truth.items()}
    scores = {vid: np.arange(float(len(rows))) for vid, rows in truth.items()}
    draws = []
    for seed in range(20):
        r = np.random.default_rng(seed)
        draws.append(evaluate({vid: r.random(len(rows)) for vid, rows in truth.items()}, truth).metrics["mAP"])
    assert evaluate(scores, truth).random() == dict(mAP=round(np.mean(draws), 5))
    assert len(set(draws)) > 10


def test_charades_files(tmp_path):
    predictions, labels = charades_pairs()
    label = tmp_path / "l.txt"
    label.write_text("".join("v{} {} {}##text\n".format(row["qid"] % 7, *row["relevant_windows"][0]) for row in labels))
    pred = write_lines(tmp_path / "p.jsonl", [dict(row, qid=row["qid"] + 1) for row in predictions])
    evaluation = evaluate_charades(pred, label)
    assert evaluation.metrics == evaluation.full == pytest.approx(read_golden("evaluators")["charades"])
    assert set(evaluation.oracle().values()) == {1}
    first = evaluation.random()
    assert evaluation.random() == first
    # Windows end before the last labeled moment of a video, so that moments of 2 to 12 s in 14 to 32 s are hit.
    assert 0.02 < first["Rank1@0.5"] < first["Rank5@0.5"] < 0.6


@pytest.fixture
def summaries(tmp_path):
    """Write labels of three videos, of which the last one has no annotators, predictions, and two folds."""
    r = np.random.default_rng(0)
    with h5py.File(tmp_path / "l.h5", "w") as file:
        for i in range(3):
            group = file.create_group(f"video_{i}")
            users = r.integers(1, 6, (4, 10))
            values = dict(gtscore=users.mean(axis=0), change_points=[[a, a + 9] for a in range(0, 100, 10)], n_frames=100,
                          picks=np.arange(0, 100, 10))
            if i < 2:
                kept = np.zeros((4, 100), dtype=int)
                for row, shot in zip(kept, users.argmax(axis=1), strict=True):
                    row[10 * shot:10 * shot + 10] = 1
                values.update(user_scores=users, user_summary=kept)
            for key, value in values.items():
                group.create_dataset(key, data=value)
    (tmp_path / "s.json").write_text(json.dumps([dict(train_keys=["video_0"], test_keys=["video_1"]),
                                                 dict(train_keys=["video_1"], test_keys=["video_9"])]))
    write_lines(tmp_path / "p.jsonl", [dict(vid=f"video_{i}", scores=r.random(10).tolist()) for i in range(3)])
    return tmp_path


def test_summary_files(summaries):
    evaluation = evaluate_summary(summaries / "p.jsonl", summaries / "l.h5", key_frames)
    assert list(evaluation.by_video) == ["video_0", "video_1", "video_2"]
    assert set(evaluation.by_video["video_0"]) == {"kendall", "spearman", "f1_avg", "f1_max"}
    assert set(evaluation.by_video["video_2"]) == set(evaluation.metrics) == {"kendall", "spearman"}
    assert evaluation.metrics["kendall"] == pytest.approx(
        np.mean([row["kendall"] for row in evaluation.by_video.values()]), abs=1e-5)
    assert evaluation.full == dict(mean=evaluation.metrics, videos=evaluation.by_video)
    assert evaluation.note.startswith("1 of 3 videos have no user_scores;")
    assert evaluation.oracle()["kendall"] > 0.3
    assert abs(evaluation.random()["kendall"]) < 0.3
    for metrics in (evaluation.metrics, evaluation.oracle(), evaluation.random(), *evaluation.by_video.values()):
        assert all(value == round(value, 5) for value in metrics.values())


def test_one_fold_is_evaluated(summaries):
    files = summaries / "p.jsonl", summaries / "l.h5", key_frames, summaries / "s.json"
    evaluation = evaluate_summary(*files, 0)
    assert list(evaluation.by_video) == ["video_1"]
    assert evaluation.metrics == evaluation.by_video["video_1"]
    assert evaluation.note == ""
    assert set(evaluation.human()) == {"kendall", "spearman", "f1_avg", "f1_max"}
    with pytest.raises(InputError, match="no video 'video_9', which .* names; did you mean 'video_"):
        evaluate_summary(*files, 1)
    with pytest.raises(InputError, match="needs --fold, from 0 to 1"):
        evaluate_summary(*files)
    with pytest.raises(InputError, match="--fold 1 needs --split"):
        evaluate_summary(*files[:3], None, 1)


def test_every_benchmark_has_an_evaluator():
    assert list(EVALUATORS) == ["qvhighlights", "tvsum", "youtube", "charades", "summary"]
    assert Evaluation({}).random() == Evaluation({}).oracle() == {}
