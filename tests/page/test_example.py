import io

import numpy as np
from PIL import Image

from page.example import FILMED, make_example
from sample_set.make import render_one
from sample_set.plan import draw_scripts


def test_an_example_is_filmed_where_there_is_none(tmp_path):
    example = make_example(tmp_path / "made", tmp_path / "none")
    assert example.path.is_relative_to(tmp_path / "made") and example.duration_s == 60
    assert len(example.sentences) == 2 and example.cues
    assert np.asarray(Image.open(io.BytesIO(example.poster))).std() > 10   # something is to be seen


def test_the_sample_set_is_taken_where_it_is(tmp_path, monkeypatch):
    sample = tmp_path / "sample"
    for name in ("videos", "subtitles"):
        (sample / name).mkdir(parents=True)
    script = draw_scripts(FILMED)[2]
    render_one(script, FILMED, sample)
    monkeypatch.setattr("page.example.VIDEO", script.vid)
    (sample / "test.jsonl").write_text(
        f'{{"vid": "other", "kind": "scene", "query": "no", "relevant_windows": [[0, 4]]}}\n'
        f'{{"vid": "{script.vid}", "kind": "sound", "query": "no", "relevant_windows": [[0, 4]]}}\n'
        f'{{"vid": "{script.vid}", "kind": "scene", "query": "a tree", "relevant_windows": [[10, 14]]}}\n'
        f'{{"vid": "{script.vid}", "kind": "scene", "query": "one tree", "relevant_windows": [[10, 14]]}}\n')
    example = make_example(tmp_path / "made", sample)
    assert example.path == sample / "videos" / f"{script.vid}.mp4" and example.sentences == ("a tree",)
    assert not (tmp_path / "made").exists()
