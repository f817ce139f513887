"""A command that was run before, to the same end, has nothing to do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from lcmap.cli import console
from lcmap.cli.invocation import manner_of
from lcmap.launch import helps_another, launched
from lcmap.raster.making import Making, Request

OF_THE_RUN = frozenset(
    {
        "overwrite", "quiet", "verbose", "log_json", "tmpdir", "tile", "memory", "threads",
        "resume", "scheduler", "shard",
    }
)  # fmt: skip
"""Parameters that say how a command runs, and have no influence on its outputs."""

OF_FILES = frozenset(
    {
        "output", "changes", "conflicts", "pan", "labels", "probabilities", "side", "tiles",
        "reference", "sample", "strata", "qml", "zones", "report", "image", "confidence",
    }
)  # fmt: skip
"""Parameters of files beside those whose values are paths: their names decide no bytes."""

WORDS = "lcmap.words"
"""Where a context holds the words of the command line."""

Command = Callable[..., None]


def once(command: Command) -> Command:
    """Return a command that does nothing where its outputs are up to date.

    That is where its record says that the same request of the same inputs made them, see
    `raster.making`. The first output is what its parameter `output` names; a command without one
    is run as it is.
    """

    @functools.wraps(command)
    def run(**given: Any) -> None:
        context: typer.Context = given["context"]
        output = _first(context.params.get("output"))
        if output is None or helps_another():
            command(**given)
            return
        overwrite = context.params.get("overwrite", False)
        manner = manner_of(context, given["quiet"], given["verbose"], given["log_json"])
        with console.told(manner) as say:
            making = Making(_request(context), output, overwrite=overwrite)
            if making.is_done():
                say.up_to_date(output, making)
                _dismiss_helpers()
                return
            changed = None if overwrite else making.what_changed()
            if changed is not None:
                say.message(f"{output}: to be made again, since {changed}")
        with making.begun():
            command(**given)

    return run


def words_that_count(context: typer.Context) -> list[str]:
    """Return the words of the command line without those of options in `OF_THE_RUN`."""
    takes_value = {
        name: not getattr(parameter, "is_flag", False)
        for parameter in context.command.params
        if parameter.name in OF_THE_RUN
        for name in parameter.opts
    }
    counted = []
    words = iter(context.meta[WORDS])
    for word in words:
        name, has_value, _ = word.partition("=")
        letters = {f"-{letter}" for letter in word[1:]} if word.startswith("-") else set()
        if letters and letters <= takes_value.keys():  # as in -qv
            continue
        if name not in takes_value:
            counted.append(word)
        elif takes_value[name] and not has_value:
            next(words, None)
    return counted


def _dismiss_helpers() -> None:
    if launched().size > 1:
        from lcmap.training.ranks import dismiss

        dismiss()


def _first(output: Any) -> str | None:
    if isinstance(output, list | tuple):
        output = output[0] if output else None
    return None if output is None else os.fspath(output)


def _request(context: typer.Context) -> Request:
    """Return what was asked for on the command line."""
    arguments = [
        parameter.name
        for parameter in context.command.params
        if parameter.param_type_name == "argument"
    ]
    named = [item for name in arguments for item in _several(context.params[name])]
    sources = [os.fspath(item) for item in named if item is not None]
    given = {
        name: value
        for name, value in context.params.items()
        if name not in OF_THE_RUN and name not in arguments
    }
    settings = {
        name: value
        for name, value in given.items()
        if name not in OF_FILES and not any(isinstance(item, Path) for item in _several(value))
    }
    if given.get("side"):
        settings["side"] = _contents(given["side"])
    words = context.meta.get(WORDS, [])
    return Request(context.command.name or "", sources, _plain(given), _plain(settings), words)


def _contents(sides: Sequence[str]) -> list[str]:
    """Return what is said of side inputs, without their names."""
    from lcmap.dataset.raster_content import parse_side

    return [str(parse_side(side)[1:]) for side in sides]


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as those of JSON."""
    return {
        name: [_text(item) for item in value] if isinstance(value, list | tuple) else _text(value)
        for name, value in sorted(values.items())
    }


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float) else str(value)
