"""Every default is written once, in lcmap/defaults.py; commands, help and library refer to it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import typer.main
from support import PROJECT

from lcmap import defaults
from lcmap.cli import COMMANDS, app
from lcmap.cli.parameters import OPTIONS

COMMANDS_HELD = {
    "train": ("lcmap.training.train.train", "lcmap.training.int8_model.quantise_model"),
    "prepare": ("lcmap.imagery.prepare.prepare",),
    "predict": ("lcmap.inference.predict.predict",),
    "fuse": ("lcmap.inference.predict.predict",),
    "reclassify-oso": (
        "lcmap.inference.reclassify.reclassify_oso",
        "lcmap.inference.crosswalk_map.crosswalk_map",
    ),
    "score": ("lcmap.accuracy.score.score",),
    "update": ("lcmap.products.update.update",),
    "generalise": ("lcmap.products.generalise.generalise",),
    "rasterize-ref": ("lcmap.reference.rasterize.rasterize_reference",),
}
"""The commands that are held to their library functions."""

WRITTEN_ANYWHERE = ("-", None)
CONSTANTS = {name: value for name, value in vars(defaults).items() if name.isupper()}
GROUP = typer.main.get_command(app)


class Default(NamedTuple):
    """A default of the library or of a command: where, its value, and the constant it refers to."""

    owner: str
    value: Any
    expression: ast.expr | None

    @property
    def constant(self) -> str | None:
        """The name in lcmap/defaults.py, None where the expression refers to nothing there."""
        for node in ast.walk(self.expression) if self.expression else ():
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "defaults"
            ):
                return node.attr
        return None

    @property
    def is_written_here(self) -> bool:
        """Whether the expression holds a number or a text of its own, "-" excepted."""
        return any(
            isinstance(node, ast.Constant)
            and not isinstance(node.value, bool)
            and node.value not in WRITTEN_ANYWHERE
            for node in (ast.walk(self.expression) if self.expression else ())
        )


def parse(source: object) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(source)))  # type: ignore[arg-type]


def defaults_of_function(function: Callable[..., Any]) -> Iterator[tuple[str, Default]]:
    (definition,) = parse(function).body
    assert isinstance(definition, ast.FunctionDef)
    arguments = definition.args
    positional = [*arguments.posonlyargs, *arguments.args]
    without = len(positional) - len(arguments.defaults)
    expressions = dict(
        zip([a.arg for a in positional], [None] * without + arguments.defaults, strict=True)
    )
    expressions |= {
        a.arg: d for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    }
    for name, parameter in inspect.signature(function).parameters.items():
        value = None if parameter.default is parameter.empty else parameter.default
        yield name, Default(function.__qualname__, value, expressions[name])


def defaults_of_dataclass(options: type) -> Iterator[tuple[str, Default]]:
    for owner in reversed(options.__mro__[:-1]):
        (definition,) = parse(owner).body
        assert isinstance(definition, ast.ClassDef)
        expressions = {
            statement.target.id: statement.value
            for statement in definition.body
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
        }
        for field in dataclasses.fields(options):
            if field.name in expressions:
                value = None if field.default is dataclasses.MISSING else field.default
                if field.default_factory is not dataclasses.MISSING:
                    value = field.default_factory()
                yield field.name, Default(options.__name__, value, expressions[field.name])


def defaults_of_command(command: str) -> Iterator[tuple[str, Default]]:
    """Yield the defaults of a command's options, those of its groups included."""
    yield from defaults_of_options(COMMANDS[command])


def defaults_of_options(function: Callable[..., Any]) -> Iterator[tuple[str, Default]]:
    """Yield the defaults of the parameters of a function, those of its groups included."""
    groups: dict[str, Callable[..., Any]] = {}
    if hasattr(function, "__wrapped__"):
        groups = inspect.getclosurevars(function).nonlocals["groups"]
        function = function.__wrapped__
    for name, default in defaults_of_function(function):
        if name in groups:
            yield from defaults_of_options(groups[name])
        else:
            yield name, default


