"""The inputs of a model: opened, and checked against what the model was made for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import Encoding, Scaling
from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import RasterInput, check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_input
from lcmap.dataset.series import MOST_OPEN, Series, SeriesPool, SeriesReader
from lcmap.engines.compute import Arithmetic
from lcmap.errors import (
    InputMismatchError,
    NomenclatureMismatchError,
    UnexplainedLabelsError,
)
from lcmap.graph.outputs import Result
from lcmap.inference.band_groups import WINNING_PROBABILITY, BandGroup
from lcmap.inference.left_out import LeftOut
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.scaling import scaled_by, scaling_quantiles
from lcmap.inference.series_inputs import open_dates, series_quantiles
from lcmap.inference.source import Source, StoredMap, TileSource
from lcmap.inference.tile_predictor import Predictor, TilePredictor
from lcmap.model_file import ModelInput, ModelMetadata, check_image
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.pipes import check_standard_input_once

logger = logging.getLogger(__name__)

CACHE_BYTES = 128 << 20
"""GDAL's cache while a map is made: windows overlap, and blocks of a file are read for several."""


@dataclass(frozen=True)
class OpenedInputs:
    """What a model is given: the grid of the first input, and a reader for each input.

    `name` is what messages call the first. `quantiles` [C, 2] scale the images, None the others.
    `files` are all that is read: the rasters themselves and the files beside them.
    """

    grid: Grid
    name: str
    readers: tuple[InputReader | SeriesReader | LeftOut, ...]
    quantiles: tuple[NDArray[np.float64] | None, ...]
    files: tuple[str, ...]

    compared: ClassVar[tuple[Result, ...]] = ()

    def encodings(self, precision: Arithmetic) -> tuple[Encoding, ...]:
        """Return how the inputs travel to a network that is computed in `precision`."""
        return tuple(travelling(reader.encoding, precision) for reader in self.readers)

    def source(self, encodings: Sequence[Encoding], *, allow_missing: bool) -> Source[Any]:
        """Return what tiles are read from in these encodings, for `predictor`."""
        return TileSource(self.grid.shape, self.readers, encodings, allow_missing=allow_missing)

    def predictor(self, predictor: TilePredictor) -> Predictor[Any]:
        """Return what maps the tiles that `source` reads."""
        return predictor

    def verifying(self, source: Source[Any], stored: StoredMap) -> Source[Any]:
        """Return what the tiles of a second prediction are read from."""
        return source

    def groups(self, written: Sequence[BandGroup], *, verify: bool) -> list[BandGroup]:
        """Return the band groups to store, those that are written among them."""
        return [*written, *[WINNING_PROBABILITY] * verify]

    @property
    def facts(self) -> dict[str, Any]:
        """What the map depends on, beside the rasters and how they are scaled, as JSON values."""
        dates = [reader.dates for reader in self.readers if isinstance(reader, SeriesReader)]
        return {"dates": dates} if dates else {}


def warn_without_dropout(metadata: ModelMetadata, model: PathLike) -> None:
    """Warn of a model that never went without an input while it was trained, or does not say."""
    recipe = metadata.training.get("recipe")
    if len(metadata.inputs) > 1 and not (isinstance(recipe, dict) and recipe.get("side_dropout")):
        logger.warning(
            "%s: was not trained to go without an input, or does not say so: the map is poor where "
            "one is missing",
            model,
        )


def warn_of_common_quantiles(
    metadata: ModelMetadata, model: PathLike, options: ModelInputOptions
) -> None:
    """Warn where images are scaled each by its own quantiles, and those of training were not."""
    image = metadata.inputs[0]
    earlier = metadata.training.get("quantiles")  # of models that do not say it for each input
    common = image.normalisation == "training-quantiles-2-98" or earlier is not None
    if common and scaled_by(image, options.quantiles) == "image":
        logger.warning(
            "%s: was trained on images that were all scaled by the same quantiles: scale this one "
            "alike with `quantiles=model`",
            model,
        )


