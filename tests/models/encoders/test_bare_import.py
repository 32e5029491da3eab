"""models/encoders/bare_import.py: a package's module, without what the package does when imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from models.encoders.bare_import import import_bare

ROOT = Path(__file__).parents[3]
PROBE = """
import os, subprocess, sys
def forbidden(*args, **kwargs): raise AssertionError(f"ran {args}")
os.system = subprocess.Popen = forbidden
from models.encoders.bare_import import import_bare
print(import_bare("panns_inference", "models", "panns-inference").Cnn14.__name__)
print(import_bare("clip", "model", "openai-clip").CLIP.__name__)
print(sorted({"panns_inference", "panns_inference.config", "clip", "clip.clip", "pkg_resources"} & set(sys.modules)))
"""


def test_runs_no_command_fetches_nothing_and_touches_no_home(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True,
                          env={"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(tmp_path / "mpl")})
    assert done.stdout.split("\n")[:3] == ["Cnn14", "CLIP", "[]"], done.stderr
    assert not (tmp_path / "panns_data").exists()


def test_init_is_not_run_and_neighbours_are_found(tmp_path, monkeypatch):
    package = tmp_path / "loudpackage"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('was run')")
    (package / "quiet.py").write_text("from .other import VALUE")
    (package / "other.py").write_text("VALUE = 7")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_bare("loudpackage", "quiet", "loud-package").VALUE == 7
    assert "loudpackage" not in sys.modules


def test_names_the_missing_package():
    with pytest.raises(InputError, match=r"the package no-such is not installed; pip install -r"):
        import_bare("no_such_package", "models", "no-such")
