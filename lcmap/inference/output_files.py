"""The files of a map: which they are, what each holds, and whether they may be written."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lcmap import __version__
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.raster_content import parse_input
from lcmap.errors import UsageError
from lcmap.inference.band_groups import NO_MARGIN, SCENES, BandGroup, BandGroupName
from lcmap.inference.options import MapOutputs
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.tag import nomenclature_tag
from lcmap.paths import PathLike
from lcmap.raster.acquisition_day import acquisition_day, period_tags
from lcmap.raster.class_sidecars import check_sidecar_output, class_sidecars
from lcmap.raster.destination import check_apart, stream_at
from lcmap.raster.making import current_settings
from lcmap.raster.map_bands import CONFIDENCE, MARGIN, SCENE
from lcmap.raster.opening import open_raster
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.preview.reading import SourceImage
from lcmap.raster.preview.writing import check_preview
from lcmap.raster.windows import Window
from lcmap.raster.writing import RasterFormat, check_output, check_raster_output


@dataclass(frozen=True)
class Sheet:
    """A sheet of a map: its name, its number from 1, and its window."""

    name: str
    number: int
    window: Window


@dataclass(frozen=True)
class MapRaster:
    """A raster of a map, or of a sheet of it: its path, the band group in it, and its format."""

    path: PathLike
    group: BandGroup
    format: RasterFormat
    sheet: Sheet | None = None

    @property
    def waiting(self) -> str:
        """What the finished file is called until it is given its name."""
        part = "" if self.sheet is None else f"-sheet{self.sheet.number}"
        return f"{self.group.name}{part}.tif"


@dataclass(frozen=True)
class Sidecar:
    """A text file beside a map, made with it: its path, and what it is called until then.

    One that was `asked` for is refused where it exists; another, only where someone made it.
    """

    path: str
    waiting: str
    asked: bool


@dataclass(frozen=True)
class PreviewFile:
    """A picture of a map beside the image that it is of, if there is one."""

    path: PathLike
    codes: MapRaster
    image: SourceImage | None
    waiting: str = "preview.png"


OutputFile = MapRaster | PreviewFile | Sidecar

Naming = dict[str, str]
"""The absolute path that each waiting file gets, and what else tells two sets of files apart."""


@dataclass(frozen=True)
class OutputFiles:
    """All files of a map, and the inputs that none of them may replace; `rasters[0]` is the map."""

    rasters: tuple[MapRaster, ...]
    sidecars: tuple[Sidecar, ...]
    inputs: tuple[PathLike, ...]
    overwrite: bool
    preview: PreviewFile | None = None

    def in_sheets(self, sheets: Sequence[Sheet]) -> OutputFiles:
        """Return them with those of sheets: each raster has sheets of its own beside it, as
        map-SHEET.tif."""
        rasters = [_of_sheet(raster, sheet) for sheet in sheets for raster in self.rasters]
        return replace(self, rasters=(*self.rasters, *rasters))

    @property
    def codes(self) -> PathLike:
        """The path of the map."""
        return self.rasters[0].path

    @property
    def groups(self) -> list[BandGroup]:
        """The band groups that the rasters hold."""
        return [raster.group for raster in self.rasters if raster.sheet is None]

    @property
    def locked(self) -> list[PathLike]:
        """The paths to lock, the map's first; its lock is that of its sheets too."""
        sheets = [raster.path for raster in self.rasters if raster.sheet is not None]
        return [file.path for file in reversed(self.in_naming_order) if file.path not in sheets]

    @property
    def in_naming_order(self) -> list[OutputFile]:
        """All files, the map last: where it is, all others are."""
        preview = [] if self.preview is None else [self.preview]
        return [*self.sidecars, *preview, *reversed(self.rasters)]

    @property
    def naming(self) -> Naming:
        """The path of each file; and what decides their bytes beside the arrays of the map."""
        form = self.rasters[0].format
        paths = {file.waiting: os.path.abspath(file.path) for file in self.in_naming_order}
        sheets = {
            f"{raster.waiting} window": str(tuple(raster.sheet.window))
            for raster in self.rasters
            if raster.sheet is not None
        }
        form_facts = {"cog": str(form.cog), **(form.tags or {})}
        return paths | sheets | form_facts | current_settings()

    @property
    def resumable(self) -> bool:
        """Whether a killed run can be continued: what is read from or written to a pipe is gone."""
        piped = [os.fspath(path) == STANDARD_STREAM for path in self.inputs]
        return not any(piped) and stream_at(self.codes) is None

    def check(self, own: Collection[str] = ()) -> None:
        """Refuse, before any work, outputs that collide or that cannot be written.

        Files that an earlier run has made, `own` by their waiting names, may exist.

        Raises:
            UsageError: an output is an input, or named twice, or a sidecar has no file to be
                beside.
            OutputExistsError, CannotWriteError: as `check_output`.
        """
        if self.sidecars and stream_at(self.codes) is not None:
            raise UsageError("`qml`", "needs a map in a file to be beside", "add `codes=FILE`")
        inputs = [path for given in self.inputs for path in {given, parse_input(given)[0]}]
        files = self.in_naming_order
        check_apart([file.path for file in reversed(files)], inputs)
        for file in files:
            replaces = self.overwrite or file.waiting in own
            if isinstance(file, MapRaster):
                check_raster_output(file.path, overwrite=replaces)
            elif isinstance(file, PreviewFile):
                check_preview(file.path, overwrite=replaces)
            elif file.asked or replaces:
                check_output(file.path, overwrite=replaces)
            else:
                check_sidecar_output(file.path)