def open_inputs(
    resources: ExitStack,
    given: Sequence[Sequence[PathLike]],
    wanted: Sequence[ModelInput],
    model: PathLike,
    options: ModelInputOptions,
    progress: Progress,
    quantiles: Sequence[NDArray[np.float64] | None] | None = None,
) -> OpenedInputs:
    """Open the rasters for a model's inputs, in their order; `resources` closes them.

    The first gives the grid. Of each there is one raster, of a series any number. The others may
    name their kind or nomenclature after a colon, and with `allow_missing` cover any part of the
    image, however small. Where the `quantiles` of all are known already, they are not sought again.

    Raises:
        InputMismatchError, NomenclatureMismatchError: they are not what the model takes.
        InputMismatchError, GsdMismatchError: as `check_image`.
        NoCrsError, OverlapError: an input is not of the image's area.
        InputMissingError, NotARasterError: as `open_input`.
        DataError: a date of a series is not known.
        UnexplainedLabelsError: the codes of a label map are not explained.
        UsageError: standard input is named twice.
    """
    check_standard_input_once([files[0] for files in given])
    image = resources.enter_context(open_input(given[0][0], options, bands=_bands(wanted[0])))
    opened: list[RasterInput | Series] = [image]
    for files, model_input in zip(given[1:], wanted[1:], strict=True):
        if model_input.kind == "series":
            opened.append(open_dates(files, model_input, options))
            continue
        path, meaning = parse_input(files[0])
        opening = open_input(path, options, meaning=meaning, bands=_bands(model_input))
        opened.append(resources.enter_context(opening))
    for side, model_input in zip(opened, wanted, strict=True):
        if isinstance(side, RasterInput):
            if side is not image:
                check_content(side, content_wanted(model_input))
            check_image(model_input, side.dataset, subject=side.name, force=options.force)
    missing = options.allow_missing
    for side in opened[1:]:
        if isinstance(side, Series):
            side.check_ground(image.grid, image.name, allow_missing=missing)
        else:
            check_ground(side.grid, image.grid, side.name, image.name, allow_missing=missing)
    scaling = quantiles or [
        _scaling(raster, model_input, options, progress)
        for raster, model_input in zip(opened, wanted, strict=True)
    ]
    pool: SeriesPool = resources.enter_context(IdlePool(MOST_OPEN))
    readers = (
        _reader(raster, model_input, by, image.grid, options, pool)
        for raster, model_input, by in zip(opened, wanted, scaling, strict=True)
    )
    read = tuple(name for raster in opened for name in raster.files)
    return OpenedInputs(image.grid, image.name, tuple(readers), tuple(scaling), read)


def _bands(model_input: ModelInput) -> int | None:
    return len(model_input.bands) if model_input.kind == "image" else None


def _scaling(
    opened: RasterInput | Series,
    wanted: ModelInput,
    options: ModelInputOptions,
    progress: Progress,
) -> NDArray[np.float64] | None:
    """Return the quantiles that an input is scaled by, float64 [C, 2]; None if it is no image."""
    if isinstance(opened, Series):
        return series_quantiles(opened, wanted, options.quantiles)
    if wanted.kind != "image":
        return None
    return scaling_quantiles(opened, wanted, options.quantiles, progress)


def _reader(
    opened: RasterInput | Series,
    wanted: ModelInput,
    quantiles: NDArray[np.float64] | None,
    grid: Grid,
    options: ModelInputOptions,
    pool: SeriesPool,
) -> InputReader | SeriesReader:
    if isinstance(opened, Series):
        assert quantiles is not None
        return SeriesReader(opened, grid, quantiles, options, pool, wanted.level)
    return InputReader(opened.dataset, grid, content_wanted(wanted), quantiles, opened.name)


def travelling(encoding: Encoding, precision: Arithmetic) -> Encoding:
    """Return the encoding in which an input travels to a network that is computed in `precision`.

    OpenVINO rounds integers of 16 bits to bfloat16 before it scales them, so they are scaled first.
    """
    if precision != "bfloat16" or not isinstance(encoding, Scaling):
        return encoding
    return encoding if np.dtype(encoding.dtype).itemsize == 1 else None


def check_count(given: int, wanted: Sequence[ModelInput], model: PathLike) -> None:
    """Check that there are as many inputs as a model takes.

    Raises:
        InputMismatchError: otherwise.
    """
    if given == len(wanted):
        return
    names = "; ".join(
        item.nomenclature.name if item.nomenclature else ", ".join(item.bands) for item in wanted
    )
    command = "lcmap predict" if len(wanted) == 1 else "lcmap fuse"
    raise InputMismatchError(
        model,
        f"takes {len(wanted)} input{'s' * (len(wanted) > 1)} ({names}), not {given}",
        f"give them to {command} in this order, or another model",
    )


def content_wanted(model_input: ModelInput) -> RasterContent:
    """Return what a raster is to hold that is this input, and the level that it is read on."""
    return RasterContent(model_input.kind, model_input.nomenclature, model_input.level)


def check_content(given: RasterInput, wanted: RasterContent) -> None:
    """Check that an input beside the image holds what the model takes in its place.

    Raises:
        UnexplainedLabelsError, InputMismatchError, NomenclatureMismatchError: it does not.
    """
    found, meaning = given.content, given.meaning
    if wanted.nomenclature is not None:
        name = wanted.nomenclature.name
        if found.nomenclature is None and meaning is None:
            raise UnexplainedLabelsError(
                given.name,
                "does not say what its codes mean",
                f"{given.name}:{name} if they are {name}'s",
            )
        if found.nomenclature is None:
            raise InputMismatchError(
                given.name,
                f"the model takes labels in {name} here",
                "give a map in that nomenclature",
            )
        if found.nomenclature.classes != wanted.nomenclature.classes:
            raise NomenclatureMismatchError(
                given.name,
                f"is in {found.nomenclature.name}, the model was trained on {name}",
                "give a map in that nomenclature, or another model",
            )
    elif found.kind != wanted.kind and (meaning is not None or found.kind == "labels"):
        raise InputMismatchError(
            given.name,
            f"is {found.title}, the model takes {wanted.kind} here",
            "give the inputs in the order that the model takes them",
        )
