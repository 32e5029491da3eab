"""Test that feature files are read unchanged, and that every error names its file."""

import random

import numpy as np
import pytest

from common.errors import InputError
from datasets.features.folder import read_array, read_matrix


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4"])
def test_values_are_read_as_float32(tmp_path, dtype):
    values = (np.arange(6).reshape(2, 3) * 4).astype(dtype)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", features=values, other=np.ones(3))
    for array in (read_array(tmp_path / "a.npy"), read_matrix(tmp_path / "a.npz", "features")):
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, values)
    assert read_array(tmp_path / "a.npz", "other").tolist() == [1, 1, 1]


def save(path, **arrays):
    np.savez(path, **arrays)


@pytest.mark.parametrize("make, message", [
    (lambda p: None, "a.npz: no such feature file; create it with"),
    (lambda p: p.mkdir(), "a.npz: no such feature file"),
    (lambda p: p.touch(), "a.npz: cannot be read as a feature file"),
    (lambda p: p.write_bytes(b"PK\3\4 cut off"), "a.npz: cannot be read as a feature file"),
    (lambda p: save(p, other=np.ones((2, 2))), "a.npz: no 'features' in it, only other"),
    (lambda p: save(p), "a.npz: no 'features' in it, only nothing"),
    # An array of objects would be unpickled.
    (lambda p: save(p, features=np.array([{"code": 1}])), "a.npz: cannot be read as a feature file"),
    (lambda p: save(p, features=np.array([["a"]])), r"a.npz: contains <U1 of shape \(1, 1\), not features"),
    (lambda p: save(p, features=np.ones((0, 4))), r"a.npz: contains float64 of shape \(0, 4\), not features"),
    (lambda p: save(p, features=np.ones(4)), r"a.npz: features have shape \(4,\), not \(rows, width\)"),
    (lambda p: save(p, features=np.array([[1, np.nan]])), "a.npz: contains NaN or infinity"),
    # 1e300 is infinite in float32.
    (lambda p: save(p, features=np.array([[1, 1e300]])), "a.npz: contains NaN or infinity"),
])
def test_an_error_names_its_file(tmp_path, make, message):
    make(tmp_path / "a.npz")
    with pytest.raises(InputError, match=message):
        read_matrix(tmp_path / "a.npz", "features")


def test_damaged_files_are_input_errors_whatever_numpy_raises(tmp_path):
    """Change random bytes or truncate files: either the values can still be read, or an InputError names the file."""
    features = np.random.default_rng(0).random((20, 8))
    savers = {"a.npz": np.savez, "b.npz": np.savez_compressed, "c.npy": lambda path, features: np.save(path, features)}
    r, refused = random.Random(0), 0
    for name, saver in savers.items():
        saver(tmp_path / name, features=features)
        complete = (tmp_path / name).read_bytes()
        for _ in range(150):
            damaged = bytearray(complete)
            for _ in range(r.choice([1, 3, 20])):
                damaged[r.randrange(len(damaged))] = r.randrange(256)
            (tmp_path / name).write_bytes(damaged[:r.choice([len(damaged), r.randrange(len(damaged))])])
            try:
                assert read_matrix(tmp_path / name, "features").ndim == 2
            except InputError as err:
                assert str(err).startswith(f"{tmp_path / name}: ")
                refused += 1
    assert refused > 200


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, ">f2", ">f4"])
def test_every_kind_of_number_is_read_as_numpy_reads_it(tmp_path, dtype):
    values = np.array([[0, -0.0, 1, -2.5, 65504], [6e-8, 1e-4, 3, 7, 0.1]]).astype(dtype)
    np.save(tmp_path / "v.npy", values)
    found = read_array(tmp_path / "v.npy")
    assert found.dtype == np.float32
    assert np.array_equal(found, values.astype(np.float32))
    assert found.flags.writeable
