import csv
import json

import numpy as np
import pytest

from common.config import load_config
from datasets import HotstarHighlight865
from tests.paths import ROOT
from tools.make_rated_sample import main
from tools.process_feature_and_label import main as process

CONFIG = ROOT / "configs/hotstar/umt_base_200e_hotstar_highlight_865_clip_panns.py"


@pytest.fixture
def sample(tmp_path):
    assert main(["--out", str(tmp_path / "d"), "--episodes", "3", "--clips", "4"]) == 0
    return tmp_path / "d"


def test_every_file_states_that_the_set_is_synthetic(sample, capsys):
    with (sample / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["video"] for row in rows} == {"made_up_e00", "made_up_e01", "made_up_e02"}
    assert all(row["clip"].startswith(row["video"] + "_") for row in rows)
    assert "These ratings do not come from people" in (sample / "README.md").read_text()


def test_the_printed_commands_create_a_dataset_of_a_stock_config(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--episodes", "3", "--clips", "4"]) == 0
    printed = capsys.readouterr().out.splitlines()
    command = next(line for line in printed if "process_feature_and_label.py" in line).split()
    assert command[0] == "python"
    assert process(command[2:]) == 0
    cfg = json.loads(json.dumps(load_config(CONFIG).data.train).replace("data/hotstar_highlight_865", str(tmp_path)))
    dataset = HotstarHighlight865(**{key: value for key, value in cfg.items() if key not in ("type", "loader")})
    assert dataset.check() == []
    assert dataset[0]["video"].data.shape == (75, 512)
    assert dataset[0]["audio"].data.shape == (75, 2048)
    assert dataset.labels[0]["video"].startswith("made_up_")
    assert dataset.labels[0]["vid"].startswith("made_up_")
    # The text features contain their text, so tools/extract_features.py recognizes them as complete.
    for label in dataset.labels:
        with np.load(tmp_path / f"clip_text_b32/qid{label['qid']}.npz") as text:
            assert str(text["text"]) == label["query"]
            assert text["pooler_output"].shape == (512,)


def test_a_folder_of_real_ratings_is_not_replaced(sample, tmp_path, capsys):
    # A synthetic set is replaced.
    assert main(["--out", str(sample), "--episodes", "2", "--clips", "1"]) == 0
    (tmp_path / "real").mkdir()
    (tmp_path / "real/ratings.csv").write_text("clip,video,start,end,rating\n")
    assert main(["--out", str(tmp_path / "real")]) == 2
    assert "real: contains files that are not a synthetic set; specify a new or empty folder" in capsys.readouterr().err
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["ratings.csv"]
