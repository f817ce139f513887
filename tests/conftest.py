"""What tests of all packages share: running the command line, and where the data lies."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lcmap.cli import app

PROJECT = Path(__file__).resolve().parent.parent
EXAMPLE_DATA = PROJECT / "examples" / "data"


class Run:
    """A finished run of the command line: exit code, standard output and standard error."""

    def __init__(self, exit_code: int, stdout: str, stderr: str) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"Run({self.exit_code}, {self.stdout!r}, {self.stderr!r})"


@pytest.fixture
def lcmap() -> Callable[..., Run]:
    """Run `lcmap ARGS...` as a user would; exceptions that escape it are raised."""

    def run(*args: object, input: bytes | None = None) -> Run:
        result = CliRunner().invoke(app, [str(a) for a in args], input=input)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get("LCMAP_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LCMAP_DATA")
    return folder.resolve()
