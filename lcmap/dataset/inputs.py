"""Opening the rasters that a user names, for every command, in this one place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.raster_content import RasterContent, content_of
from lcmap.errors import AllNodataError, NotARasterError, OverlapError
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.alignment import overlaps, shared_ground
from lcmap.raster.grid import Grid
from lcmap.raster.opening import (
    alpha_band,
    check_placed,
    files_of,
    open_raster,
    reopened_raster,
)
from lcmap.raster.pipes import display_name, input_path, is_copy
from lcmap.raster.quantile_tags import carried_quantiles, read_quantiles
from lcmap.raster.quantiles import dataset_quantiles
from lcmap.raster.undeclared_border import BorderRemedy, warn_of_border
from lcmap.raster.usable_crs import no_crs, parse_crs, usable_crs
from lcmap.raster.view import ViewOptions, viewed
from lcmap.sentinel2.product import is_sentinel2

LEAST_SHARED = 0.5
"""An input that covers less of the image than this is taken for the wrong one."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InputOptions:
    """How inputs are opened.

    allow_vrt: open VRT files too, which read other files and addresses.
    tmpdir: where standard input and intermediate files go; None is the system's folder.
    nodata: the value of images' pixels without data; None is what each file says.
    assume_crs: the coordinate reference system of rasters whose own is missing or local, as
        EPSG:2154; None assumes none.
    keep_nodata: a file that declares a value without data keeps it, whatever `nodata` is.
    """

    allow_vrt: bool = False
    tmpdir: Path | None = None
    nodata: float | None = None
    assume_crs: str | None = None
    keep_nodata: bool = False

    def beside_image(self) -> Self:
        """Return how an input beside the image is opened, which may be of another sensor.

        The value without data that is said of the image does not take away its own.
        """
        return replace(self, keep_nodata=True)


@dataclass(frozen=True)
class RasterInput:
    """An open raster that a user named.

    `path` is where it can be opened again, `name` is what messages call it; `meaning` is what the
    user said of its content, None where nothing was said.
    """

    dataset: Any
    path: Path
    name: str
    grid: Grid
    meaning: str | None

    @cached_property
    def content(self) -> RasterContent:
        """What it holds: as the user says, else as its tags do, else an image.

        Raises:
            UsageError, NomenclatureError: as `content_of`.
        """
        return content_of(self.dataset, self.meaning, self.name)

    @property
    def files(self) -> tuple[str, ...]:
        """All that is read of it: the raster itself, what is beside it, what a VRT names."""
        return files_of(self.dataset)

    def require_crs(self) -> None:
        """Check that it says where on earth it is.

        Raises:
            NoCrsError: otherwise.
        """
        if self.grid.crs is None:
            raise no_crs(self.name)

    def quantiles(
        self,
        progress: Progress = silent,
        *,
        one_of_many: bool = False,
        remedy: BorderRemedy = "say",
    ) -> NDArray[np.float64]:
        """Return the 2 % and 98 % quantiles of each band, float64 [bands, 2].

        They are those that its tags carry, where these are still those of its pixels, else they
        are computed over all of it, which a message says unless it is `one_of_many`. An image
        without a valid pixel has zeros. `remedy` as with `warn_of_border`.

        Raises:
            NotARasterError: its pixels cannot be read.
        """
        found = self._quantiles(progress, logging.DEBUG if one_of_many else logging.INFO)
        warn_of_border(self.dataset, found, self.name, remedy)
        return found

    def _quantiles(self, progress: Progress, level: int) -> NDArray[np.float64]:
        carried = carried_quantiles(self.dataset, self.name)
        if carried is not None:
            return carried
        if read_quantiles(self.dataset) is None:
            text = "%s carries no quantiles: computing them over the whole image"
            logger.log(level, text, self.name)
        try:
            return dataset_quantiles(self.dataset, self.name, progress=progress)
        except AllNodataError:
            return np.zeros((self.dataset.count, 2))


