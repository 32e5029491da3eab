"""Configs are merged, and every error names its file and line."""

import pytest

from common.config import load_config
from common.errors import InputError


def write(folder, **files):
    """Write Python files by name; return the path of the first one."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder / f"{next(iter(files))}.py"


def test_bases_are_merged_in_order_and_the_leaf_overrides_them(tmp_path):
    leaf = write(tmp_path, leaf="_base_ = ['a.py', 'b.py']\nmodel = dict(dims=3)\n",
                 a="import math\nmodel = dict(type='A', dims=1, p=math.floor(2.5))\n_private = 1\n",
                 b="model = dict(dims=2, extra=[1])\n")
    assert load_config(leaf).to_dict() == dict(model=dict(type="A", dims=3, p=2, extra=[1]))


def test_delete_and_repeat_apply_to_the_merged_part(tmp_path):
    leaf = write(tmp_path, leaf="_base_ = ['a.py', 'plugin.py']\n",
                 a="model = dict(gen=dict(type='G', dims=1), dec=dict(cfg=dict(type='D')))\n",
                 plugin="model = dict(gen=dict(_delete_=True, type='H'), dec=dict(cfg=dict(_repeat_=2)))\n")
    assert load_config(leaf).to_dict() == dict(
        model=dict(gen=dict(type="H"), dec=dict(cfg=[dict(type="D"), dict(type="D")])))


def test_many_configs_in_one_process_are_not_confused(tmp_path):
    for i in range(300):   # Of this many configs, nncore's own reader confuses about one pair.
        assert load_config(write(tmp_path, **{f"c{i}": f"seed = {i}\n"})).seed == i


@pytest.mark.parametrize("text, message", [
    pytest.param("model = dict(\n", r"leaf.py, line 1: '\(' was never closed", id="syntax_error"),
    pytest.param("x = 1\ny = missing\n", r"leaf.py, line 2: NameError: name 'missing' is not defined",
                 id="exception"),
    pytest.param("_base_ = 'nowhere.py'\n", r"leaf.py: its _base_ lists .*nowhere.py, which does not exist",
                 id="missing_base"),
    pytest.param("_base_ = 'leaf.py'\n", r"leaf.py: its _base_ includes the file itself; remove the cycle",
                 id="cycle"),
])
def test_an_error_names_its_file_and_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_config(write(tmp_path, leaf=text))


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone.py: no such config"):
        load_config(tmp_path / "gone.py")
