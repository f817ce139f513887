"""A label map in other classes: by crosswalk alone, or with an image and a network that learnt to.

Stocker and Le Bris 2020, section 6: an existing map goes into the network beside the image. What
the crosswalk leads to is kept, what it leads nowhere is discarded, and classes of the target that
nothing leads to are new: only the network can map them.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from lcmap import __version__
from lcmap.dataset.inputs import check_ground, open_input
from lcmap.errors import LabelBandError, NomenclatureMismatchError, UsageError
from lcmap.inference.predict import PredictReport, predict
from lcmap.model_file import read_model
from lcmap.nomenclature import Crosswalk, Nomenclature, load_crosswalk, load_nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.classes import write_style_files
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.pipes import STANDARD_STREAM, input_path
from lcmap.raster.resampling import AlignedRaster
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster, check_output

DEFAULT_TARGET = "oso-reclass"

_BLOCK = 1024
_CACHE_MEGABYTES = 128

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Adaptation:
    """What a crosswalk did to a map: pixels of the grid, kept ones and discarded ones."""

    crosswalk: Crosswalk
    pixels: int
    kept: int
    discarded: int

    @property
    def text(self) -> str:
        """What became of the classes and of the pixels, in lines."""
        source, target = self.crosswalk.source, self.crosswalk.target
        gone = [item.name for item in source.classes if self.crosswalk.table[item.code] == 0]
        new = [target[code].name for code in self.crosswalk.unreached]
        kept = [item.name for item in target.classes if item.name not in new]
        covered = max(self.kept + self.discarded, 1)
        return "\n".join(
            f"{title}: {', '.join(names) or 'none'}{share}"
            for title, names, share in (
                (
                    "kept",
                    kept,
                    f" ({100 * self.kept / covered:.1f} % of the map's pixels)",
                ),
                ("discarded", gone, f" ({100 * self.discarded / covered:.1f} %)"),
                ("new", new, ""),
            )
        )


def reclassify_oso(
    image: PathLike, oso: PathLike, model: PathLike, output: PathLike, *, oso_classes: str | None,
    **options: Any,
) -> PredictReport:  # fmt: skip
    """Write the map of an image and an existing label map by a model that takes both.

    The map's classes are those named, else those in its own tags; its codes are never guessed
    from. All else, and the `options`, are as with `predict`.

    Raises:
        UsageError: the map does not say what its codes mean, and nobody does.
        NomenclatureMismatchError: the model was trained on a map in other classes, or on none.
    """
    metadata = read_model(model)
    wanted = [
        model_input.nomenclature for model_input in metadata.inputs if model_input.nomenclature
    ]
    if not wanted:
        raise NomenclatureMismatchError(
            model, "takes no label map", "train on tiles prepared with --side MAP:oso23"
        )
    side = os.fspath(oso)
    if oso_classes is not None:
        load_nomenclature(oso_classes)
        side = f"{side}:{oso_classes}"
    else:
        _classes_in_tags(Path(oso))
    return predict(image, model, output, sides=(side,), **options)


def adapt_oso(
    image: PathLike,
    oso: PathLike,
    output: PathLike,
    *,
    oso_classes: str | None,
    crosswalk: str | None = None,
    cog: bool = False,
    qml: bool = False,
    allow_vrt: bool = False,
    allow_missing: bool = False,
    overwrite: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> Adaptation:
    """Write an existing label map in other classes on the grid of an image, without a network.

    The crosswalk is the one given, else the built-in one from the map's classes to oso-reclass.
    Pixels are taken by nearest; discarded classes become 0, as does what the map does not cover.

    Raises:
        UsageError: the map does not say what its codes mean, and nobody does.
        UnknownNomenclatureError: no such nomenclature or crosswalk.
        NomenclatureMismatchError: the crosswalk starts from other classes than the map's.
        UnknownLabelError: the map holds codes that its nomenclature does not have.
        LabelBandError, NoCrsError, NoOverlapError, TooLittleOverlapError: it is no label map of
            the image's area.
        InputMissingError, NotARasterError, OutputExistsError, CannotWriteError: as elsewhere.
    """
    check_output(output, overwrite=overwrite)
    if qml and os.fspath(output) == STANDARD_STREAM:
        raise UsageError("--qml", "needs a map in a file to lie beside", "-o FILE")
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES),
        input_path(image, tmpdir=tmpdir) as image_path,
    ):
        with open_raster(image_path, allow_vrt=allow_vrt) as dataset:
            grid = Grid.of(dataset)
        source = load_nomenclature(oso_classes) if oso_classes else _classes_in_tags(Path(oso))
        chosen = load_crosswalk(crosswalk or f"{source.name}:{DEFAULT_TARGET}")
        if chosen.source.classes != source.classes:
            raise NomenclatureMismatchError(
                oso,
                f"is in {source.name}, the crosswalk starts from {chosen.source.name}",
                "give a crosswalk from its classes",
            )
        shown = os.fspath(oso)
        with open_raster(oso, allow_vrt=allow_vrt) as dataset:
            if dataset.count != 1:
                raise LabelBandError(
                    oso, f"has {dataset.count} bands, labels have one", "give a label map"
                )
            check_ground(
                Grid.of(dataset), grid, shown, os.fspath(image), allow_missing=allow_missing
            )
            raster = AlignedRaster(dataset, grid, shown)
            windows = list(iter_blocks(*grid.shape, _BLOCK))
            labelled = kept = 0
            with atomic_raster(
                output,
                grid,
                RasterFormat(
                    count=1,
                    dtype="uint8",
                    nodata=0,
                    cog=cog,
                    overviews=True,
                    classes=chosen.target.class_table(),
                    tags={"TIFFTAG_SOFTWARE": f"lcmap {__version__}"},
                ),
                overwrite=overwrite,
                tmpdir=tmpdir,
            ) as written:
                for done, window in enumerate(windows, start=1):
                    pixels, valid = raster.read_nearest(window)
                    codes = source.check_labels(np.where(valid, pixels[0], 0), shown)
                    adapted = chosen.table[codes]
                    written.write(adapted, 1, window=window.ranges)
                    labelled += int(np.count_nonzero(codes))
                    kept += int(np.count_nonzero(adapted))
                    progress(done, len(windows), "adapting")
    if qml:
        write_style_files(output, chosen.target.class_table())
    return Adaptation(chosen, grid.height * grid.width, kept, labelled - kept)


def _classes_in_tags(oso: Path) -> Nomenclature:
    with open_input(oso) as opened:
        content = opened.content
    if content.nomenclature is None:
        raise UsageError(
            oso,
            "does not say what its codes mean",
            "--oso oso23 (since 2018) or --oso oso17 (2016 and 2017): codes 11 and 12 differ",
        )
    return content.nomenclature
