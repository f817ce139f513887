"""Functions and modules stay small enough to be read at once."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from support import PROJECT

MOST_PARAMETERS = 8
MOST_LINES_OF_A_BODY = 60
MOST_LINES_OF_A_MODULE = 400
MEDIAN_LINES_OF_A_MODULE = 150

MODULES = sorted((PROJECT / "lcmap").rglob("*.py"))


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(PROJECT)}:{node.lineno} {node.name}", node


def lines_of_body(function: ast.FunctionDef) -> int:
    """Return the lines of a function's body, its docstring not among them."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_functions_take_few_parameters() -> None:
    for place, function in functions():
        arguments = function.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        own = [name for name in names if name not in ("self", "cls")]
        assert len(own) <= MOST_PARAMETERS, f"{place}: {len(own)} parameters"


def test_bodies_of_functions_are_short() -> None:
    for place, function in functions():
        assert lines_of_body(function) <= MOST_LINES_OF_A_BODY, place


def test_modules_are_short() -> None:
    lengths = {path: lines(path) for path in MODULES}
    longest = max(lengths, key=lambda path: lengths[path])
    assert lengths[longest] <= MOST_LINES_OF_A_MODULE, longest
    assert statistics.median(lengths.values()) < MEDIAN_LINES_OF_A_MODULE