def option_classes(hints: dict[str, Any]) -> set[type]:
    """Return the dataclasses that annotations name, and those that these are made of."""
    found: set[type] = set()
    for hint in hints.values():
        for kind in (hint, *typing.get_args(hint)):
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                found |= {kind} | option_classes(typing.get_type_hints(kind))
    return found


def defaults_of_library(command: str) -> list[tuple[str, Default]]:
    """Return what the library functions of a command, and their options, have for defaults."""
    found = []
    for path in COMMANDS_HELD[command]:
        module, _, name = path.rpartition(".")
        function = getattr(importlib.import_module(module), name)
        hints = typing.get_type_hints(function)
        hints.pop("return", None)
        found += [
            (parameter, default)
            for parameter, default in defaults_of_function(function)
            if not option_classes({parameter: hints[parameter]})
        ]
        for options in option_classes(hints):
            found += list(defaults_of_dataclass(options))
    return found


def pairs(command: str) -> Iterator[tuple[str, Default, Default]]:
    """Yield the defaults of a command beside those of the library that its options set."""
    library = defaults_of_library(command)
    click_command = GROUP.commands[command]  # type: ignore[attr-defined]
    context = typer.Context(click_command)
    parameters = {p.name: p for p in click_command.params}
    for name, own in defaults_of_command(command):
        option = f"--{name.replace('_', '-')}"
        meant = {name} | {field for field, set_by in OPTIONS.items() if set_by == option}
        if own.value is not None:
            # as the command gets it: "2G" as bytes
            own = own._replace(value=parameters[name].process_value(context, own.value))
        for field, default in library:
            if field in meant:
                yield name, own, default


@pytest.mark.parametrize("command", COMMANDS_HELD)
def test_commands_and_library_refer_to_the_same_constant(command: str) -> None:
    checked = 0
    for name, own, library in pairs(command):
        if library.expression is None:
            continue  # the library has no default, so the command chooses
        where = f"{command} {name} and {library.owner}"
        nothing = (None, (), [])
        assert own.value == library.value or (own.value in nothing and library.value in nothing), (
            where
        )
        assert own.constant == library.constant, where
        checked += 1
    assert checked, "some options of the command set defaults of the library"


@pytest.mark.parametrize("command", COMMANDS_HELD)
def test_no_default_is_written_anywhere_else(command: str) -> None:
    for name, default in [
        *defaults_of_command(command),
        *defaults_of_library(command),
    ]:
        assert not default.is_written_here, f"{default.owner}: {name} belongs in lcmap/defaults.py"


@pytest.mark.parametrize("command", COMMANDS_HELD)
def test_help_shows_the_default(command: str) -> None:
    click_command = GROUP.commands[command]  # type: ignore[attr-defined]
    context = typer.Context(click_command)
    for parameter in click_command.params:
        if parameter.default is None or isinstance(parameter.default, bool | tuple | list):
            continue
        _, text = parameter.get_help_record(context)
        assert f"default: {parameter.default}" in text, parameter.name


def test_help_repeats_no_default_in_words() -> None:
    """Help that words a default itself, as [default: test], takes it from the constant too."""
    values = {str(value) for value in CONSTANTS.values()}
    trees = [
        ast.parse(path.read_text(encoding="utf-8"))
        for path in (PROJECT / "lcmap" / "cli").glob("*.py")
    ]
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for words in re.findall(r"\[default: ([^\]]*)\]", node.value):
                assert words not in values, f"[default: {words}] belongs in lcmap/defaults.py"


def test_documents_say_the_defaults_as_they_are() -> None:
    """Wherever README or docs say "`--option` … (default VALUE)" or "(VALUE by default)"."""
    found = {
        (option, str(parameter.default))
        for command in GROUP.commands.values()  # type: ignore[attr-defined]
        for parameter in command.params
        for option in parameter.opts
    }
    for path in [PROJECT / "README.md", *(PROJECT / "docs").glob("**/*.md")]:
        text = path.read_text(encoding="utf-8")
        said = r"`(--[a-z-]+)`[^.`(]{0,20}\((?:default:? `?([^`)]+)`?|`?([^`)]+?)`? by default)\)"
        for option, after, before in re.findall(said, text):
            assert (option, after or before) in found, f"{path.name}: {option} {after}{before}"
