"""The files of a map: class codes, confidence, probabilities; checked and created."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.errors import RasterioError

from lcmap.errors import CannotWriteError, OutputExistsError, UsageError
from lcmap.inference.band_groups import BandGroupName
from lcmap.inference.resume.tile_store import BandGroup
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.tag import write_nomenclature
from lcmap.paths import PathLike
from lcmap.raster.pipes import STANDARD_STREAM
from lcmap.raster.windows import Window
from lcmap.raster.writing import check_output, write_error


@dataclass(frozen=True)
class MapFile:
    """A file of a map: its path, the layer that it holds, and what `atomic_raster` has to know."""

    path: PathLike
    layer: BandGroupName
    nomenclature: Nomenclature
    profile: Mapping[str, Any]

    @property
    def plane(self) -> BandGroup:
        """The layer as it is spooled."""
        return BandGroup(self.layer, self.profile["count"], self.profile["dtype"])

    @contextmanager
    def created(
        self, create: Callable[..., AbstractContextManager[Any]], path: PathLike
    ) -> Iterator[Callable[[npt.NDArray[Any], Window, Sequence[int]], None]]:
        """Yield a function that writes values [bands, h, w] to a window of these bands, from 1.

        `create` is `atomic_raster` for a grid; what it makes becomes `path` in the end. Errors name
        the file's own path.

        Raises:
            CannotWriteError: GDAL cannot write.
        """
        try:
            with create(path, self.profile) as raster:
                if self.layer == "probabilities":
                    write_nomenclature(raster, self.nomenclature)

                def write(values: npt.NDArray[Any], window: Window, bands: Sequence[int]) -> None:
                    try:
                        raster.write(values, list(bands), window=window.ranges)
                    except RasterioError as error:
                        raise write_error(self.path, Path(raster.name), error) from error

                yield write
        except OutputExistsError:
            raise
        except CannotWriteError as error:
            raise CannotWriteError(self.path, error.problem, error.remedy) from error


def map_files(
    nomenclature: Nomenclature,
    output: PathLike,
    confidence: PathLike | None,
    probabilities: PathLike | None,
) -> list[MapFile]:
    """Return the files that were asked for, the map first."""
    byte = {"count": 1, "dtype": "uint8", "nodata": 0, "overviews": True}
    floats = {"count": len(nomenclature), "dtype": "float32", "nodata": np.nan}
    classes = [land_cover.name for land_cover in nomenclature.classes]
    files: list[tuple[PathLike | None, BandGroupName, dict[str, Any]]] = [
        (output, "codes", byte | {"classes": nomenclature.class_table()}),
        (confidence, "confidence", byte | {"band_names": ["confidence (%)"]}),
        (probabilities, "probabilities", floats | {"band_names": classes}),
    ]
    return [
        MapFile(path, layer, nomenclature, profile)
        for path, layer, profile in files
        if path is not None
    ]


def check_map_files(
    inputs: Sequence[PathLike],
    outputs: tuple[PathLike, PathLike | None, PathLike | None],
    *,
    qml: bool,
    overwrite: bool,
    made: Collection[str] = (),
) -> None:
    """Refuse, before any work, outputs that collide or cannot be written; the map is the first.

    Those that an unfinished run has `made`, real paths, may exist.

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
        check_output(path, overwrite=overwrite or name in made)
    if not qml:
        return
    output = os.fspath(outputs[0])
    if output == STANDARD_STREAM:
        raise UsageError("--qml", "needs a map in a file to lie beside", "-o FILE")
    for side in (os.path.splitext(output)[0] + ".qml", output + ".aux.xml"):
        check_output(side, overwrite=overwrite or os.path.realpath(output) in made)
