"""A map read on the grid of a reference: it may come in parts, on any grid of one CRS."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.label_raster import LabelFile, LabelRaster
from lcmap.accuracy.label_views import View
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import GridMismatchError
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window

_PIXELS_AT_ONCE = 1 << 24
_ALIGNED = 1e-3


class LabelMap:
    """The parts of one map that cover a reference, read on the reference's grid."""

    def __init__(self, parts: Sequence[LabelRaster], reference: LabelRaster) -> None:
        """Check that each part can be read on the reference's grid.

        Raises:
            GridMismatchError: a part is in another CRS; a part is rotated against the reference.
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

        The window is in pixels of the reference. Where parts overlap the first class that one of
        them has there counts: scenes are cut to boxes, and what is beyond their edges has no data.
        """
        codes = np.zeros((window.height, window.width), np.uint8)
        covered = np.zeros((window.height, window.width), bool)
        for part, placement in self._placed:
            rows, row_inside = placement.rows(window, part.grid.height)
            cols, col_inside = placement.cols(window, part.grid.width)
            inside = row_inside, col_inside
            if not rows.size or not cols.size or codes[inside].all():
                continue
            np.copyto(codes[inside], _pick(part, rows, cols), where=codes[inside] == 0)
            covered[inside] = True
        return codes, covered


class _Placement:
    """In which pixels of one grid the pixel centres of another are, axis by axis."""

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
        """Whether the part holds the centre of any of the reference's pixels."""
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
        raise GridMismatchError(
            part.name,
            f"is in {_crs_name(part.grid.crs)}, the reference {reference.name} in "
            f"{_crs_name(reference.grid.crs)}",
            "bring it over, e.g. rio warp --resampling nearest --like the reference",
        )
    to_part = ~part.grid.transform @ reference.grid.transform
    if abs(to_part.b) * reference.grid.height > 0.5 or abs(to_part.d) * reference.grid.width > 0.5:
        raise GridMismatchError(
            part.name,
            f"is rotated against the reference {reference.name}",
            "bring it over, e.g. rio warp --resampling nearest --like the reference",
        )
    return _Placement(to_part.a, to_part.c, to_part.e, to_part.f)


def describe_resampling(part: LabelRaster, reference: LabelRaster) -> str:
    """Return a line on how a part is read on another grid, empty where pixels are the same."""
    if _place(part, reference).aligned:
        return ""
    return (
        f"{part.name} is on another grid than {reference.name} (pixel size "
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
    """Return the EPSG code of a CRS, else the name that it carries."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt()).split('"')[1]


def open_parts(
    files: Sequence[LabelFile],
    reference: LabelRaster,
    stack: ExitStack,
    inputs: InputOptions,
    view: View,
) -> LabelMap:
    """Open the files of one map that cover a reference; they stay open as long as the stack.

    The view says what a part has no class of: there another part may have one.

    Raises:
        UsageError, InputMissingError, NotARasterError, LabelBandError, NoCrsError: as
            `open_labels`.
        GridMismatchError: as `LabelMap`.
    """
    parts = []
    for file in files:
        with ExitStack() as opening:
            part = view(opening.enter_context(file.opened(inputs)))
            if LabelMap([part], reference).parts:
                parts.append(part)
                stack.push(opening.pop_all())
    return LabelMap(parts, reference)
