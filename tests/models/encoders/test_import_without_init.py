"""Modules of packages are imported without running the `__init__` of the package."""

import os
import subprocess
import sys

import pytest

from common.errors import InputError
from models.encoders.import_without_init import import_without_init
from tests.paths import ROOT

PROBE = """
import os, subprocess, sys
import matplotlib.pyplot   # Its first import runs commands to find fonts.
from models.encoders.import_without_init import import_without_init
def forbidden(*args, **kwargs): raise AssertionError(f"ran {args}")
os.system = subprocess.Popen = forbidden
print(import_without_init("panns_inference", "models", "panns-inference").Cnn14.__name__)
print(import_without_init("clip", "model", "openai-clip").CLIP.__name__)
print([name for name in ("panns_inference", "clip", "pkg_resources") if name in sys.modules])
"""


@pytest.mark.slow
def test_no_command_is_run_and_nothing_is_downloaded(tmp_path):
    env = dict(os.environ, HOME=str(tmp_path), MPLCONFIGDIR=str(tmp_path / "matplotlib"))
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, env=env)
    assert done.stdout.split("\n")[:3] == ["Cnn14", "CLIP", "[]"], done.stderr
    assert not (tmp_path / "panns_data").exists()


def test_init_is_not_run_and_relative_imports_work(tmp_path, monkeypatch):
    package = tmp_path / "faultypackage"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('was run')")
    (package / "module.py").write_text("from .other import VALUE")
    (package / "other.py").write_text("VALUE = 7")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_without_init("faultypackage", "module", "faulty-package").VALUE == 7
    assert "faultypackage" not in sys.modules


def test_a_missing_package_is_named():
    with pytest.raises(InputError, match=r"the package no-such is not installed; pip install -r"):
        import_without_init("no_such_package", "models", "no-such")
