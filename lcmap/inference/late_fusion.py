"""Late fusion: one map from the class probabilities of several, without a network.

The baseline of sensor fusion: each sensor has its own model, and the decisions are joined (Kittler
et al., 1998, "On combining classifiers": the product and the sum rule).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

import numpy as np
import rasterio

from lcmap.dataset.inputs import check_ground, open_input
from lcmap.dataset.probabilities import LEAST_PROBABILITY, ClassProbabilities, Floats, Mask
from lcmap.errors import NomenclatureMismatchError, UsageError
from lcmap.inference import band_groups
from lcmap.inference.band_groups import Prediction
from lcmap.inference.block_map import Arrays, Counts, write_block_map
from lcmap.inference.inputs import CACHE_BYTES
from lcmap.inference.options import AlignedInputOptions, MapOutputs
from lcmap.inference.output_files import output_files
from lcmap.inference.report import MapReport
from lcmap.inference.resume.plan import Plan
from lcmap.inference.resume.resumable_map import check_before_work
from lcmap.inference.sheets import wanted_sheets
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.acquisition_day import acquisition_period, period_tags
from lcmap.raster.input_watch import input_identities, watched_inputs
from lcmap.raster.pipes import check_standard_input_once
from lcmap.raster.resampling import AlignedRaster
from lcmap.raster.windows import Window

FusionMethod = Literal["product", "mean"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LateFusion:
    """How the probabilities of several files are joined.

    method: "product" is Bayes' rule, "mean" a weighted mean.
    weights: a positive number for each file; None is 1 for each. With "product" they are exponents,
        so that two files of weight 1 together are surer than either; with "mean" they are relative.
    """

    method: FusionMethod = "product"
    weights: Sequence[float] | None = None


def product_rule(
    probabilities: Sequence[Floats], valid: Sequence[Mask], weights: Sequence[float]
) -> Floats:
    """Return the posterior p ∝ Π p_i^w_i of files that are independent given the class.

    Bayes' rule under equal priors of the classes, at weights of 1. `probabilities` are float32
    [K, h, w] each, of which those below `LEAST_PROBABILITY` count as that; a file takes no part
    where it is not `valid`, bool [h, w]. Where none is, all classes are equally probable.
    """
    log_posterior = np.zeros(probabilities[0].shape)
    for own, here, weight in zip(probabilities, valid, weights, strict=True):
        evidence = np.log(np.maximum(own, LEAST_PROBABILITY), dtype=np.float64)
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


@watched_inputs()
def late_fusion(
    inputs: Sequence[PathLike],
    outputs: MapOutputs,
    fusion: LateFusion | None = None,
    options: AlignedInputOptions | None = None,
    *,
    progress: Progress = silent,
) -> MapReport:
    """Write the map of the most probable classes by several files' class probabilities.

    The files are those that `predict` writes, in one nomenclature. The map is like that of
    `predict`, on the grid of the first, onto which the others are brought, interpolated linearly. A
    pixel without data in any file has none in the map. A killed run is continued by the same call.

    Raises:
        UsageError: fewer than two files, or weights that are not one positive number for each.
        InputMissingError, NotARasterError: a file cannot be read.
        InputMismatchError: a file does not hold class probabilities, or not say of which classes.
        NomenclatureError: what a file says of its classes is malformed.
        NomenclatureMismatchError: the files are in different nomenclatures.
        NoCrsError, OverlapError: a file is not of the first one's area; with `allow_missing` it may
            cover any part of it.
        OutputExistsError, CannotWriteError: an output cannot be written.
        LockedError: another run is making the same map.
        InputChangedError: an input changed while it was read.
    """
    fusion, options = fusion or LateFusion(), options or AlignedInputOptions()
    weights = _weights(fusion.weights, len(inputs))
    check_standard_input_once(inputs)
    if outputs.scenes is not None:
        raise UsageError("`scenes`", "does not apply to late fusion", "leave it out")
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES))
        sources = [
            ClassProbabilities(stack.enter_context(open_input(path, options))) for path in inputs
        ]
        first = sources[0]
        tags = {"LCMAP_LATE_FUSION": fusion.method, **_days(sources)}
        files = output_files(outputs, first.nomenclature, inputs, tags)
        check_before_work(files)
        files = files.in_sheets(wanted_sheets(outputs, first.grid, options.tmpdir))
        _check_alike(sources, allow_missing=options.allow_missing)
        aligned = [AlignedRaster(source.dataset, first.grid, source.name) for source in sources]
        combine = np.logical_or if options.allow_missing else np.logical_and
        wanted = [group.name for group in files.groups]

        def compute(window: Window) -> tuple[Arrays, Counts]:
            read = [
                raster.read(window, source.checked)
                for raster, source in zip(aligned, sources, strict=True)
            ]
            valid = [here for _, here in read]
            known = combine.reduce(valid)
            fused = _RULES[fusion.method]([values for values, _ in read], valid, weights)
            prediction = Prediction.of(fused, known)
            arrays = band_groups.arrays(prediction, first.nomenclature, wanted)
            return arrays, {"mapped": int(np.count_nonzero(known))}

        facts: Plan = {
            "inputs": input_identities(name for source in sources for name in source.files),
            "method": fusion.method,
            "weights": weights,
            "allow-missing": options.allow_missing,
        }
        counts, continued = write_block_map(
            files, first.grid, facts, compute, tmpdir=options.tmpdir, progress=progress
        )
    if counts["mapped"] == 0:
        logger.warning("%s: no pixel has data in all files, so the map is all 0", first.name)
    computed_by = f"late fusion by {fusion.method}"
    return MapReport(math.prod(first.grid.shape), counts["mapped"], computed_by, continued)


def _days(sources: Sequence[ClassProbabilities]) -> dict[str, str]:
    """Return the tags that say of which days a map of these is; none where one is unknown."""
    periods = [acquisition_period(source.dataset, source.name) for source in sources]
    if None in periods:
        return {}
    return period_tags([day for period in periods for day in period or ()])


def _weights(weights: Sequence[float] | None, files: int) -> tuple[float, ...]:
    """Return a weight for each file, 1 where none are given, checked."""
    if files < 2:
        raise UsageError("late fusion", f"takes two files or more, not {files}", "name the others")
    if weights is None:
        return (1.0,) * files
    if len(weights) != files:
        raise UsageError(
            "`weights`", f"are {len(weights)} for {files} files", "give one number for each file"
        )
    for weight in weights:
        if not (math.isfinite(weight) and weight > 0):
            raise UsageError("`weights`", f"{weight:g} is not above 0", "give positive numbers")
    return tuple(weights)


def _check_alike(sources: Sequence[ClassProbabilities], *, allow_missing: bool) -> None:
    """Check that all files have the classes, in the same order, and the ground of the first."""
    first, *others = sources
    for other in others:
        if other.nomenclature.coded_names != first.nomenclature.coded_names:
            raise NomenclatureMismatchError(
                other.name,
                f"is in {other.nomenclature.name}, {first.name} in {first.nomenclature.name}"
                if other.nomenclature.name != first.nomenclature.name
                else f"has other classes of {other.nomenclature.name} than {first.name}",
                "predict with models of one nomenclature",
            )
        check_ground(other.grid, first.grid, other.name, first.name, allow_missing=allow_missing)
