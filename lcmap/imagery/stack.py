"""Bands of several images stacked on one grid, lazily."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rasterio.enums import Resampling

from lcmap.errors import OverlapError, UsageError
from lcmap.imagery.raster_bands import RasterBands, coverage_vrt, data_vrt
from lcmap.raster.alignment import covers, overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import reading
from lcmap.raster.radiometry import Radiometry
from lcmap.raster.warping import CHUNK, lazily_aligned
from lcmap.raster.windows import Window, iter_blocks


@dataclass(frozen=True)
class GridImage(ABC):
    """An image on a grid, not yet computed.

    `nodata` is the value of invalid pixels; where it is None, `masked` tells whether there may be
    any, for which a mask has to be kept. `radiometry` is, by band, what the values mean.
    """

    grid: Grid
    names: tuple[str, ...]
    dtype: str
    nodata: float | None
    masked: bool
    radiometry: tuple[Radiometry, ...]

    @property
    def day(self) -> date | None:
        """The day on which it was taken; None where that is not known, or is not one."""
        return None

    def windows(self) -> list[Window]:
        """Return the windows in which it is computed, at little cost in memory each."""
        return list(iter_blocks(self.grid.height, self.grid.width, CHUNK))

    @abstractmethod
    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window: the image [bands, h, w] and where every band is valid, bool [h, w].

        Invalid pixels hold the nodata value in every band, 0 where there is none.

        Raises:
            NotARasterError: the pixels of a file cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the files that it reads from."""

    def blocks(self) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
        """Compute every window in turn."""
        for window in self.windows():
            yield self.read(window)


