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
from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.inputs import RasterInput, check_ground, open_input
from lcmap.dataset.raster_content import RasterContent, parse_input
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
from lcmap.inference.pooled_series import PooledSeries
from lcmap.inference.scaling import scaled_by, scaling_quantiles
from lcmap.inference.series_inputs import dates_of
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
    readers: tuple[InputReader | PooledSeries | LeftOut, ...]
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
        return dates_of(self.readers)


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
    given: Sequence[PathLike],
    wanted: Sequence[ModelInput],
    model: PathLike,
    options: ModelInputOptions,
    progress: Progress,
    quantiles: Sequence[NDArray[np.float64] | None] | None = None,
) -> OpenedInputs:
    """Open the rasters for a model's inputs, in their order; `resources` closes them.

    The first gives the grid. The others may name their kind or nomenclature after a colon, and with
    `allow_missing` cover any part of the image, however small. Where the `quantiles` of all are
    known already, they are not sought again.

    Raises:
        InputMismatchError, NomenclatureMismatchError: they are not what the model takes.
        InputMismatchError, GsdMismatchError: as `check_image`.
        NoCrsError, OverlapError: an input is not of the image's area.
        InputMissingError, NotARasterError: as `open_input`.
        UnexplainedLabelsError: the codes of a label map are not explained.
        UsageError: standard input is named twice.
    """
    check_count(len(given), wanted, model)
    check_standard_input_once(given)
    bands = [len(item.bands) if item.kind == "image" else None for item in wanted]
    image = resources.enter_context(open_input(given[0], options, bands=bands[0]))
    sides = []
    for text, count in zip(given[1:], bands[1:], strict=True):
        path, meaning = parse_input(text)
        opening = open_input(path, options.beside_image(), meaning=meaning, bands=count)
        sides.append(resources.enter_context(opening))
    for side, model_input in zip(sides, wanted[1:], strict=True):
        check_content(side, content_wanted(model_input))
    opened = (image, *sides)
    for raster, model_input in zip(opened, wanted, strict=True):
        check_image(model_input, raster.dataset, subject=raster.name, force=options.force)
    for side in sides:
        check_ground(
            side.grid, image.grid, side.name, image.name, allow_missing=options.allow_missing
        )
    scaling = quantiles or [
        scaling_quantiles(raster, model_input, options.quantiles, progress)
        if model_input.kind == "image"
        else None
        for raster, model_input in zip(opened, wanted, strict=True)
    ]
    readers = (
        InputReader(
            raster.dataset,
            image.grid,
            content_wanted(model_input),
            quantiles,
            raster.name,
        )
        for raster, model_input, quantiles in zip(opened, wanted, scaling, strict=True)
    )
    files = tuple(name for raster in opened for name in raster.files)
    return OpenedInputs(image.grid, image.name, tuple(readers), tuple(scaling), files)


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
