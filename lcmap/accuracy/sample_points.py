"""The points of a probability sample with what an interpreter found there, read and checked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS

from lcmap.accuracy.design_based import StratifiedSample
from lcmap.errors import DataError, InputMismatchError, UnknownLabelError
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.classes import NO_LABEL
from lcmap.paths import PathLike
from lcmap.vector.columns import as_numbers, as_text
from lcmap.vector.layer import VectorLayer
from lcmap.vector.names import find_field
from lcmap.vector.sources import find_layer, read_features

NUMBER = "id"
STRATUM = "stratum"
STRATUM_NAME = "stratum_name"
INCLUSION = "inclusion_probability"
STRATUM_PIXELS = "stratum_pixels"
STRATUM_POINTS = "stratum_points"
PIXEL_AREA = "pixel_area"
DESIGN = "design"
REFERENCE = "reference"

RANDOM = "random"
SYSTEMATIC = "systematic"

_ROUNDING = 1e-6
logger = logging.getLogger(__name__)

_REMEDY = "give the points that lcmap sample drew, all of them"


@dataclass(frozen=True)
class SamplePoints:
    """A probability sample: n points in H strata.

    name: what messages call it. crs: of the coordinates x and y, float64 [n].
    sample: the strata of the points. stratum_names: [H].
    pixel_areas: the area of each point's pixel in m², float64 [n]; None where no field says it.
    references: what the interpreter wrote, text [n].
    design: "stratified", "random", "systematic", or what else the points say; None: nothing.
    """

    name: str
    crs: CRS
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    sample: StratifiedSample
    stratum_names: tuple[str, ...]
    pixel_areas: NDArray[np.float64] | None
    references: tuple[str, ...]
    design: str | None

    def reference_codes(self, nomenclature: Nomenclature) -> NDArray[np.uint8]:
        """Return the codes of the references in a nomenclature, uint8 [n]; 0 is no class of it.

        Raises:
            UnknownLabelError: it lacks a class that the interpreter wrote.
        """
        known = {text: _code(text, nomenclature) for text in dict.fromkeys(self.references)}
        unknown = [text for text, code in known.items() if code is None]
        if unknown:
            raise UnknownLabelError(
                self.name,
                f"its reference holds {', '.join(unknown)}, no class of {nomenclature.name}",
                "write codes, names or acronyms, or name the nomenclature or a crosswalk from it",
            )
        return np.array([known[text] for text in self.references], np.uint8)


def _code(text: str, nomenclature: Nomenclature) -> int | None:
    number = text.removesuffix(".0")
    if number.isdecimal() and int(number[:4]) in (NO_LABEL, *nomenclature.no_label):
        return NO_LABEL
    found = nomenclature.find(number)
    return None if found is None else found.code


def read_sample_points(given: PathLike) -> SamplePoints:
    """Return the points of FILE or FILE:LAYER, as lcmap sample draws them and people fill them in.

    Needed are the fields stratum, inclusion_probability and reference. Names cut to ten characters,
    as in a shapefile, are known. Of a random sample the first points may be interpreted alone, or
    be there alone: the others are left out, with a warning.

    Raises:
        InputMissingError, NotAVectorError, DataError, UsageError: as `find_layer`.
        NoCrsError: it does not say its CRS.
        InputMismatchError: it has other geometries than points, or lacks a field.
        DataError: a point has no geometry, no stratum, no inclusion probability or no reference;
            points were removed or added; a stratum has a single point of several pixels.
    """
    layer = find_layer(given)
    name, crs = str(layer), layer.require_crs()
    wanted = (
        STRATUM, INCLUSION, REFERENCE, STRATUM_NAME, STRATUM_PIXELS, PIXEL_AREA, DESIGN, NUMBER,
    )  # fmt: skip
    fields = {field: find_field(layer.fields, [field]) for field in wanted}
    missing = [field for field in wanted[:3] if fields[field] is None]
    if missing:
        raise InputMismatchError(
            name, f"lacks the field {', '.join(missing)}", "give the points that lcmap sample drew"
        )
    features = read_features(layer, [field for field in fields.values() if field], None)
    columns = {
        field: features.columns[there] for field, there in fields.items() if there is not None
    }
    _check_geometries(layer, features.geometries)
    counted = _counted(columns)
    geometries = features.geometries[counted]
    columns = {field: column[counted] for field, column in columns.items()}
    names, stratum, first = _strata(name, columns)
    sample = StratifiedSample(stratum, _sizes(name, columns, names, stratum, first))
    _check_spread(name, names, sample)
    areas = columns.get(PIXEL_AREA)
    designs = {as_text(value) for value in columns.get(DESIGN, np.array([]))} - {None}
    return SamplePoints(
        name,
        crs,
        shapely.get_x(geometries),
        shapely.get_y(geometries),
        sample,
        names,
        None if areas is None else _positive(name, PIXEL_AREA, areas),
        _references(name, columns[REFERENCE]),
        designs.pop() if len(designs) == 1 else None,
    )


def _check_geometries(layer: VectorLayer, geometries: NDArray[Any]) -> None:
    """Check that all features of a layer are points, and that there are some."""
    if not len(geometries):
        raise DataError(str(layer), "has no points", _REMEDY)
    if (shapely.get_type_id(geometries) != shapely.GeometryType.POINT).any():
        raise InputMismatchError(str(layer), "has other geometries than points", _REMEDY)


def _counted(columns: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which points, bool [n], count: those of the beginning that are interpreted, or all."""
    texts = [(as_text(value) or "").strip() for value in columns[REFERENCE].tolist()]
    interpreted = np.array([bool(text) for text in texts])
    if _are_the_first(columns, interpreted):
        return interpreted
    return np.ones(len(texts), bool)


