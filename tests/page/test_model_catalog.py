import json
import pickle
import re

import pytest

from common.errors import InputError
from page import model_catalog
from page.model_catalog import ModelCatalog, importance_metrics, standard_models, trained_model, zero_shot_metrics
from tests.paths import ROOT

SAMPLE_CONFIG = str(ROOT / "configs/sample/umt_sample.py")


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """Return an empty weights cache."""
    monkeypatch.setenv("VIDEO_SUMMARY_CACHE", str(tmp_path))
    return tmp_path


def test_every_model_has_a_description_and_metrics(empty_cache):
    entries = standard_models()
    assert [entry.key for entry in entries] == ["standard", "zero-shot", "importance", "sample", "clip"]
    assert all(entry.name for entry in entries)
    assert all(entry.description.endswith(".") for entry in entries)
    assert all(entry.description.count(".") == 1 for entry in entries)   # One sentence.
    assert all(entry.metrics.endswith(".") for entry in entries)
    assert not any(re.search(r"\d\.\d", entry.description) for entry in entries)   # Figures are in `metrics`.
    pickle.dumps([entry.make_encoders for entry in entries])   # They are sent to another process.


@pytest.mark.parametrize("metrics, sources", [
    pytest.param(zero_shot_metrics, ["README.md", "docs/*.md"], id="zero-shot"),
    pytest.param(lambda: model_catalog.describe_metrics(model_catalog.PUBLISHED_SAMPLE_METRICS),
                 ["README.md", "docs/*.md"], id="sample"),
    pytest.param(importance_metrics, ["README.md", "docs/*.md"], id="importance")])
def test_the_figures_agree_with_the_documents(metrics, sources, monkeypatch, tmp_path):
    monkeypatch.setattr(model_catalog, "SAMPLE_METRICS", tmp_path / "none.json")   # A local run may differ.
    numbers = re.findall(r"\d+\.\d+", metrics().replace("R1@0.5", ""))
    text = "".join(path.read_text() for source in sources for path in ROOT.glob(source))
    assert len(numbers) >= 2
    assert all(number in text for number in numbers)


def test_metrics_of_a_local_run_are_preferred(monkeypatch, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps({"MR-full-R1@0.5-zeroshot": 39.5, "MR-full-R1@0.5-random": 3.2}))
    monkeypatch.setattr(model_catalog, "SAMPLE_METRICS", path)
    assert zero_shot_metrics() == "R1@0.5 on the sample set: 39.5 % (by chance 3.2 %)."


def test_an_unavailable_model_is_explained(empty_cache, monkeypatch, tmp_path):
    monkeypatch.setattr(model_catalog, "SAMPLE_CHECKPOINT", tmp_path / "best.pth")
    catalog = ModelCatalog(standard_models())
    assert catalog.default.key == "standard"
    assert catalog.find("standard") is catalog.default
    with pytest.raises(InputError, match="ViT-B-32.pt, Cnn14_mAP=0.431.pth"):
        catalog.find("clip")
    with pytest.raises(InputError, match="run.sh trains it"):
        catalog.find("sample")
    with pytest.raises(InputError, match="did you mean 'zero-shot'"):
        catalog.find("zeroshot")
    for key in (None, 3, "x" * 500):
        with pytest.raises(InputError, match="there is no model"):
            catalog.find(key)
    for name in ("ViT-B-32.pt", "Cnn14_mAP=0.431.pth"):
        (empty_cache / name).touch()
    assert next(entry for entry in standard_models() if entry.key == "clip").problem == ""


def test_a_trained_model_has_the_metrics_of_the_file_next_to_it(tmp_path):
    weights = tmp_path / "best.pth"
    weights.touch()
    assert trained_model(SAMPLE_CONFIG, str(weights)).metrics == model_catalog.NO_METRICS
    (tmp_path / "metrics.json").write_text(
        json.dumps({"split": "test", "MR-full-R1@0.5": 83.33, "MR-full-R1@0.5-random": 3.21}))
    entry = trained_model(SAMPLE_CONFIG, str(weights))
    assert entry.metrics == "MR-full-R1@0.5 on its test split: 83.33 (by chance 3.21)."
    assert entry.key == "umt_sample"
    # Equal encoders share encoded videos.
    assert entry.encoder_key == next(e for e in standard_models() if e.key == "zero-shot").encoder_key


def test_unusable_models_are_refused_at_the_start(tmp_path):
    (tmp_path / "plain.py").write_text("model = dict(type='UMT')\n")
    with pytest.raises(InputError, match="no such checkpoint"):
        standard_models([(SAMPLE_CONFIG, str(tmp_path / "none.pth"))])
    (tmp_path / "best.pth").touch()
    with pytest.raises(InputError, match="has no 'encoders'"):
        standard_models([(str(tmp_path / "plain.py"), str(tmp_path / "best.pth"))])
    twice = [(SAMPLE_CONFIG, str(tmp_path / "best.pth"))] * 2
    with pytest.raises(InputError, match="same name"):
        ModelCatalog(standard_models(twice))
