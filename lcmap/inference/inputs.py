"""The image and the side inputs of a model: opened, and checked against what it was made for."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lcmap.dataset.entries import EntryReader
from lcmap.dataset.sides import Side, check_ground, identify_side, parse_side
from lcmap.errors import (
    AllNodataError,
    EntryCountError,
    NomenclatureMismatchError,
    SideMismatchError,
    UsageError,
)
from lcmap.model_file import Entry, check_image
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.pipes import STANDARD_STREAM, input_path
from lcmap.raster.quantiles import band_quantiles, read_quantiles

logger = logging.getLogger(__name__)

Pathlike = str | os.PathLike[str]


@dataclass(frozen=True)
class Inputs:
    """What a model is given: the grid of the first image, and a reader for each of its entries.

    `files` are all that is read of them: the rasters themselves and what lies beside them.
    """

    grid: Grid
    subject: str
    entries: tuple[EntryReader, ...]
    files: tuple[str, ...]


def open_inputs(
    resources: ExitStack,
    inputs: Sequence[Pathlike],
    entries: Sequence[Entry],
    model: Pathlike,
    *,
    allow_vrt: bool,
    allow_missing: bool,
    force: bool,
    tmpdir: Path | None,
    progress: Progress,
) -> Inputs:
    """Open the rasters for a model's entries, in their order; `resources` closes them.

    The first gives the grid. A side input may name its kind or nomenclature after a colon. With
    `allow_missing` it may cover any part of the image but none.

    Raises:
        EntryCountError, SideMismatchError, NomenclatureMismatchError: they are not what the model
            takes.
        BandMismatchError, DtypeMismatchError, GsdMismatchError: as `check_image`.
        NoCrsError, NoOverlapError, TooLittleOverlapError: a side input is not of the image's area.
        InputMissingError, NotARasterError: as `open_raster`.
        UsageError: standard input is named twice, or the codes of a label map are not explained.
    """
    check_count(len(inputs), entries, model)
    if [os.fspath(path) for path in inputs].count(STANDARD_STREAM) > 1:
        raise UsageError("standard input", "can be one input only", "give the others as files")
    opened: list[tuple[Any, Path, str]] = []
    for place, (given, entry) in enumerate(zip(inputs, entries, strict=True)):
        path, meaning = (Path(given), None) if place == 0 else parse_side(given)
        shown = "standard input" if os.fspath(path) == STANDARD_STREAM else os.fspath(path)
        path = resources.enter_context(input_path(path, tmpdir=tmpdir))
        dataset = resources.enter_context(open_raster(path, allow_vrt=allow_vrt))
        if place > 0:
            side = identify_side(path, meaning, allow_vrt=allow_vrt)
            _check_side(side, meaning, Side(entry.kind, entry.nomenclature), shown)
        check_image(entry, dataset, subject=shown, force=force)
        opened.append((dataset, path, shown))
    grid, subject = Grid.of(opened[0][0]), opened[0][2]
    for dataset, _, shown in opened[1:]:
        check_ground(Grid.of(dataset), grid, shown, subject, allow_missing=allow_missing)
    readers = []
    for (dataset, path, shown), entry in zip(opened, entries, strict=True):
        quantiles = None
        if entry.kind == "image":
            quantiles = _quantiles(dataset, path, shown, allow_vrt=allow_vrt, progress=progress)
        side = Side(entry.kind, entry.nomenclature)
        readers.append(EntryReader(dataset, grid, side, quantiles, shown))
    files = tuple(name for dataset, _, _ in opened for name in dataset.files)
    return Inputs(grid, subject, tuple(readers), files)


def check_count(given: int, entries: Sequence[Entry], model: Pathlike) -> None:
    """Check that there are as many inputs as a model has entries.

    Raises:
        EntryCountError: otherwise.
    """
    if given == len(entries):
        return
    wanted = "; ".join(
        entry.nomenclature.name if entry.nomenclature else ", ".join(entry.bands)
        for entry in entries
    )
    command = "lcmap predict" if len(entries) == 1 else "lcmap fuse"
    raise EntryCountError(
        model,
        f"takes {len(entries)} input{'s' * (len(entries) > 1)} ({wanted}), not {given}",
        f"give them to {command} in this order, or another model",
    )


def _check_side(found: Side, meaning: str | None, wanted: Side, shown: str) -> None:
    if wanted.nomenclature is not None:
        name = wanted.nomenclature.name
        if found.nomenclature is None and meaning is None:
            raise UsageError(
                shown, "does not say what its codes mean", f"{shown}:{name} if they are {name}'s"
            )
        if found.nomenclature is None:
            raise SideMismatchError(shown, f"the model takes labels in {name} here", "give those")
        if found.nomenclature.classes != wanted.nomenclature.classes:
            raise NomenclatureMismatchError(
                shown,
                f"is in {found.nomenclature.name}, the model was trained on {name}",
                "give a map in that nomenclature, or another model",
            )
    elif found.kind != wanted.kind and (meaning is not None or found.kind == "labels"):
        raise SideMismatchError(
            shown,
            f"is {found.title}, the model takes {wanted.kind} here",
            "give the inputs in the order of the model's entries",
        )


def _quantiles(
    dataset: Any, path: Path, subject: str, *, allow_vrt: bool, progress: Progress
) -> npt.NDArray[np.float64]:
    """Return the 2 % and 98 % quantiles of each band, float64 [bands, 2].

    They are those that the image carries in its tags, else they are computed over all of it. An
    image without a valid pixel has zeros.
    """
    carried = read_quantiles(dataset)
    if carried is not None:
        return carried
    logger.info("%s carries no quantiles: computing them over the whole image", subject)
    try:
        return band_quantiles(path, allow_vrt=allow_vrt, progress=progress)
    except AllNodataError:
        return np.zeros((dataset.count, 2))
