"""Images with a date: Sentinel-2 products, and stacks of several dates, on one grid."""

from __future__ import annotations

import os
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from rasterio.enums import Resampling

from lcmap.errors import AcquisitionDateError, BandChoiceError, NoOverlapError, UsageError
from lcmap.imagery.compositing import Composite, Method, Mosaic
from lcmap.imagery.period import day_in_name, day_in_tags, parse_day, parse_period
from lcmap.imagery.sentinel2.bands import LAND_BANDS, default_choice, normalised
from lcmap.imagery.sentinel2.masking import spool_scene
from lcmap.imagery.sentinel2.product import is_product, product_bands, read_product
from lcmap.imagery.sentinel2.scene import Scene
from lcmap.imagery.source import RasterBands, describe
from lcmap.imagery.stack import GridImage, Stack, choose_bands, name_bands, stack
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.alignment import overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import has_band_names, open_raster
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.writing import RasterFormat, atomic_raster, check_output

_REFERENCE_BAND = LAND_BANDS[0]
"""Its file tells a scene's 10 m grid."""


@dataclass(frozen=True)
class CompositeOptions:
    """What is asked for of the images' dates; without a `period` there is no synthesis.

    `dates` are those of the images where they do not tell; `method` None is the median. Pixels
    that are clear on no date of the period are nodata with `strict`, else filled from the dates
    around it. How many dates are clear is written to `clear_dates`.
    """

    period: str | None = None
    method: Method | None = None
    strict: bool = False
    clear_dates: PathLike | None = None
    dates: Sequence[str] | None = None

    def check(
        self,
        images: Sequence[PathLike],
        output: PathLike,
        *,
        overwrite: bool,
    ) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other or the images.
            OutputExistsError, CannotWriteError: the clear dates cannot be written.
        """
        products = [is_product(image) for image in images]
        if any(products) and not all(products):
            raise UsageError(
                images[products.index(False)],
                "is no folder, and products and other images do not mix",
                "prepare the products first, then stack",
            )
        if self.period is None:
            for option, value in (
                ("--method", self.method),
                ("--strict", self.strict),
                ("--clear-dates", self.clear_dates),
                ("--dates", self.dates),
            ):
                if value:
                    raise UsageError(option, "is about the dates of a period", "give --period")
            return
        parse_period(self.period)
        if self.dates is not None and any(products):
            raise UsageError("--dates", "are in the products' metadata", "leave it out")
        if self.dates is not None and len(self.dates) != len(images):
            raise UsageError(
                "--dates",
                f"names {len(self.dates)} date(s) for {len(images)} image(s)",
                "give one for each, in the same order",
            )
        if self.clear_dates is not None:
            if os.fspath(self.clear_dates) == STANDARD_STREAM:
                raise UsageError("--clear-dates", "goes to a file", "name one")
            if os.path.abspath(self.clear_dates) == os.path.abspath(output):
                raise UsageError("--clear-dates", "is the output itself", "name another file")
            check_output(self.clear_dates, overwrite=overwrite)


@dataclass(frozen=True)
class CompositeReport:
    """What a synthesis did: the days given and those in the period, and the pixels filled.

    Filled pixels were clear on no day of the period, and come from the days around it.
    """

    period: str
    method: Method
    days: int
    days_inside: int
    filled: int
    filled_share: float
    clear_dates: str | None


def has_dates(images: Sequence[PathLike], choice: CompositeOptions) -> bool:
    """Tell whether images are to be read by their dates: products, or any for a period."""
    return choice.period is not None or any(is_product(image) for image in images)


@dataclass(frozen=True)
class _Dated:
    """The sources of one scene or file on its day."""

    day: date
    sources: list[RasterBands]


def open_dated(
    images: Sequence[tuple[str, Path]],
    choice: CompositeOptions,
    resources: ExitStack,
    *,
    grid: Grid | None = None,
    bands: Sequence[str] | None = None,
    band_names: Sequence[str] | None = None,
    resampling: Resampling = Resampling.cubic,
    overwrite: bool = False,
    allow_vrt: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> GridImage:
    """Return images of one day, or of a period, on the grid: else that of the first.

    Images beside the grid are left out. `images` are the names given and where they lie.
    Temporary files, and the raster of clear dates, belong to `resources`.

    Raises:
        ProductError, BandChoiceError: a folder is no whole product, or lacks a band.
        AcquisitionDateError: an image does not say when it was taken.
        NoOverlapError: no image covers ground of the grid.
        UsageError: days and period do not go together.
    """
    if is_product(images[0][1]):
        wanted = product_bands(bands)
        scenes = [scene for _, path in images for scene in read_product(path, wanted)]
        grid = grid or _reference_grid(images[0][1])
        scenes = [scene for scene in scenes if overlaps(_scene_grid(scene), grid)]
        _check_days([scene.day for scene in scenes], choice)
        dated = _spooled(scenes, wanted, grid, resources, tmpdir, progress)
    else:
        dated = _described(images, choice, bands, band_names, allow_vrt)
        grid = grid or dated[0].sources[0].grid
        dated = [one for one in dated if overlaps(one.sources[0].grid, grid)]
        _check_days([one.day for one in dated], choice)
    dated = [_Dated(one.day, name_bands(one.sources, band_names)) for one in dated]
    return _by_day(dated, grid, choice, resampling, resources, overwrite)


def _check_days(days: Sequence[date], choice: CompositeOptions) -> None:
    """Check that there are images; of several days for a period, some in it, else of one."""
    if not days:
        raise NoOverlapError(
            "images",
            "none covers ground of the grid",
            "check the grid's place and coordinate reference system",
        )
    different = sorted(set(days))
    if choice.period is None:
        if len(different) > 1:
            raise UsageError(
                f"images of {len(different)} days, {different[0]} to {different[-1]}",
                "need a period to make one image for",
                "give --period",
            )
        return
    if len(different) < 2:
        raise UsageError(
            f"--period {choice.period}",
            f"needs images of several days, and all are of {different[0]}",
            "give more, or leave it out",
        )
    period = parse_period(choice.period)
    if not any(day in period for day in different):
        raise UsageError(
            f"--period {choice.period}",
            f"no image is of it: they are of {different[0]} to {different[-1]}",
            "give a period in that time",
        )


def _reference_grid(folder: Path) -> Grid:
    """Return the 10 m grid of a product."""
    return _scene_grid(read_product(folder, (_REFERENCE_BAND,))[0])


def _scene_grid(scene: Scene) -> Grid:
    """Return the grid of any band of a scene: all cover the same ground."""
    with open_raster(next(iter(scene.bands.values())).path) as dataset:
        return Grid.of(dataset)


def _spooled(
    scenes: Sequence[Scene],
    bands: Sequence[str],
    grid: Grid,
    resources: ExitStack,
    tmpdir: Path | None,
    progress: Progress,
) -> list[_Dated]:
    """Write what the grid needs of each scene as masked reflectance, and describe it."""
    folder = Path(resources.enter_context(tempfile.TemporaryDirectory(prefix="lcmap-", dir=tmpdir)))
    dated = []
    for i, scene in enumerate(scenes, start=1):
        sources = spool_scene(scene, bands, grid, folder, i)
        dated.append(_Dated(scene.day, choose_bands(sources, bands)))
        progress(i, len(scenes), "masking")
    return dated


def _described(
    images: Sequence[tuple[str, Path]],
    choice: CompositeOptions,
    bands: Sequence[str] | None,
    band_names: Sequence[str] | None,
    allow_vrt: bool,
) -> list[_Dated]:
    """Describe stacks and find their days; all have the same bands."""
    dated: list[_Dated] = []
    for i, (image, path) in enumerate(images):
        shown = "standard input" if image == STANDARD_STREAM else image
        source = describe(path, shown=shown, allow_vrt=allow_vrt)
        if not has_band_names(source.names) and band_names is None:
            raise BandChoiceError(shown, "its bands have no names", "name them with --band-names")
        source = replace(source, names=tuple(normalised(name) for name in source.names))
        wanted = tuple(map(normalised, bands)) if bands is not None else None
        if wanted is None and band_names is None:
            wanted = default_choice(source.names)
        sources = [source] if wanted is None else choose_bands([source], wanted)
        names = [name for part in sources for name in part.names]
        if dated and band_names is None:
            first = [name for part in dated[0].sources for name in part.names]
            if names != first:
                raise BandChoiceError(
                    shown,
                    f"has the bands {', '.join(names)}, the first image {', '.join(first)}",
                    "choose the same with --bands",
                )
        day = parse_day(choice.dates[i]) if choice.dates is not None else _day(shown, path)
        dated.append(_Dated(day, sources))
    return dated


def _day(shown: str, path: Path) -> date:
    """Return the day of an image, from its metadata or its name."""
    with open_raster(path) as dataset:
        day = day_in_tags(dataset.tags() | dataset.tags(ns="IMAGERY"))
    day = day or day_in_name(Path(shown).name)
    if day is None:
        raise AcquisitionDateError(
            shown, "neither its tags nor its name say when it was taken", "give --dates"
        )
    return day


def _by_day(
    dated: Sequence[_Dated],
    grid: Grid,
    choice: CompositeOptions,
    resampling: Resampling,
    resources: ExitStack,
    overwrite: bool,
) -> GridImage:
    """Return the images as one: of their day, or of the period."""
    # one stack of all tells the dtype, the nodata value and whether there is a mask
    whole = stack([source for one in dated for source in one.sources], grid, resampling)
    resources.callback(whole.close)
    names = tuple(name for source in dated[0].sources for name in source.names)
    kind = (grid, names, whole.dtype, whole.nodata, whole.masked)
    parts: dict[date, list[Stack]] = defaultdict(list)
    layers = iter(whole.layers)
    for one in dated:
        parts[one.day].append(Stack(*kind, tuple(next(layers) for _ in one.sources)))
    days = sorted(parts)
    mosaics = tuple(Mosaic(*kind, tuple(parts[day])) for day in days)
    if choice.period is None:
        return mosaics[0]
    period = parse_period(choice.period)
    inside = tuple(day in period for day in days)
    clear_dates = None
    if choice.clear_dates is not None:
        clear_dates = resources.enter_context(
            atomic_raster(
                choice.clear_dates,
                grid,
                RasterFormat(
                    count=1,
                    dtype="uint8" if sum(inside) < 256 else "uint16",
                    nodata=None,
                    band_names=("clear dates",),
                ),
                overwrite=overwrite,
            )
        )
    return Composite(
        *kind,
        dates=mosaics,
        days=tuple(day.toordinal() for day in days),
        inside=inside,
        middle=period.middle,
        method=choice.method or "median",
        strict=choice.strict,
        clear_dates=clear_dates,
    )


def summarised(image: GridImage, choice: CompositeOptions) -> CompositeReport | None:
    """Return what a synthesis did once all of it is computed; None where there was none."""
    if not isinstance(image, Composite) or choice.period is None:
        return None
    filled = sum(image.filled.values())
    return CompositeReport(
        period=choice.period,
        method=image.method,
        days=len(image.days),
        days_inside=sum(image.inside),
        filled=filled,
        filled_share=filled / (image.grid.height * image.grid.width),
        clear_dates=None if choice.clear_dates is None else os.fspath(choice.clear_dates),
    )
