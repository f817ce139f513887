"""Options declared once make one value in every command, and tell whether they were given."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import pytest
import typer
from typer.testing import CliRunner

from lcmap import defaults
from lcmap.cli.grouped import grouped, option_names
from lcmap.cli.invocation import Invocation, invocation
from lcmap.cli.options import bytes_as_text, parse_bytes
from lcmap.errors import UsageError


class Size(NamedTuple):
    width: int
    height: int


class Box(NamedTuple):
    size: Size
    deep: bool


def size(
    width: Annotated[int, typer.Option("--width", "-w", help="How wide.")] = 1,
    height: Annotated[int, typer.Option(help="How high.")] = 2,
) -> Size:
    return Size(width, height)


@grouped(size=size)
def box(
    size: Size,
    deep: Annotated[bool, typer.Option("--deep")] = False,
) -> Box:
    return Box(size, deep)


def run(*given: str) -> tuple[str, Box, bool]:
    """Return what a command with these options was called with."""
    received = []

    @grouped(box=box, called=invocation)
    def command(
        name: Annotated[str, typer.Argument()],
        *,
        box: Unknown,  # type: ignore[name-defined]  # noqa: F821
        called: Invocation,
    ) -> None:
        """Take a box."""
        called.refuse(["height"], "is fixed")
        received.append((name, box, called.manner.quiet))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(given))
    if result.exception is not None:
        raise result.exception
    return received[0]


def test_a_group_is_one_value_of_its_options_and_may_be_made_of_groups() -> None:
    assert run("a") == ("a", Box(Size(1, 2), False), False)
    assert run("a", "-w", "5", "--deep", "-q") == ("a", Box(Size(5, 2), True), True)


def test_an_option_that_is_given_is_refused_even_with_its_default() -> None:
    with pytest.raises(UsageError, match="`height`: is fixed; leave it out"):
        run("a", "--height", "2")


def test_the_names_of_options() -> None:
    assert option_names(box, size) == ["width", "height", "deep", "width", "height"]


@pytest.mark.parametrize("text", ["2G", "600M", "1023", "1T", "3K"])
def test_bytes_are_written_as_they_are_read(text: str) -> None:
    assert bytes_as_text(parse_bytes(text)) == text


@pytest.mark.parametrize("text", ["", "-1", "1X", "1" * 400, "inf", "nan", "1e9"])
def test_what_is_not_a_number_of_bytes(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a size"):
        parse_bytes(text)


def test_the_default_memory_is_shown_as_a_user_writes_it() -> None:
    assert parse_bytes(bytes_as_text(defaults.MEMORY)) == defaults.MEMORY
