"""A tiny sample set, generated once for all tests in this folder."""

import pytest

from sample_set.make import make_sample
from sample_set.script import Setting

TINY = Setting(seed=3, videos=3, min_duration_s=20, max_duration_s=24, width_px=160, height_px=90)


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory):
    out = tmp_path_factory.mktemp("sample") / "set"
    assert make_sample(out, TINY, workers=1, progress=False)
    return out


@pytest.fixture(scope="session")
def tiny():
    return TINY
