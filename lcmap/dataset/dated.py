"""The dates of a series, closed: rasters, and Sentinel-2 products that are read in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.inputs import InputOptions, RasterInput, open_input, reopened_input
from lcmap.dataset.normalisation import scale
from lcmap.dataset.raster_kind import RasterKind
from lcmap.errors import DataError, InputMismatchError
from lcmap.paths import PathLike
from lcmap.raster.acquisition_day import acquisition_day
from lcmap.raster.alignment import footprint, overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import has_band_names, read_valid, reopened_raster
from lcmap.raster.quantiles import select_quantiles
from lcmap.raster.radiometry import Radiometry, radiometry_of
from lcmap.raster.resampling import AlignedPixels, AlignedRaster, Known, Surroundings
from lcmap.raster.windows import Window, iter_blocks
from lcmap.sentinel2.bands import BANDS, normalised
from lcmap.sentinel2.masking import CHUNK, NODATA, MaskedBands, by_resolution, opened_bands
from lcmap.sentinel2.product import is_sentinel2, product_bands, read_product, refuse_archive
from lcmap.sentinel2.scene import Scene


class BandsAround(NamedTuple):
    """What a window of some of a date's bands, [C] numbers, is interpolated from."""

    bands: tuple[int, ...]
    pixels: Surroundings


