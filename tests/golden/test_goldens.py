"""The goldens are in the repository, and small."""

import pytest

from tests.golden.inputs import FOLDER, UMT_CONFIGS, read_golden

KEYS = {
    "umt": set(UMT_CONFIGS),
    "evaluators": {"qvhighlights", "tvsum_top5_map", "youtube_map", "charades"},
    "clip_it_modelscope": {"checksum", "cases"},
    "kts": {"cases"},
    "key_shots": {"cases"},
}


@pytest.mark.parametrize("name", KEYS)
def test_every_golden_exists_and_is_small(name):
    assert read_golden(name).keys() == KEYS[name]
    assert 300 < (FOLDER / f"{name}.json").stat().st_size < 10_000


def test_every_golden_file_is_listed():
    assert {path.stem for path in FOLDER.glob("*.json")} == KEYS.keys()
