"""Scoring maps against references: the library function behind `lcmap score`."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap.accuracy.confusion import margins, state_table
from lcmap.accuracy.inputs import (
    ScoreInput,
    check_says,
    chosen_codes,
    in_common_nomenclature,
    open_sources,
)
from lcmap.accuracy.intervals import Interval, block_bootstrap
from lcmap.accuracy.label_maps import (
    LabelMap,
    LabelRaster,
    describe_resampling,
    open_labels,
    open_parts,
)
from lcmap.accuracy.measures import Scores, scores
from lcmap.accuracy.report import Bootstrap, MapScore, Report
from lcmap.accuracy.report_files import check_report_path, write_report
from lcmap.accuracy.split_windows import SplitTiles
from lcmap.accuracy.tally import Tally, cut
from lcmap.dataset.tile_index import TileIndex, read_tile_index
from lcmap.errors import NoLabelledPixelError, NoOverlapError, UsageError
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.windows import Window, iter_blocks

logger = logging.getLogger(__name__)

_READ = 1024
_CACHE_MEGABYTES = 256
"""GDAL's own limit is a share of the machine's memory; this holds the rows of a few wide files."""
_FEW_BLOCKS = 20
_LARGEST_MARGINS = 1 << 28


def score(
    maps: Sequence[PathLike],
    references: Sequence[PathLike],
    *,
    names: Sequence[str] = (),
    outputs: Sequence[PathLike] = (),
    overwrite: bool = False,
    tiles: Sequence[PathLike] = (),
    split: str | None = None,
    nomenclature: PathLike | None = None,
    crosswalks: Sequence[PathLike] = (),
    reference_crosswalk: PathLike | None = None,
    only: Sequence[str] = (),
    ignore_unclassified: bool = False,
    replicates: int = 1000,
    block: int = 256,
    seed: int = 0,
    level: float = 95.0,
    allow_vrt: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> Report:
    """Measure maps against a reference, all on the same pixels, and say what was found.

    Maps and references are files, "-" for standard input, or folders and patterns of files. The
    files of one map are its parts; those of the references are pooled. Every file of the
    references is compared, on its own grid, with the parts of each map that lie over it.

    Scored are the pixels that are labelled in a reference, lie in the split of the tile indexes
    ("test" unless another or "all" is named; without `tiles` anywhere) and are covered by every
    map. A pixel that a map leaves without a class (0, nodata, a code that its crosswalk discards)
    counts as missed, or with `ignore_unclassified` is left out for all maps. With `only` (codes,
    ranges of codes, names or acronyms) pixels of other classes in the reference are left out.

    `crosswalks` holds one for all maps, or one for each in order ("none" where it needs none); a
    map that carries the target's class names already is taken as it is. Intervals at `level`
    percent come from `replicates` draws of blocks of `block` × `block` pixels; 0 makes none.
    Memory grows with the number of blocks alone, by 24·K bytes for each and each map. The report
    is also written to `outputs`, in the form of their endings: .json, .csv or .txt.

    Raises:
        UsageError: options contradict each other, or nothing says the nomenclature.
        InputMissingError, NotARasterError, LabelBandError, NoCrsError: of a file.
        CrsMismatchError, GridMismatchError, NoOverlapError: maps and references do not fit.
        NomenclatureMismatchError: a raster says that it is in another nomenclature.
        UnknownLabelError: a raster holds codes that its nomenclature lacks.
        NoLabelledPixelError: there is no pixel to score.
        OutputExistsError, CannotWriteError: of an output.
    """
    if split and not tiles:
        raise UsageError("--split", "there is no tile index", "name it with --tiles")
    split = split or "test"
    for output in outputs:
        check_report_path(output, overwrite=overwrite)
    indexes = [read_tile_index(Path(item)) for item in tiles]
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES), ExitStack() as stack:
        sources, reference = open_sources(
            maps, references, names, stack, allow_vrt=allow_vrt, tmpdir=tmpdir
        )
        target, sources, reference = in_common_nomenclature(
            sources,
            reference,
            nomenclature=nomenclature,
            crosswalks=crosswalks,
            reference_crosswalk=reference_crosswalk,
            otherwise=next((index.nomenclature for index in indexes if index.nomenclature), None),
        )
        chosen = chosen_codes(only, target)
        tally = Tally(
            len(target),
            len(sources),
            ignore_unclassified=ignore_unclassified,
            by_block=replicates > 0,
        )
        counting = _Counting(target, sources, reference, chosen, block, tally, allow_vrt)
        counting.run(indexes, split, progress)
    bootstrap = None
    if replicates:
        bootstrap = Bootstrap(replicates, level, block, len(tally.blocks), seed)
        if bootstrap.blocks < _FEW_BLOCKS:
            logger.warning(
                "only %d blocks of %d px hold labels, so intervals are rough; a smaller --block "
                "makes more of them",
                bootstrap.blocks,
                block,
            )
    report = Report(
        nomenclature=target,
        only=chosen,
        maps=_map_scores(sources, tally, bootstrap),
        references=tuple(shown for _, shown in reference.files),
        reference_crosswalk=reference.crosswalk.name if reference.crosswalk else None,
        tiles=tuple(os.fspath(item) for item in tiles),
        split=split if tiles else None,
        pixels=tally.pixels,
        not_covered=tally.not_covered,
        left_out_unclassified=tally.left_out,
        bootstrap=bootstrap,
    )
    for output in outputs:
        write_report(report, output, overwrite=overwrite)
    return report


class _Counting:
    """One pass over all references, into a tally."""

    def __init__(
        self,
        target: Nomenclature,
        sources: Sequence[ScoreInput],
        reference: ScoreInput,
        only: tuple[int, ...] | None,
        block: int,
        tally: Tally,
        allow_vrt: bool,
    ) -> None:
        self._target = target
        self._sources = sources
        self._reference = reference
        self._only = only
        self._block = block
        self._tally = tally
        self._allow_vrt = allow_vrt
        self._described: set[str] = set()
        self._away = ""
        self._step = block * max(1, _READ // block) if block <= _READ else _READ

    def run(self, indexes: Sequence[TileIndex], split: str, progress: Progress) -> None:
        """Count all references.

        Raises:
            NoOverlapError, NoLabelledPixelError: nothing could be counted.
        """
        split_tiles = SplitTiles(indexes, split)
        files = self._reference.files
        overlaps = False
        for number, (path, shown) in enumerate(files):
            with (
                open_labels(path, shown, allow_vrt=self._allow_vrt) as reference,
                ExitStack() as stack,
            ):
                maps = self._maps_over(reference, stack)
                overlaps = overlaps or maps is not None
                windows = split_tiles.windows(reference) if indexes else None
                if maps is not None and windows != []:
                    share = _Share(progress, number, len(files), shown)
                    self._count(number, reference, maps, windows, share)
        if not overlaps:
            raise NoOverlapError(
                self._away,
                f"covers no ground of {_listed([shown for _, shown in files])}",
                "score maps and references of one place; parts of one map go as a folder or as a "
                "quoted pattern",
            )
        if self._tally.pixels == 0:
            where = f" in the {split} split" if indexes else ""
            raise NoLabelledPixelError(
                _listed([shown for _, shown in files]),
                f"has no labelled pixel to score{where}",
                "check the split, the classes chosen and what the maps cover",
            )

    def _maps_over(self, reference: LabelRaster, stack: ExitStack) -> list[LabelMap] | None:
        """Open what each map has over a reference; None, with a warning, where one has nothing."""
        maps = []
        for source in self._sources:
            found = open_parts(source.files, reference, stack, allow_vrt=self._allow_vrt)
            if not found.parts:
                self._away = _listed([shown for _, shown in source.files])
                if len(self._reference.files) > 1:
                    logger.warning(
                        "%s is left out: %s does not cover it", reference.shown, source.name
                    )
                return None
            lines = filter(None, (describe_resampling(part, reference) for part in found.parts))
            if source.name not in self._described and (line := next(lines, "")):
                self._described.add(source.name)
                logger.info("%s", line)
            maps.append(found)
        return maps

    def _count(
        self,
        number: int,
        reference: LabelRaster,
        maps: Sequence[LabelMap],
        windows: Sequence[Window] | None,
        progress: _Share,
    ) -> None:
        height, width = reference.grid.shape
        self._check_memory(height, width)
        check_says(reference, self._reference, self._target)
        for source, label_map in zip(self._sources, maps, strict=True):
            for part in label_map.parts:
                check_says(part, source, self._target)
        reference_table = state_table(self._target, self._reference.crosswalk, self._only)
        map_tables = [state_table(self._target, source.crosswalk) for source in self._sources]
        inside = np.array(windows, np.int64).reshape(-1, 4) if windows is not None else None
        whole = list(iter_blocks(height, width, self._step))
        for done, window in enumerate(whole):
            progress(done, len(whole))
            mask = _mask(window, inside)
            if mask is not None and not mask.any():
                continue
            codes = reference.read(window)
            states = self._states(reference_table, codes, reference.shown, self._reference)
            if mask is not None:
                states = np.where(mask, states, np.uint8(len(self._target)))
            if not (states < len(self._target)).any():
                continue
            read = [label_map.read(window) for label_map in maps]
            predicted = [
                self._states(table, codes, _listed([part.shown for part in item.parts]), source)
                for table, (codes, _), item, source in zip(
                    map_tables, read, maps, self._sources, strict=True
                )
            ]
            pieces = [((number, *key), piece) for key, piece in cut(window, self._block)]
            self._tally.add(states, predicted, [covered for _, covered in read], pieces)
        progress(len(whole), len(whole))

    def _states(
        self, table: NDArray[np.uint8], codes: NDArray[np.uint8], shown: str, source: ScoreInput
    ) -> NDArray[np.uint8]:
        # a table of 256 entries needs no clipping, but without the check of bounds this is faster
        states: NDArray[np.uint8] = np.take(table, codes, mode="clip")
        unknown = len(self._target) + 1
        if states.max() == unknown:
            (source.crosswalk.source if source.crosswalk else self._target).check_labels(
                codes, shown
            )
        return states

    def _check_memory(self, height: int, width: int) -> None:
        blocks = -(-height // self._block) * -(-width // self._block)
        if blocks * self._tally.block_bytes > _LARGEST_MARGINS:
            raise UsageError(
                "--block",
                f"{self._block} px makes {blocks} blocks, too many for intervals",
                "take larger blocks, or --bootstrap 0",
            )


class _Share:
    """The progress of one reference as a share of all."""

    def __init__(self, progress: Progress, number: int, references: int, note: str) -> None:
        self._progress = progress
        self._number = number
        self._references = references
        self._note = note

    def __call__(self, done: int, total: int) -> None:
        self._progress(self._number * total + done, self._references * total, self._note)


def _mask(window: Window, inside: NDArray[np.int64] | None) -> NDArray[np.bool_] | None:
    """Return which pixels of a window lie in any of the windows [n, 4]; None for everywhere."""
    if inside is None:
        return None
    mask = np.zeros((window.height, window.width), bool)
    row, col, height, width = inside.T
    near = (
        (row < window.stop_row)
        & (row + height > window.row)
        & (col < window.stop_col)
        & (col + width > window.col)
    )
    for values in inside[near]:
        part = window.intersection(Window(*values.tolist()))
        if part:
            mask[part.shifted(-window.row, -window.col).slices] = True
    return mask


def _map_scores(
    sources: Sequence[ScoreInput], tally: Tally, bootstrap: Bootstrap | None
) -> tuple[MapScore, ...]:
    values = scores(np.stack([margins(matrix) for matrix in tally.matrices]))
    intervals = None
    if bootstrap:
        intervals = block_bootstrap(
            tally.blocks,
            replicates=bootstrap.replicates,
            seed=bootstrap.seed,
            level=bootstrap.level,
        )
    differences = Scores(*(array - array[:1] for array in values))
    return tuple(
        MapScore(
            name=source.name,
            files=tuple(shown for _, shown in source.files),
            crosswalk=source.crosswalk.name if source.crosswalk else None,
            without_source=source.crosswalk.unreached if source.crosswalk else (),
            matrix=tally.matrices[m],
            scores=_nth(values, m),
            interval=_nth_interval(intervals.values, m) if intervals else None,
            differences=_nth(differences, m) if m else None,
            difference_interval=(
                _nth_interval(intervals.differences, m) if intervals and m else None
            ),
        )
        for m, source in enumerate(sources)
    )


def _nth(values: Scores, number: int) -> Scores:
    return Scores(values.per_class[number], values.overall[number])


def _nth_interval(interval: Interval, number: int) -> Interval:
    return Interval(_nth(interval.low, number), _nth(interval.high, number))


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
