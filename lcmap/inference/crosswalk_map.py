"""An existing label map in other classes on the grid of an image, by a crosswalk alone.

What the crosswalk leads to is kept, what it leads nowhere is discarded, and classes of the target
that nothing leads to are new: only a network can map them (see `reclassify`).
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import rasterio

from lcmap import defaults
from lcmap.dataset.inputs import RasterInput, check_ground, open_input
from lcmap.errors import (
    NomenclatureMismatchError,
    UnexplainedLabelsError,
    UsageError,
)
from lcmap.inference.block_map import Arrays, Counts, write_block_map
from lcmap.inference.inputs import CACHE_BYTES
from lcmap.inference.options import AlignedInputOptions, MapOutputs
from lcmap.inference.output_files import output_files, shown_image
from lcmap.inference.report import MapReport
from lcmap.inference.resume.plan import Plan
from lcmap.inference.resume.resumable_map import check_before_work
from lcmap.inference.sheets import wanted_sheets
from lcmap.nomenclature import Crosswalk, load_crosswalk
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import input_identities, watched_inputs
from lcmap.raster.label_resampling import LabelsOnGrid
from lcmap.raster.opening import require_label_band
from lcmap.raster.pipes import check_standard_input_once
from lcmap.raster.windows import Window

NAME_CLASSES = (
    "`oso_classes=oso23` (since 2018) or `oso_classes=oso17` (2016 and 2017): "
    "codes 11 and 12 differ"
)
"""The remedy for a map of OSO that does not name its classes."""


@dataclass(frozen=True)
class CrosswalkReport(MapReport):
    """What a crosswalk did to a map: kept pixels are mapped, and some are discarded."""

    unmapped: ClassVar[str] = "without a class"

    crosswalk: Crosswalk
    discarded: int

    @property
    def kept(self) -> int:
        """The pixels that the crosswalk leads to a class."""
        return self.mapped

    @property
    def classes(self) -> str:
        """What became of the classes and of the pixels, in lines."""
        source, target = self.crosswalk.source, self.crosswalk.target
        gone = [item.name for item in source.classes if self.crosswalk.table[item.code] == 0]
        new = [target[code].name for code in self.crosswalk.unreached]
        kept = [item.name for item in target.classes if item.name not in new]
        covered = max(self.kept + self.discarded, 1)
        return "\n".join(
            f"{title}: {', '.join(names) or 'none'}{share}"
            for title, names, share in (
                ("kept", kept, f" ({100 * self.kept / covered:.1f} % of the map's pixels)"),
                ("discarded", gone, f" ({100 * self.discarded / covered:.1f} %)"),
                ("new", new, ""),
            )
        )


@watched_inputs()
def crosswalk_map(
    inputs: tuple[PathLike, PathLike],
    outputs: MapOutputs,
    options: AlignedInputOptions | None = None,
    *,
    oso_classes: str | None = None,
    crosswalk: str | None = None,
    progress: Progress = silent,
) -> CrosswalkReport:
    """Write a label map in other classes on the grid of an image, without a network.

    The image is the first input, the label map the second. It is in the classes `oso_classes`, else
    in those that its tags name. The crosswalk is the one given, else the built-in one from these
    classes to `defaults.CROSSWALK_TARGET`. It is brought onto the grid of the image by the rule of
    `raster.label_resampling`, its classes voting in those of the target. Discarded classes become
    0, as does what the label map does not cover. A killed run is continued by the same call.

    Raises:
        UnexplainedLabelsError: the label map does not say what its codes mean, nor `oso_classes`.
        UsageError: outputs are asked for that only a network has; there is no nomenclature or
            crosswalk of that name.
        NomenclatureMismatchError: the crosswalk starts from other classes than the label map's.
        UnknownLabelError: the label map holds codes that its nomenclature does not have.
        LabelBandError, NoCrsError, OverlapError: it is not a label map of the image's area.
        InputMissingError, NotARasterError: an input cannot be read.
        OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making the same map.
        InputChangedError: an input changed while it was read.
    """
    options = options or AlignedInputOptions()
    for name in ("confidence", "margin", "probabilities", "scenes"):
        if getattr(outputs, name) is not None:
            raise UsageError(f"`{name}`", "cannot be computed without a model", "leave it out")
    check_standard_input_once(inputs)
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES))
        image = stack.enter_context(open_input(inputs[0], options))
        labels = stack.enter_context(open_input(inputs[1], options, meaning=oso_classes))
        chosen = _crosswalk(labels, crosswalk)
        files = output_files(outputs, chosen.target, inputs, {}, shown_image(inputs[:1], options))
        check_before_work(files)
        files = files.in_sheets(wanted_sheets(outputs, image.grid, options.tmpdir))
        require_label_band(labels.dataset.count, labels.name)
        check_ground(
            labels.grid, image.grid, labels.name, image.name, allow_missing=options.allow_missing
        )
        before, after = (
            LabelsOnGrid(labels.dataset, image.grid, labels.name, to_codes)
            for to_codes in (chosen.source.check_labels, chosen.apply)
        )

        def compute(window: Window) -> tuple[Arrays, Counts]:
            codes = after.read(window)
            discarded = (codes == 0) & (before.read(window) != 0)
            return {"codes": codes[None]}, {
                "kept": int(np.count_nonzero(codes)),
                "discarded": int(np.count_nonzero(discarded)),
            }

        facts: Plan = {
            "inputs": input_identities([*image.files, *labels.files]),
            "crosswalk": [chosen.source.to_dict(), chosen.target.to_dict(), chosen.table.tolist()],
        }
        counts, continued = write_block_map(
            files, image.grid, facts, compute, tmpdir=options.tmpdir, progress=progress
        )
    pixels = math.prod(image.grid.shape)
    computed_by = f"crosswalk {chosen.name}"
    return CrosswalkReport(
        pixels, counts["kept"], computed_by, continued, chosen, counts["discarded"]
    )


def _crosswalk(labels: RasterInput, wanted: str | None) -> Crosswalk:
    """Return the crosswalk that is wanted, from the classes of a label map."""
    source = labels.content.nomenclature
    if source is None:
        raise UnexplainedLabelsError(labels.name, "does not say what its codes mean", NAME_CLASSES)
    found = load_crosswalk(wanted or f"{source.name}:{defaults.CROSSWALK_TARGET}")
    if found.source.classes != source.classes:
        raise NomenclatureMismatchError(
            labels.name,
            f"is in {source.name}, the crosswalk starts from {found.source.name}",
            "give a crosswalk from its classes",
        )
    return found
