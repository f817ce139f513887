"""Images with a date: Sentinel-2 products, and stacks of several dates, on one grid."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from lcmap.dataset.inputs import InputOptions, RasterInput
from lcmap.errors import DataError, OverlapError, UsageError
from lcmap.imagery.composite_options import CompositeOptions
from lcmap.imagery.compositing import Composite, Mosaic
from lcmap.imagery.masked_scenes import write_masked_scene
from lcmap.imagery.opened_image import open_image
from lcmap.imagery.options import StackOptions
from lcmap.imagery.product_folders import is_product
from lcmap.imagery.raster_bands import RasterBands, bands_of
from lcmap.imagery.stack import GridImage, Stack, choose_bands, name_bands, stack
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.acquisition_day import acquisition_day
from lcmap.raster.alignment import overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import has_band_names, open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.period import parse_day, parse_period
from lcmap.raster.radiometry import NamedRadiometry, Radiometry, common_radiometry
from lcmap.raster.temporary_folder import temporary_folder
from lcmap.raster.writing import RasterFormat, atomic_raster
from lcmap.sentinel2.bands import BANDS, LAND_BANDS, default_choice, normalised
from lcmap.sentinel2.product import product_bands, read_product
from lcmap.sentinel2.scene import Scene

_REFERENCE_BAND = LAND_BANDS[0]
"""Its file tells a scene's 10 m grid."""


@dataclass(frozen=True)
class _Dated:
    """The bands of one scene or file on its day."""

    day: date
    sources: list[RasterBands]

    @property
    def radiometry(self) -> NamedRadiometry:
        """What its bands mean."""
        bands = tuple(band for source in self.sources for band in source.radiometry)
        return NamedRadiometry(self.sources[0].name, bands)