def days_shown(files: Sequence[PathLike], options: InputOptions) -> dict[str, str]:
    """Return the tags that say of which days a map of these images is; none where one is unknown.

    Raises:
        InputMissingError, NotARasterError: one cannot be read any more.
    """
    days = set()
    for file in files:
        path = parse_input(file)[0]
        if os.fspath(path) == STANDARD_STREAM:
            return {}
        with open_raster(path, allow_vrt=options.allow_vrt) as dataset:
            days.add(acquisition_day(dataset, os.fspath(path)))
    return {} if None in days else period_tags([day for day in days if day is not None])


def shown_image(files: Sequence[PathLike], options: InputOptions) -> SourceImage | None:
    """Return the image that the preview of a map shows, which these files are; None where one of
    them can be read once only."""
    return SourceImage.of(
        [parse_input(file)[0] for file in files],
        nodata=options.nodata,
        allow_vrt=options.allow_vrt,
    )


def output_files(
    outputs: MapOutputs,
    nomenclature: Nomenclature,
    inputs: Sequence[PathLike],
    tags: Mapping[str, str],
    image: SourceImage | None = None,
) -> OutputFiles:
    """Return the files of a map in these classes, made from these inputs; its preview shows the
    `image` beside it.

    The `tags` are written into each raster, beside lcmap's version.
    """
    tags = {"TIFFTAG_SOFTWARE": f"lcmap {__version__}", **tags}
    table = nomenclature.class_table()
    classes = [land_cover.name for land_cover in nomenclature.classes]
    confidence = RasterFormat(1, "uint8", 0, [CONFIDENCE], tags, overviews=True, cog=outputs.cog)
    margin = replace(confidence, nodata=NO_MARGIN, band_names=[MARGIN])
    codes = RasterFormat(
        1, "uint8", 0, (), tags, table, overviews=True, cog=outputs.cog,
        sidecars=outputs.qml is not False,
    )  # fmt: skip
    probabilities = RasterFormat(
        len(classes),
        "float32",
        np.nan,
        classes,
        tags | nomenclature_tag(nomenclature),
        cog=outputs.cog,
    )
    scenes = RasterFormat(SCENES.bands, SCENES.dtype, 0, [SCENE], tags, cog=outputs.cog)
    forms: dict[BandGroupName, RasterFormat] = {
        "codes": codes,
        "confidence": confidence,
        "margin": margin,
        "probabilities": probabilities,
        "scenes": scenes,
    }
    rasters = [
        MapRaster(path, BandGroup(name, forms[name].count, forms[name].dtype), forms[name])
        for name, path in outputs.rasters.items()
    ]
    sidecars = []
    if outputs.qml is not False:
        asked = bool(outputs.qml)
        for path in class_sidecars(outputs.codes, asked=asked):
            waiting = "codes.qml" if path.endswith(".qml") else "codes.tif.aux.xml"
            sidecars.append(Sidecar(path, waiting, asked))
    preview = None
    if outputs.preview is not None:
        preview = PreviewFile(outputs.preview, rasters[0], image)
    return OutputFiles(tuple(rasters), tuple(sidecars), tuple(inputs), outputs.overwrite, preview)


def _of_sheet(raster: MapRaster, sheet: Sheet) -> MapRaster:
    stem, suffix = os.path.splitext(raster.path)
    tags = {**(raster.format.tags or {}), "LCMAP_SHEET": sheet.name}
    return replace(
        raster,
        path=f"{stem}-{sheet.name}{suffix}",
        sheet=sheet,
        format=replace(raster.format, tags=tags),
    )
