"""What can be chosen of a map and of its inputs, as values; `engines.compute` has what computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lcmap import defaults
from lcmap.dataset.inputs import InputOptions
from lcmap.inference.band_groups import BandGroupName
from lcmap.paths import PathLike

Prefer = Literal["order", "newest", "confidence"]
"""Which of the scenes counts where they overlap: the first in the order given, the one taken last,
or the one whose class is the surest."""


@dataclass(frozen=True)
class AlignedInputOptions(InputOptions):
    """How inputs that are brought onto one grid are opened, and what of them is accepted.

    allow_missing: map a pixel that has data in any input, rather than in all.
    """

    allow_missing: bool = False


@dataclass(frozen=True)
class ModelInputOptions(AlignedInputOptions):
    """How the inputs of a model are opened, and what of them is accepted.

    force: take an image of another ground sampling distance than the model's.
    quantiles: by what images are scaled: "image", each by its own quantiles; "model", by those of
        the training images; or a file of quantiles, see `dataset.quantile_file`; None is as those
        of training were.
    prefer: which of several images is mapped where they overlap.
    without: the names of inputs to leave out, as if they were missing everywhere: those of the
        model's inputs, or of the nomenclatures of its label maps. They are not read, and no pixel
        is without data for them.
    """

    force: bool = False
    quantiles: PathLike | None = None
    prefer: Prefer = defaults.PREFER
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapOutputs:
    """The files of a map, all on the grid of the image.

    codes: the map itself, uint8 class codes, 0 without data; "-" is standard output.
    confidence: the probability of the mapped class in %, uint8, 0 without data; None for none.
    probabilities: a float32 band per class, NaN without data; None for none.
    scenes: the number of the image that each pixel is mapped from, uint16, 0 without data, the
        images' names in its tags; None for none.
    margin: how far the second most probable class is below the mapped one in %, uint8, 255 without
        data; None for none.
    sheets: a vector file with a polygon for each map sheet; each raster is also written in sheets,
        equal to cutting the whole; None for none.
    sheet_name: the field that names the sheets; None is the only one, or "name".
    preview: a picture of the map beside the image, see `raster.preview`; None for none.
    cog: write cloud-optimised GeoTIFFs.
    qml: write a QGIS style and GDAL's class names beside the map; None for where it is a file, and
        its style that of no other layer.
    overwrite: replace files that exist.
    """

    codes: PathLike
    confidence: PathLike | None = None
    probabilities: PathLike | None = None
    scenes: PathLike | None = None
    margin: PathLike | None = None
    sheets: PathLike | None = None
    sheet_name: str | None = None
    preview: PathLike | None = None
    cog: bool = False
    qml: bool | None = None
    overwrite: bool = False

    @property
    def rasters(self) -> dict[BandGroupName, PathLike]:
        """The path of each raster that is wanted, by what is in it; the map comes first."""
        paths: dict[BandGroupName, PathLike | None] = {
            "codes": self.codes,
            "confidence": self.confidence,
            "margin": self.margin,
            "probabilities": self.probabilities,
            "scenes": self.scenes,
        }
        return {name: path for name, path in paths.items() if path is not None}
