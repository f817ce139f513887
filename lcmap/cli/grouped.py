"""Options that travel together: declared once, and handed to a command as one value."""

from __future__ import annotations

import copy
import functools
import inspect
import typing
from collections.abc import Callable
from inspect import Parameter
from typing import Annotated, Any, TypeVar

from typer.models import ParameterInfo

Value = TypeVar("Value")
Group = Callable[..., Any]
"""A function whose parameters are options, declared as those of a command, and that returns the
value which they make."""


def section(title: str) -> Callable[[Group], Group]:
    """Return a decorator of a group's function: what its options are called together, in man pages.

    Groups in it that have a section of their own keep it.
    """

    def name(group: Group) -> Group:
        group.section = title  # type: ignore[attr-defined]
        return group

    return name


def grouped(**groups: Group) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Return a decorator of commands: a parameter that a group is named for becomes its options.

    The command is called with the value that the group's function makes of them. A group's function
    may be made of groups itself. An example:

        def size(width: Annotated[int, typer.Option()] = 1, height: ... = 1) -> Size: ...

        @grouped(size=size)
        def command(name: str, size: Size) -> None: ...

    has the options --width and --height. A group's function raises no error of the library: what
    turns these into a line and an exit code begins in the command.
    """

    def decorate(command: Callable[..., Value]) -> Callable[..., Value]:
        parameters: list[Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name in groups:
                parameters += _parameters(groups[parameter.name])
            else:
                parameters.append(_evaluated(parameter, command))

        @functools.wraps(command)
        def run(**given: Any) -> Value:
            for name, group in groups.items():
                options = {option: given.pop(option) for option in option_names(group)}
                given[name] = group(**options)
            return command(**given)

        # typer reads the options from these
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        return run

    return decorate


def option_names(*groups: Group) -> list[str]:
    """Return the names of the parameters that groups have."""
    return [name for group in groups for name in inspect.signature(group).parameters]


def _parameters(group: Group) -> list[Parameter]:
    title = getattr(group, "section", None)
    return [
        _in_section(_evaluated(item, group), title)
        for item in inspect.signature(group).parameters.values()
    ]


def _in_section(parameter: Parameter, title: str | None) -> Parameter:
    """Return the parameter, its option with the title unless it has one."""

    def name(option: ParameterInfo) -> None:
        option.rich_help_panel = option.rich_help_panel or title

    return parameter.replace(annotation=_changed(parameter.annotation, name))


def _evaluated(parameter: Parameter, function: Callable[..., Any]) -> Parameter:
    """Return a keyword parameter with its annotation as an object, which modules hold as text.

    Whether a file may be read is for the library to tell, which asks for the process's own rights.
    """

    def leave_unread(option: ParameterInfo) -> None:
        option.readable = False

    # not those of the groups: their types are imported for type checkers alone
    holder = type("Holder", (), {"__annotations__": {"it": parameter.annotation}})
    hints = typing.get_type_hints(holder, function.__globals__, include_extras=True)
    annotation = _changed(hints["it"], leave_unread)
    return parameter.replace(kind=Parameter.KEYWORD_ONLY, annotation=annotation)


def _changed(annotation: Any, change: Callable[[ParameterInfo], None]) -> Any:
    """Return an annotation with its option changed, where it has one; options are shared."""
    if typing.get_origin(annotation) is not Annotated:
        return annotation
    base, *told = typing.get_args(annotation)
    copies = [copy.copy(item) for item in told]
    for item in copies:
        if isinstance(item, ParameterInfo):
            change(item)
    return Annotated[(base, *copies)]
