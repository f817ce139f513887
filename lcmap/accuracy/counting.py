"""Counting the agreement of all maps with all references, in one pass."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.accuracy.confusion import state_table
from lcmap.accuracy.inputs import Comparison, ScoreInput, check_class_names
from lcmap.accuracy.label_maps import LabelMap, describe_resampling, open_parts
from lcmap.accuracy.label_raster import LabelFile, LabelRaster
from lcmap.accuracy.label_views import Confidence, ScoredGround, percent_of
from lcmap.accuracy.options import BootstrapOptions
from lcmap.accuracy.report import listed
from lcmap.accuracy.split_windows import BlockGrid, SplitTiles, mask_of
from lcmap.accuracy.tally import Tally, cut
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import NoLabelledPixelError, OverlapError, UsageError
from lcmap.progress import Progress
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.windows import Window, iter_blocks

logger = logging.getLogger(__name__)

_READ = 1024
_LARGEST_MARGINS = 1 << 28


class Counting:
    """One pass over all references, into a tally."""

    def __init__(
        self,
        comparison: Comparison,
        tally: Tally,
        bootstrap: BootstrapOptions,
        tiles: SplitTiles | None,
        inputs: InputOptions,
    ) -> None:
        """Count by what the bootstrap draws, in these tiles or, with None, everywhere."""
        self._target = comparison.target
        self._maps = comparison.maps
        self._reference = comparison.reference
        self._tally = tally
        self._block = bootstrap.block
        self._by_image = bootstrap.resample == "images"
        self._tiles = tiles
        self._inputs = inputs
        self._reference_table = state_table(
            self._target, self._reference.crosswalk, comparison.only
        )
        self._map_tables = [state_table(self._target, item.crosswalk) for item in self._maps]
        self._counted: list[tuple[LabelFile, Grid, Sequence[Window] | None]] = []
        self._confidences: dict[int, LabelMap] = {}
        self._described: set[str] = set()
        self._away = ""
        self._pixels_read = 0
        self.block_grids: dict[int, BlockGrid] = {}
        """The blocks on each reference that was counted, by its number."""

    @property
    def largest_edge(self) -> int:
        """The edge of the largest blocks."""
        return max(grid.edge for grid in self.block_grids.values())

    def run(self, progress: Progress) -> None:
        """Count all references.

        Raises:
            UsageError: blocks are too many to keep.
            InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
            GridMismatchError: a map cannot be read on a reference's grid.
            NomenclatureMismatchError, UnknownLabelError: a raster holds other classes.
            OverlapError, NoLabelledPixelError: nothing could be counted, or no pixel of a map
                that was has a confidence.
        """
        files = self._reference.files
        overlaps = False
        for number, file in enumerate(files):
            with file.opened(self._inputs) as reference, ExitStack() as stack:
                maps = self._maps_over(reference, stack)
                overlaps = overlaps or maps is not None
                windows = self._tiles.windows(reference) if self._tiles is not None else None
                if maps is not None and windows != []:
                    self._confidences = {
                        m: open_parts(item.confidence, reference, stack, self._inputs, Confidence)
                        for m, item in enumerate(self._maps)
                        if item.confidence
                    }
                    share = _Share(progress, number, len(files), reference.name)
                    maps = [self._counted_over(reference, stack), *maps]
                    self._count(number, reference, maps, windows, share)
                    self._counted.append((file, reference.grid, windows))
        if not overlaps:
            raise OverlapError(
                self._away,
                f"covers no ground of {self._reference.listed}",
                "score maps and references of one place; parts of one map go as a folder or as a "
                "quoted pattern",
            )
        if self._tally.pixels == 0:
            where = f" in the {self._tiles.split} split" if self._tiles is not None else ""
            raise NoLabelledPixelError(
                self._reference.listed,
                f"has no labelled pixel to score{where}",
                "check the split, the classes chosen and what the maps cover",
            )
        self._check_confidences()

    def _check_confidences(self) -> None:
        """Warn of scored pixels without a confidence; refuse a confidence that has none of them."""
        for number, without in self._tally.without_confidence.items():
            item = self._maps[number]
            name = listed([file.name for file in item.confidence])
            known = int(self._tally.reliability[number][0].sum())
            if without and not known:
                raise OverlapError(
                    name,
                    f"has no confidence for any scored pixel of {item.name}",
                    "name the one that was written with the map, maps and confidences in one order",
                )
            if without:
                logger.warning(
                    "%s: %d of %d scored pixels of %s have no confidence, and are left out of its "
                    "reliability",
                    name, without, without + known, item.name,
                )  # fmt: skip

    def _maps_over(self, reference: LabelRaster, stack: ExitStack) -> list[LabelMap] | None:
        """Open what each map has over a reference; None, with a warning, where one has nothing."""
        maps = []
        for item in self._maps:
            view = item.view(self._target)
            found = open_parts(item.files, reference, stack, self._inputs, view)
            if not found.parts:
                self._away = item.listed
                if len(self._reference.files) > 1:
                    logger.warning(
                        "%s is left out: %s does not cover it", reference.name, item.name
                    )
                return None
            lines = filter(None, (describe_resampling(part, reference) for part in found.parts))
            if item.name not in self._described and (line := next(lines, "")):
                self._described.add(item.name)
                logger.info("%s", line)
            maps.append(found)
        return maps

    def _counted_over(self, reference: LabelRaster, stack: ExitStack) -> LabelMap:
        """Open the references counted before that share ground with this one: 1 where counted."""
        is_class = self._reference_table < len(self._target)
        return LabelMap(
            [
                ScoredGround(stack.enter_context(file.opened(self._inputs)), is_class, windows)
                for file, grid, windows in self._counted
                if _meet(grid, reference.grid)
            ],
            reference,
        )

    def _count(
        self,
        number: int,
        reference: LabelRaster,
        maps: Sequence[LabelMap],
        windows: Sequence[Window] | None,
        progress: _Share,
    ) -> None:
        blocks = self._blocks_on(reference)
        self._check_memory(*reference.grid.shape, blocks.edge)
        self.block_grids[number] = blocks
        check_class_names(reference, self._reference, self._target)
        for item, label_map in zip(self._maps, maps[1:], strict=True):
            for part in label_map.parts:
                check_class_names(part, item, self._target)
        inside = np.array(windows, np.int64).reshape(-1, 4) if windows is not None else None
        edge = blocks.edge
        step = edge * max(1, _READ // edge) if edge <= _READ else _READ
        areas = list(iter_blocks(*reference.grid.shape, step))
        for done, area in enumerate(areas):
            progress(done, len(areas), self._pixels_read)
            self._pixels_read += area.pixels
            mask = mask_of(area, inside) if inside is not None else None
            if mask is None or mask.any():
                self._count_area((number, blocks), reference, maps, area, mask)
        progress(len(areas), len(areas), self._pixels_read)

    def _blocks_on(self, reference: LabelRaster) -> BlockGrid:
        if self._block is None and self._tiles is not None:
            return self._tiles.blocks(reference)
        return BlockGrid(self._block or defaults.BOOTSTRAP_BLOCK)

    def _count_area(
        self,
        numbered: tuple[int, BlockGrid],
        reference: LabelRaster,
        maps: Sequence[LabelMap],
        area: Window,
        mask: NDArray[np.bool_] | None,
    ) -> None:
        """Count a window of the reference with this number and blocks, where the mask says so.

        The first of the `maps` is the ground that references counted before: it is counted once.
        """
        without_class = np.uint8(len(self._target))
        codes = reference.read(area)
        states = self._states(self._reference_table, codes, reference.name, self._reference)
        if mask is not None:
            states = np.where(mask, states, without_class)
        before, *maps = maps
        if before.parts:
            states = np.where(before.read(area)[0] == 0, states, without_class)
        if not (states < without_class).any():
            return
        predicted, covered = [], []
        for item, label_map, table in zip(self._maps, maps, self._map_tables, strict=True):
            codes, inside = label_map.read(area)
            name = listed([part.name for part in label_map.parts])
            predicted.append(self._states(table, codes, name, item))
            covered.append(inside)
        number, (edge, *origin) = numbered
        pieces = [
            ((number, 0, 0) if self._by_image else (number, *key), piece)
            for key, piece in cut(area, edge, (origin[0], origin[1]))
        ]
        sure = {m: percent_of(found.read(area)[0]) for m, found in self._confidences.items()}
        self._tally.add(states, predicted, covered, pieces, sure)

    def _states(
        self, table: NDArray[np.uint8], codes: NDArray[np.uint8], name: str, item: ScoreInput
    ) -> NDArray[np.uint8]:
        # a table of 256 entries needs no clipping, but without the check of bounds this is faster
        states: NDArray[np.uint8] = np.take(table, codes, mode="clip")
        unknown = len(self._target) + 1
        if states.max() == unknown:
            item.codes_in(self._target).check_labels(codes, name)
        return states

    def _check_memory(self, height: int, width: int, edge: int) -> None:
        blocks = 1 if self._by_image else -(-height // edge) * -(-width // edge)
        if blocks * self._tally.block_bytes > _LARGEST_MARGINS:
            raise UsageError(
                "`block`",
                f"{edge} px makes {blocks} blocks, too many for intervals",
                "take larger blocks, or `replicates=0`",
            )


def _meet(one: Grid, other: Grid) -> bool:
    """Tell whether two grids may share ground: their bounds, in one CRS, do."""
    west, south, east, north = one.bounds
    other_west, other_south, other_east, other_north = other.bounds
    return (
        same_crs(one.crs, other.crs)
        and west < other_east
        and other_west < east
        and south < other_north
        and other_south < north
    )


class _Share:
    """The progress of one reference as a share of all."""

    def __init__(self, progress: Progress, number: int, references: int, note: str) -> None:
        self._progress = progress
        self._number = number
        self._references = references
        self._note = note

    def __call__(self, done: int, total: int, pixels: int) -> None:
        before, whole = self._number * total, self._references * total
        self._progress(before + done, whole, self._note, amount=pixels)
