"""A map that is computed block by block, without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from lcmap import __version__
from lcmap.inference.output_files import OutputFiles
from lcmap.inference.resume.plan import Plan, tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import BLOCK

Arrays = Mapping[str, npt.NDArray[Any]]
Counts = dict[str, int]


def write_block_map(
    files: OutputFiles,
    grid: Grid,
    facts: Plan,
    compute: Callable[[Window], tuple[Arrays, Counts]],
    *,
    tmpdir: Path | None,
    progress: Progress,
) -> tuple[Counts, bool]:
    """Write a map whose blocks are computed one by one; return the sums of their counts.

    `compute` returns what the files hold of a window, each [bands, h, w], and counts of pixels.
    `facts` are all that it depends on. A killed run is continued, as with `ResumableMap`; whether
    it was, is returned too.

    Raises:
        LockedError: another run is making this map.
        UsageError, OutputExistsError, CannotWriteError: an output cannot be written.
    """
    windows = list(iter_blocks(*grid.shape, BLOCK))
    plan = {"lcmap": __version__, "outputs": files.groups} | facts | tiling_facts(BLOCK, windows)
    with ResumableMap(files, grid, plan, windows, tmpdir=tmpdir) as work:
        if work.published is not None:
            return work.published, True
        pending = work.pending(windows)
        pixels = 0
        for done, (number, window) in enumerate(pending, start=1):
            arrays, counts = compute(window)
            work.store(number, arrays, **counts)
            pixels += window.pixels
            progress(done, len(pending), "computing", amount=pixels)
        totals: Counts = {}
        for record in work.records("tile"):
            for name in record.keys() - {"tile"}:
                totals[name] = totals.get(name, 0) + record[name]
        work.publish(totals, progress=progress)
    return totals, work.continued
