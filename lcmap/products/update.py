"""Last year's map brought up to date: a pixel changes where this year's evidence says so."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap import __version__
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.probabilities import LEAST_PROBABILITY
from lcmap.dataset.raster_content import parse_input
from lcmap.paths import PathLike
from lcmap.products.changes import ChangeClasses
from lcmap.products.components import BlockwiseComponents
from lcmap.products.update_inputs import UpdateInputs, open_update_inputs
from lcmap.products.update_options import UpdateOutputs, UpdateRule
from lcmap.products.update_report import UpdateReport
from lcmap.progress import Progress, silent
from lcmap.raster.acquisition_day import acquisition_period, period_tags
from lcmap.raster.grid import Grid
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.opening import open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pipes import check_standard_input_once, display_name
from lcmap.raster.pixel_areas import SQUARE_METRES, least_pixels, pixel_areas
from lcmap.raster.preview.writing import Panel, write_preview
from lcmap.raster.temporary_folder import temporary_folder
from lcmap.raster.threads import available_threads
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import BLOCK, RasterFormat, atomic_raster

_CACHE_BYTES = 256 << 20
_SIDE = 2 * BLOCK
"""Pixels along a side of what is computed at once."""

logger = logging.getLogger(__name__)

Codes = NDArray[np.uint8]
ReadPair = Callable[[Window], tuple[Codes, Codes]]
"""Reads last year's codes, 0 where this year's map has none, and the updated ones in a window.

Both are uint8 [h, w].
"""


def update(
    last: PathLike,
    new: PathLike,
    probabilities: PathLike,
    outputs: UpdateOutputs,
    rule: UpdateRule | None = None,
    *,
    inputs: InputOptions | None = None,
    progress: Progress = silent,
) -> UpdateReport:
    """Write last year's map with what changed since: uint8 codes of this year's nomenclature.

    `probabilities` are those of the map `new`. A pixel leaves last year's class where its new class
    is more than 2 to the power of `rule.margin` times as probable. It keeps last year's where the
    new map or the probabilities have no data, and takes the new one where last year's map has none.
    With a margin of 0 the result is the new map as it is. Connected
    changes that are smaller than `rule.min_change` are taken back. The change map has a code for
    each pair of classes, as `ChangeClasses`, and 0 where one of the two maps has none.

    Raises:
        UsageError: the rule or the outputs make no sense.
        OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making one of the outputs.
        UsageError, DataError, InputMissingError: as `open_update_inputs`.
        UnknownLabelError, InputMismatchError, NotARasterError: of pixels that are read.
        InputChangedError: an input changed while it was read.
    """
    rule, inputs = rule or UpdateRule(), inputs or InputOptions()
    rule.check()
    given = [last, new, probabilities]
    paths = [*(parse_input(path)[0] for path in (last, new)), Path(probabilities)]
    check_standard_input_once(paths)
    with (
        OutputSet(
            [outputs.output, outputs.changes, outputs.preview],
            overwrite=outputs.overwrite,
            tmpdir=inputs.tmpdir,
        ) as written,
        unchanged_inputs(),
    ):
        outputs = replace(outputs, overwrite=written.overwrite)
        outputs.check(paths)
        with ExitStack() as stack:
            stack.enter_context(
                rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, GDAL_NUM_THREADS=str(available_threads()))
            )
            opened = stack.enter_context(open_update_inputs(given, rule.crosswalk, inputs))
            weighing = _Weighing(opened, rule.margin)
            read: ReadPair = weighing.read
            pixel = pixel_areas(opened.grid, opened.new.name).central
            if rule.min_change is not None:
                folder = stack.enter_context(temporary_folder(inputs.tmpdir))
                least = least_pixels(rule.min_change, pixel)
                read = _without_specks(weighing, least, folder, stack, progress)
            changes = ChangeClasses(opened.nomenclature)
            days = acquisition_period(opened.new.labels.dataset, opened.new.name) or ()
            tags = _tags(paths, rule) | period_tags(days)
            rasters = _create(outputs, opened.grid, changes, tags, stack, written)
            counts = _write(read, opened.grid, changes, rasters, progress)
        if outputs.preview is not None:
            panels = [Panel(path, written.written(path)) for path in reversed(outputs.files)]
            write_preview(outputs.preview, panels, overwrite=outputs.overwrite, within=written)
    report = UpdateReport(
        changes, counts, weighing.differing, weighing.unseen, pixel / SQUARE_METRES
    )
    weighing.warn()
    if not weighing.seen:
        logger.warning("%s: no pixel has a class, so nothing was updated", opened.new.name)
    elif not report.compared:
        logger.warning("%s: no pixel has a class in both maps", opened.last.name)
    return report


class _Weighing:
    """The evidence for each change, weighed window by window; each window is read once.

    differing: pixels so far that have a class in both maps, and not the same.
    seen: pixels so far with a class in this year's map.
    unseen: pixels so far with a class in last year's map alone.
    unweighed: pixels so far that differ, and of which the probabilities of their classes are no
        data.
    """

    def __init__(self, opened: UpdateInputs, margin: float) -> None:
        self.opened = opened
        self.differing = self.seen = self.unseen = self.unweighed = 0
        self._margin = margin

    def read(self, window: Window) -> tuple[Codes, Codes]:
        """Return the codes of a window, as `ReadPair`."""
        last, new = self.opened.last.read(window), self.opened.new.read(window)
        differs = (last != new) & (last != 0) & (new != 0)
        unseen = (last != 0) & (new == 0)
        self.differing += int(np.count_nonzero(differs))
        self.seen += int(np.count_nonzero(new))
        self.unseen += int(np.count_nonzero(unseen))
        if not self._margin:
            return last, new
        updated = np.where(unseen, last, new)
        updated[differs] = self._weighed(window, differs, last[differs], new[differs])
        return _compared(last, new), updated

    def warn(self) -> None:
        """Warn where evidence was lacking for pixels that were read."""
        if self.unweighed:
            logger.warning(
                "%s: has no probabilities at %.2g %% of the pixels where the maps differ, which "
                "keep last year's class",
                self.opened.probabilities.name,
                100 * self.unweighed / self.differing,
            )

    def _weighed(self, window: Window, differs: Any, last: Codes, new: Codes) -> Codes:
        """Return the classes of the pixels that differ, uint8 [n] as last year's and the new."""
        evidence = np.zeros(last.shape)
        for code in np.union1d(last, new):
            # only the classes that are in question here
            own = self.opened.probabilities.of_class(int(code), window)[differs]
            own = np.log2(np.maximum(own, LEAST_PROBABILITY), dtype=np.float64)
            evidence[new == code] += own[new == code]
            evidence[last == code] -= own[last == code]
        self.unweighed += int(np.count_nonzero(np.isnan(evidence)))
        # no data is no evidence: a comparison with NaN is false
        return np.where(evidence > self._margin, new, last)


