"""Side inputs of a tile index, checked before anything is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.dataset.inputs import InputOptions, check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_input
from lcmap.errors import UsageError
from lcmap.imagery.labels import check_codes
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.pipes import STANDARD_STREAM


def check_side_inputs(
    sides: Sequence[PathLike], grid: Grid, image: str, options: InputOptions
) -> list[tuple[Path, RasterContent]]:
    """Return the paths of side inputs and their content.

    Messages call the image that is on the grid `image`.

    Raises:
        UsageError: standard input, which a tile index cannot name.
        InputMissingError, NotARasterError, NoCrsError: a file is missing or is not a raster.
        UsageError, NomenclatureError: as `content_of`.
        OverlapError: a side input does not cover the image's area.
        LabelBandError, UnknownLabelError: a label map has several bands or unknown codes.
    """
    checked = []
    for text in sides:
        path, meaning = parse_input(text)
        if os.fspath(path) == STANDARD_STREAM:
            raise UsageError("`sides`", "cannot be standard input", "name a file")
        with open_input(path, options, meaning=meaning) as side:
            side.require_crs()
            check_ground(side.grid, grid, side.name, image)
            if side.content.nomenclature is not None:
                check_codes(side, side.content.nomenclature, grid)
            checked.append((path, side.content))
    return checked