@dataclass(frozen=True)
class DatedImages:
    """Images to be read by their dates, and what is asked for of them.

    Files that are opened, temporary ones, and the raster of clear dates belong to `resources`.
    """

    images: Sequence[PathLike]
    stacking: StackOptions
    composite: CompositeOptions
    files: OutputSet
    inputs: InputOptions
    resources: ExitStack

    def open(self, grid: Grid | None, progress: Progress) -> GridImage:
        """Return the images, of one day or of a period, on a grid: None is that of the first.

        Images beside the grid are left out.

        Raises:
            ProductError, UsageError: a folder is not a whole product, or lacks a band.
            DataError: an image does not say when it was taken.
            OverlapError: no image covers ground of the grid.
            InputMismatchError: the images are of different levels, scales or offsets.
            UsageError: the dates and the period do not go together.
        """
        if is_product(self.images[0]):
            dated, grid = self._masked_products(grid, progress)
        else:
            dated = self._described()
            grid = grid or dated[0].sources[0].grid
            on_ground = [one for one in dated if overlaps(one.sources[0].grid, grid)]
            _check_days([one.day for one in on_ground], self.composite)
            dated = on_ground
        names = self.stacking.band_names
        return self._by_day(
            [_Dated(one.day, name_bands(one.sources, names)) for one in dated], grid
        )

    def _masked_products(self, grid: Grid | None, progress: Progress) -> tuple[list[_Dated], Grid]:
        """Write what the grid needs of each scene as masked reflectance, and describe it."""
        wanted = product_bands(self.stacking.bands)
        folders = [Path(image) for image in self.images]
        scenes = [scene for folder in folders for scene in read_product(folder, wanted)]
        grid = grid or _reference_grid(folders[0])
        scenes = [scene for scene in scenes if overlaps(_scene_grid(scene), grid)]
        _check_days([scene.day for scene in scenes], self.composite)
        # before they are masked, which takes long
        common_radiometry([NamedRadiometry(s.name, (Radiometry(level=s.level),)) for s in scenes])
        folder = self.resources.enter_context(temporary_folder(self.inputs.tmpdir))
        dated = []
        for i, scene in enumerate(scenes, start=1):
            sources = write_masked_scene(scene, wanted, grid, folder, i)
            dated.append(_Dated(scene.day, choose_bands(sources, wanted)))
            progress(i, len(scenes), "masking")
        return dated, grid

    def _described(self) -> list[_Dated]:
        """Open stacks and find their days; all have the same bands."""
        dated: list[_Dated] = []
        for i, given in enumerate(self.images):
            image = self.resources.enter_context(
                open_image(given, self.inputs, reflectance=self.stacking.reflectance)
            )
            sources = self._chosen(image)
            names = [name for part in sources for name in part.names]
            if dated and self.stacking.band_names is None:
                first = [name for part in dated[0].sources for name in part.names]
                if names != first:
                    raise UsageError(
                        image.name,
                        f"has the bands {', '.join(names)}, the first image {', '.join(first)}",
                        "choose the same with `bands`",
                    )
            dates = self.composite.dates
            day = parse_day(dates[i]) if dates is not None else _day(image)
            dated.append(_Dated(day, sources))
        return dated

    def _chosen(self, image: RasterInput) -> list[RasterBands]:
        """Return the bands wanted of a stack, their names as Sentinel-2's are written."""
        bands, band_names = self.stacking.bands, self.stacking.band_names
        source = bands_of(image)
        names = tuple(normalised(name) for name in source.names)
        if not has_band_names(names) and not set(names) <= set(BANDS) and band_names is None:
            raise UsageError(image.name, "its bands have no names", "name them with `band_names`")
        source = replace(source, names=names)
        wanted = tuple(map(normalised, bands)) if bands is not None else None
        if wanted is None and band_names is None:
            wanted = default_choice(source.names)
        return [source] if wanted is None else choose_bands([source], wanted)

    def _by_day(self, dated: Sequence[_Dated], grid: Grid) -> GridImage:
        """Return the images as one: of their day, or of the period."""
        # one stack of all tells the dtype, the nodata value and whether there is a mask
        whole = stack([s for one in dated for s in one.sources], grid, self.stacking.method)
        self.resources.callback(whole.close)
        names = tuple(name for source in dated[0].sources for name in source.names)
        radiometry = common_radiometry([one.radiometry for one in dated])
        kind = (grid, names, whole.dtype, whole.nodata, whole.masked, radiometry)
        parts: dict[date, list[Stack]] = defaultdict(list)
        layers = iter(whole.layers)
        for one in dated:
            parts[one.day].append(Stack(*kind, tuple(next(layers) for _ in one.sources)))
        days = sorted(parts)
        mosaics = tuple(Mosaic(*kind, tuple(parts[day]), day) for day in days)
        if self.composite.period is None:
            return mosaics[0]
        period = parse_period(self.composite.period)
        inside = tuple(day in period for day in days)
        return Composite(
            *kind,
            dates=mosaics,
            days=tuple(day.toordinal() for day in days),
            inside=inside,
            middle=period.middle,
            method=self.composite.actual_method,
            strict=self.composite.strict,
            clear_dates=self._clear_dates(grid, sum(inside)),
        )

    def _clear_dates(self, grid: Grid, most: int) -> Any:
        """Return the raster to write the numbers of clear dates to; None where it is not wanted."""
        if self.composite.clear_dates is None:
            return None
        return self.resources.enter_context(
            atomic_raster(
                self.composite.clear_dates,
                grid,
                RasterFormat(
                    count=1,
                    dtype="uint8" if most < 256 else "uint16",
                    nodata=None,
                    band_names=("clear dates",),
                ),
                overwrite=self.files.overwrite,
                within=self.files,
            )
        )


def _check_days(days: Sequence[date], options: CompositeOptions) -> None:
    """Check that there are images; of several days for a period, some in it, else of one."""
    if not days:
        raise OverlapError(
            "images",
            "none covers ground of the grid",
            "check the grid's place and coordinate reference system",
        )
    different = sorted(set(days))
    if options.period is None:
        if len(different) > 1:
            raise UsageError(
                f"images of {len(different)} days, {different[0]} to {different[-1]}",
                "need a period to make one image for",
                "give `period`",
            )
        return
    if len(different) < 2:
        raise UsageError(
            f"`period={options.period}`",
            f"needs images of several days, and all are of {different[0]}",
            "give more, or leave it out",
        )
    period = parse_period(options.period)
    if not any(day in period for day in different):
        raise UsageError(
            f"`period={options.period}`",
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


def _day(image: RasterInput) -> date:
    """Return the day of an image, from its metadata or its name."""
    day = acquisition_day(image.dataset, image.name)
    if day is None:
        raise DataError(
            image.name, "neither its tags nor its name say when it was taken", "give `dates`"
        )
    return day
