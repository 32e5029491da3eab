"""Generate mutants: copies of a module that differ from it by one small fault, as a programmer could make it.

The operators are those that suffice according to Offutt et al. ("An experimental determination of sufficient mutant
operators", TOSEM 1996): comparisons, arithmetic, logic, signs, and constants. As in later tools, statements and calls
are also deleted, conditions are made constant, and functions are replaced by their opposites.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_PAIRS = (("min", "max"), ("amin", "amax"), ("argmin", "argmax"), ("minimum", "maximum"), ("any", "all"),
          ("ceil", "floor"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("sin", "cos"),
          ("startswith", "endswith"))
OPPOSITES = {a: b for pair in _PAIRS for a, b in (pair, pair[::-1])}
REMOVABLE_CALLS = frozenset(("abs", "sorted", "sqrt", "square", "clamp", "clip", "sigmoid", "relu", "normalize",
                             "round", "cumsum"))
MODULES = frozenset(("np", "torch", "F", "math"))

# Code that affects messages, speed or memory, but no result.
MESSAGE_CALLS = frozenset(("print", "warn", "debug", "info", "warning", "error", "exception", "InputError",
                           "ConfigError", "ValueError", "TypeError", "RuntimeError"))
MESSAGE_KEYWORDS = frozenset(("location", "desc", "progress", "stacklevel", "strict"))
SPEED_CONSTANTS = frozenset(("BLOCK_SIZE", "CHUNK_SIZE", "CACHE_BYTES", "PRUNE_INTERVAL", "MAX_PASSES",
                             "MAX_OPEN_GAP", "BLOCK_COLUMNS", "SHOWN_KEYS"))

Node = ast.stmt | ast.expr     # A node that has a position.
# Functions that choose what an exact search tries next.
SPEED_FUNCTIONS = frozenset(("_merge_neighbors", "_next_lam", "_slope"))

Change = tuple[Node, str]      # A node, and the code that replaces it.


@dataclass(frozen=True)
class Mutant:
    """A fault in one place of a module.

    Attributes:
        path: the module, relative to the root of the project.
        line: first line whose execution depends on the fault, from 1.
        last_line: last such line.
        begin: offset of the replaced code, in bytes of UTF-8.
        end: end of the replaced code, exclusive.
        original: the replaced code.
        replacement: the code that replaces it.
    """

    path: str
    line: int
    last_line: int
    begin: int
    end: int
    original: str
    replacement: str

    def apply(self, source: str) -> str:
        """Return the source code of the module with the fault."""
        data = source.encode()
        return (data[:self.begin] + self.replacement.encode() + data[self.end:]).decode()

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.original, self.replacement))
        return f"{self.path}:{self.line}: {before}  ->  {after}"


def find_mutants(root: Path, path: Path) -> list[Mutant]:
    """Return all mutants of a module, ordered by position.

    Never changed, because no result depends on it: annotations, docstrings and other texts, decorators, imports,
    assertions, arguments of errors, logs and messages, and constants and functions that only affect speed or memory.

    Args:
        root: root of the project.
        path: the module's file.
    """
    source = path.read_text(encoding="utf-8")
    data, tree = source.encode(), ast.parse(source)
    offsets = [0]
    for row in data.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(row))
    found = {}
    for statement, node, replacement in _changes_of_body(tree.body):
        begin = offsets[node.lineno - 1] + node.col_offset
        end = offsets[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or node.col_offset)
        found[begin, end, replacement] = Mutant(str(path.relative_to(root)), *_lines_that_use(statement, node), begin,
                                                end, data[begin:end].decode(), replacement)
    return [found[key] for key in sorted(found)]


def _lines_that_use(statement: ast.stmt, node: Node) -> tuple[int, int]:
    """Return the first and the last line whose execution depends on a node: for a default, those of the function."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return statement.body[0].lineno, statement.body[-1].end_lineno or statement.body[-1].lineno
    return statement.lineno, node.end_lineno or node.lineno


