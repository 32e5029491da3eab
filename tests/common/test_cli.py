"""Command lines whose file names look like options, and the exit statuses of commands."""

import argparse
import signal

import pytest

from common.cli import EXIT_INTERRUPTED, EXIT_INVALID_INPUT, parse, run
from common.errors import InputError


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+")
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


def test_existing_files_that_begin_with_a_dash_are_files_unless_they_match_an_option(parser, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("-dash.mp4", "--two words.mp4", "-q", "--text", "--tex", "-", "b.mp4"):
        (tmp_path / name).touch()
    arguments = parse(parser, ["-dash.mp4", "--two words.mp4", "b.mp4", "--tex", "a", "-q", "--text=-dash.mp4"])
    assert arguments.files == ["./-dash.mp4", "./--two words.mp4", "b.mp4"]
    assert arguments.text == ["a", "-dash.mp4"]
    assert arguments.quiet
    assert parse(parser, ["--", "-dash.mp4", "-q"]).files == ["-dash.mp4", "-q"]


def test_an_unknown_option_that_is_not_a_file_is_an_error(parser, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        parse(parser, ["-none.mp4", "a"])
    assert "-none.mp4" in capsys.readouterr().err


@pytest.mark.parametrize("command, status", [
    pytest.param(lambda: None, 0, id="no_status"),
    pytest.param(lambda: 3, 3, id="status"),
])
def test_a_command_returns_its_status(command, status):
    assert run(command) == status


@pytest.mark.parametrize("error", [
    pytest.param(InputError("a.mp4", "is empty", "copy it again"), id="input_error"),
    pytest.param(OSError("a.mp4: is empty; copy it again"), id="os_error"),
])
def test_an_error_is_one_line_and_status_2(error, capsys):
    def command():
        raise error

    assert run(command) == EXIT_INVALID_INPUT == 2
    assert capsys.readouterr().err == "error: a.mp4: is empty; copy it again\n"


def test_sigterm_interrupts_a_command_and_its_handler_is_restored(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert run(lambda: signal.raise_signal(signal.SIGTERM), interrupted="Stopped.") == EXIT_INTERRUPTED == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(signal.SIGTERM) == before