@dataclass(frozen=True)
class Stack(GridImage):
    """Bands of one or several files on one grid, as the layers that hold them."""

    layers: tuple[GridBands, ...]

    def read(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Compute a window; a pixel is valid where every layer is."""
        rows, cols = window.slices
        parts, valid = [], np.ones((window.height, window.width), bool)
        for layer in self.layers:
            with reading(layer.name):
                part = _computed(layer.data, rows, cols)
                if layer.coverage is not None:
                    valid &= _computed(layer.coverage, rows, cols)[0] != 0
            valid &= _valid(part, layer.nodata)
            parts.append(part.astype(self.dtype, copy=False))
        image = np.concatenate(parts)
        image[:, ~valid] = 0 if self.nodata is None else self.nodata
        return image, valid

    def close(self) -> None:
        """Close the files that it reads from."""
        for layer in self.layers:
            layer.data.close()
            if layer.coverage is not None:
                layer.coverage.close()


@dataclass(frozen=True)
class GridBands:
    """One source on the stack's grid: its bands, and where a mask shows it if that is needed."""

    name: str
    data: xr.DataArray
    coverage: xr.DataArray | None
    nodata: float | None


def _computed(array: xr.DataArray, rows: slice, cols: slice) -> NDArray[Any]:
    values: NDArray[Any] = array.isel(y=rows, x=cols).compute(scheduler="synchronous").values
    return values


def _valid(image: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Return where every band [bands, h, w] holds a number other than nodata, bool [h, w]."""
    valid = np.ones(image.shape[1:], bool)
    if nodata is not None and not math.isnan(nodata):
        valid &= (image != np.asarray(nodata).astype(image.dtype)).all(axis=0)
    if image.dtype.kind == "f":
        valid &= np.isfinite(image).all(axis=0)
    return valid


def as_dtype(values: NDArray[Any], dtype: str, nodata: float | None) -> NDArray[Any]:
    """Return values as a dtype, rounded and clipped to its range, none of them the nodata value."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        converted: NDArray[Any] = values.astype(kind)
        if nodata is not None and not math.isnan(nodata):
            missing = kind.type(nodata)
            converted[converted == missing] = np.nextafter(missing, kind.type(np.inf))
        return converted
    info = np.iinfo(kind)
    converted = np.clip(np.rint(values), info.min, info.max).astype(kind)
    if nodata is not None:
        beside = nodata + 1 if nodata < info.max else nodata - 1
        converted[converted == kind.type(nodata)] = kind.type(beside)
    return converted


def stack(
    sources: Sequence[RasterBands], grid: Grid, resampling: Resampling, spread: float = 1.0
) -> Stack:
    """Stack the bands of sources on a grid, lazily.

    `spread` widens the resampling's kernel where it reduces a source; 1 is GDAL's own width.

    Data keep their dtype (the smallest that holds all where they differ). The nodata value is the
    sources' if all have the same; else it is NaN for floats, and integers, of which every value
    may be data, have none but a mask where a pixel may be invalid.

    Raises:
        OverlapError: a source covers no ground of the grid.
    """
    for source in sources:
        if not overlaps(source.grid, grid):
            raise OverlapError(
                source.name,
                "covers no ground of the stack's grid",
                "check both files' places and coordinate reference systems",
            )
    dtype = np.result_type(*(source.dtype for source in sources))
    inside = [covers(source.grid, grid) for source in sources]
    nodata = common_nodata(sources, dtype)
    may_lack = any(
        source.masked or source.nodata is not None or not whole
        for source, whole in zip(sources, inside, strict=True)
    )
    return Stack(
        grid=grid,
        names=tuple(name for source in sources for name in source.names),
        dtype=dtype.name,
        nodata=nodata,
        masked=nodata is None and may_lack,
        radiometry=tuple(band for source in sources for band in source.radiometry),
        layers=tuple(
            _layer(source, grid, resampling, whole, spread)
            for source, whole in zip(sources, inside, strict=True)
        ),
    )


def _layer(
    source: RasterBands, grid: Grid, resampling: Resampling, whole: bool, spread: float
) -> GridBands:
    coverage = None
    if source.masked or (source.nodata is None and not whole):
        coverage = lazily_aligned(coverage_vrt(source), source.grid, grid, resampling, nodata=0.0)
    data = lazily_aligned(
        data_vrt(source), source.grid, grid, resampling, nodata=source.nodata, spread=spread
    )
    return GridBands(source.name, data, coverage, source.nodata)


def common_nodata(sources: Sequence[RasterBands], dtype: np.dtype[Any]) -> float | None:
    """Return the nodata value of all sources if they have the same, else NaN for floats."""
    values = {None if s.nodata is None else repr(s.nodata): s.nodata for s in sources}
    if len(values) == 1:
        return next(iter(values.values()))
    return math.nan if dtype.kind == "f" else None


def choose_bands(sources: Sequence[RasterBands], wanted: Sequence[str]) -> list[RasterBands]:
    """Return the sources cut down and ordered to the wanted bands, numbers from 1 or names.

    Numbers count through all sources; names are compared without regard to case.

    Raises:
        UsageError: no such band, or several of the name.
    """
    bands = [(source, place) for source in sources for place in range(len(source.names))]
    names = [source.names[place].casefold() for source, place in bands]
    chosen: list[RasterBands] = []
    for text in wanted:
        source, place = bands[_position(text.strip(), names, bands)]
        chosen.append(source.chosen([place]))
    return _joined(chosen)


def _position(text: str, names: list[str], bands: Sequence[tuple[RasterBands, int]]) -> int:
    matches = [i for i, name in enumerate(names) if name == text.casefold()]
    if len(matches) > 1:
        numbers = ", ".join(str(i + 1) for i in matches)
        raise UsageError(text, f"bands {numbers} have this name", "choose one by its number")
    if matches:
        return matches[0]
    if text.isdecimal() and 1 <= int(text) <= len(names):
        return int(text) - 1
    offered = ", ".join(f"{i} {s.names[place]}" for i, (s, place) in enumerate(bands, start=1))
    raise UsageError(text or "`bands`", "no such band", f"there are: {offered}")


def _joined(parts: Sequence[RasterBands]) -> list[RasterBands]:
    """Join neighbours of the same file, so that it is opened once for them."""
    joined: list[RasterBands] = []
    for part in parts:
        last = joined[-1] if joined else None
        if last is not None and last.path == part.path:
            joined[-1] = replace(
                last,
                indexes=last.indexes + part.indexes,
                names=last.names + part.names,
                radiometry=last.radiometry + part.radiometry,
            )
        else:
            joined.append(part)
    return joined


def name_bands(sources: Sequence[RasterBands], names: Sequence[str] | None) -> list[RasterBands]:
    """Return the sources with new band names, or with their own made unique by the files' names.

    Raises:
        UsageError: not one name for each band, or one twice.
    """
    count = sum(len(source.names) for source in sources)
    if names is None:
        own = [name for source in sources for name in source.names]
        times = Counter(name.casefold() for name in own)
        names = [
            f"{Path(source.name).stem} {name}" if times[name.casefold()] > 1 else name
            for source in sources
            for name in source.names
        ]
        if len({name.casefold() for name in names}) < count:
            names = [f"band {i}" for i in range(1, count + 1)]
    elif len(names) != count:
        raise UsageError(
            "`band_names`", f"names {len(names)} band(s) of {count}", "give one name for each band"
        )
    elif len({name.casefold() for name in names}) < count or not all(names):
        raise UsageError("`band_names`", "are empty or not all different", "change them")
    renamed, start = [], 0
    for source in sources:
        stop = start + len(source.names)
        renamed.append(replace(source, names=tuple(names[start:stop])))
        start = stop
    return renamed
