"""Late fusion: one map from the class probabilities of several, without a network.

The baseline of sensor fusion: each sensor has its own model, and the decisions are joined (Kittler
et al., 1998, "On combining classifiers": the product and the sum rule).
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio

from lcmap import __version__
from lcmap.dataset.inputs import check_ground
from lcmap.errors import (
    NomenclatureMismatchError,
    ProbabilitiesError,
    UsageError,
)
from lcmap.inference import band_groups
from lcmap.inference.band_groups import Prediction
from lcmap.inference.map_files import check_map_files, map_files
from lcmap.nomenclature import Nomenclature
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.classes import write_style_files
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.pipes import STANDARD_STREAM, input_path
from lcmap.raster.resampling import AlignedRaster
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster

FusionMethod = Literal["product", "mean"]

FLOOR = float(np.finfo(np.float32).eps)
"""The least probability that the product takes.

float32 numbers that sum to 1 say no more than 1.2e-7; below it a probability is rounding, and a 0
would rule a class out whatever the other files say.
"""

_BLOCK = 512
_CACHE_MEGABYTES = 128
_ROUNDING = 1e-3
_REMEDY = "give what lcmap predict --probabilities writes"

logger = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LateFusionReport:
    """What was fused: pixels of the grid, and those that got a class."""

    pixels: int
    mapped: int


def product_rule(
    probabilities: Sequence[Floats], valid: Sequence[Mask], weights: Sequence[float]
) -> Floats:
    """Return the posterior p ∝ Π p_i^w_i of files that are independent given the class.

    Bayes' rule under equal priors of the classes, at weights of 1. `probabilities` are float32
    [K, h, w] each, of which those below `FLOOR` count as that; a file takes no part where it is not
    `valid`, bool [h, w]. Where none is, all classes are equal.
    """
    log_posterior = np.zeros(probabilities[0].shape)
    for own, here, weight in zip(probabilities, valid, weights, strict=True):
        evidence = np.log(np.maximum(own, FLOOR), dtype=np.float64)
        log_posterior += np.where(here, weight * evidence, 0.0)
    log_posterior -= log_posterior.max(axis=0)
    posterior = np.exp(log_posterior)
    posterior /= posterior.sum(axis=0)
    return posterior.astype(np.float32)


def mean_rule(
    probabilities: Sequence[Floats], valid: Sequence[Mask], weights: Sequence[float]
) -> Floats:
    """Return the weighted mean of probabilities, float32 [K, h, w] each, over the `valid` files.

    Where none is valid, bool [h, w], it is 0.
    """
    total = np.zeros(probabilities[0].shape)
    weight_here = np.zeros(valid[0].shape)
    for own, here, weight in zip(probabilities, valid, weights, strict=True):
        total += np.where(here, weight * own.astype(np.float64), 0.0)
        weight_here += weight * here
    mean = np.divide(total, weight_here, out=total, where=weight_here > 0)
    return mean.astype(np.float32)


_RULES = {"product": product_rule, "mean": mean_rule}


def late_fusion(
    probabilities: Sequence[PathLike],
    output: PathLike,
    *,
    method: FusionMethod = "product",
    weights: Sequence[float] | None = None,
    confidence: PathLike | None = None,
    fused_probabilities: PathLike | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    allow_vrt: bool = False,
    tmpdir: Path | None = None,
    cog: bool = False,
    qml: bool = False,
    progress: Progress = silent,
) -> LateFusionReport:
    """Write the map of the most probable classes by several files' class probabilities.

    They are those that `predict` writes, in one nomenclature; the map is like that of `predict`, on
    the grid of the first, onto which the others are brought, interpolated linearly. With `product`,
    `weights` are exponents, so that two files of weight 1 together are surer than either; with
    `mean`, they are relative. A pixel without data in any file has none in the map, with
    `allow_missing` only a pixel without data in all. `confidence` and `fused_probabilities` are as
    with `predict`. "-" is standard input or output.

    Raises:
        UsageError: fewer than two files, or weights that are not one positive number for each.
        InputMissingError, NotARasterError: a file cannot be read.
        ProbabilitiesError: a file holds no class probabilities, or does not say of which classes.
        NomenclatureError: what a file says of its classes is malformed.
        NomenclatureMismatchError: the files are in different nomenclatures.
        NoCrsError, NoOverlapError, TooLittleOverlapError: a file is not of the first one's area;
            with `allow_missing` it may cover any part of it.
        OutputExistsError, CannotWriteError: an output cannot be written.
    """
    shares = _weights(weights, len(probabilities))
    if [os.fspath(path) for path in probabilities].count(STANDARD_STREAM) > 1:
        raise UsageError("standard input", "can be one input only", "give the others as files")
    outputs = (output, confidence, fused_probabilities)
    check_map_files(probabilities, outputs, qml=qml, overwrite=overwrite)
    with ExitStack() as resources:
        resources.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES))
        sources = [
            _open(resources, path, allow_vrt=allow_vrt, tmpdir=tmpdir) for path in probabilities
        ]
        first = sources[0]
        grid, nomenclature = Grid.of(first.dataset), first.nomenclature
        for other in sources[1:]:
            _check_classes(first, other)
            check_ground(
                Grid.of(other.dataset), grid, other.subject, first.subject,
                allow_missing=allow_missing,
            )  # fmt: skip
        aligned = [AlignedRaster(source.dataset, grid, source.subject) for source in sources]
        tags = {"TIFFTAG_SOFTWARE": f"lcmap {__version__}", "LCMAP_LATE_FUSION": method}

        def create(path: PathLike, profile: Mapping[str, Any]) -> AbstractContextManager[Any]:
            made = RasterFormat(**profile, cog=cog, tags=tags)
            return atomic_raster(path, grid, made, overwrite=overwrite, tmpdir=tmpdir)

        files = map_files(nomenclature, *outputs)
        writers = [resources.enter_context(file.created(create, file.path)) for file in files]
        windows = list(iter_blocks(*grid.shape, _BLOCK))
        mapped = 0
        for done, window in enumerate(windows, start=1):
            read = [
                raster.read(window, source.checked)
                for raster, source in zip(aligned, sources, strict=True)
            ]
            valid = [here for _, here in read]
            known = (np.logical_or if allow_missing else np.logical_and).reduce(valid)
            fused = _RULES[method]([values for values, _ in read], valid, shares)
            arrays = band_groups.arrays(
                Prediction.of(fused, known), nomenclature, [file.layer for file in files]
            )
            for file, write in zip(files, writers, strict=True):
                write(arrays[file.layer], window, range(1, file.plane.bands + 1))
            mapped += int(np.count_nonzero(known))
            progress(done, len(windows), "fusing")
    if mapped == 0:
        logger.warning("%s: no pixel has data in all files, so the map is all 0", first.subject)
    if qml:
        write_style_files(output, nomenclature.class_table())
    return LateFusionReport(math.prod(grid.shape), mapped)


def _weights(weights: Sequence[float] | None, files: int) -> tuple[float, ...]:
    if files < 2:
        raise UsageError("late fusion", f"takes two files or more, not {files}", "name the others")
    if weights is None:
        return (1.0,) * files
    if len(weights) != files:
        raise UsageError(
            "--weights", f"are {len(weights)} for {files} files", "give one number for each file"
        )
    for weight in weights:
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError("--weights", f"{weight:g} is not above 0", "give positive numbers")
    return tuple(weights)


@dataclass(frozen=True)
class _Probabilities:
    """An open raster of class probabilities; `subject` names it in errors."""

    dataset: Any
    subject: str
    nomenclature: Nomenclature

    def checked(self, pixels: npt.NDArray[Any], valid: Mask) -> Floats:
        """Return its pixels as they are, float32 [K, h, w], 0 where not `valid`, bool [h, w].

        Raises:
            ProbabilitiesError: a value is not between 0 and 1.
        """
        values: Floats = np.where(valid, pixels, np.float32(0))
        if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
            raise ProbabilitiesError(
                self.subject,
                f"holds {values.min():g} to {values.max():g}, probabilities lie between 0 and 1",
                _REMEDY,
            )
        return values


def _open(
    resources: ExitStack, given: PathLike, *, allow_vrt: bool, tmpdir: Path | None
) -> _Probabilities:
    subject = "standard input" if os.fspath(given) == STANDARD_STREAM else os.fspath(given)
    path = resources.enter_context(input_path(given, tmpdir=tmpdir))
    dataset = resources.enter_context(open_raster(path, allow_vrt=allow_vrt))
    nomenclature = read_nomenclature(dataset, subject)
    if nomenclature is None:
        raise ProbabilitiesError(subject, "does not say of which classes it is", _REMEDY)
    if dataset.count != len(nomenclature):
        bands = f"has {dataset.count} bands for {len(nomenclature)} classes of {nomenclature.name}"
        raise ProbabilitiesError(subject, bands, _REMEDY)
    if set(dataset.dtypes) != {"float32"}:
        raise ProbabilitiesError(subject, f"has {dataset.dtypes[0]} values, not float32", _REMEDY)
    return _Probabilities(dataset, subject, nomenclature)


def _check_classes(first: _Probabilities, other: _Probabilities) -> None:
    """Check that two files have the same classes in the same order."""
    one, two = (
        [(item.code, item.name) for item in source.nomenclature.classes]
        for source in (first, other)
    )
    if one != two:
        raise NomenclatureMismatchError(
            other.subject,
            f"is in {other.nomenclature.name}, {first.subject} in {first.nomenclature.name}"
            if other.nomenclature.name != first.nomenclature.name
            else f"has other classes of {other.nomenclature.name} than {first.subject}",
            "predict with models of one nomenclature",
        )
