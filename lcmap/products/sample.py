"""A probability sample of a map's pixels: the library function behind `lcmap sample`."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap.accuracy.label_maps import LabelMap
from lcmap.accuracy.sample_points import SYSTEMATIC
from lcmap.accuracy.split_windows import LEARNT_FROM, SplitTiles, mask_of
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import NoLabelledPixelError, UsageError
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_LABEL
from lcmap.paths import PathLike
from lcmap.products.class_map import ClassMap, open_class_map
from lcmap.products.drawn_sample import Drawn, DrawnStratum
from lcmap.products.sample_allocation import allocate, size_for, standard_error
from lcmap.products.sample_draw import Lattice, Pixels, RankedDraw, joined
from lcmap.products.sample_file import write_sample
from lcmap.products.sample_options import (
    FEWEST,
    SampleDesign,
    SampleFrame,
    expected_accuracy,
    minimum_of,
)
from lcmap.progress import Progress, silent
from lcmap.raster.code_counts import CODES, code_counts
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import check_standard_input_once
from lcmap.raster.pixel_areas import PixelAreas, pixel_areas
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import atomic_path, check_output

BLOCK = 2048
"""Edge, in pixels, of the blocks that are read at once."""

_CACHE_BYTES = 32 << 20


def sample(
    given: PathLike,
    output: PathLike,
    design: SampleDesign,
    frame: SampleFrame | None = None,
    *,
    overwrite: bool = False,
    inputs: InputOptions | None = None,
    progress: Progress = silent,
) -> Drawn:
    """Draw a probability sample of the pixels of a map that have a class, as a GeoPackage.

    The points are at the centres of pixels, in the map's CRS and in a random order: the first of a
    random sample are one too. Fields say each point's stratum, inclusion probability, the pixels
    and points of its stratum, and the area of its pixel; `reference` and `note` are for the
    interpreter. Works by blocks: memory does not grow with the map. The same seed draws the same
    points.

    Raises:
        UsageError: the design contradicts itself or asks for more than there is; as
            `open_class_map`.
        NoLabelledPixelError: no pixel of the map has a class.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError, NomenclatureError,
            NomenclatureMismatchError, UnknownLabelError: of the map or the strata.
        GridMismatchError: the strata are in another CRS, or turned against the map.
        TileIndexError, InputMissingError: of a tile index.
        DataError: tiles are in another CRS, and the shift between both, as `check_datum_shift`.
        OutputExistsError, CannotWriteError, LockedError: of the output.
        InputChangedError: a file changed while it was read.
    """
    frame, inputs = frame or SampleFrame(), inputs or InputOptions()
    design.check()
    if Path(output).suffix.lower() != ".gpkg":
        raise UsageError(output, "is no GeoPackage", "end its name in .gpkg")
    of_strata = [] if frame.strata is None else [frame.strata]
    check_standard_input_once([given, *of_strata])
    read = [given, *of_strata, *frame.tiles]
    with (
        OutputSet([output], overwrite=overwrite, inputs=read) as files,
        unchanged_inputs(),
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        ExitStack() as stack,
    ):
        check_output(output, overwrite=files.overwrite)
        population = _Population.opened(given, frame, inputs, stack)
        pixels, drawn = _draw(population, design, progress)
        generator = np.random.default_rng([design.seed, 1])
        pixels = pixels.taken(generator.permutation(len(pixels.rows)))
        with atomic_path(output, overwrite=files.overwrite, within=files) as temporary:
            write_sample(
                (output, temporary), pixels, drawn, population.areas, population.nomenclature
            )
    return drawn


class _Population:
    """The pixels that points are drawn of, by stratum."""

    def __init__(
        self, class_map: ClassMap, strata: ClassMap, on_map: LabelMap | None, tiles: list[Window]
    ) -> None:
        self.grid = class_map.grid
        self.areas: PixelAreas = pixel_areas(class_map.grid, class_map.name)
        self.name = class_map.name
        self.strata = strata
        self.blocks = list(iter_blocks(*self.grid.shape, BLOCK))
        self.counts = np.zeros((len(self.blocks), CODES), np.int64)
        self.left_out = self.without_stratum = 0
        self._map = class_map
        self._on_map = on_map
        self._tiles = np.array(tiles, np.int64).reshape(-1, 4)

    @property
    def nomenclature(self) -> Nomenclature | None:
        """The classes of the map, None where codes alone are known."""
        return self._map.nomenclature

    @classmethod
    def opened(
        cls, given: PathLike, frame: SampleFrame, inputs: InputOptions, stack: ExitStack
    ) -> _Population:
        """Open the map and the strata; they stay open as long as the stack."""
        own = frame.nomenclature if frame.strata is None else None
        class_map = stack.enter_context(open_class_map(given, inputs, own))
        strata, on_map = class_map, None
        if frame.strata is not None:
            strata = stack.enter_context(open_class_map(frame.strata, inputs, frame.nomenclature))
            on_map = LabelMap([strata.raster], class_map.raster)
        windows = [
            window
            for split in LEARNT_FROM
            for window in SplitTiles(
                [read_tile_index(Path(item)) for item in frame.tiles], split
            ).covering(class_map.grid)
        ]
        return cls(class_map, strata, on_map, windows)

    def read(self, window: Window) -> tuple[NDArray[np.uint8], int, int]:
        """Return the code of each pixel's stratum, 0 where none, and how many have none, and why.

        They have a class, but the first are in tiles, and the second in no stratum.
        """
        codes = self._map.read(window)
        without = 0
        if self._on_map is not None:
            own = self._on_map.read(window)[0]
            if self.strata.nomenclature is not None:
                own = self.strata.nomenclature.check_labels(own, self.strata.name)
            without = int(np.count_nonzero((codes != NO_LABEL) & (own == NO_LABEL)))
            codes = np.where(codes != NO_LABEL, own, np.uint8(NO_LABEL))
        if not len(self._tiles):
            return codes, 0, without
        mask = mask_of(window, self._tiles)
        left_out = int(np.count_nonzero(codes[mask]))
        return np.where(mask, np.uint8(NO_LABEL), codes), left_out, without

    def count(self, progress: Progress) -> NDArray[np.int64]:
        """Count the pixels of strata by block; return those of each code, [256], none of code 0.

        Raises:
            NoLabelledPixelError: there are none.
        """
        for number, window in enumerate(self.blocks):
            codes, left_out, without = self.read(window)
            self.counts[number] = code_counts(codes)
            self.left_out += left_out
            self.without_stratum += without
            progress(number + 1, 2 * len(self.blocks), "counting")
        self.counts[:, NO_LABEL] = 0
        totals: NDArray[np.int64] = self.counts.sum(axis=0)
        if not totals.any():
            where = " outside the tiles" if len(self._tiles) else ""
            raise NoLabelledPixelError(
                self.name, "has no pixel to draw", f"give a map with classes{where}"
            )
        return totals


class _Draw(Protocol):
    """Pixels that were drawn, found block by block."""

    def any_in(self, block: int) -> bool: ...

    def in_block(self, block: int, window: Window, codes: NDArray[np.uint8]) -> Pixels: ...


def _draw(
    population: _Population, design: SampleDesign, progress: Progress
) -> tuple[Pixels, Drawn]:
    totals = population.count(progress)
    codes = np.flatnonzero(totals)
    accuracy = expected_accuracy(design, population.strata, codes)
    generator = np.random.default_rng([design.seed, 0])
    draw: _Draw
    if design.kind == "stratified":
        strata, draw = _in_strata(population, design, (codes, totals[codes], accuracy), generator)
    else:
        overall = totals[codes] @ accuracy / totals.sum()
        strata, draw = _as_one(population, design, float(overall), generator)
        accuracy = np.array([overall])
    found = _collected(population, progress, draw)
    if design.kind == SYSTEMATIC:
        if len(found.rows) < FEWEST:
            raise UsageError("`size`", f"gives {len(found.rows)} points of the grid", "give more")
        strata = (strata[0]._replace(points=len(found.rows)),)
    pixels, points = (np.array(column) for column in zip(*(s[2:4] for s in strata), strict=True))
    error = standard_error(pixels, accuracy, points)
    outside = population.left_out, population.without_stratum
    return found, Drawn(design.kind, strata, *outside, error)


def _in_strata(
    population: _Population,
    design: SampleDesign,
    found: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]],
    generator: np.random.Generator,
) -> tuple[tuple[DrawnStratum, ...], _Draw]:
    """Return the strata and a draw of them; `found` are their codes, pixels, expected accuracy."""
    codes, pixels, accuracy = found
    least = minimum_of(design, len(codes))
    size = design.size
    if size is None:
        assert design.target_se is not None
        size = size_for(design.target_se, pixels, least, design.allocation, accuracy)
    points = allocate(size, pixels, least, design.allocation, accuracy)
    strata = tuple(
        DrawnStratum(code, population.strata.class_name(code), n, m, m / n)
        for code, n, m in zip(codes.tolist(), pixels.tolist(), points.tolist(), strict=True)
    )
    wanted = {item.code: item.points for item in strata}
    return strata, RankedDraw(population.counts, wanted, generator)


def _as_one(
    population: _Population, design: SampleDesign, accuracy: float, generator: np.random.Generator
) -> tuple[tuple[DrawnStratum, ...], _Draw]:
    """Return the stratum that all pixels are, and a draw of it, random or systematic."""
    pixels, expected = np.array([population.counts.sum()]), np.array([accuracy])
    size = design.size
    if size is None:
        assert design.target_se is not None
        size = size_for(design.target_se, pixels, FEWEST, "proportional", expected)
    points = int(allocate(size, pixels, FEWEST, "proportional", expected)[0])
    whole = int(pixels[0])
    if design.kind == SYSTEMATIC:
        lattice = Lattice.drawn(whole, size, generator)
        return (DrawnStratum(0, "all", whole, points, lattice.inclusion_probability),), lattice
    draw = _OneStratum(population.counts, points, generator)
    return (DrawnStratum(0, "all", whole, points, points / whole),), draw


class _OneStratum:
    """A draw of pixels of whatever stratum."""

    def __init__(self, counts: NDArray[np.int64], size: int, generator: np.random.Generator):
        all_codes = np.zeros_like(counts)
        all_codes[:, 1] = counts.sum(axis=1)
        self._draw = RankedDraw(all_codes, {1: size}, generator)

    def any_in(self, block: int) -> bool:
        return self._draw.any_in(block)

    def in_block(self, block: int, window: Window, codes: NDArray[np.uint8]) -> Pixels:
        return self._draw.in_block(block, window, (codes != NO_LABEL).astype(np.uint8))


def _collected(population: _Population, progress: Progress, drawn: _Draw) -> Pixels:
    """Return the pixels that were drawn; only blocks that have some are read again."""
    parts, blocks = [], population.blocks
    for number, window in enumerate(blocks):
        if drawn.any_in(number):
            parts.append(drawn.in_block(number, window, population.read(window)[0]))
        progress(len(blocks) + number + 1, 2 * len(blocks), "drawing")
    return joined(parts)
