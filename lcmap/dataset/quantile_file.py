"""The 2 % and 98 % quantiles of a campaign of images, in a file that scales every one of them.

An image that is scaled by its own quantiles becomes another image when it is cut in pieces. So a
campaign of images, or the sheets of one image, are scaled by quantiles that belong to all of them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import DataError, InputMismatchError
from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.raster.band_comparison import same_bands
from lcmap.raster.input_watch import note_input
from lcmap.raster.making import MEMBER, current_digest
from lcmap.raster.opening import band_names, check_readable, open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.quantile_tags import read_quantiles
from lcmap.raster.radiometry import (
    NamedRadiometry,
    Radiometry,
    common_radiometry,
    radiometry_from,
    radiometry_of,
)
from lcmap.raster.writing import atomic_path
from lcmap.user_file import check_regular, read_small

FORMAT_VERSION = 1

_KEY = "lcmap_quantiles"
_LARGEST = 1 << 22
_REMEDY = "make one with lcmap prepare --quantiles-of IMAGES... -o campaign.json"


@dataclass(frozen=True)
class BandQuantiles:
    """Quantiles by band: the bands' names, the images' data type, float64 [bands, 2].

    `radiometry` is what the bands mean, () in files that do not say it.
    """

    bands: tuple[str, ...]
    dtype: str
    values: NDArray[np.float64]
    radiometry: tuple[Radiometry, ...] = ()

    def are_of(self, bands: tuple[str, ...]) -> bool:
        """Tell whether they are of these bands, by `same_bands`."""
        return same_bands(self.bands, bands)

    def check_fits(
        self,
        bands: tuple[str, ...],
        radiometry: tuple[Radiometry, ...],
        file: PathLike,
        image: str,
    ) -> None:
        """Check that an image's bands are those of the quantiles, which are in `file`.

        Raises:
            InputMismatchError: they are others, or mean something else.
        """
        if not self.are_of(bands):
            raise InputMismatchError(
                file,
                f"holds quantiles of {', '.join(self.bands)}, {image} has {', '.join(bands)}",
                "give quantiles of images with the same bands",
            )
        if self.radiometry:
            common_radiometry(
                [
                    NamedRadiometry(os.fspath(file), self.radiometry),
                    NamedRadiometry(image, radiometry),
                ]
            )


def write_quantile_file(
    path: PathLike,
    quantiles: BandQuantiles,
    images: int,
    *,
    overwrite: bool,
    within: OutputSet | None = None,
) -> None:
    """Write quantiles of so many images as JSON.

    Raises:
        OutputExistsError, CannotWriteError: as `atomic_path`.
    """
    content = {
        _KEY: FORMAT_VERSION,
        **current_digest(MEMBER),
        "images": images,
        "dtype": quantiles.dtype,
        "bands": [
            {"name": name, "q02": low, "q98": high} | band.to_dict()
            for name, (low, high), band in zip(
                quantiles.bands, quantiles.values.tolist(), quantiles.radiometry, strict=True
            )
        ],
    }
    with atomic_path(path, overwrite=overwrite, within=within) as temporary:
        temporary.write_text(
            json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_quantile_file(path: PathLike) -> BandQuantiles:
    """Return the quantiles in a file of `write_quantile_file`, or in the tags of a raster.

    Raises:
        InputMissingError: no such file.
        DataError: it holds no quantiles, or as `read_small`.
    """
    check_readable(path)
    check_regular(path)
    with open(path, "rb") as file:
        if not file.read(256).lstrip().startswith(b"{"):
            return _of_raster(path)
    note_input(path)
    content = read_small(path, _LARGEST)
    try:
        values = parse_json(content)
        if values[_KEY] > FORMAT_VERSION:
            raise DataError(path, "was written by a newer lcmap", "update lcmap")
        found = BandQuantiles(
            tuple(str(band["name"]) for band in values["bands"]),
            str(values["dtype"]),
            np.array([[float(b["q02"]), float(b["q98"])] for b in values["bands"]]).reshape(-1, 2),
            radiometry_from(values["bands"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(path, "is not a file of quantiles", _REMEDY) from error
    if not len(found.bands) or not np.isfinite(found.values).all():
        raise DataError(path, "holds quantiles that are not numbers", _REMEDY)
    if (found.values[:, 0] > found.values[:, 1]).any():
        raise DataError(path, "holds a 2 % quantile above that of 98 %", _REMEDY)
    return found


def _of_raster(path: PathLike) -> BandQuantiles:
    with open_raster(path) as dataset:
        values = read_quantiles(dataset)
        if values is None:
            raise DataError(path, "carries no quantiles", f"prepare it, or {_REMEDY}")
        radiometry = radiometry_of(dataset, os.fspath(path))
        return BandQuantiles(band_names(dataset), dataset.dtypes[0], values, radiometry)
