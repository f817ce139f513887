"""By which quantiles the images of a model are scaled."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.inputs import RasterInput
from lcmap.dataset.quantile_file import read_quantile_file
from lcmap.errors import InputMismatchError, UsageError
from lcmap.model_file import ModelInput
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.opening import band_names
from lcmap.raster.quantile_tags import sampled_quantiles
from lcmap.raster.radiometry import NamedRadiometry, common_radiometry, radiometry_of

_FAR_SHIFT = 0.5
_FAR_STRETCH = 2.5
"""An image whose range of values is shifted by so much of the training images' range, or stretched
by so much, is of other ground, light or processing than they are."""

logger = logging.getLogger(__name__)


def scaling_quantiles(
    raster: RasterInput,
    wanted: ModelInput,
    chosen: PathLike | None,
    progress: Progress,
    *,
    one_of_many: bool = False,
) -> NDArray[np.float64]:
    """Return the 2 % and 98 % quantiles that an image is scaled by, float64 [bands, 2].

    `chosen` is "image", "model", a file of quantiles, which counts where it is of the bands of the
    input, or None for what those of training were scaled by. A warning says where an image's own
    quantiles are far from those of the training images; `one_of_many` as with
    `RasterInput.quantiles`.

    Raises:
        InputMissingError, DataError: the file cannot be read.
        InputMismatchError: the quantiles are of other bands, or of values that mean something else.
        UsageError: the model does not carry the quantiles of its training images.
        NotARasterError: the image's pixels cannot be read.
    """
    trained = np.array(wanted.quantiles, np.float64).reshape(-1, 2)
    by = scaled_by(wanted, for_input(wanted, chosen))
    if by == "model" and chosen is None and are_far(sampled_quantiles(raster.dataset), trained):
        logger.warning(
            "%s: its values are far from those of the training images: of another sensor, "
            "another processing or another season; `quantiles=image` scales it by its own "
            "quantiles, `quantiles=FILE` by those of its campaign",
            raster.name,
        )
    if by == "image":
        own = raster.quantiles(progress, one_of_many=one_of_many)
        if len(trained) == len(own) and are_far(own, trained):
            logger.warning(
                "%s: its 2 %% and 98 %% quantiles are far from those of the training images; if it "
                "is a part of a larger image or of a campaign, scale it by the quantiles of the "
                "whole with `quantiles=FILE`, or by those of training with `quantiles=model`",
                raster.name,
            )
        return own
    radiometry = radiometry_of(raster.dataset, raster.name)
    if by == "model":
        if len(trained) != len(wanted.bands):
            raise UsageError(
                "`quantiles=model`", "the model carries none", "use `quantiles=image`, or a file"
            )
        if wanted.radiometry:
            common_radiometry(
                [
                    NamedRadiometry("the training images", wanted.radiometry),
                    NamedRadiometry(raster.name, radiometry),
                ]
            )
        return trained
    found = read_quantile_file(by)
    found.check_fits(band_names(raster.dataset), radiometry, by, raster.name)
    return found.values


def for_input(wanted: ModelInput, chosen: PathLike | None) -> PathLike | None:
    """Return what was chosen as it holds for an input: a file of quantiles of other bands does not.

    Raises:
        InputMissingError, DataError: the file cannot be read.
    """
    if not _is_file(chosen) or read_quantile_file(chosen).are_of(wanted.bands):
        return chosen
    return None


def check_is_of_inputs(chosen: PathLike | None, wanted: Sequence[ModelInput]) -> None:
    """Check that a file of quantiles, if one was chosen, is of the bands of one input at least.

    Raises:
        InputMissingError, DataError: the file cannot be read.
        InputMismatchError: it is of none.
    """
    images = [item for item in wanted if item.kind in ("image", "series")]
    if not _is_file(chosen) or any(for_input(item, chosen) is not None for item in images):
        return
    bands = ", ".join(read_quantile_file(chosen).bands)
    taken = " and ".join(", ".join(item.bands) for item in images)
    raise InputMismatchError(
        chosen,
        f"holds quantiles of {bands}, the model takes {taken}",
        "give quantiles of images with the same bands",
    )


def _is_file(chosen: PathLike | None) -> TypeGuard[PathLike]:
    return chosen is not None and os.fspath(chosen) not in ("image", "model")


def scaled_by(wanted: ModelInput, chosen: PathLike | None) -> str:
    """Return "image", "model" or the path of a file: what was chosen, else as in training."""
    if chosen is not None:
        return os.fspath(chosen)
    return "image" if wanted.normalisation == "quantiles-2-98" else "model"


def are_far(own: NDArray[np.float64], trained: NDArray[np.float64]) -> bool:
    """Tell whether quantiles [bands, 2] are far from those of training in most bands.

    Without a valid pixel quantiles are 0, which says nothing.
    """
    if not own.any():
        return False
    span, trained_span = own[:, 1] - own[:, 0], trained[:, 1] - trained[:, 0]
    shift = np.abs(own.mean(axis=1) - trained.mean(axis=1)) > _FAR_SHIFT * trained_span
    stretch = (span > _FAR_STRETCH * trained_span) | (trained_span > _FAR_STRETCH * span)
    return bool(2 * np.count_nonzero(shift | stretch) > len(own))
