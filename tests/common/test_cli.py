"""Names of files that look like options."""

import argparse

import pytest

from common.cli import parse


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


def test_files_that_begin_with_a_dash_are_files(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-dash.mp4", "--two words.mp4", "-q", "--text", "--tex", "-", "b.mp4"):
        (tmp_path / name).touch()
    found = parse(parser, ["-dash.mp4", "--two words.mp4", "b.mp4", "--tex", "a", "-q", "--text=-dash.mp4"])
    assert found.files == ["./-dash.mp4", "./--two words.mp4", "b.mp4"] and found.text == ["a", "-dash.mp4"] and found.quiet
    assert parse(parser, ["--", "-dash.mp4", "-q"]).files == ["-dash.mp4", "-q"]


def test_what_is_no_file_is_an_unknown_option(parser, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        parse(parser, ["-none.mp4", "a"])
    assert "-none.mp4" in capsys.readouterr().err
