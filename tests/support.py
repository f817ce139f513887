"""What tests of all packages import: paths and a run of the command line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from typer.testing import CliRunner

from lcmap.cli import app

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLE_DATA = PROJECT / "examples" / "data"


class Run(NamedTuple):
    """A finished run of the command line."""

    exit_code: int
    stdout: str
    stderr: str


def run_lcmap(*args: object, input: bytes | None = None) -> Run:
    """Run `lcmap ARGS...` in this process; exceptions that escape it are raised."""
    result = CliRunner().invoke(app, [str(a) for a in args], input=input)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)
