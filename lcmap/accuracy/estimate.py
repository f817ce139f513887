"""Areas and accuracies from a probability sample: what `lcmap score --sample` calls."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray

from lcmap.accuracy.confusion import state_table
from lcmap.accuracy.design_based import (
    Estimate,
    StratifiedSample,
    indicators,
    nan_percentiles,
)
from lcmap.accuracy.estimate_report import (
    OVERALL,
    PER_CLASS,
    EstimateReport,
    Figures,
    MapEstimate,
    Stratum,
)
from lcmap.accuracy.estimate_tables import write_estimate
from lcmap.accuracy.inputs import Comparison, ScoreInput, in_common_nomenclature, open_maps
from lcmap.accuracy.measures import scores
from lcmap.accuracy.options import BootstrapOptions, ClassOptions, ReportOptions, SplitOptions
from lcmap.accuracy.points_on_maps import codes_at, in_tiles
from lcmap.accuracy.sample_points import SamplePoints, read_sample_points
from lcmap.accuracy.score import check_page
from lcmap.accuracy.split_windows import LEARNT_FROM, SplitTiles
from lcmap.accuracy.tables import check_report_path
from lcmap.dataset.inputs import InputOptions
from lcmap.dataset.tile_index import read_tile_index
from lcmap.errors import NoLabelledPixelError, OverlapError, UsageError
from lcmap.paths import PathLike
from lcmap.raster.input_watch import unchanged_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.pixel_areas import SQUARE_METRES
from lcmap.vector.sources import vector_file

_MOST_OF_A_CLASS = 0.2
"""Of the estimated area of a class: what a point may stand for without a warning."""

_WEIGHTS_AT_ONCE = 1 << 22

logger = logging.getLogger(__name__)


def estimate(
    maps: Sequence[PathLike],
    sample: PathLike,
    *,
    classes: ClassOptions | None = None,
    split: SplitOptions | None = None,
    bootstrap: BootstrapOptions | None = None,
    outputs: ReportOptions | None = None,
    inputs: InputOptions | None = None,
) -> EstimateReport:
    """Estimate the areas of classes and the accuracy of maps from a probability sample.

    Areas, overall, user's and producer's accuracy have the standard errors and normal intervals of
    the design (`accuracy.design_based`); IoU, F1 and their means over the classes of the reference
    have intervals of a bootstrap of the design. Points whose reference is no class are outside the
    ground that figures are of. Maps are files, or folders and patterns of files, which are their
    parts; all are measured on the same points.

    Raises:
        UsageError: options contradict each other, or are of no use to a sample.
        InputMissingError, NotAVectorError, NoCrsError, InputMismatchError, DataError,
            UnknownLabelError: of the points, as `read_sample_points`.
        OverlapError: a point is outside a map, or in a tile that a model has learnt from.
        NoLabelledPixelError: no point has a class of the reference.
        InputMissingError, NotARasterError, LabelBandError, NomenclatureMismatchError,
            UnknownLabelError: of the maps.
        OutputExistsError, CannotWriteError, LockedError: of an output.
        InputChangedError: a file changed while it was read.
    """
    classes, split = classes or ClassOptions(), split or SplitOptions()
    bootstrap, outputs = bootstrap or BootstrapOptions(), outputs or ReportOptions()
    inputs = inputs or InputOptions()
    _check(classes, split)
    read: list[PathLike] = [*maps, vector_file(sample), *split.tiles]
    page = outputs.page
    written = [*outputs.files, *([page.file] if page else [])]
    with (
        OutputSet(written, overwrite=outputs.overwrite, inputs=read) as files,
        unchanged_inputs(),
    ):
        for output in outputs.files:
            check_report_path(output, overwrite=files.overwrite)
        if page is not None:
            # what draws is imported where it is needed: an installation for mapping may lack it
            from lcmap.accuracy.page.sample_page import write_sample_page

            check_page(page, len(maps), overwrite=files.overwrite)
        points = read_sample_points(sample)
        report = _estimated(maps, points, (classes, split, bootstrap), outputs.names, inputs)
        for output in outputs.files:
            write_estimate(report, output, files)
        if page is not None:
            write_sample_page(report, page.file, files, page.command)
    return report


def _check(classes: ClassOptions, split: SplitOptions) -> None:
    """Refuse what has no meaning beside a sample."""
    if classes.only or classes.ignore_unclassified:
        option = "`only`" if classes.only else "`ignore_unclassified`"
        raise UsageError(
            option, "would leave out points of the design", "join classes by a crosswalk"
        )
    if split.split:
        raise UsageError(
            "`split`",
            "chooses ground, which the sample did",
            "drop it; `tiles` are those without points",
        )


class _States(NamedTuple):
    """The classes of each point, int64 [n], K for none: in the reference, and in each map."""

    reference: NDArray[np.int64]
    maps: list[NDArray[np.int64]]


def _estimated(
    maps: Sequence[PathLike],
    points: SamplePoints,
    options: tuple[ClassOptions, SplitOptions, BootstrapOptions],
    names: Sequence[str],
    inputs: InputOptions,
) -> EstimateReport:
    classes, split, bootstrap = options
    indexes = [read_tile_index(Path(item)) for item in split.tiles]
    with rasterio.Env(), ExitStack() as stack:
        opened = open_maps(maps, names, inputs, stack)
        comparison = in_common_nomenclature(opened, ScoreInput(points.name, (), None), classes)
        for name in LEARNT_FROM:
            _check_apart(points, SplitTiles(indexes, name))
        states = _states(points, comparison, inputs)
    known = states.reference < len(comparison.target)
    if not known.any():
        raise NoLabelledPixelError(
            points.name, "no point has a class of the reference", "fill in its field reference"
        )
    sample, k = points.sample, len(comparison.target)
    z = NormalDist().inv_cdf(0.5 + bootstrap.level / 200)
    reference = indicators(states.reference, k)
    everywhere = known[:, None]
    hectares = None
    shares = sample.ratio(reference, everywhere)
    if points.pixel_areas is not None:
        area = points.pixel_areas[:, None] / SQUARE_METRES
        hectares = _figures(sample, sample.total(reference * area), z)
        shares = sample.ratio(reference * area, everywhere * area)
    # pixels of a map in degrees are not alike; those that are weigh 1
    weight = np.ones(len(known))
    if points.pixel_areas is not None:
        weight = points.pixel_areas / points.pixel_areas[0]
    _warn_of_heavy_points(points, reference, weight, comparison)
    accuracies = [_Accuracy.of(sample, states.reference, found, k, weight) for found in states.maps]
    margins = _bootstrapped(sample, accuracies, bootstrap)
    return EstimateReport(
        comparison.target,
        points.name,
        points.design,
        tuple(
            Stratum(name, float(size), int(count))
            for name, size, count in zip(
                points.stratum_names, sample.sizes, sample.counts, strict=True
            )
        ),
        int(np.count_nonzero(~known)),
        reference.sum(axis=0),
        comparison.reference.crosswalk.name if comparison.reference.crosswalk else None,
        _figures(sample, shares, z, of_shares=True),
        hectares,
        tuple(
            _map_estimate(item, accuracies, margins, m, (z, bootstrap.level))
            for m, item in enumerate(comparison.maps)
        ),
        bootstrap.level,
        bootstrap.replicates,
        bootstrap.seed,
    )


def _bootstrapped(
    sample: StratifiedSample, accuracies: Sequence[_Accuracy], bootstrap: BootstrapOptions
) -> list[NDArray[np.float64]]:
    """Return each map's margins, [1 + replicates, 3, K]: of the sample, then of draws of it."""
    generator = np.random.default_rng(bootstrap.seed)
    parts = [[item.margins(sample.weights[None])] for item in accuracies]
    at_once = max(1, _WEIGHTS_AT_ONCE // len(sample.stratum))
    for start in range(0, bootstrap.replicates, at_once):
        count = min(at_once, bootstrap.replicates - start)
        weights = sample.replicate_weights(count, generator)
        for part, item in zip(parts, accuracies, strict=True):
            part.append(item.margins(weights))
    return [np.concatenate(part) for part in parts]


def _states(points: SamplePoints, comparison: Comparison, inputs: InputOptions) -> _States:
    target = comparison.target

    def of(item: ScoreInput, codes: NDArray[np.uint8]) -> NDArray[np.int64]:
        table = state_table(target, item.crosswalk)
        states = table[codes].astype(np.int64)
        if (states > len(target)).any():
            item.codes_in(target).check_labels(codes, item.listed)
        return states

    source = comparison.reference.codes_in(target)
    reference = of(comparison.reference, points.reference_codes(source))
    return _States(
        reference,
        [of(item, codes_at(points, item, target, inputs)) for item in comparison.maps],
    )


def _check_apart(points: SamplePoints, tiles: SplitTiles) -> None:
    """Check that no point is in tiles of a split."""
    inside = in_tiles(points, tiles)
    if inside.any():
        raise OverlapError(
            points.name,
            f"{int(inside.sum())} points are in {tiles.split} tiles, where a model has seen the "
            "labels",
            "draw the sample with lcmap sample --tiles, which leaves these tiles out",
        )


def _warn_of_heavy_points(
    points: SamplePoints,
    reference: NDArray[np.bool_],
    weight: NDArray[np.float64],
    comparison: Comparison,
) -> None:
    """Warn where one point stands for much of the area of its class in the reference."""
    weights = points.sample.weights * weight
    for k, land in enumerate(comparison.target.classes):
        of_class = np.where(reference[:, k], weights, 0.0)
        total, heaviest = of_class.sum(), int(of_class.argmax())
        if total and of_class[heaviest] > _MOST_OF_A_CLASS * total:
            logger.warning(
                "%s: one point in %s stands for %.0f %% of the area of %s, whose figures hang on "
                "it; more points, or strata in which the class is less rare, tell more",
                points.name,
                points.stratum_names[points.sample.stratum[heaviest]],
                100 * of_class[heaviest] / total,
                land.name,
            )


class _Accuracy(NamedTuple):
    """What a sample says of one map: its states, its counts, and estimates by measure.

    States are weights of the points that have them, by the areas of their pixels, float64 [n, K].
    """

    sample: StratifiedSample
    agreed: NDArray[np.float64]
    reference: NDArray[np.float64]
    predicted: NDArray[np.float64]
    counts: NDArray[np.int64]
    shares: NDArray[np.float64]
    estimates: dict[str, Estimate]

    @classmethod
    def of(
        cls,
        sample: StratifiedSample,
        reference: NDArray[np.int64],
        predicted: NDArray[np.int64],
        k: int,
        weight: NDArray[np.float64],
    ) -> _Accuracy:
        """Estimate from the states of n points; those without a reference are of no map class."""
        known, weights = reference < k, sample.weights * weight
        everywhere = (known * weight)[:, None]
        real = indicators(reference, k) * everywhere
        mapped = indicators(predicted, k) * everywhere
        agreed = real * indicators(predicted, k)
        cells = (reference * (k + 1) + predicted)[known]
        counts = np.bincount(cells, minlength=k * (k + 1)).reshape(k, k + 1)
        weighted = np.bincount(cells, weights[known], k * (k + 1)).reshape(k, k + 1)
        estimates = {
            "oa": sample.ratio(agreed.sum(axis=1, keepdims=True), everywhere),
            "users": sample.ratio(agreed, mapped),
            "producers": sample.ratio(agreed, real),
        }
        shares = weighted / weighted.sum()
        return cls(sample, agreed, real, mapped, counts, shares, estimates)

    def margins(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return margins as `measures.scores` takes them, [m, 3, K], by weights [m, n]."""
        parts = np.concatenate([self.agreed, self.reference, self.predicted], axis=1)
        k = self.agreed.shape[1]
        found: NDArray[np.float64] = (weights @ parts).reshape(-1, 3, k)
        return found


def _map_estimate(
    item: ScoreInput,
    accuracies: Sequence[_Accuracy],
    margins: Sequence[NDArray[np.float64]],
    number: int,
    interval: tuple[float, float],
) -> MapEstimate:
    own, first = accuracies[number], accuracies[0]
    overall, classes = _measured(own, None, margins[number], None, interval)
    different: tuple[dict[str, Figures] | None, dict[str, Figures] | None] = (None, None)
    if number:
        different = _measured(own, first, margins[number], margins[0], interval)
    return MapEstimate(
        item.name,
        item.file_names,
        item.crosswalk.name if item.crosswalk else None,
        overall,
        classes,
        own.counts,
        own.shares,
        *different,
    )


def _measured(
    own: _Accuracy,
    first: _Accuracy | None,
    margins: NDArray[np.float64],
    of_first: NDArray[np.float64] | None,
    interval: tuple[float, float],
) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Return figures over all classes and by class, minus those of the first map where it is given.

    `interval` holds the normal quantile, and the level in percent.
    """
    z, level = interval
    found = scores(margins)
    bootstrapped = {
        "miou": found.overall[:, 0:1],
        "mf1": found.overall[:, 3:4],
        "iou": found.per_class[:, 0],
        "f1": found.per_class[:, 3],
    }
    if of_first is not None:
        base = scores(of_first)
        bootstrapped["miou"] = bootstrapped["miou"] - base.overall[:, 0:1]
        bootstrapped["mf1"] = bootstrapped["mf1"] - base.overall[:, 3:4]
        bootstrapped["iou"] = bootstrapped["iou"] - base.per_class[:, 0]
        bootstrapped["f1"] = bootstrapped["f1"] - base.per_class[:, 3]
    figures = {name: _percentiles(values, level) for name, values in bootstrapped.items()}
    for name, value in own.estimates.items():
        value = value.minus(first.estimates[name]) if first else value
        figures[name] = _figures(own.sample, value, z, of_shares=first is None)
    return {name: figures[name] for name in OVERALL}, {name: figures[name] for name in PER_CLASS}


def _figures(
    sample: StratifiedSample, found: Estimate, z: float, *, of_shares: bool = False
) -> Figures:
    """Return estimates with normal intervals; those of shares end at 0 and at 1."""
    errors = sample.standard_error(found)
    low, high = found.value - z * errors, found.value + z * errors
    if of_shares:
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return Figures(found.value, errors, low, high)


def _percentiles(values: NDArray[np.float64], level: float) -> Figures:
    """Return the first of values [1 + replicates, K] with the percentiles of the others."""
    if len(values) == 1:
        nothing = np.full_like(values[0], np.nan)
        return Figures(values[0], None, nothing, nothing)
    low, high = nan_percentiles(values[1:], (50 - level / 2, 50 + level / 2))
    undefined = np.isnan(values[0])
    return Figures(
        values[0], None, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
    )