def _are_the_first(columns: dict[str, NDArray[Any]], chosen: NDArray[np.bool_]) -> bool:
    """Whether the chosen points, bool [n], are the first of a simple random sample.

    Points are numbered in a random order. The first of a random sample, however many, are one too;
    of a grid they are none, and in strata it would depend on how many each happens to have.
    """
    if not {DESIGN, NUMBER, STRATUM_PIXELS} <= columns.keys():
        return False
    if {as_text(value) for value in columns[DESIGN].tolist()} != {RANDOM}:
        return False
    numbers = np.sort(as_numbers(columns[NUMBER])[chosen])
    return bool(len(numbers) and (numbers == np.arange(1, len(numbers) + 1)).all())


def _strata(
    name: str, columns: dict[str, NDArray[Any]]
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """Return the names of strata, the stratum of each point, and the first point of each."""
    values = [as_text(value) for value in columns[STRATUM].tolist()]
    without = sum(value is None for value in values)
    if without:
        raise DataError(name, f"{without} points have no stratum", _REMEDY)
    _, first, stratum = np.unique(np.array(values, np.str_), return_index=True, return_inverse=True)
    titles = columns.get(STRATUM_NAME, columns[STRATUM])
    names = tuple(as_text(titles[point]) or str(values[point]) for point in first)
    return names, stratum.astype(np.int64), first


def _sizes(
    name: str,
    columns: dict[str, NDArray[Any]],
    names: Sequence[str],
    stratum: NDArray[np.int64],
    first: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the number of pixels of each stratum, [H], checked against the inclusion probability.

    Points of one stratum are as likely as another; but of a systematic sample, whose number is not
    fixed, n_h / N_h is the inclusion probability.
    """
    inclusion = _positive(name, INCLUSION, columns[INCLUSION])
    if (inclusion > 1).any():
        raise DataError(name, f"has an {INCLUSION} above 1", _REMEDY)
    counts = np.bincount(stratum)
    of_strata = inclusion[first]
    pixels = columns.get(STRATUM_PIXELS)
    of_points = inclusion if pixels is None else _positive(name, STRATUM_PIXELS, pixels)
    for values, field in ((inclusion, INCLUSION), (of_points, STRATUM_PIXELS)):
        differ = np.abs(values / values[first][stratum] - 1) > _ROUNDING
        if differ.any():
            where = names[int(stratum[np.flatnonzero(differ)[0]])]
            raise DataError(name, f"has more than one {field} in {where}", _REMEDY)
    sizes = counts / of_strata if pixels is None else of_points[first]
    design = as_text(columns[DESIGN][0]) if DESIGN in columns else None
    drawn = sizes * of_strata
    if _are_the_first(columns, np.ones(len(stratum), bool)) and counts.sum() < round(drawn.sum()):
        logger.warning(
            "%s: the first %d of %.0f points count, which are a random sample too",
            name, counts.sum(), drawn.sum(),
        )  # fmt: skip
    elif design != SYSTEMATIC:
        _check_counts(name, names, counts, drawn)
    return np.asarray(sizes, np.float64)


def _check_spread(name: str, names: Sequence[str], sample: StratifiedSample) -> None:
    """Check that each stratum has two points, or is taken whole."""
    alone = (sample.counts < 2) & (sample.beyond > 0)
    if alone.any():
        raise DataError(
            name,
            f"has one point in {', '.join(np.array(names)[alone])}, whose variance it does not "
            "tell",
            "draw two or more in each stratum, or draw the sample without these strata",
        )


def _check_counts(
    name: str,
    names: Sequence[str],
    counts: NDArray[np.int64],
    drawn: NDArray[np.float64],
) -> None:
    """Check that each stratum still has the points that were drawn, [H] each."""
    wrong = np.flatnonzero(np.abs(counts - drawn) > np.maximum(_ROUNDING * drawn, 1e-3))
    if wrong.size:
        h = int(wrong[0])
        raise DataError(
            name,
            f"has {counts[h]} points in {names[h]}, of which {drawn[h]:.6g} were drawn by their "
            f"{INCLUSION}",
            "give all points that lcmap sample drew; none may be left out or added, but for the "
            "last ones of a random sample",
        )


def _positive(name: str, field: str, column: NDArray[Any]) -> NDArray[np.float64]:
    """Return a column [n] of positive numbers."""
    numbers = as_numbers(column)
    wrong = int(np.count_nonzero(~(numbers > 0) | np.isinf(numbers)))
    if wrong:
        raise DataError(name, f"{wrong} points have no {field}, a number above 0", _REMEDY)
    return numbers


def _references(name: str, column: NDArray[Any]) -> tuple[str, ...]:
    """Return what the interpreter wrote for each point."""
    texts = [(as_text(value) or "").strip() for value in column.tolist()]
    empty = texts.count("")
    if empty:
        raise DataError(
            name,
            f"{empty} of {len(texts)} points have no {REFERENCE}",
            f"fill in the field {REFERENCE} with a class's code, name or acronym; points that "
            "cannot be interpreted get 0",
        )
    return tuple(texts)
