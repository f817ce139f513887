"""The inputs of a model where they are many rasters: found, checked, and put on one grid."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.encoding import Encoding
from lcmap.dataset.inputs import RasterInput, open_input
from lcmap.dataset.mosaic_reader import MosaicPart, MosaicReader
from lcmap.dataset.raster_content import parse_input
from lcmap.dataset.raster_files import raster_files, would_join
from lcmap.engines.compute import Arithmetic
from lcmap.errors import DataError, OverlapError, UsageError
from lcmap.graph.outputs import Result
from lcmap.inference.band_groups import SCENES, WINNING_PROBABILITY, BandGroup
from lcmap.inference.campaign import CampaignPredictor, CampaignSource, MappedScenes
from lcmap.inference.inputs import (
    OpenedInputs,
    check_content,
    content_wanted,
)
from lcmap.inference.left_out import LeftOut
from lcmap.inference.options import ModelInputOptions, Prefer
from lcmap.inference.output_files import OutputFiles
from lcmap.inference.pooled_series import PooledSeries
from lcmap.inference.scaling import scaled_by, scaling_quantiles
from lcmap.inference.series_inputs import dates_of
from lcmap.inference.source import Source, StoredMap
from lcmap.inference.tile_predictor import Predictor, TilePredictor
from lcmap.model_file import ModelInput, check_image
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.acquisition_day import acquisition_day
from lcmap.raster.alignment import footprint, overlaps
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.mosaic import Mosaic, mosaic_of
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.quantile_tags import read_quantiles

logger = logging.getLogger(__name__)

_AT_A_CORNER = 4
"""Scenes that a tile meets where their corners do."""

Images = PathLike | Sequence[PathLike]
"""An input of a model: a raster, a folder, pattern or index of rasters, or several of these."""


def input_files(given: Images, *, explained: bool) -> tuple[PathLike, ...]:
    """Return the rasters of an input of a model, in their order.

    Where an input may be `explained`, each has the meaning that was given after a colon.

    Raises:
        InputMissingError, NotAVectorError: as `raster_files`.
        UsageError: standard input is one of several.
    """
    files: list[PathLike] = []
    for item in _several(given):
        path, meaning = parse_input(item) if explained else (item, None)
        found = raster_files(path)
        if [os.fspath(file) for file in found] == [os.path.normpath(path)]:
            files.append(item)
        else:
            files += [file if meaning is None else f"{file}:{meaning}" for file in found]
    if len(files) > 1 and STANDARD_STREAM in [os.fspath(file) for file in files]:
        raise UsageError("-", "cannot be one of several images", "name files")
    return tuple(files)


def check_outside(files: OutputFiles, inputs: Sequence[Images]) -> None:
    """Check that no raster of a map is in a folder that is an input, where the next run finds it.

    Raises:
        UsageError: one is, or fits a pattern.
    """
    for given in (item for one in inputs for item in _several(one)):
        for raster in files.rasters:
            if stream_at(raster.path) is None and would_join(raster.path, parse_input(given)[0]):
                raise UsageError(
                    raster.path,
                    f"would be one of the inputs {os.fspath(given)} of the next run",
                    "write it to another folder",
                )


def _several(given: Images) -> Sequence[PathLike]:
    return [given] if isinstance(given, str | os.PathLike) else given


def scene_tags(scenes: Sequence[PathLike]) -> dict[str, str]:
    """Return the tags that name the scenes of a map by their numbers, which begin at 1."""
    return {
        f"LCMAP_SCENE_{number}": os.path.basename(scene)
        for number, scene in enumerate(scenes, start=1)
    }


@dataclass(frozen=True)
class OpenedCampaign:
    """What a model is given: how the scenes lie on one grid, and a reader for each input.

    `name` is what messages call the scenes. `quantiles` are those of each raster that is an image,
    [C, 2], None of the others. `files` are all that is read. `views` is how many views of a tile
    are held at the same time at most, or nearly.
    """

    mosaic: Mosaic
    name: str
    readers: tuple[MosaicReader | PooledSeries | LeftOut, ...]
    quantiles: tuple[NDArray[np.float64] | None, ...]
    files: tuple[str, ...]
    order: tuple[int, ...]
    prefer: Prefer
    views: int

    @property
    def grid(self) -> Grid:
        """The grid that holds all scenes."""
        return self.mosaic.grid

    @property
    def compared(self) -> tuple[Result, ...]:
        """The result of the network by which scenes are compared, if they are."""
        return ("winning_probability",) if self._by_confidence else ()

    def encodings(self, precision: Arithmetic) -> tuple[Encoding, ...]:
        """Return how the inputs travel: as the network takes them, since each scene is scaled by
        quantiles of its own."""
        return (None,) * len(self.readers)

    def source(self, encodings: Sequence[Encoding], *, allow_missing: bool) -> Source[Any]:
        """Return what tiles are read from in these encodings, for `predictor`."""
        return CampaignSource(
            self.grid.shape,
            self.readers,
            allow_missing=allow_missing,
            every_scene=self._by_confidence,
        )

    def predictor(self, predictor: TilePredictor) -> Predictor[Any]:
        """Return what maps the tiles that `source` reads, of each scene with a predictor."""
        seen = partial(self.mosaic.seen_in_block, order=self.order, covered=self._by_confidence)
        return CampaignPredictor(predictor, self.views, seen)

    def verifying(self, source: Source[Any], stored: StoredMap) -> Source[Any]:
        """Return what the tiles of a second prediction are read from.

        Each pixel is predicted again from the same scene: two may be as sure but for rounding.
        """
        assert isinstance(source, CampaignSource)
        return MappedScenes(source, stored) if self._by_confidence else source

    def groups(self, written: Sequence[BandGroup], *, verify: bool) -> list[BandGroup]:
        """Return the band groups to store, those that are written among them."""
        found = [*written, *[WINNING_PROBABILITY] * verify]
        return found if SCENES in found or not self._by_confidence else [*found, *[SCENES] * verify]

    @property
    def facts(self) -> dict[str, Any]:
        """What the map depends on, beside the rasters and how they are scaled, as JSON values."""
        return {"order": list(self.order), "prefer": self.prefer, **dates_of(self.readers)}

    @property
    def _by_confidence(self) -> bool:
        return self.prefer == "confidence"


Opened = OpenedInputs | OpenedCampaign
"""What a model is given, each input one raster or any of them many."""


def open_campaign(
    resources: ExitStack,
    given: Sequence[Sequence[PathLike]],
    wanted: Sequence[ModelInput],
    model: PathLike,
    options: ModelInputOptions,
    progress: Progress,
    quantiles: Sequence[NDArray[np.float64] | None] | None = None,
) -> OpenedCampaign:
    """Check the rasters for a model's inputs, in their order; those of the first give the grid.

    Each is opened, checked and closed; the readers, which `resources` closes, open it again. Where
    the `quantiles` of all are known already, they are not sought again. Those that a raster carries
    are read when it is checked, others are computed once all have been checked.

    Raises:
        InputMismatchError, NomenclatureMismatchError: they are not what the model takes.
        InputMismatchError, GsdMismatchError: as `check_image`.
        NoCrsError, GridMismatchError: the scenes are not on the pixels of one grid.
        OverlapError: no raster of an input covers ground of the scenes.
        DataError: the newest is preferred, and a scene does not say when it was taken.
        InputMissingError, NotARasterError: as `open_input`.
        UnexplainedLabelsError: the codes of a label map are not explained.
    """
    if STANDARD_STREAM in [os.fspath(file) for files in given for file in files]:
        raise UsageError("standard input", "cannot be read as a campaign is", "name files")
    inputs = [
        [
            _checked(
                file, model_input, options, None if quantiles else progress, explained=place > 0
            )
            for file in files
        ]
        for place, (files, model_input) in enumerate(zip(given, wanted, strict=True))
    ]
    scenes = inputs[0]
    mosaic = mosaic_of([s.source.grid for s in scenes], [s.source.name for s in scenes])
    order = _order(scenes, options.prefer)
    name = _name(scenes)
    rasters, mosaics = [scenes], [mosaic]
    for others, model_input in zip(inputs[1:], wanted[1:], strict=True):
        found, around = _on_grid(others, mosaic.grid.coarsened(model_input.level), name)
        rasters.append(found)
        mosaics.append(around)
    opening = [options, *[options.beside_image()] * (len(rasters) - 1)]
    bare = sum(raster.is_bare for found in rasters for raster in found)
    if bare and quantiles is None and scaled_by(wanted[0], options.quantiles) == "image":
        logger.info("%s: computing the quantiles of %d that carry none", name, bare)
    scaling = quantiles or [
        _quantiles(raster, model_input, seen_as, progress) if raster.is_bare else raster.quantiles
        for found, model_input, seen_as in zip(rasters, wanted, opening, strict=True)
        for raster in found
    ]
    readers, left = [], iter(scaling)
    for found, model_input, where, seen_as in zip(rasters, wanted, mosaics, opening, strict=True):
        aligned = found is scenes
        parts = [
            MosaicPart(
                raster.source,
                _bands(model_input),
                content_wanted(model_input),
                next(left),
                raster.source.grid if aligned else mosaic.grid,
                where.windows[number][:2] if aligned else (0, 0),
            )
            for number, raster in enumerate(found)
        ]
        reader = MosaicReader(
            parts, where, order if aligned else range(1, len(parts) + 1),
            model_input.channels, seen_as,
        )  # fmt: skip
        readers.append(resources.enter_context(reader))
    return OpenedCampaign(
        mosaic,
        name,
        tuple(readers),
        tuple(scaling),
        tuple(file for found in rasters for raster in found for file in raster.files),
        tuple(order),
        options.prefer,
        min(len(scenes), max(mosaic.depth, _AT_A_CORNER)),
    )


@dataclass(frozen=True)
class _Checked:
    """A raster that is what the model takes, closed; the files that are read of it, and its day.

    It `is_bare` if it is an image that carries no quantiles. `quantiles` [C, 2] are those that
    another image is scaled by, where they were asked for.
    """

    source: RasterInput
    files: tuple[str, ...]
    day: date | None
    is_bare: bool
    quantiles: NDArray[np.float64] | None


def _bands(wanted: ModelInput) -> int | None:
    return len(wanted.bands) if wanted.kind == "image" else None


def _checked(
    given: PathLike,
    wanted: ModelInput,
    options: ModelInputOptions,
    progress: Progress | None,
    *,
    explained: bool,
) -> _Checked:
    """Check a raster; with `progress`, find its quantiles where it carries them."""
    path, meaning = parse_input(given) if explained else (given, None)
    options = options.beside_image() if explained else options
    with open_input(path, options, meaning=meaning, bands=_bands(wanted)) as raster:
        if explained:
            check_content(raster, content_wanted(wanted))
        check_image(wanted, raster.dataset, subject=raster.name, force=options.force)
        raster.require_crs()
        is_image = wanted.kind == "image"
        is_bare = is_image and read_quantiles(raster.dataset) is None
        quantiles = None
        if is_image and progress and not is_bare:
            quantiles = _quantiles_of(raster, wanted, options, progress)
        day = acquisition_day(raster.dataset, raster.name)
        return _Checked(raster, raster.files, day, is_bare, quantiles)


def _order(scenes: Sequence[_Checked], prefer: Prefer) -> list[int]:
    """Return the numbers of the scenes in the order in which they count.

    Raises:
        DataError: a scene does not say when it was taken, and the newest is preferred.
    """
    numbers = list(range(1, len(scenes) + 1))
    if prefer != "newest" or len(scenes) == 1:
        return numbers
    days = []
    for scene in scenes:
        if scene.day is None:
            raise DataError(
                scene.source.name,
                "neither its tags nor its name say when it was taken",
                "write it into its tag ACQUISITION_DATE or its name, as 2018-07-14, or leave out "
                "`prefer=newest` and give the images in the order that counts",
            )
        days.append(scene.day)
    return sorted(numbers, key=lambda number: days[number - 1], reverse=True)


def _name(scenes: Sequence[_Checked]) -> str:
    first = scenes[0].source.name
    return first if len(scenes) == 1 else f"{first} and {len(scenes) - 1} more"


def _on_grid(rasters: Sequence[_Checked], grid: Grid, scenes: str) -> tuple[list[_Checked], Mosaic]:
    """Return those rasters that cover ground of a grid, and where they do.

    Raises:
        OverlapError: none does.
    """
    found = [raster for raster in rasters if overlaps(raster.source.grid, grid)]
    if not found:
        raise OverlapError(
            rasters[0].source.name,
            f"covers no ground of {scenes}" + ", as all others" * (len(rasters) > 1),
            "give an input of the images' area",
        )
    windows = tuple(footprint(grid, raster.source.grid) for raster in found)
    return found, Mosaic(grid, windows)


def _quantiles(
    raster: _Checked, wanted: ModelInput, options: ModelInputOptions, progress: Progress
) -> NDArray[np.float64]:
    """Return what a closed image is scaled by."""
    given = raster.source.path
    with open_input(given, options, meaning=raster.source.meaning, bands=_bands(wanted)) as image:
        return _quantiles_of(image, wanted, options, progress)


def _quantiles_of(
    image: RasterInput, wanted: ModelInput, options: ModelInputOptions, progress: Progress
) -> NDArray[np.float64]:
    return scaling_quantiles(image, wanted, options.quantiles, progress, one_of_many=True)
