"""The preview of finished rasters: one picture of panels on one grid, with legend and scale bar."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.classes import ClassTable, Color, find_class_table
from lcmap.raster.destination import stream_at
from lcmap.raster.grid import Grid
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.old_sidecars import PREVIEW_MARK
from lcmap.raster.opening import open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import display_name
from lcmap.raster.preview.figure import MARKS, DrawnPanel, Entry, Ground, save_figure
from lcmap.raster.preview.reading import (
    SourceImage,
    count_codes,
    read_codes,
    read_image,
    shown_shape,
)
from lcmap.raster.preview.scale_bar import pixel_metres
from lcmap.raster.windows import Window
from lcmap.raster.writing import atomic_path, check_output

MOST_PIXELS = 1200
"""Along a side of what is read of a raster."""
_CACHE_BYTES = 128 << 20
_MOST_CLASSES = 24
_WITHOUT_COLOR = 0.62
"""Of a grey, where nothing says the colour of a class."""


@dataclass(frozen=True)
class Panel:
    """A finished raster to show: under which name, where it is now, and what it holds.

    codes: it holds class codes; else it is an image.
    tiles: the windows of the tiles of each split, to be drawn over it.
    """

    name: PathLike
    file: PathLike
    codes: bool = True
    tiles: Mapping[str, Sequence[Window]] = field(default_factory=dict)


def check_preview(path: PathLike | None, *, overwrite: bool) -> None:
    """Check, before any work, that a preview can be written; None is none.

    Raises:
        UsageError: its name does not end in .png.
        OutputExistsError, CannotWriteError, UsageError: as `check_output`.
    """
    if path is None:
        return
    if stream_at(path) is None and not os.fspath(path).casefold().endswith(".png"):
        raise UsageError(path, "is not the name of a picture", "end it in .png")
    check_output(path, overwrite=overwrite)


def write_preview(
    path: PathLike,
    panels: Sequence[Panel],
    image: SourceImage | None = None,
    *,
    overwrite: bool,
    within: OutputSet | None = None,
) -> None:
    """Write a picture (PNG) of rasters of one grid, beside the image that they were made of.

    Whatever their size, at most `MOST_PIXELS` a side are read of each, through its overviews; the
    pixels of each class are counted in the raster itself. The same rasters give the same bytes.

    Raises:
        OutputExistsError, CannotWriteError, UsageError: as `atomic_path`.
        InputMissingError, NotARasterError: the image cannot be read any more.
    """
    metadata = {"Software": PREVIEW_MARK, **current_digest(MEMBER)}
    drawn: list[DrawnPanel] = []
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES):
        with open_raster(panels[0].file, own=True) as first:
            grid = Grid.of(first)
        shape = shown_shape(grid, MOST_PIXELS)
        if image is not None and image.files:
            shown = read_image(image, grid, shape, own=False)
            several = len(image.files) > 1
            name = f"{len(image.files)} images" if several else _base(image.files[0])
            title = f"{name}: {', '.join(shown.bands)}"
            drawn.append(DrawnPanel(title, shown.pixels, shown.valid, grid.shape))
        drawn += [_drawn(panel, grid, shape) for panel in panels]
    with atomic_path(path, overwrite=overwrite, within=within) as temporary:
        save_figure(drawn, _ground(grid), temporary, metadata)


def _base(path: PathLike) -> str:
    return os.path.basename(display_name(path))


def _drawn(panel: Panel, grid: Grid, shape: tuple[int, int]) -> DrawnPanel:
    title = _base(panel.name)
    if not panel.codes:
        shown = read_image(SourceImage((panel.file,)), grid, shape, own=True)
        legend = [
            Entry(
                split,
                MARKS[split][0],
                f"{len(windows)} tile{'s' * (len(windows) != 1)}",
                MARKS[split][1],
            )
            for split, windows in panel.tiles.items()
        ]
        title = f"{title}: {', '.join(shown.bands)}"
        of = shown.pixels, shown.valid, grid.shape
        return DrawnPanel(title, *of, "tiles", legend, panel.tiles)
    with open_raster(panel.file, own=True) as dataset:
        table = find_class_table(dataset)
        codes, counts = read_codes(dataset, shape), count_codes(dataset)
    colors = _colors(table, counts)
    lookup = np.zeros((len(counts), 3), np.uint8)
    for code, color in colors.items():
        lookup[code] = color
    entries = _entries(table, counts, colors)
    return DrawnPanel(title, lookup[codes], codes != 0, grid.shape, title, entries, panel.tiles)


def _colors(table: ClassTable | None, counts: NDArray[np.int64]) -> dict[int, Color]:
    """Return the colour of each code that occurs: a grey where nothing says it."""
    found = [int(code) for code in np.flatnonzero(counts) if code]
    known = {} if table is None else table.colors
    grey = [round(255 * _WITHOUT_COLOR)] * 3
    colors: dict[int, Color] = {}
    for number, code in enumerate(found):
        other = grey if table is not None else _OTHERS[number % len(_OTHERS)]
        red, green, blue = known.get(code, other)
        colors[code] = (red, green, blue)
    return colors


_OTHERS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189), (140, 86, 75),
    (227, 119, 194), (188, 189, 34), (23, 190, 207), (174, 199, 232), (255, 187, 120),
)  # fmt: skip
"""The colours of codes that have no names: those of D3's and Tableau's category scale."""


def _entries(
    table: ClassTable | None, counts: NDArray[np.int64], colors: Mapping[int, Color]
) -> list[Entry]:
    """Return the classes that occur with their shares of all that have one, then no data."""
    total = int(counts[1:].sum())
    codes = list(colors)
    left_out: list[int] = []
    if len(codes) > _MOST_CLASSES:
        by_share = sorted(codes, key=lambda code: (-counts[code], code))
        left_out = by_share[_MOST_CLASSES:]
        codes = sorted(by_share[:_MOST_CLASSES])
    names = {} if table is None else table.names
    entries = [
        Entry(
            names.get(code, f"code {code}"),
            tuple(channel / 255 for channel in colors[code]),
            share_text(int(counts[code]), total),
        )
        for code in codes
    ]
    if left_out:
        rest = sum(int(counts[code]) for code in left_out)
        entries.append(Entry(f"{len(left_out)} other classes", "none", share_text(rest, total)))
    if counts[0]:
        share = share_text(int(counts[0]), int(counts.sum()))
        entries.append(Entry("no data, of all pixels", None, share))
    return entries


def share_text(part: int, whole: int) -> str:
    """Return a share to read, as in 12.3 % and < 0.1 %, which is more than none."""
    percent = 100 * part / max(whole, 1)
    return "< 0.1 %" if 0 < percent < 0.05 else f"{percent:.1f} %"


def _ground(grid: Grid) -> Ground:
    pixel = pixel_metres(grid)
    parts = [f"{grid.width} × {grid.height} pixels"]
    if pixel is not None and grid.gsd_metres is not None:
        parts[0] += f" of {grid.gsd_metres:.3g} m"
    code = grid.crs.to_epsg() if grid.crs is not None else None
    if code is not None:
        parts.append(f"EPSG:{code}")
    return Ground(pixel, ", ".join(parts))
