"""The names of what the visual encoders see, read without loading all of torchvision."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.encoders import class_names as module
from models.encoders.class_names import class_names, published_class_names


def test_names_are_the_published_ones():
    assert class_names() == published_class_names() and len(class_names()) == 1000


def test_torchvision_is_not_loaded_for_them():
    told = "import sys; from models.encoders.class_names import class_names; class_names(); print('torchvision' in sys.modules)"
    root = Path(module.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", told], cwd=root, capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("fault", [FileNotFoundError, KeyError])
def test_a_torchvision_that_has_the_names_elsewhere_is_asked_in_public(monkeypatch, fault):
    def gone(path):
        raise fault(path)

    monkeypatch.setattr(module.runpy, "run_path", gone)
    assert class_names()[281] == "tabby"


def test_a_torchvision_that_is_not_found_as_a_file_is_asked_in_public(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert class_names()[281] == "tabby"
