"""Mutation testing: the faults that are inserted into a module, and the verdict of its tests on each of them."""

import os
import subprocess
import sys

import pytest

from common.errors import InputError
from common.paths import ROOT
from tools.mutation.mutants import find_mutants
from tools.mutation.runner import TestFile
from tools.mutation_test import CORE, find_modules, folder_of_tests, main, select_tests


def changes(tmp_path, source):
    """Return the mutants of a module as (line, original, replacement)."""
    (tmp_path / "m.py").write_text(source, encoding="utf-8")
    mutants = find_mutants(tmp_path, tmp_path / "m.py")
    for mutant in mutants:
        assert mutant.path == "m.py"
        changed = mutant.apply(source)
        assert changed != source
        compile(changed, "m.py", "exec")
    return [(mutant.line, mutant.original, mutant.replacement) for mutant in mutants]


@pytest.mark.parametrize(("source", "replacements"), [
    pytest.param("x = a < b", ["(a <= b)", "(a >= b)"], id="comparison"),
    pytest.param("x = a in b", ["(a not in b)"], id="membership"),
    pytest.param("x = a < b <= c", ["(a <= b <= c)", "(a >= b <= c)", "(a < b < c)", "(a < b > c)"], id="chain"),
    pytest.param("x = a + b", ["(a - b)"], id="arithmetic"),
    pytest.param("x = a and b", ["(a or b)"], id="logic"),
    pytest.param("x = not a", ["(a)"], id="negation"),
    pytest.param("x = -a", ["(a)"], id="sign"),
    pytest.param("x = 2", ["(3)"], id="integer"),
    pytest.param("x = 0.5", ["(1.5)"], id="float"),
    pytest.param("x = True", ["(False)"], id="boolean"),
    pytest.param("x = a if b else c", ["(a)", "(c)"], id="conditional"),
    pytest.param("x = ceil(a)", ["(floor(a))"], id="opposite-function"),
    pytest.param("x = np.maximum(a, b)", ["(np.minimum(a, b))"], id="opposite-of-a-module"),
    pytest.param("x = a.argmin()", ["(a.argmax())"], id="opposite-method"),
    pytest.param("x = abs(a)", ["(a)"], id="removed-function"),
    pytest.param("x = np.sqrt(a)", ["(a)"], id="removed-function-of-a-module"),
    pytest.param("x = a.clip(b, c)", ["(a)"], id="removed-method"),
    pytest.param("x = [a for a in b if a]", ["(True)"], id="filter"),
    pytest.param("f(a)", ["pass"], id="statement"),
    pytest.param("a += b", ["a -= b", "pass"], id="augmented-assignment"),
    pytest.param("if a:\n    raise ValueError(f'{1 + 1}', 2)", ["(False)", "(True)", "pass"], id="check"),
    pytest.param("while a:\n    break", ["(False)", "continue"], id="loop"),
    pytest.param("def f(a: int = 1, *, b=2): return a", ["(2)", "(3)"], id="defaults"),
    pytest.param("with f(1):\n    pass", ["(2)"], id="context"),
    pytest.param("try:\n    f(a)\nexcept E:\n    g(a)\nfinally:\n    h(a)", ["pass"] * 3, id="handlers"),
    pytest.param("f = lambda a, b=1: a > b", ["(2)", "(a >= b)", "(a <= b)"], id="lambda"),
])
def test_inserted_changes(tmp_path, source, replacements):
    assert sorted(replacement for *_, replacement in changes(tmp_path, source)) == sorted(replacements)


@pytest.mark.parametrize("source", [
    "import a", "from a import b", '"""1 + 1."""', "x: dict[int, 2]", "def f(a: 'x[1]') -> y[2]: return a",
    "assert 1 < 2", "x = f'{1 + 1}'", "x = 'text'", "print(1, a + b)", "logger.info('%d', 1 + 1)", "__all__ = [1]",
    "BLOCK_SIZE = 128", "x = zip(a, b, strict=True)", "x = build(cfg, location=f(1))",
    "class A:\n    '''Doc.'''", "def f():\n    yield a", "@decorate(1)\ndef f():\n    return a",
    "if TYPE_CHECKING:\n    x = 1", "class A:\n    def __init__(self):\n        super().__init__()",
])
def test_code_without_effect_on_results_is_not_changed(tmp_path, source):
    assert changes(tmp_path, source) == []


def test_lines_and_text_beyond_ascii(tmp_path):
    source = "x = 'ä'  # ß\ny = ('ü', a <\n     b)\n"
    assert changes(tmp_path, source) == [(2, "a <\n     b", "(a <= b)"), (2, "a <\n     b", "(a >= b)")]
    mutant = find_mutants(tmp_path, tmp_path / "m.py")[0]
    assert mutant.apply(source) == "x = 'ä'  # ß\ny = ('ü', (a <= b))\n"
    assert str(mutant) == "m.py:2: a < b  ->  (a <= b)"
    test = TestFile("t.py", dict(a=2.0, b=1.0, c=0.5), {"m.py": {1: ["c"], 2: ["a"], 3: ["b", "gone"]}})
    assert test.tests_of(mutant) == ["b", "a", "c"]
    assert TestFile("t.py", dict(a=2.0, b=1.0), {"m.py": {3: ["a", ""]}}).tests_of(mutant) == ["a", "b"]
    assert TestFile("t.py", dict(a=2.0), {"m.py": {1: ["a"]}, "other.py": {2: ["a"]}}).tests_of(mutant) == []


