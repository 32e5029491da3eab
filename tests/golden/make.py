#!/usr/bin/env python
"""Make the goldens: numbers that the published programs compute on inputs that `inputs.py` draws from seeds.

    python tests/golden/make.py --umt UMT_CHECKOUT    # https://github.com/TencentARC/UMT, commit 7a9a71c
    python tests/golden/make.py --records DIR         # complete outputs of the other programs, see below

`evaluators.json`, from the evaluation code in UMT_CHECKOUT/datasets:

- `qvhighlights`: all metrics of the QVHighlights evaluator in per cent, with two decimals.
- `tvsum_top5_map`, `youtube_map`: with five decimals.
- `charades`: `Rank{k}@{iou}`, after soft-NMS.

`umt.json`, by config: the published UMT on nncore 0.3.6, the release that it was written for, in evaluation mode.

- `checksum`: of the names and shapes in its state dict, see `inputs.checksum`.
- `losses`: by name. `saliency`: (2, 75). `boundary`: (2, 20, 3), the 20 best moments as start s, end s, score.

`clip_it_modelscope.json`: ModelScope's CLIP-It (`checksum` of its state dict without the prefix `model.`); in `cases`,
`stream` and `T` determine the inputs, and `scores` (T,) are the output.

`kts.json`, a list `cases`: `T`, `d`, `nseg` and `stream` determine the features; `ncp` is the maximum number of change
points, `vmax` the weight of the penalty; `change_points` is the output of the reference implementation of KTS.

`key_shots.json`, a list `cases`: shots by their first frames `shot_starts`, `scores` of every `pick_interval`-th frame,
the shots that each of 20 users selected, `user_shots`; and what the evaluation code of the summarization field returns:
`summary_shots`, the selection by knapsack with 15 % of `n_frames`, and its F-scores in per cent, averaged over the
users (`f_avg`, TVSum) and maximal (`f_max`, SumMe).
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.golden import inputs

KEY_SHOT_STREAMS = (504, 505)   # The cases with the fewest shots.


def public_method(path: Path, name: str, namespace: dict):
    """Return a method of a class in a file of UMT, without importing the file, which needs outdated libraries."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)
    scope = dict(namespace)
    exec(compile(ast.Module([function], []), str(path), "exec"), scope)
    return scope[name]


def evaluator_goldens(umt: Path) -> dict:
    """Run the evaluation code of UMT."""
    import nncore
    import torch
    from nncore.ops import temporal_iou

    namespace = dict(torch=torch, nncore=nncore, temporal_iou=temporal_iou)
    spec = importlib.util.spec_from_file_location("evaluation", umt / "datasets/utils/evaluation.py")
    evaluation = importlib.util.module_from_spec(spec)
    sys.modules["evaluation"] = evaluation   # Its worker processes look functions up by this name.
    spec.loader.exec_module(evaluation)
    result = dict(qvhighlights=evaluation.eval_qvhighlights(*inputs.qvhighlights_pairs()))

    scores, ratings = inputs.tvsum_pairs()
    dataset = SimpleNamespace(label={vid: dict(anno=rows) for vid, rows in ratings.items()},
                              get_video_id=list(ratings).__getitem__)
    blob = [dict(saliency=torch.tensor([scores[vid]])) for vid in ratings]
    result["tvsum_top5_map"] = public_method(umt / "datasets/tvsum.py", "evaluate", namespace)(dataset, blob)["mAP"]

    scores, matches = inputs.youtube_pairs()
    dataset = SimpleNamespace(label={vid: dict(match=row) for vid, row in matches.items()},
                              get_video_id=list(matches).__getitem__)
    saliency = public_method(umt / "datasets/youtube.py", "get_saliency", namespace)
    dataset.get_saliency = lambda i: saliency(dataset, i)
    blob = [dict(saliency=torch.tensor([scores[vid]])) for vid in matches]
    result["youtube_map"] = public_method(umt / "datasets/youtube.py", "evaluate", namespace)(dataset, blob)["mAP"]

    predictions, labels = inputs.charades_pairs()
    lines = ["A {} {}##text".format(*label["relevant_windows"][0]) for label in labels]
    parse = public_method(umt / "datasets/charades.py", "parse_boundary", namespace)
    dataset = SimpleNamespace(label=lines, parse_boundary=lambda line: parse(None, line))
    blob = [dict(boundary=torch.tensor([p["pred_relevant_windows"]]), meta=[line])
            for p, line in zip(predictions, lines, strict=True)]
    result["charades"] = public_method(umt / "datasets/charades.py", "evaluate", namespace)(dataset, blob)
    return result


def reduced_records(folder: Path) -> dict[str, dict]:
    """Return goldens by file name, from `umt.json` and `evaluators.json`, which hold complete outputs and inputs."""
    umt, other = (json.loads((folder / name).read_text()) for name in ("umt.json", "evaluators.json"))
    models = {}
    for name, record in umt.items():
        models[name] = dict(checksum=inputs.checksum(record["keys"]), losses=record["losses"],
                            saliency=rounded(record["saliency"], 5))
        if "boundary_top20" in record:
            models[name]["boundary"] = rounded(record["boundary_top20"], 4)
    modelscope = other["modelscope_clipit"]
    shapes = {key.removeprefix("model."): shape for key, shape in modelscope["keys"].items()}
    shots = [dict(n_frames=case["n_frames"], shot_starts=[first for first, _ in case["shots"]],
                  pick_interval=case["picks"][1] - case["picks"][0], scores=case["scores"],
                  user_shots=case["user_shots"], summary_shots=case["summary_shots"], f_avg=case["f_avg"],
                  f_max=case["f_max"])
             for case in other["fscore"] if case["stream"] in KEY_SHOT_STREAMS]
    return dict(umt=models, kts=dict(cases=other["kts"]["cases"]), key_shots=dict(cases=shots),
                clip_it_modelscope=dict(checksum=inputs.checksum(shapes), cases=modelscope["cases"]))


def rounded(value: list | float, digits: int) -> list | float:
    """Round the numbers in nested lists."""
    return [rounded(item, digits) for item in value] if isinstance(value, list) else round(value, digits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--umt", type=Path, metavar="UMT_CHECKOUT")
    parser.add_argument("--records", type=Path, metavar="DIR")
    args = parser.parse_args()
    goldens = reduced_records(args.records) if args.records else {}
    if args.umt:
        goldens["evaluators"] = evaluator_goldens(args.umt)
    for name, golden in goldens.items():
        (inputs.FOLDER / f"{name}.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
        print(f"wrote {name}.json")


if __name__ == "__main__":
    main()