def _without_specks(
    weighing: _Weighing, least: int, folder: Path, stack: ExitStack, progress: Progress
) -> ReadPair:
    """Return a reader that takes changes back that have fewer than `least` connected pixels.

    What the evidence says is kept in a raster in the folder, so that it is weighed once.
    """
    grid, kept = weighing.opened.grid, folder / "weighed.tif"
    components = BlockwiseComponents(*grid.shape, _SIDE)
    with atomic_raster(kept, grid, RasterFormat(1, "uint8", None), overwrite=False) as raster:
        for done, window in enumerate(components.windows, start=1):
            last, updated = weighing.read(window)
            components.add(window, _changed(last, updated))
            raster.write(updated, 1, window=window.ranges)
            progress(done, len(components.windows), "weighing")
    components.join()
    weighed = stack.enter_context(open_raster(kept, own=True))

    def read(window: Window) -> tuple[Codes, Codes]:
        last = _compared(weighing.opened.last.read(window), weighing.opened.new.read(window))
        updated = weighed.read(1, window=window.ranges)
        changed = _changed(last, updated)
        specks = changed & ~components.at_least(least, window, changed)
        return last, np.where(specks, last, updated)

    return read


def _compared(last: Codes, new: Codes) -> Codes:
    """Return last year's codes where this year's map has one too, else 0, uint8 [h, w]."""
    return np.where(new != 0, last, np.uint8(0))


def _changed(last: Codes, updated: Codes) -> NDArray[np.bool_]:
    changed: NDArray[np.bool_] = (last != updated) & (last != 0) & (updated != 0)
    return changed


def _tags(paths: Sequence[Path], rule: UpdateRule) -> dict[str, str]:
    last, new, probabilities = (Path(display_name(path)).name for path in paths)
    tags = {
        "TIFFTAG_SOFTWARE": f"lcmap {__version__}",
        "LCMAP_UPDATE_LAST": last,
        "LCMAP_UPDATE_NEW": new,
        "LCMAP_UPDATE_PROBABILITIES": probabilities,
        "LCMAP_UPDATE_MARGIN": f"{rule.margin:g}",
    }
    if rule.min_change is not None:
        tags["LCMAP_UPDATE_MIN_CHANGE"] = f"{rule.min_change:g} ha"
    if rule.crosswalk is not None:
        tags["LCMAP_UPDATE_CROSSWALK"] = Path(rule.crosswalk).name
    return tags


def _create(
    outputs: UpdateOutputs,
    grid: Grid,
    changes: ChangeClasses,
    tags: dict[str, str],
    stack: ExitStack,
    within: OutputSet,
) -> list[Any]:
    """Open the rasters to write, in the order of the outputs' files."""
    maps = [("uint8", changes.nomenclature.class_table())]
    if outputs.changes is not None:
        maps.insert(0, (changes.dtype, changes.table))
    return [
        stack.enter_context(
            atomic_raster(
                path,
                grid,
                RasterFormat(1, dtype, 0, (), tags, table, overviews=True, sidecars=True),
                overwrite=outputs.overwrite,
                within=within,
            )
        )
        for path, (dtype, table) in zip(outputs.files, maps, strict=True)
    ]


def _write(
    read: ReadPair, grid: Grid, changes: ChangeClasses, rasters: Sequence[Any], progress: Progress
) -> NDArray[np.int64]:
    """Write every block; return the pixels of each code of the change map, int64."""
    counts = np.zeros(max(changes.table.codes) + 1, np.int64)
    windows = list(iter_blocks(*grid.shape, _SIDE))
    written = 0
    for done, window in enumerate(windows, start=1):
        last, updated = read(window)
        codes = changes.between(last, updated)
        for raster, pixels in zip(reversed(rasters), (updated, codes), strict=False):
            raster.write(pixels, 1, window=window.ranges)
        counts += np.bincount(codes.ravel(), minlength=len(counts))
        written += window.pixels
        progress(done, len(windows), "writing", amount=written)
    return counts
