"""Command lines whose file names look like options, and the exit statuses of commands."""

import errno
import signal

import pytest

from common.cli import EXIT_INTERRUPTED, EXIT_INVALID_INPUT, ArgumentParser, parse, run
from common.errors import InputError


@pytest.fixture
def parser():
    parser = ArgumentParser()
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


@pytest.mark.parametrize("arguments", [
    ["a", "b", "--text", "x", "-q"], ["a", "--text", "x", "b", "-q"], ["-q", "a", "--text=x", "b"],
    ["--text", "x", "a", "-q", "b"]])
def test_files_may_precede_and_follow_options(parser, arguments):
    found = parse(parser, arguments)
    assert (found.files, found.text, found.quiet) == (["a", "b"], ["x"], True)


def test_an_unknown_option_that_is_not_a_file_is_an_error(parser, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        parse(parser, ["-none.mp4", "a"])
    assert capsys.readouterr().err == "error: unknown option -none.mp4; --help lists all options\n"


@pytest.mark.parametrize("arguments, message", [
    (["a", "--txt", "x"], "unknown option --txt; did you mean --text?"),
    (["a", "--txt=x"], "unknown option --txt; did you mean --text?"),
    (["a", "--txt=a goal"], "unknown option --txt; did you mean --text?"),
    (["--txt", "x"], "unknown option --txt; did you mean --text?"),   # The missing file is not the first error.
    (["a", "--Text", "x"], "unknown option --Text; did you mean --text?"),
    (["a", "-text", "x"], "unknown option -text; did you mean --text?"),
    (["a", "--query", "x"], "unknown option --query; did you mean --text?"),
    (["a", "--text", "x", "--queit"], "unknown option --queit; did you mean --quiet?"),
    (["a", "--zzz"], "unknown option --zzz; --help lists all options"),
    (["a", "--mode", "momnts"],
     "--mode: 'momnts' is not a valid choice; choose summary, moments or shorts; did you mean 'moments'?"),
    (["a", "--mode", "x"], "--mode: 'x' is not a valid choice; choose summary, moments or shorts"),
    (["a", "--count", "x"], "--count: invalid int value: 'x'"),
    ([], "the following arguments are required: files"),
], ids=" ".join)
def test_a_misspelled_option_or_value_is_one_line_with_the_most_similar_one(parser, capsys, arguments, message):
    parser.add_argument("--mode", choices=("summary", "moments", "shorts"))
    parser.add_argument("--count", type=int)
    with pytest.raises(SystemExit) as exit_:
        parse(parser, arguments)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize("arguments, text", [
    (["a", "--text", "-5 degrees"], "-5 degrees"), (["a", "--text=--mode"], "--mode"), (["a", "--text", "-3"], "-3"),
    (["a", "--te", "x"], "x"), (["a", "-q", "--text", "x"], "x")], ids=" ".join)
def test_values_that_resemble_options_are_accepted(parser, arguments, text):
    assert parse(parser, arguments).text == [text]


def test_subcommands_suggest_their_own_options(capsys):
    parser = ArgumentParser()
    commands = parser.add_subparsers(required=True)
    commands.add_parser("qvhighlights").add_argument("--label")
    commands.add_parser("tvsum").add_argument("--domain")
    assert parser.parse_args(["tvsum", "--domain", "BK"]).domain == "BK"
    for arguments, message in ((["qvhighlights", "--labels", "x"], "unknown option --labels; did you mean --label?"),
                               (["qvhighlight"], "'qvhighlight' is not a valid choice; choose qvhighlights or tvsum; "
                                                 "did you mean 'qvhighlights'?")):
        with pytest.raises(SystemExit):
            parser.parse_args(arguments)
        assert message in capsys.readouterr().err


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


@pytest.mark.parametrize("error, message", [
    (OSError(errno.ENOSPC, "No space left on device", "/x/a.mp4"),
     "/x/a.mp4: cannot be written, because the disk is full; free some space, and run the command again"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"),
     "a file cannot be written, because the disk quota is used up; free some space, and run the command again"),
    (OSError(errno.EFBIG, "File too large", "a"),
     "a: cannot be written, because it would exceed the maximum file size; raise the limit (ulimit -f), and run the "
     "command again"),
    (PermissionError(errno.EACCES, "Permission denied", "a"), "a: Permission denied")])
def test_an_error_of_the_system_states_the_file_and_the_reason(error, message, capsys):
    def command():
        raise error

    assert run(command) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_sigterm_interrupts_a_command_and_its_handler_is_restored(capsys):
    before = signal.getsignal(signal.SIGTERM)
    assert run(lambda: signal.raise_signal(signal.SIGTERM), interrupted="Stopped.") == EXIT_INTERRUPTED == 130
    assert capsys.readouterr().err == "Stopped.\n"
    assert signal.getsignal(signal.SIGTERM) == before
