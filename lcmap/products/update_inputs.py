"""What an update reads: last year's map, this year's and its probabilities, checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcmap.accuracy.label_raster import LabelRaster
from lcmap.dataset.inputs import InputOptions, open_input
from lcmap.dataset.probabilities import ClassProbabilities
from lcmap.dataset.raster_content import parse_input
from lcmap.errors import GridMismatchError, NomenclatureMismatchError, UnexplainedLabelsError
from lcmap.nomenclature import (
    Crosswalk,
    Nomenclature,
    builtin_crosswalks,
    load_crosswalk,
    load_nomenclature,
)
from lcmap.nomenclature.library import builtin_names
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid, same_crs
from lcmap.raster.opening import require_label_band
from lcmap.raster.windows import Window

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class YearMap:
    """An open map and the nomenclature of its codes; the crosswalk leads to that of the update.

    meaning: the nomenclature as the user named it after the file, None where it was not named.
    """

    labels: LabelRaster
    nomenclature: Nomenclature
    crosswalk: Crosswalk | None = None
    meaning: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.labels.name

    def read(self, window: Window) -> Codes:
        """Return the codes in a window, uint8 [h, w], 0 where it has no class.

        Raises:
            NotARasterError: the pixels cannot be read.
            UnknownLabelError: a pixel holds a code that the nomenclature does not have.
        """
        codes = self.labels.read(window)
        if self.crosswalk is not None:
            return self.crosswalk.apply(codes, self.name)
        return self.nomenclature.check_labels(codes, self.name)


@dataclass(frozen=True)
class UpdateInputs:
    """Last year's map, this year's and its probabilities, on one grid and in one nomenclature."""

    last: YearMap
    new: YearMap
    probabilities: ClassProbabilities

    @property
    def grid(self) -> Grid:
        """The grid of all three."""
        return self.new.labels.grid

    @property
    def nomenclature(self) -> Nomenclature:
        """This year's nomenclature."""
        return self.new.nomenclature


@contextmanager
def open_update_inputs(
    given: Sequence[PathLike], crosswalk: PathLike | None, options: InputOptions
) -> Iterator[UpdateInputs]:
    """Open last year's map, this year's and its probabilities, in this order.

    A map that does not say its classes is given as FILE:NOMENCLATURE; for last year's, the
    crosswalk says them too.

    Raises:
        UsageError, InputMissingError, NotARasterError, NoCrsError: one cannot be opened.
        LabelBandError, UnexplainedLabelsError: a map is not one band, or does not say its classes.
        InputMismatchError: the probabilities are not such.
        NomenclatureMismatchError: they are in different nomenclatures.
        GridMismatchError: they are on different grids.
    """
    between = None if crosswalk is None else load_crosswalk(crosswalk)
    with ExitStack() as stack:
        new = _open_map(given[1], None, options, stack)
        last = _open_map(given[0], between, options, stack)
        probabilities = ClassProbabilities(stack.enter_context(open_input(given[2], options)))
        if _by_code(probabilities.nomenclature) != _by_code(new.nomenclature):
            raise _other_classes(
                probabilities.name,
                probabilities.nomenclature,
                new,
                "give the probabilities that were written with it",
            )
        _check_classes(last, new)
        _check_grid(probabilities.name, probabilities.grid, new, "give those written with it")
        _check_grid(
            last.name,
            last.labels.grid,
            new,
            f"rio warp --resampling nearest --like {new.name} {last.name} over.tif brings it over; "
            f"then give {_explained('over.tif', last)}",
        )
        yield UpdateInputs(last, new, probabilities)


def _open_map(
    given: PathLike, crosswalk: Crosswalk | None, options: InputOptions, stack: ExitStack
) -> YearMap:
    path, meaning = parse_input(given)
    source = stack.enter_context(open_input(path, options, meaning=meaning))
    require_label_band(source.dataset.count, source.name)
    source.require_crs()
    nomenclature = source.content.nomenclature
    if nomenclature is None and crosswalk is not None:
        nomenclature = crosswalk.source
    if nomenclature is None:
        raise UnexplainedLabelsError(
            source.name,
            "does not say what its codes mean",
            f"name its classes, as in {source.name}:topo6",
        )
    return YearMap(LabelRaster(source), nomenclature, crosswalk, meaning)


def _explained(file: str, like: YearMap) -> str:
    """Return how to name a file that has lost what says its classes, which are those of a map."""
    own = like.nomenclature
    if like.meaning is not None:
        return f"{file}:{like.meaning}"
    if own.name in builtin_names() and _by_code(load_nomenclature(own.name)) == _by_code(own):
        return f"{file}:{own.name}"
    if like.crosswalk is not None:
        return f"{file}, whose classes the crosswalk says"
    return f"{file}:FILE.toml, with the classes of {own.name} in FILE.toml"


def _by_code(nomenclature: Nomenclature) -> dict[int, str]:
    return {item.code: item.name for item in nomenclature.classes}


def _check_classes(last: YearMap, new: YearMap) -> None:
    """Check that last year's classes are this year's, or that the crosswalk leads to them."""
    if last.crosswalk is None:
        if _by_code(last.nomenclature) != _by_code(new.nomenclature):
            found = f"{last.nomenclature.name}:{new.nomenclature.name}"
            remedy = "`crosswalk` between them brings it over"
            if found in builtin_crosswalks():
                remedy = f"`crosswalk={found}` brings it over"
            raise _other_classes(last.name, last.nomenclature, new, remedy)
        return
    source, target = last.crosswalk.source, last.crosswalk.target
    if _by_code(source) != _by_code(last.nomenclature):
        raise NomenclatureMismatchError(
            last.name,
            f"is in {last.nomenclature.name}, the crosswalk starts from {source.name}",
            "give a crosswalk from its classes, or none where it has those of the new map",
        )
    if _by_code(target) != _by_code(new.nomenclature):
        raise NomenclatureMismatchError(
            new.name,
            f"is in {new.nomenclature.name}, the crosswalk leads to {target.name}",
            "give a crosswalk to its classes",
        )


def _other_classes(
    name: str, nomenclature: Nomenclature, new: YearMap, remedy: str
) -> NomenclatureMismatchError:
    own, other = nomenclature.name, new.nomenclature.name
    problem = f"is in {own}, {new.name} in {other}"
    if own == other:
        problem = f"has other classes of {own} than {new.name}"
    return NomenclatureMismatchError(name, problem, remedy)


def _check_grid(name: str, grid: Grid, new: YearMap, remedy: str) -> None:
    wanted = new.labels.grid
    if grid.matches(wanted):
        return
    if not same_crs(grid.crs, wanted.crs):
        difference = "in another coordinate reference system"
    elif grid.shape != wanted.shape:
        difference = f"{grid.height} × {grid.width} px instead of {wanted.height} × {wanted.width}"
    else:
        difference = "its pixels lie elsewhere"
    raise GridMismatchError(name, f"is not on the grid of {new.name} ({difference})", remedy)
