"""Label rasters read on the grid of another: a map may come in parts, on any grid of one CRS."""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError

from lcmap.errors import (
    CrsMismatchError,
    GridMismatchError,
    InputMissingError,
    LabelBandError,
    LcmapError,
    NoCrsError,
    NotARasterError,
)
from lcmap.nomenclature import as_codes
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.opening import open_raster, read_valid
from lcmap.raster.windows import Window

logger = logging.getLogger(__name__)

_SUFFIXES = (".tif", ".tiff", ".jp2", ".img", ".png", ".vrt")
_PIXELS_AT_ONCE = 1 << 24
_ALIGNED = 1e-3


def raster_files(source: PathLike) -> tuple[Path, ...]:
    """Return the files that a user means by a file, a folder or a pattern with * ? or [ ].

    Raises:
        InputMissingError: a folder without rasters, or a pattern that fits no file.
    """
    text = os.fspath(source)
    if os.path.isdir(text):
        found = [path for path in Path(text).iterdir() if path.suffix.lower() in _SUFFIXES]
        if not found:
            raise InputMissingError(text, "the folder holds no raster", "name a folder of maps")
        return tuple(sorted(found))
    if glob.has_magic(text) and not os.path.exists(text):
        found = [Path(path) for path in glob.glob(text, recursive=True)]
        if not found:
            raise InputMissingError(text, "no file fits this pattern", "check the path")
        return tuple(sorted(found))
    return (Path(text),)


class LabelRaster:
    """An open label raster of one band."""

    def __init__(self, path: Path, shown: str, dataset: Any) -> None:
        """Read from this dataset; errors speak of it as `shown`."""
        self.path = path
        self.shown = shown
        self.dataset = dataset
        self.grid = Grid.of(dataset)
        flags = dataset.mask_flag_enums[0]
        self._may_be_invalid = flags != [MaskFlags.all_valid] and not (
            flags == [MaskFlags.nodata] and dataset.nodata == 0
        )

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return the codes in a window, uint8 [height, width], 0 where the raster has no data.

        Raises:
            NotARasterError: the pixels cannot be read.
            UnknownLabelError: a pixel holds no code from 0 to 255.
        """
        try:
            labels = self.dataset.read(1, window=window.ranges)
            if self._may_be_invalid or labels.dtype.kind == "f":
                labels = np.where(read_valid(self.dataset, window), labels, 0)
        except RasterioIOError as error:
            raise NotARasterError(
                self.shown, "its pixels cannot be read", "it is damaged or truncated: copy it again"
            ) from error
        return as_codes(labels, self.shown)


@contextmanager
def open_labels(
    path: Path, shown: str | None = None, *, allow_vrt: bool = False
) -> Iterator[LabelRaster]:
    """Open a label raster; errors speak of it as `shown`.

    Raises:
        InputMissingError, NotARasterError: as open_raster.
        LabelBandError: it has several bands.
        NoCrsError: it does not say its CRS.
    """
    shown = shown or str(path)
    with ExitStack() as stack:
        try:
            dataset = stack.enter_context(open_raster(path, allow_vrt=allow_vrt))
        except LcmapError as error:
            raise type(error)(shown, error.problem, error.remedy) from error
        if dataset.count != 1:
            raise LabelBandError(
                shown, f"has {dataset.count} bands", "give a raster of one band with class codes"
            )
        if dataset.crs is None:
            raise NoCrsError(
                shown,
                "has no coordinate reference system",
                "assign one, e.g. rio edit-info --crs EPSG:2154",
            )
        yield LabelRaster(path, shown, dataset)


class LabelMap:
    """The parts of one map that lie over a reference, read on the reference's grid."""

    def __init__(self, parts: Sequence[LabelRaster], reference: LabelRaster) -> None:
        """Check that each part can be read on the reference's grid.

        Raises:
            CrsMismatchError: a part is in another CRS.
            GridMismatchError: a part is rotated against the reference.
        """
        self._placed = [
            (part, placement)
            for part in parts
            if (placement := _place(part, reference)).covers(part.grid, reference.grid)
        ]

    @property
    def parts(self) -> tuple[LabelRaster, ...]:
        """The parts that cover ground of the reference."""
        return tuple(part for part, _ in self._placed)

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return codes, uint8, and whether a part covers a pixel, bool, both [height, width].

        The window is in pixels of the reference. Where parts overlap the first one counts.
        """
        codes = np.zeros((window.height, window.width), np.uint8)
        covered = np.zeros((window.height, window.width), bool)
        for part, placement in self._placed:
            rows, row_inside = placement.rows(window, part.grid.height)
            cols, col_inside = placement.cols(window, part.grid.width)
            inside = row_inside, col_inside
            if not rows.size or not cols.size or covered[inside].all():
                continue
            np.copyto(codes[inside], _pick(part, rows, cols), where=~covered[inside])
            covered[inside] = True
        return codes, covered


class _Placement:
    """Where the pixel centres of one grid fall in the pixels of another, axis by axis."""

    def __init__(self, col_scale: float, col_offset: float, row_scale: float, row_offset: float):
        self._col = col_scale, col_offset
        self._row = row_scale, row_offset

    @property
    def aligned(self) -> bool:
        """Whether the pixels of both grids are the same, up to a thousandth."""
        return all(
            abs(scale - 1) < 1e-6 and abs(offset - round(offset)) < _ALIGNED
            for scale, offset in (self._col, self._row)
        )

    def rows(self, window: Window, height: int) -> tuple[NDArray[np.intp], slice]:
        """Return the part's row for each window row that it has, and these window rows."""
        return _nearest(self._row, window.row, window.height, height)

    def cols(self, window: Window, width: int) -> tuple[NDArray[np.intp], slice]:
        """Return the part's column for each window column that it has, and these columns."""
        return _nearest(self._col, window.col, window.width, width)

    def covers(self, part: Grid, reference: Grid) -> bool:
        """Whether the centre of any of the reference's pixels lies in the part."""
        whole = Window(0, 0, reference.height, reference.width)
        return all(
            chosen.size
            for chosen, _ in (self.rows(whole, part.height), self.cols(whole, part.width))
        )


