"""The class names of ImageNet are read without importing torchvision, which takes seconds."""

import subprocess
import sys

import pytest

from models.encoders import class_names as module
from models.encoders.class_names import class_names, published_class_names
from tests.paths import ROOT


def test_the_names_are_the_published_ones():
    assert class_names() == published_class_names()
    assert len(class_names()) == 1000


@pytest.mark.slow
def test_torchvision_is_not_imported():
    script = ("import sys; from models.encoders.class_names import class_names; class_names(); "
              "print('torchvision' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("error", [FileNotFoundError, KeyError])
def test_without_the_private_file_the_public_interface_is_used(monkeypatch, error):
    def fail(path):
        raise error(path)

    monkeypatch.setattr(module.runpy, "run_path", fail)
    assert class_names()[281] == "tabby"


def test_if_torchvision_is_not_a_folder_the_public_interface_is_used(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert class_names()[281] == "tabby"
