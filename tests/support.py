"""What tests of all packages import: paths and a run of the command line."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import typer.main
from numpy.typing import NDArray
from rasterio.env import GDALVersion
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
    foreign = foreign_options(str(args[0]), result.stderr) if args else []
    assert not foreign, f"lcmap {args[0]} has no {foreign[0]}: {result.stderr}"
    return Run(result.exit_code, result.stdout, result.stderr)


def foreign_options(command: str, said: str) -> list[str]:
    """Return the options that the errors and warnings of a command name and that it does not have.

    Those of another command may be named after it, as in "lcmap prepare --tiles" and "prepare with
    --tiles"; options of other programs are none of lcmap's.
    """
    options = options_of_commands()
    if command not in options:
        return []
    lines = [line for line in said.splitlines() if re.match(r"(lcmap|warning): ", line)]
    text = re.sub(r"\b(rio|gdal\w*|ogr\w*) .*", "", "\n".join(lines))
    owners = [command, *re.findall(r"\b(?:lcmap ([a-z-]+)|prepare)\b", text)]
    its_own = set().union(*(options.get(owner or "prepare", ()) for owner in owners))
    named = re.findall(r"(?<!\S)--[a-z][a-z0-9-]+", text)
    return [name for name in named if name in set().union(*options.values()) - its_own]


@cache
def options_of_commands() -> dict[str, set[str]]:
    """Return the options of each command."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return {
        name: {option for p in each.params for option in (*p.opts, *p.secondary_opts)}
        for name, each in commands.items()
    }


def known_colors(colors: str) -> list[str]:
    """Return the names of colours as GDAL here has them: before 3.10 those of a picture alone."""
    all_known = GDALVersion.runtime().at_least("3.10")
    known = colors.split() if all_known else ["red", "green", "blue"]
    return [color if color in known else "undefined" for color in colors.split()]


@contextmanager
def limited_files(kib: float) -> Iterator[None]:
    """Let no file grow beyond this, which any user may ask for."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(kib * 1024), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def write_raster(
    path: Path,
    image: NDArray[Any],
    *,
    epsg: int | None = 2154,
    corner: tuple[float, float] = (721_104.0, 6_249_288.0),
    pixel: float = 0.8,
    mask: NDArray[np.bool_] | None = None,
    names: Sequence[str] = (),
    **profile: Any,
) -> Path:
    """Write an array [bands, rows, columns], as programs other than lcmap write one."""
    x, y = corner
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(image),
            height=image.shape[1],
            width=image.shape[2],
            dtype=image.dtype,
            crs=f"EPSG:{epsg}" if epsg else None,
            transform=rasterio.Affine(pixel, 0, x, 0, -pixel, y),
            **({"photometric": "MINISBLACK", "alpha": "NO"} | profile),
        ) as dataset,
    ):
        dataset.write(image)
        for band, name in enumerate(names, start=1):
            dataset.set_band_description(band, name)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def undigested(path: Path) -> bytes:
    """Return a file without the digest of what it is made of: two ways may lead to the same."""
    found = re.compile(rb"(lcmap_digest[^0-9a-f]{1,8})[0-9a-f]{8,64}", re.IGNORECASE)
    return found.sub(rb"\1", path.read_bytes())
