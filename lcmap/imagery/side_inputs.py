"""Side inputs of a tile index, checked before anything is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from lcmap import defaults
from lcmap.dataset.inputs import InputOptions, check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_side
from lcmap.dataset.raster_files import raster_files
from lcmap.dataset.series import open_series
from lcmap.dataset.tile_index import Side
from lcmap.errors import UsageError
from lcmap.imagery.labels import check_codes
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.period import parse_period
from lcmap.raster.pipes import STANDARD_STREAM

_ALIKE = 0.02
"""Sides of pixels and cells that differ by this share are taken for the same."""


def check_side_inputs(
    sides: Sequence[PathLike],
    grid: Grid,
    image: str,
    options: InputOptions,
    period: str | None = None,
) -> list[tuple[Side, RasterContent]]:
    """Return the paths of side inputs, their content and the level that they are read on.

    Messages call the image that is on the grid `image`. A level that is not given is that whose
    cells are the largest that are no larger than the pixels of the side input. A series has the
    dates of the `period`, all without one.

    Raises:
        UsageError: standard input, which a tile index cannot name.
        InputMissingError, NotARasterError, NoCrsError: a file is missing or is not a raster.
        ProductError, DataError, InputMismatchError: as `open_series`.
        UsageError, NomenclatureError: as `content_of`.
        OverlapError: a side input does not cover the image's area.
        LabelBandError, UnknownLabelError: a label map has several bands or unknown codes.
    """
    options = options.beside_image()
    checked: list[tuple[Side, RasterContent]] = []
    for text in sides:
        path, meaning, level = parse_side(text)
        if os.fspath(path) == STANDARD_STREAM:
            raise UsageError("`sides`", "cannot be standard input", "name a file")
        if meaning == "series":
            days = None if period is None else parse_period(period).__contains__
            series = open_series(raster_files(path), os.fspath(path), options, days=days)
            series.check_ground(grid, image)
            series = series.that_show(grid, image, options)
            if level is None:
                level = level_beside(grid.gsd_metres, series.gsd)
            checked.append((series.paths, RasterContent("series", level=level)))
            continue
        with open_input(path, options, meaning=meaning) as side:
            side.require_crs()
            check_ground(side.grid, grid, side.name, image)
            if side.content.nomenclature is not None:
                check_codes(side, side.content.nomenclature, grid)
            if level is None:
                level = level_beside(grid.gsd_metres, side.grid.gsd_metres)
            checked.append((path, replace(side.content, level=level)))
    return checked


def has_series(sides: Sequence[PathLike]) -> bool:
    """Tell whether one of the side inputs is said to be a series."""
    return any(parse_side(text)[1] == "series" for text in sides)


def side_files(sides: Sequence[PathLike]) -> list[PathLike]:
    """Return the files, and the folders of products, that are side inputs."""
    parsed = [parse_side(text) for text in sides]
    return [
        file
        for path, meaning, _ in parsed
        for file in (raster_files(path) if meaning == "series" else (path,))
    ]


def level_beside(gsd: float | None, coarser: float | None) -> int:
    """Return the highest level of the first GSD's pixels whose cells lose nothing of the other's.

    At most `defaults.HIGHEST_CHOSEN_LEVEL`; 0 where one of them is not known.
    """
    if not gsd or not coarser:
        return 0
    level = 0
    while level < defaults.HIGHEST_CHOSEN_LEVEL and gsd * 2 ** (level + 1) <= coarser * (
        1 + _ALIKE
    ):
        level += 1
    return level