class OpenDate:
    """An open date on the grid of an image; bands of any pixel size are one image there."""

    def __init__(self, rasters: Sequence[AlignedPixels], bands: Sequence[tuple[int, ...]],
                 quantiles: NDArray[np.float64]) -> None:  # fmt: skip
        """Read each raster as these bands of the date, scaled by their `quantiles` [C, 2]."""
        self._rasters = [
            (raster, numbers, partial(_scaled, quantiles[list(numbers)]))
            for raster, numbers in zip(rasters, bands, strict=True)
        ]

    def around(self, window: Window, known: Known) -> list[BandsAround]:
        """Return what a window is interpolated from, none where a band is not valid anywhere.

        `known` as with `AlignedPixels.surroundings`.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        found = []
        for raster, bands, scaled in self._rasters:
            pixels = raster.surroundings(window, scaled, known)
            if pixels is None:
                return []
            found.append(BandsAround(bands, pixels))
        return found


@dataclass(frozen=True)
class DatedRaster:
    """A raster of a series, closed, and the day on which it was taken.

    `files` are all that is read, `radiometry` is what its bands mean.
    """

    source: RasterInput
    day: date
    kind: RasterKind
    radiometry: tuple[Radiometry, ...]
    files: tuple[str, ...]

    open_files = 1
    """How many files are open while it is read."""

    @property
    def path(self) -> Path:
        """What a tile index names."""
        return self.source.path

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.source.name

    @property
    def grid(self) -> Grid:
        """Its own grid."""
        return self.source.grid

    @contextmanager
    def opened(
        self, grid: Grid, quantiles: NDArray[np.float64], options: InputOptions
    ) -> Iterator[OpenDate]:
        """Open it again on a grid, scaled by these quantiles [C, 2]; any thread may close it.

        Raises:
            NotARasterError: it cannot be opened any more.
        """
        with reopened_input(self.source, options, len(self.kind.bands)) as dataset:
            bands = tuple(range(dataset.count))
            yield OpenDate([AlignedRaster(dataset, grid, self.name)], [bands], quantiles)

    def quantiles(self, options: InputOptions) -> NDArray[np.float64]:
        """Return its 2 % and 98 % quantiles, float64 [C, 2]; zeros without a valid pixel.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        with open_input(self.path, options) as source:
            return source.quantiles(one_of_many=True, remedy="prepare it with")

    def shows(self, grid: Grid, options: InputOptions) -> bool:
        """Tell whether it has a valid pixel where a grid is.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        if not overlaps(self.grid, grid):
            return False
        with open_input(self.path, options, bands=len(self.kind.bands)) as source:
            blocks = _blocks(footprint(self.grid, grid))
            return any(read_valid(source.dataset, block).any() for block in blocks)


@dataclass(frozen=True)
class DatedScene:
    """A granule of a Sentinel-2 product of a series, closed, which is masked as it is read.

    `path` is the product's folder, `grid` that of its finest bands. The bands of `kind` are those
    of the scene, in the words of whoever asked for them.
    """

    path: Path
    scene: Scene
    grid: Grid
    kind: RasterKind

    @property
    def day(self) -> date:
        """The day on which it was taken."""
        return self.scene.day

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.kind.name

    @property
    def files(self) -> tuple[str, ...]:
        """All that is read of it."""
        return tuple(map(str, self.scene.files))

    @property
    def open_files(self) -> int:
        """How many files are open while it is read."""
        return len(self.files)

    @property
    def radiometry(self) -> tuple[Radiometry, ...]:
        """What its bands mean."""
        return (Radiometry(level=self.scene.level),) * len(self.scene.bands)

    @contextmanager
    def opened(
        self, grid: Grid, quantiles: NDArray[np.float64], options: InputOptions
    ) -> Iterator[OpenDate]:
        """Open it again on a grid, scaled by these quantiles [C, 2]; any thread may close it.

        Raises:
            NotARasterError: it cannot be opened any more.
        """
        with ExitStack() as files:
            groups = [
                files.enter_context(opened_bands(self.scene, names, reopened_raster))
                for names in by_resolution(tuple(self.scene.bands))
            ]
            order = tuple(self.scene.bands)
            bands = [tuple(map(order.index, group.names)) for group in groups]
            yield OpenDate([_AlignedBands(group, grid) for group in groups], bands, quantiles)

    def quantiles(self, options: InputOptions) -> NDArray[np.float64]:
        """Return its 2 % and 98 % quantiles, float64 [C, 2]; zeros without a valid pixel.

        Those of bands of one pixel size are over the pixels that are valid in all of these.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        bands = tuple(self.scene.bands)
        found = np.zeros((len(bands), 2))
        for names in by_resolution(bands):
            with opened_bands(self.scene, names, reopened_raster) as opened:
                whole = Window(0, 0, *opened.grid.shape)
                windows = list(_blocks(whole))
                blocks = partial(map, partial(_with_valid, opened), windows)
                quantiles = select_quantiles(blocks, len(names), np.int16)
            if np.isnan(quantiles).any():
                return np.zeros((len(bands), 2))
            found[[bands.index(name) for name in names]] = quantiles
        return found

    def shows(self, grid: Grid, options: InputOptions) -> bool:
        """Tell whether it has a valid pixel where a grid is, by a band of its coarsest ones.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        if not overlaps(self.grid, grid):
            return False
        names = by_resolution(tuple(self.scene.bands))[-1][:1]
        with opened_bands(self.scene, names, reopened_raster) as opened:
            blocks = _blocks(footprint(opened.grid, grid))
            return any((opened.read(block) != NODATA).any() for block in blocks)


Dated = DatedRaster | DatedScene


def open_dates(
    path: PathLike,
    options: InputOptions,
    *,
    bands: int | None,
    names: Sequence[str] | None,
    days: Callable[[date], bool] | None,
) -> list[Dated]:
    """Open a raster or a product, check it, and return it closed: a product has a date or several.

    `bands` as with `open_input`; `names` are those taken of a product, None for the ten of 10 and
    20 m. What is of a day that `days` does not want is left out.

    Raises:
        InputMissingError, NotARasterError, NoCrsError: as `open_input`.
        ProductError: a product is not whole, or packed.
        DataError: a raster says nowhere when it was taken.
        InputMismatchError: it is no image, or a product lacks one of the bands.
    """
    refuse_archive(path)
    if is_sentinel2(path):
        return _scenes(Path(path), names, days)
    with open_input(path, options, bands=bands) as source:
        source.require_crs()
        kind = _kind(source)
        day = _day(source)
        if days is not None and not days(day):
            return []
        meant = radiometry_of(source.dataset, source.name)
        return [DatedRaster(source, day, kind, meant, tuple(source.files))]


def _scenes(
    product: Path, names: Sequence[str] | None, days: Callable[[date], bool] | None
) -> list[Dated]:
    if names is not None and not has_band_names(tuple(names)):
        names = None
    wanted = product_bands(None) if names is None else tuple(map(normalised, names))
    if not set(wanted) <= set(BANDS):
        raise InputMismatchError(
            product,
            f"is a Sentinel-2 product, which has no {', '.join(sorted({*wanted} - {*BANDS}))}",
            "give images with the bands that the model was trained on",
        )
    found: list[Dated] = []
    for scene in read_product(product, wanted):
        if days is not None and not days(scene.day):
            continue
        grids = []
        for group in by_resolution(wanted):
            with opened_bands(scene, group) as opened:
                grids.append(opened.grid)
        name = f"{product.parent / scene.name}"
        found.append(
            DatedScene(product, scene, grids[0], RasterKind(name, tuple(names or wanted), "int16"))
        )
    return found


def _kind(source: RasterInput) -> RasterKind:
    if source.content.kind != "image":
        raise InputMismatchError(
            source.name, f"is {source.content.title}, not an image", "leave it out of the series"
        )
    return RasterKind.of(source.dataset, source.name)


def _day(source: RasterInput) -> date:
    day = acquisition_day(source.dataset, source.name)
    if day is None:
        raise DataError(
            source.name,
            "neither its tags nor its name say when it was taken",
            "put the day into its name, as in s2_2018-07-05.tif",
        )
    return day


def _blocks(window: Window) -> Iterator[Window]:
    """Yield a window in parts that fit into memory."""
    for block in iter_blocks(window.height, window.width, CHUNK):
        yield block.shifted(window.row, window.col)


def _with_valid(bands: MaskedBands, window: Window) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return a window of masked reflectance, int16 [C, h, w], and where all bands have some."""
    values = bands.read(window)
    return values, (values != NODATA).all(axis=0)


class _AlignedBands(AlignedPixels):
    """The bands of a scene that share a pixel size, on another grid."""

    def __init__(self, bands: MaskedBands, target: Grid) -> None:
        super().__init__(bands.grid, target, len(bands.names), np.int16)
        self._opened = bands

    def read_pixels(self, window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Return a window of masked reflectance, int16 [C, h, w], and where valid, bool [h, w]."""
        return _with_valid(self._opened, window)


def _scaled(
    quantiles: NDArray[np.float64], pixels: NDArray[Any], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:
    return scale(pixels, quantiles, valid)