@contextmanager
def open_input(
    given: PathLike,
    options: InputOptions | None = None,
    *,
    meaning: str | None = None,
    bands: int | None = None,
    own: bool = False,
) -> Iterator[RasterInput]:
    """Open a raster that a user named; "-" is standard input, as with `input_path`.

    `meaning` is what the user said of its content; `parse_input` parts it from the path. Where
    `bands` are wanted and the file has as many, one that is marked as transparency is data: GDAL
    marks the fourth of four bands so unless it is told otherwise. A temporary file of lcmap's `own`
    is not watched.

    Raises:
        NoCrsError: its coordinate reference system does not place it on earth, or it is not
            orthorectified, as `check_placed`.
        UsageError: `assume_crs` is not one that does.
        UsageError, InputMissingError, CannotWriteError: standard input cannot be read, as with
            `input_path`.
        InputMissingError, NotARasterError: as `open_raster`.
        NotARasterError: it is the folder of a Sentinel-2 product.
    """
    options = options or InputOptions()
    name = display_name(given)
    if is_sentinel2(given):
        raise NotARasterError(
            name, "is a Sentinel-2 product, not a raster", "make an image of it with lcmap prepare"
        )
    with (
        input_path(given, tmpdir=options.tmpdir) as path,
        open_raster(
            path, allow_vrt=options.allow_vrt, name=name, own=own or is_copy(given, path)
        ) as dataset,
        viewed(dataset, _view(dataset, options, meaning, bands, name)) as seen,
    ):
        yield RasterInput(seen, path, name, Grid.of(seen), meaning)


@contextmanager
def seen_input(
    dataset: Any, path: Path, name: str, options: InputOptions, *, meaning: str | None = None
) -> Iterator[RasterInput]:
    """Yield a raster that is open already, at `path`, as these options have it seen.

    `meaning` as with `open_input`.

    Raises:
        NoCrsError, UsageError: as `open_input`.
    """
    with viewed(dataset, _view(dataset, options, meaning, None, name)) as seen:
        yield RasterInput(seen, path, name, Grid.of(seen), meaning)


@contextmanager
def reopened_input(source: RasterInput, options: InputOptions, bands: int | None) -> Iterator[Any]:
    """Yield the dataset of an input again that `open_input` opened with these and has closed since.

    It was checked then. It may be closed by another thread, and in any order among others.

    Raises:
        NotARasterError: it cannot be opened any more.
    """
    with (
        reopened_raster(source.path, allow_vrt=options.allow_vrt, name=source.name) as dataset,
        viewed(dataset, _view(dataset, options, source.meaning, bands, source.name)) as seen,
    ):
        yield seen


def _view(
    dataset: Any, options: InputOptions, meaning: str | None, bands: int | None, name: str
) -> ViewOptions:
    """Return what of an open raster is seen otherwise than its file says."""
    check_placed(dataset, name)
    assumed = None if options.assume_crs is None else parse_crs(options.assume_crs)
    crs = usable_crs(dataset.crs, assumed, name)
    nodata = options.nodata
    if options.keep_nodata and dataset.nodata is not None:
        nodata = None
    if nodata is not None and content_of(dataset, meaning, name).kind != "image":
        nodata = None
    if nodata is not None and dataset.nodata == nodata:
        nodata = None
    return ViewOptions(
        nodata=nodata,
        crs=None if crs == dataset.crs else crs,
        alpha_is_data=bands == dataset.count and alpha_band(dataset) is not None,
    )


def check_ground(
    given: Grid, grid: Grid, name: str, image: str, *, allow_missing: bool | None = None
) -> None:
    """Check that an input, called `name`, covers the grid of the image that is called `image`.

    With `allow_missing` any part of it will do; None is for whoever cannot allow it.

    Raises:
        NoCrsError: one of them has no coordinate reference system, but the other has.
        OverlapError: it covers nothing, or less than `LEAST_SHARED`.
    """
    for one, other, lacking in ((given, grid, name), (grid, given, image)):
        if one.crs is None and other.crs is not None:
            raise no_crs(lacking)
    if not overlaps(given, grid):
        raise OverlapError(
            name, f"covers no ground of {image}", "give an input of the image's area"
        )
    share = shared_ground(given, grid)
    if share < LEAST_SHARED and not allow_missing:
        raise OverlapError(
            name,
            f"covers {100 * share:.0f} % of {image}, the rest would be no data",
            remedy_for_missing(allow_missing),
        )


def remedy_for_missing(allow_missing: bool | None) -> str:
    """Return what to do about an input that covers too little; None as with `check_ground`."""
    other = "" if allow_missing is None else ", or `allow_missing`"
    return f"crop the image to their common ground{other}"
