"""Sources of features: folders, patterns of file names and packs."""

import numpy as np
import pytest

from common.errors import InputError
from datasets.features.pack import PackedFeatures, pack_folder
from datasets.features.source import FeatureSource
from tests.datasets.fakes import write_features
from tools.pack_features import main


@pytest.fixture
def folder(tmp_path):
    for name, T in (("b", 3), ("a.0_2.5", 2), ("c", 4)):
        write_features(tmp_path / f"clip/{name}.npz", T, 5, "features", "float16")
    return tmp_path / "clip"


def test_patterns_work_inside_a_pack(tmp_path):
    expected = write_features(tmp_path / "v/x_rgb.npy", 3, 5)
    write_features(tmp_path / "v/x_opt.npy", 3, 5)
    pack = pack_folder(tmp_path / "v")
    np.testing.assert_array_equal(FeatureSource(f"{pack}/{{vid}}_rgb.npy", "").read(vid="x"), expected)


def test_the_key_of_the_array_is_found(tmp_path):
    expected = write_features(tmp_path / "t/qid7.npz", 6, 4, "last_hidden_state")
    np.testing.assert_array_equal(FeatureSource(pack_folder(tmp_path / "t"), "qid{qid}.npz").read(qid=7), expected)
    write_features(tmp_path / "u/qid7.npz", 6, 4, "other")
    message = "none of features, last_hidden_state, token in it; specify the key of its array with --key"
    with pytest.raises(InputError, match=message):
        pack_folder(tmp_path / "u")
    assert len(PackedFeatures(pack_folder(tmp_path / "u", key="other")).data) == 6


def test_a_pack_of_another_key_is_refused(tmp_path, capsys):
    (tmp_path / "t").mkdir()
    np.savez(tmp_path / "t/qid1.npz", features=np.zeros((2, 3)), last_hidden_state=np.ones((2, 3)))
    assert main([str(tmp_path / "t")]) == 0
    with pytest.raises(InputError, match="t.pack: contains 'features' of its files, not 'last_hidden_state'"):
        FeatureSource(tmp_path / "t.pack", "qid{qid}.npz", "last_hidden_state")
    assert main(["--check", str(tmp_path / "t"), "--key", "last_hidden_state"]) == 1
    assert "contains 'features', not 'last_hidden_state'" in capsys.readouterr().err
    assert main([str(tmp_path / "t"), "--key", "last_hidden_state"]) == 0
    assert FeatureSource(tmp_path / "t.pack", "qid{qid}.npz", "last_hidden_state").read(qid=1).mean() == 1


def test_unknown_fields_of_a_pattern_are_named(folder):
    for pattern in ("{video}.npz", "{1}.npz", "{.npz"):
        with pytest.raises(InputError, match="the only field of the pattern is .vid."):
            FeatureSource(folder / pattern, "").read(vid="b")
