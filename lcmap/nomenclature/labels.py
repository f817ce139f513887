"""Label rasters of any dtype as uint8 codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import UnknownLabelError
from lcmap.paths import PathLike


def as_codes(labels: NDArray[Any], source: PathLike) -> NDArray[np.uint8]:
    """Return labels (any shape, integer or float) as uint8; uint8 passes through uncopied.

    Raises:
        UnknownLabelError: a value is not an integer from 0 to 255; it names some and the source.
    """
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype.kind == "c":
        raise UnknownLabelError(
            source,
            f"has {labels.dtype.name} values, which are no label codes",
            "give a raster of class codes",
        )
    with np.errstate(invalid="ignore"):
        codes = labels.astype(np.uint8)
    wrong = (labels < 0) | (labels > 255) | (codes != labels)
    if wrong.any():
        values = np.unique(labels[wrong])
        shown = ", ".join(f"{value:g}" for value in values[:5])
        raise UnknownLabelError(
            source,
            f"holds values that are not label codes (0 to 255): {shown}"
            + (", …" if values.size > 5 else ""),
            "give a raster of class codes",
        )
    return codes
