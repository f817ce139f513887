"""The files of a map: class codes, confidence, probabilities; checked and created."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError

from lcmap.errors import UsageError
from lcmap.inference import layers
from lcmap.inference.layers import Prediction
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.tag import write_nomenclature
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.windows import Window
from lcmap.raster.writing import check_output, write_error

Pathlike = str | os.PathLike[str]


class Layer(NamedTuple):
    """An output: its path, its raster open for writing, and what of a prediction it holds."""

    path: Pathlike
    raster: Any
    values: Callable[[Prediction], npt.NDArray[Any]]

    def write(self, prediction: Prediction, window: Window) -> None:
        """Write a window.

        Raises:
            CannotWriteError: GDAL cannot.
        """
        try:
            self.raster.write(self.values(prediction), window=window.ranges)
        except RasterioError as error:
            raise write_error(self.path, Path(self.raster.name), error) from error


def create_layers(
    resources: ExitStack,
    create: Callable[..., AbstractContextManager[Any]],
    nomenclature: Nomenclature,
    output: Pathlike,
    confidence: Pathlike | None,
    probabilities: Pathlike | None,
    *,
    cog: bool,
) -> list[Layer]:
    """Create the rasters that were asked for, the map first; they become files with `resources`.

    `create` is `atomic_raster` for a grid. The probabilities carry their nomenclature in a tag.
    """

    def layer(path: Pathlike, values: Callable[[Prediction], Any], **profile: Any) -> Layer:
        return Layer(path, resources.enter_context(create(path, cog=cog, **profile)), values)

    byte = {"count": 1, "dtype": "uint8", "nodata": 0, "overviews": True}
    codes = partial(layers.codes, nomenclature=nomenclature)
    created = [layer(output, codes, classes=nomenclature.class_table(), **byte)]
    if confidence is not None:
        names = ["confidence (%)"]
        created.append(layer(confidence, layers.confidence_percent, band_names=names, **byte))
    if probabilities is not None:
        names = [land_cover.name for land_cover in nomenclature.classes]
        floats = {"count": len(nomenclature), "dtype": "float32", "nodata": np.nan}
        created.append(layer(probabilities, layers.class_probabilities, band_names=names, **floats))
        write_nomenclature(created[-1].raster, nomenclature)
    return created


def check_map_files(
    inputs: Sequence[Pathlike],
    outputs: tuple[Pathlike, Pathlike | None, Pathlike | None],
    *,
    qml: bool,
    overwrite: bool,
) -> None:
    """Refuse, before any work, outputs that collide or cannot be written; the map is the first.

    Raises:
        UsageError: an output is an input, or named twice, or `qml` has no file to lie beside.
        OutputExistsError, CannotWriteError: as `check_output`.
    """
    seen: set[str] = set()
    for path in outputs:
        if path is None:
            continue
        name = os.fspath(path)
        if name != STANDARD_STREAM:
            name = os.path.realpath(name)
            if os.path.exists(name) and any(
                os.path.samefile(name, given) for given in filter(os.path.exists, inputs)
            ):
                raise UsageError(path, "is one of the inputs", "write to another file")
        if name in seen:
            raise UsageError(path, "is named for two outputs", "give each a file of its own")
        seen.add(name)
        check_output(path, overwrite=overwrite)
    if not qml:
        return
    output = os.fspath(outputs[0])
    if output == STANDARD_STREAM:
        raise UsageError("--qml", "needs a map in a file to lie beside", "-o FILE")
    for side in (os.path.splitext(output)[0] + ".qml", output + ".aux.xml"):
        check_output(side, overwrite=overwrite)