def test_a_default_depends_on_the_lines_of_its_function(tmp_path):
    (tmp_path / "m.py").write_text("def f(a,\n      b=1):\n    c = a\n    return c\n")
    mutant, = find_mutants(tmp_path, tmp_path / "m.py")
    assert (mutant.line, mutant.last_line, mutant.replacement) == (3, 4, "(2)")


def test_the_core_has_many_mutants():
    modules = find_modules(ROOT, list(CORE))
    assert {str(path.relative_to(ROOT)) for path in modules} >= {
        "models/blocks/attention.py", "datasets/eval/tvsum.py", "pipelines/shots/kts.py"}
    assert len([mutant for module in modules for mutant in find_mutants(ROOT, module)]) > 2000


def test_unknown_paths_are_an_error(capsys):
    with pytest.raises(InputError, match="no such module or folder"):
        find_modules(ROOT, ["pipelines/none"])
    with pytest.raises(InputError, match="no such module or folder"):
        find_modules(ROOT, [".."])
    assert main(["pipelines/none"]) == 2
    assert "error: pipelines/none: no such module or folder of the project" in capsys.readouterr().err


def test_the_tests_of_a_module_run_in_the_order_of_their_time():
    assert str(folder_of_tests(ROOT, "pipelines/shots/kts.py")) == "tests/pipelines/shots"
    assert str(folder_of_tests(ROOT, "models/blocks/attention.py")) == "tests/models"
    mutant = find_mutants(ROOT, ROOT / "pipelines/shots/kts.py")[0]
    def file(name, **seconds):
        path = f"tests/pipelines/{name}"
        lines = {"pipelines/shots/kts.py": {line: list(seconds) for line in range(500)}}
        return TestFile(path, seconds, lines if seconds else {})

    tests = [file("shots/test_slow.py", s1=9), file("shots/test_fast.py", f1=1, f2=0.5), file("shots/test_kts.py", k1=5),
             file("shots/test_other.py"), file("test_summarizer.py", x=1)]
    assert select_tests(ROOT, mutant, tests) == [("k1", 5), ("f2", 0.5), ("f1", 1), ("s1", 9)]


MODULE = """def clip(x, low, high):
    if x < low:
        return low
    return min(x, high)


def forever(n):
    while n > 0:
        n -= 1
    return n


def untested(x):
    return x + 1
"""
TESTS = """from app.core.m import clip, forever


def test_clip():
    assert [clip(x, 0, 2) for x in (-1, 0, 1, 2, 3)] == [0, 0, 1, 2, 2]


def test_forever():
    assert forever(3) == 0
"""
RUN = """
import sys
from pathlib import Path
import coverage, pytest   # Forked processes need not import them.
sys.path.insert(0, {root!r})
from tools.mutation import runner
from tools.mutation.mutants import find_mutants
from tools.mutation_test import select_tests

root = Path(sys.argv[1])
runner.MIN_CPU_S = 2
mutants = find_mutants(root, root / "app/core/m.py")
with runner.checkout_copies(root, 2) as copies:
    tests = []
    runner.measure_tests([("tests/app/core/test_m.py", "app/core")], copies,
                         lambda path, values: tests.append(runner.read_measurement(path, values)))
    runner.run_mutants(mutants, lambda mutant: select_tests(root, mutant, tests), copies,
                       lambda mutant, killed: print(killed, mutant.original, "->", mutant.replacement))
"""


@pytest.mark.slow
def test_mutants_of_a_small_project(tmp_path):
    """All faults are found except those in the untested function, and one that changes nothing."""
    project = tmp_path / "project"
    (project / "app/core").mkdir(parents=True)
    (project / "tests/app/core").mkdir(parents=True)
    (project / "app/core/m.py").write_text(MODULE)
    (project / "tests/app/core/test_m.py").write_text(TESTS)
    (project / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    subprocess.run(["git", "init", "-q", "."], cwd=project, check=True)
    found = subprocess.run(
        [sys.executable, "-c", RUN.format(root=str(ROOT)), str(project)], stdout=subprocess.PIPE, text=True, check=True,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}).stdout.splitlines()   # As import_libraries sets it.
    survived = sorted(line.removeprefix("False ") for line in found if line.startswith("False "))
    assert survived == ["1 -> (2)", "x + 1 -> (x - 1)", "x < low -> (x <= low)"]
    killed = [line for line in found if line.startswith("True ")]
    assert {"True n -= 1 -> pass", "True min(x, high) -> (max(x, high))", "True x < low -> (x >= low)"} <= set(killed)
    assert (project / "app/core/m.py").read_text() == MODULE
