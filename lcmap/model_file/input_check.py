"""Whether an image is one that a model was made for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from lcmap.errors import GsdMismatchError, InputMismatchError
from lcmap.model_file.metadata import ModelInput
from lcmap.raster.band_comparison import folded, same_bands
from lcmap.raster.grid import Grid
from lcmap.raster.opening import band_names

GSD_TOLERANCE = 0.1
"""How far an image's ground sampling distance may be outside those of training, relatively."""

logger = logging.getLogger(__name__)


def check_image(
    model_input: ModelInput, dataset: Any, *, subject: str | None = None, force: bool = False
) -> None:
    """Check an open raster as `check_bands` does; `subject` names it in messages (its path).

    Raises:
        InputMismatchError, GsdMismatchError: what differs.
    """
    check_bands(
        model_input,
        band_names(dataset),
        dataset.dtypes,
        Grid.of(dataset).gsd_metres,
        subject=subject or str(dataset.name),
        force=force,
    )


def check_bands(
    model_input: ModelInput,
    names: tuple[str, ...],
    dtypes: Sequence[str],
    gsd: float | None,
    *,
    subject: str,
    force: bool = False,
) -> None:
    """Check that bands of these names, data types and GSD are those of a model's input.

    Bands are compared by `same_bands`; a label map has one band of any name and integer type.
    `force` lets another GSD pass; `subject` names the image in messages.
    Without a CRS the GSD is unknown, which is a warning.

    Raises:
        InputMismatchError, GsdMismatchError: what differs.
    """
    if len(names) != len(model_input.bands):
        raise InputMismatchError(
            subject,
            f"has {len(names)} band(s), the model takes {len(model_input.bands)} "
            f"({', '.join(model_input.bands)})",
            "give the bands that the model was trained on",
        )
    if model_input.kind == "labels":
        _check_gsd(model_input, gsd, subject, force)
        return
    if not same_bands(names, model_input.bands):
        same = sorted(folded(names)) == sorted(folded(model_input.bands))
        raise InputMismatchError(
            subject,
            f"its bands are {', '.join(names)}, the model takes {', '.join(model_input.bands)}",
            "put them in this order" if same else "give the bands that the model was trained on",
        )
    other = sorted({dtype for dtype in dtypes if dtype != model_input.dtype})
    if other:
        raise InputMismatchError(
            subject,
            f"is {', '.join(other)}, the model was trained on {model_input.dtype}",
            "give an image as the sensor delivers it, or train on such images",
        )
    _check_gsd(model_input, gsd, subject, force)


def _check_gsd(model_input: ModelInput, gsd: float | None, name: str, force: bool) -> None:
    if model_input.gsd is None:
        return
    if gsd is None:
        logger.warning("%s: has no CRS, so its ground sampling distance is not checked", name)
        return
    smallest, largest = model_input.gsd_range or (model_input.gsd, model_input.gsd)
    if smallest * (1 - GSD_TOLERANCE) <= gsd <= largest * (1 + GSD_TOLERANCE):
        return
    trained = f"{smallest:.3g} m"
    if f"{largest:.3g} m" != trained:
        trained = f"{smallest:.3g} to {largest:.3g} m"
    difference = f"has {gsd:.3g} m pixels, the model was trained on {trained}"
    if not force:
        raise GsdMismatchError(name, difference, "`force` to predict all the same")
    logger.warning("%s: %s", name, difference)
