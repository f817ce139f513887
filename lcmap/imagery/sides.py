"""Side inputs of a tile index, checked before anything is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.dataset.inputs import InputOptions, check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_input
from lcmap.errors import UsageError
from lcmap.imagery.labels import check_codes
from lcmap.imagery.source import describe
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.pipes import STANDARD_STREAM


def check_sides(
    sides: Sequence[PathLike], grid: Grid, subject: str, *, allow_vrt: bool = False
) -> list[tuple[Path, RasterContent]]:
    """Return the paths of side inputs and what they are; `subject` is the image on the grid.

    Raises:
        UsageError: standard input, which a tile index cannot name.
        InputMissingError, NotARasterError, NoCrsError: a file is missing or no raster.
        UnknownNomenclatureError, NomenclatureError: as `content_of`.
        NoOverlapError, TooLittleOverlapError: a side input is not of the image's area.
        LabelBandError, UnknownLabelError: a label map has several bands or unknown codes.
    """
    checked = []
    for text in sides:
        path, meaning = parse_input(text)
        if os.fspath(path) == STANDARD_STREAM:
            raise UsageError("--side", "cannot be standard input", "name a file")
        source = describe(path, allow_vrt=allow_vrt)
        with open_input(path, InputOptions(allow_vrt=allow_vrt), meaning=meaning) as opened:
            content = opened.content
        check_ground(source.grid, grid, os.fspath(path), subject)
        if content.nomenclature is not None:
            check_codes(source, content.nomenclature, grid, allow_vrt=allow_vrt)
        checked.append((path, content))
    return checked