def _nearest(
    line: tuple[float, float], start: int, length: int, size: int
) -> tuple[NDArray[np.intp], slice]:
    scale, offset = line
    # a centre on a pixel edge falls to the following pixel, whatever the rounding
    position = (np.arange(start, start + length) + 0.5) * scale + offset + 1e-6
    pixel = np.floor(position).astype(np.intp)
    # positions rise or fall along the line, so the pixels inside are neighbours
    inside = np.flatnonzero((pixel >= 0) & (pixel < size))
    found = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0)
    return pixel[found], found


def _place(part: LabelRaster, reference: LabelRaster) -> _Placement:
    if not same_crs(part.grid.crs, reference.grid.crs):
        raise CrsMismatchError(
            part.shown,
            f"is in {_crs_name(part.grid.crs)}, the reference {reference.shown} in "
            f"{_crs_name(reference.grid.crs)}",
            "bring it over, e.g. rio warp --resampling nearest --like the reference",
        )
    to_part = ~part.grid.transform @ reference.grid.transform
    if abs(to_part.b) * reference.grid.height > 0.5 or abs(to_part.d) * reference.grid.width > 0.5:
        raise GridMismatchError(
            part.shown,
            f"is rotated against the reference {reference.shown}",
            "bring it over, e.g. rio warp --resampling nearest --like the reference",
        )
    return _Placement(to_part.a, to_part.c, to_part.e, to_part.f)


def describe_resampling(part: LabelRaster, reference: LabelRaster) -> str:
    """Return a line on how a part is read on another grid, empty where pixels are the same."""
    if _place(part, reference).aligned:
        return ""
    return (
        f"{part.shown} is on another grid than {reference.shown} (pixel size "
        f"{part.grid.gsd[0]:g} and {reference.grid.gsd[0]:g}): it is read at the centre of each "
        "reference pixel"
    )


def _pick(part: LabelRaster, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.uint8]:
    """Return the part's codes at all pairs of these rows and columns, in bounded memory."""
    row, col = int(rows.min()), int(cols.min())
    window = Window(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)
    if window.height * window.width > _PIXELS_AT_ONCE:
        if len(rows) > 1 and window.height >= window.width:
            middle = len(rows) // 2
            return np.vstack([_pick(part, half, cols) for half in (rows[:middle], rows[middle:])])
        if len(cols) > 1:
            middle = len(cols) // 2
            return np.hstack([_pick(part, rows, half) for half in (cols[:middle], cols[middle:])])
    codes = part.read(window)
    same = len(rows) == window.height and len(cols) == window.width
    if same and rows[0] == row and cols[0] == col:
        return codes
    return codes[np.ix_(rows - row, cols - col)]


def _crs_name(crs: Any) -> str:
    """Return the EPSG code of a CRS, else the name that it gives itself."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt()).split('"')[1]


def open_parts(
    files: Sequence[tuple[Path, str]], reference: LabelRaster, stack: ExitStack, *, allow_vrt: bool
) -> LabelMap:
    """Open the files (path and shown name) of one map that lie over a reference.

    The files stay open as long as the stack. Raises as open_labels and LabelMap.
    """
    parts = []
    for path, shown in files:
        with ExitStack() as opening:
            part = opening.enter_context(open_labels(path, shown, allow_vrt=allow_vrt))
            if LabelMap([part], reference).parts:
                parts.append(part)
                stack.push(opening.pop_all())
    return LabelMap(parts, reference)
