import json
import pickle
import re

import pytest

from common.errors import InputError
from page import model_catalog as catalogue
from page.model_catalog import Catalogue, standard_models, trained_model
from tests.paths import ROOT


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path))
    return tmp_path


def test_every_model_says_what_it_is_and_was_measured_at(empty_cache):
    models = standard_models()
    assert [m.key for m in models] == ["standard", "zero-shot", "importance", "sample", "clip"]
    assert all(m.name and m.what.endswith(".") and m.measured.endswith(".") for m in models)
    assert all(m.measured.startswith(("Measured on", "On its", "Not measured here")) for m in models)
    pickle.dumps([m.encoders for m in models])   # they go to another process


@pytest.mark.parametrize("said, source", [(catalogue.MEASURED_ZERO_SHOT, "README.md"), (catalogue.MEASURED_SAMPLE, "README.md"), (catalogue.MEASURED_HEAD, "checkpoints/clip_it_tvsum.md")])
def test_what_was_measured_stands_where_it_was_measured(said, source):
    numbers = re.findall(r"\d+\.\d+", said.replace("R1@0.5", ""))
    text = (ROOT / source).read_text()
    assert len(numbers) >= 2 and all(number in text for number in numbers)


def test_what_is_not_there_says_what_to_do(empty_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(catalogue, "SAMPLE_CHECKPOINT", tmp_path / "best.pth")
    choice = Catalogue(standard_models())
    assert choice.default.key == "standard" and choice.find("standard") is choice.default
    with pytest.raises(InputError, match="ViT-B-32.pt, Cnn14_mAP=0.431.pth"):
        choice.find("clip")
    with pytest.raises(InputError, match="run.sh trains it"):
        choice.find("sample")
    with pytest.raises(InputError, match="did you mean 'zero-shot'"):
        choice.find("zeroshot")
    for key in (None, 3, "x" * 500):
        with pytest.raises(InputError, match="There is no model"):
            choice.find(key)
    for name in ("ViT-B-32.pt", "Cnn14_mAP=0.431.pth"):
        (empty_cache / name).touch()
    assert next(m for m in standard_models() if m.key == "clip").problem == ""


def test_a_trained_model_is_measured_by_the_file_beside_it(tmp_path):
    config, weights = str(ROOT / "configs/sample/umt_sample.py"), tmp_path / "best.pth"
    weights.touch()
    assert trained_model(config, str(weights)).measured == catalogue.NOT_MEASURED
    (tmp_path / "metrics.json").write_text(json.dumps({"split": "test", "MR-full-R1@0.5": 83.33, "MR-full-R1@0.5-random": 3.21}))
    model = trained_model(config, str(weights))
    assert model.measured == "On its test split: MR-full-R1@0.5 83.33, by chance 3.21." and model.key == "umt_sample"
    assert model.recipe == next(m for m in standard_models() if m.key == "zero-shot").recipe   # they share what was watched


def test_models_that_cannot_be_are_refused_at_the_start(tmp_path):
    (tmp_path / "plain.py").write_text("model = dict(type='UMT')\n")
    with pytest.raises(InputError, match="no such checkpoint"):
        standard_models([(str(ROOT / "configs/sample/umt_sample.py"), str(tmp_path / "none.pth"))])
    (tmp_path / "best.pth").touch()
    with pytest.raises(InputError, match="has no 'encoders'"):
        standard_models([(str(tmp_path / "plain.py"), str(tmp_path / "best.pth"))])
    twice = [(str(ROOT / "configs/sample/umt_sample.py"), str(tmp_path / "best.pth"))] * 2
    with pytest.raises(InputError, match="same name"):
        Catalogue(standard_models(twice))
