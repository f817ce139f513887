"""The rasters of maps as a STAC item describes them, read without their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.errors import DataError
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.paths import PathLike
from lcmap.raster.acquisition_day import acquisition_period
from lcmap.raster.classes import ClassTable, find_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.making import DIGEST
from lcmap.raster.map_bands import CONFIDENCE, MARGIN, SCENE

Part = Literal["map", "confidence", "margin", "probabilities", "scenes"]

_BY_BAND: dict[str | None, Part] = {CONFIDENCE: "confidence", MARGIN: "margin", SCENE: "scenes"}
_REMEDY = "give maps of classes, and what lcmap wrote with them"


@dataclass(frozen=True)
class DescribedRaster:
    """What a raster says of itself.

    part: what it is of a map. bands: the names of its bands.
    period: the first and the last day of the ground that it shows; None where it does not say them.
    written: when the file was.
    """

    path: Path
    part: Part
    grid: Grid
    table: ClassTable | None
    bands: tuple[str, ...]
    dtype: str
    nodata: float | None
    tags: dict[str, str]
    cog: bool
    period: tuple[date, date] | None
    written: datetime


@dataclass(frozen=True)
class DescribedMap:
    """A map, and the rasters that came with it."""

    map: DescribedRaster
    parts: tuple[DescribedRaster, ...]

    @property
    def name(self) -> str:
        """The name of its file, without the ending."""
        return self.map.path.stem


def read_raster(path: PathLike, inputs: InputOptions) -> DescribedRaster:
    """Return what a raster says of itself.

    Raises:
        InputMissingError, NotARasterError: it cannot be read.
        NoCrsError: it does not say where on earth it is.
        DataError: it is neither a map of classes nor what lcmap writes with one.
    """
    with open_input(path, inputs) as raster:
        raster.require_crs()
        dataset = raster.dataset
        table = find_class_table(dataset)
        part: Part | None = "map" if table else _BY_BAND.get(dataset.descriptions[0])
        if read_nomenclature(dataset, raster.name) is not None:
            part, table = "probabilities", None
        if part is None:
            raise DataError(raster.name, "names no classes, and is nothing that belongs to a map",
                            _REMEDY)  # fmt: skip
        return DescribedRaster(
            Path(path),
            part,
            raster.grid,
            table,
            tuple(name or "" for name in dataset.descriptions),
            dataset.dtypes[0],
            dataset.nodata,
            dataset.tags(),
            dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG",
            acquisition_period(dataset, raster.name),
            datetime.fromtimestamp(int(Path(path).stat().st_mtime), UTC),
        )


def gather(rasters: Sequence[DescribedRaster]) -> list[DescribedMap]:
    """Return the maps among rasters, each with those that are of it.

    They have its grid; of several maps on one grid, the digest of what it was made with.

    Raises:
        DataError: there is no map; two have one name; a raster is of no map, or it cannot be told
            of which; two are the same part of a map.
    """
    maps = [raster for raster in rasters if raster.part == "map"]
    if not maps:
        raise DataError(rasters[0].path, "is no map of classes, nor is another", _REMEDY)
    names: dict[str, Path] = {}
    for one in maps:
        other = names.setdefault(one.path.stem, one.path)
        if other != one.path:
            raise DataError(one.path, f"has the name of {other}", "name them apart")
    found: dict[Path, dict[Part, DescribedRaster]] = {one.path: {} for one in maps}
    for raster in rasters:
        if raster.part == "map":
            continue
        parts = found[_whose(raster, maps).path]
        if raster.part in parts:
            raise DataError(
                raster.path, f"is a second raster of {raster.part} of its map", "give one of them"
            )
        parts[raster.part] = raster
    return [DescribedMap(one, tuple(found[one.path].values())) for one in maps]


def _whose(raster: DescribedRaster, maps: Sequence[DescribedRaster]) -> DescribedRaster:
    alike = [one for one in maps if one.grid.matches(raster.grid)]
    if len(alike) > 1 and DIGEST in raster.tags:
        alike = [one for one in alike if one.tags.get(DIGEST) == raster.tags[DIGEST]]
    if len(alike) != 1:
        problem = "of which map it is cannot be told" if alike else "is of none of the maps"
        raise DataError(raster.path, problem, "give it with the map that it was made with alone")
    return alike[0]
