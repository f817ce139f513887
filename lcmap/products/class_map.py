"""A map of class codes that a user names, with what its codes mean."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.label_raster import LabelRaster, open_labels
from lcmap.dataset.inputs import InputOptions
from lcmap.errors import NomenclatureMismatchError
from lcmap.nomenclature import Nomenclature, fits, load_nomenclature, nomenclature_of
from lcmap.paths import PathLike
from lcmap.raster.classes import find_class_table, read_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClassMap:
    """An open map of class codes; its nomenclature is None where codes alone are known.

    Several threads may read it.
    """

    raster: LabelRaster
    nomenclature: Nomenclature | None
    _reading: Any

    @property
    def grid(self) -> Grid:
        """Its grid, which has a CRS."""
        return self.raster.grid

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.raster.name

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Return the codes of a window, uint8 [height, width], 0 where there is no class.

        Raises:
            NotARasterError: the pixels cannot be read.
            UnknownLabelError: a pixel holds a value that is no code of its nomenclature.
        """
        with self._reading:
            codes = self.raster.read(window)
        if self.nomenclature is None:
            return codes
        return self.nomenclature.check_labels(codes, self.name)

    def class_name(self, code: int) -> str:
        """Return the name of a class, or its code where there is no nomenclature."""
        return str(code) if self.nomenclature is None else self.nomenclature[code].name


@contextmanager
def open_class_map(
    given: PathLike, inputs: InputOptions, nomenclature: PathLike | None = None
) -> Iterator[ClassMap]:
    """Open a map; its classes are those of the nomenclature, else those that it names itself.

    A warning where nothing says them.

    Raises:
        UsageError, InputMissingError, NomenclatureError: there is no such nomenclature.
        NomenclatureError: the classes that it names contradict each other.
        NomenclatureMismatchError: it names other classes than those of the nomenclature.
        UsageError, InputMissingError, NotARasterError, LabelBandError, NoCrsError: as
            `open_labels`.
    """
    classes = None if nomenclature is None else load_nomenclature(nomenclature)
    with open_labels(given, inputs) as raster:
        if classes is None:
            table = find_class_table(raster.dataset)
            classes = nomenclature_of(table) if table else None
            if classes is None:
                logger.warning(
                    "%s: does not say what its codes mean, so they stay without names; "
                    "`nomenclature` says it",
                    raster.name,
                )
            yield ClassMap(raster, classes, Lock())
            return
        table = read_class_table(raster.dataset)
        if table is not None and not fits(table, classes):
            raise NomenclatureMismatchError(
                raster.name,
                f"says that its classes are {table.nomenclature or 'others'}, not {classes.name}",
                "leave `nomenclature` out, or name the one it is in",
            )
        yield ClassMap(raster, classes, Lock())
