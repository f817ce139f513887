"""Tiles that train nothing and are predicted: checked and scaled as a map of their image is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lcmap.dataset.raster_kind import RasterKind
from lcmap.dataset.tile_index import IndexedTile, Side, rasters_of
from lcmap.model_file import ModelInput
from lcmap.raster.radiometry import NamedRadiometry, radiometry_of
from lcmap.training.scaling_choice import ScalingChoice


def take_further_tiles(
    tiles: Sequence[IndexedTile],
    training: Sequence[IndexedTile],
    inputs: Sequence[ModelInput],
    scaling: ScalingChoice,
) -> None:
    """Check that further tiles are as those that train, and choose what theirs are scaled by.

    `inputs` are what the training tiles come to.

    Raises:
        InputMismatchError: bands or a data type are others; or as `ScalingChoice.take_further`.
        NotARasterError: a raster cannot be read.
        LcmapError: as `open_series`.
    """
    for number, model_input in enumerate(inputs):
        known = dict.fromkeys(_input(tile, number) for tile in training)
        first = os.fspath(rasters_of(next(iter(known)))[0])
        kind = RasterKind(first, model_input.bands, model_input.dtype)
        for side in dict.fromkeys(_input(tile, number) for tile in tiles):
            if side in known:
                continue
            if isinstance(side, tuple):
                series = scaling.reader.series(side)
                RasterKind(series.name, series.bands, series.dtype).check_as(kind)
                meant = NamedRadiometry(series.name, series.radiometry)
                scaling.take_further(side, meant, series.bands, number, model_input)
            else:
                _take_raster(side, kind, number, model_input, scaling)


def _input(tile: IndexedTile, number: int) -> Side:
    return (tile.image, *tile.sides)[number]


def _take_raster(
    path: Path, kind: RasterKind, number: int, model_input: ModelInput, scaling: ScalingChoice
) -> None:
    name = os.fspath(path)
    with scaling.reader.opened(path) as raster:
        own = RasterKind.of(raster.dataset, name)
        meant = NamedRadiometry(name, radiometry_of(raster.dataset, name))
    if model_input.kind != "labels":  # whose classes alone count
        own.check_as(kind)
    if model_input.kind == "image":
        scaling.take_further(path, meant, own.bands, number, model_input)