def _changes_of_body(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, Node, str]]:
    """Yield the statement, the replaced node, and its replacement for each fault in statements, at any depth."""
    for statement in body:
        if _affects_no_result(statement):
            continue
        for node, replacement in _changes_of_statement(statement):
            yield statement, node, replacement
        if isinstance(statement, ast.Raise):
            continue   # Its expressions are a message.
        for expression in _own_expressions(statement):
            for node, replacement in _changes_of_expression(expression):
                yield statement, node, replacement
        for name in ("body", "orelse", "finalbody"):
            yield from _changes_of_body(getattr(statement, name, []))
        for handler in getattr(statement, "handlers", []):
            yield from _changes_of_body(handler.body)


def _affects_no_result(statement: ast.stmt) -> bool:
    if isinstance(statement, (ast.Import, ast.ImportFrom, ast.Assert, ast.Pass, ast.Global)):
        return True
    if isinstance(statement, ast.FunctionDef):
        return statement.name in SPEED_FUNCTIONS
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant) or _is_message(statement.value)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id in SPEED_CONSTANTS | {"__all__"}
    return isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)


def _changes_of_statement(statement: ast.stmt) -> Iterator[Change]:
    if isinstance(statement, ast.Expr):
        is_yield = isinstance(statement.value, (ast.Yield, ast.YieldFrom))
        if not is_yield and ast.unparse(statement) != "super().__init__()":
            yield statement, "pass"
    elif isinstance(statement, (ast.AugAssign, ast.Raise, ast.Delete)):
        yield statement, "pass"
    elif isinstance(statement, (ast.Continue, ast.Break)):
        yield statement, "break" if isinstance(statement, ast.Continue) else "continue"
    elif isinstance(statement, (ast.If, ast.While)):
        yield statement.test, "(False)"
        if isinstance(statement, ast.If):
            yield statement.test, "(True)"
    if isinstance(statement, ast.AugAssign) and type(statement.op) in ARITHMETIC:
        yield statement, _unparse_changed(statement, op=ARITHMETIC[type(statement.op)]())


def _own_expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """Yield the expressions of a statement, without annotations, decorators, and those of nested statements."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield from (default for default in [*statement.args.defaults, *statement.args.kw_defaults] if default)
    elif not isinstance(statement, ast.ClassDef):
        for name, value in ast.iter_fields(statement):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.expr) and name != "annotation":
                    yield child
                elif isinstance(child, ast.withitem):
                    yield child.context_expr


def _changes_of_expression(node: ast.expr) -> Iterator[Change]:
    """Yield the changes of an expression and of the expressions in it."""
    if isinstance(node, ast.JoinedStr) or _is_message(node):
        return
    for replacement in _replacements(node):
        yield node, f"({replacement})"
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.keyword):
            if child.arg not in MESSAGE_KEYWORDS:
                yield from _changes_of_expression(child.value)
        elif isinstance(child, ast.comprehension):
            for part in (child.iter, *child.ifs):
                yield from _changes_of_expression(part)
            yield from ((condition, "(True)") for condition in child.ifs)
        elif isinstance(child, ast.arguments):
            for default in child.defaults:
                yield from _changes_of_expression(default)
        elif isinstance(child, ast.expr):
            yield from _changes_of_expression(child)


def _replacements(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield _unparse_changed(node, ops=[*node.ops[:i], other(), *node.ops[i + 1:]])
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        yield _unparse_changed(node, op=ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _unparse_changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield str(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield str(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield ast.unparse(node.body)
        yield ast.unparse(node.orelse)
    elif isinstance(node, ast.Call):
        yield from _changed_calls(node)


def _changed_calls(node: ast.Call) -> Iterator[str]:
    func, name = node.func, _name(node.func)
    if name in OPPOSITES:
        field = "attr" if isinstance(func, ast.Attribute) else "id"
        changed = copy.copy(func)
        setattr(changed, field, OPPOSITES[name])
        yield _unparse_changed(node, func=changed)
    if name in REMOVABLE_CALLS:
        is_method = isinstance(func, ast.Attribute) and _name(func.value) not in MODULES
        if isinstance(func, ast.Attribute) and is_method:
            yield ast.unparse(func.value)
        elif node.args:
            yield ast.unparse(node.args[0])


def _is_message(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) in MESSAGE_CALLS


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _unparse_changed(node: ast.AST, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return ast.unparse(changed)
