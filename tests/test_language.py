"""The code uses the field's terms: no retired words in names, and docstrings that open with a verb or a noun."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from common.paths import ROOT

PACKAGES = ("audio", "common", "datasets", "models", "page", "pipelines", "sample_set", "tests", "tools", "training")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
RETIRED = {   # word: the term to use
    "picture": "frame", "pictures": "frames", "looks": "visual features", "sound": "audio", "sounds": "audio", "ears": "audio encoder",
    "heard": "subtitle scores", "asked": "queries", "wish": "options", "question": "query", "questions": "queries",
    "told": "options", "matters": "importance", "standing": "novelty", "floor": "baseline", "floors": "baselines",
    "fault": "error", "faults": "errors", "steering": "query sensitivity", "trial": "dry run", "calm": "shot boundaries",
    "sparing": "frame skipping", "spared": "frame skipping", "staging": "output directory", "borders": "boundaries",
    "chooser": "selector", "choice": "selection", "desk": "session", "desks": "sessions", "workshop": "worker process",
    "asking": "request", "catalogue": "catalog", "places": "locations", "lacking": "missing", "beside": "baselines",
}
INTERROGATIVE = re.compile(r"(What|Whether|Where|How|Who)\b")
STANDARD_NAMES = {"floor", "CONSONANT_SOUNDS"}   # math.floor, and sounds of speech.


def definitions(tree: ast.AST) -> Iterator[str]:
    """Yield every name that a module defines: functions, classes, parameters, variables, and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname


def words(name: str) -> list[str]:
    """Split a name in snake case or camel case into lower-case words."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def retired_names(tree: ast.AST) -> set[str]:
    return {name for name in definitions(tree) if name not in STANDARD_NAMES and RETIRED.keys() & set(words(name))}


def interrogative_docstrings(tree: ast.AST) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented))
    return [text.splitlines()[0] for text in texts if text and INTERROGATIVE.match(text)]


def test_the_code_is_found():
    assert len(FILES) > 250


@pytest.mark.parametrize("package", PACKAGES)
def test_no_retired_words_in_names(package):
    found = {str(path.relative_to(ROOT)): retired_names(ast.parse(path.read_text(encoding="utf-8")))
             for path in FILES if path.relative_to(ROOT).parts[0] == package}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_do_not_open_with_an_interrogative(package):
    found = {str(path.relative_to(ROOT)): interrogative_docstrings(ast.parse(path.read_text(encoding="utf-8")))
             for path in FILES if path.relative_to(ROOT).parts[0] == package}
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_no_retired_words_in_file_names():
    assert [path for path in FILES if RETIRED.keys() & set(words(path.stem))] == []


@pytest.mark.parametrize(("code", "names"), [
    pytest.param("def calm_spans(): pass", {"calm_spans"}, id="function"),
    pytest.param("class Chooser: pass", {"Chooser"}, id="class"),
    pytest.param("def f(wish): pass", {"wish"}, id="parameter"),
    pytest.param("self.desks = 1", {"desks"}, id="attribute"),
    pytest.param("import fields as staging", {"staging"}, id="import alias"),
    pytest.param("speech_pauses = floor(1)", set(), id="standard names"),
])
def test_retired_words_are_recognized(code, names):
    assert retired_names(ast.parse(code)) == names


def test_interrogatives_are_recognized():
    assert interrogative_docstrings(ast.parse('def f():\n    """How often it runs."""')) == ["How often it runs."]
