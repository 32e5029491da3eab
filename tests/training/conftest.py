"""A small synthetic dataset that the training tests share."""

import json

import numpy as np
import pytest

import datasets

datasets.register()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Create a folder with 17 videos of ten clips; the query states which of two features is high in the window."""
    root = tmp_path_factory.mktemp("tiny")
    r = np.random.default_rng(0)
    for folder in ("video", "text"):
        (root / folder).mkdir()
    for split, qids in (("train", range(12)), ("val", range(12, 17))):
        lines = []
        for qid in qids:
            start, kind = int(r.integers(0, 7)), qid % 2
            features = r.normal(0, 0.1, (10, 6))
            features[start:start + 3, kind] += 2
            tokens = np.zeros((3, 5))
            tokens[:, kind] = 2
            np.savez(root / "video" / f"v{qid}.npz", features=features)
            np.savez(root / "text" / f"qid{qid}.npz", last_hidden_state=tokens)
            clips = list(range(start, start + 3))
            lines.append(dict(qid=qid, query=f"kind {kind}", vid=f"v{qid}", duration=20,
                              relevant_windows=[[2 * start, 2 * start + 6]], relevant_clip_ids=clips,
                              saliency_scores=[[4, 4, 4]] * 3))
        (root / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root
