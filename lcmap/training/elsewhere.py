"""A temperature for ground that no training tile shows.

Beside its training tiles a network is right more often than elsewhere, and hardly less sure. So
images are left out in turn: networks that were not trained on them predict them, and a temperature
is fitted to all of these predictions together (cross-fitting). It is one for all classes: those of
each class, fitted to some ground, were worse on other (benchmarks/accuracy.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap import defaults
from lcmap.accuracy.calibration import BINS, expected_calibration_error, reliability
from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.alignment import overlaps
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.training.calibration import (
    Drawn,
    ScoreSample,
    Temperatures,
    confidence_of,
)
from lcmap.training.folds import (
    Folds,
    check_folds,
    check_left,
    labelled_tiles,
    predictor_of,
    train_folds,
)
from lcmap.training.options import TrainOptions, TrainOutputs
from lcmap.training.ranks import Ranks
from lcmap.training.run import TrainingRun, make_network

FEWEST = 3
"""Places: with fewer, a network that leaves one out would be trained on one."""

_OPTION = "calibrate"
_SPLITS = ("train", "validation")


class Elsewhere(NamedTuple):
    """Temperatures that were fitted to images left out.

    places: how many there were; images that overlap are of one.
    parts: how many there were of images that were left out together.
    before, after: counts of bins of confidence, float64 [judged, 3, bins], see
        `accuracy.calibration`, of the parts that are judged; `after` with temperatures that were
        fitted to the other parts. A part is judged where it has pixels of classes that its network
        was shown, and another part has.
    """

    temperatures: Temperatures
    places: int
    parts: int
    before: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error with temperatures, mean of the judged parts; or NaN."""
        return _mean_error(self.after)

    @property
    def ece_before(self) -> float:
        """That without temperatures."""
        return _mean_error(self.before)

    @property
    def judged(self) -> int:
        """How many parts are judged: none, or two or more."""
        return len(self.after)

    @property
    def text(self) -> str:
        """The error in one line; where not all parts are judged, of how many it is and why."""
        said = "expected calibration error on images left out"
        shown = "pixels of classes that their networks were shown"
        if not self.judged:
            return f"{said}: not known, since fewer than two of {self.parts} parts have {shown}"
        error = f"{100 * self.ece:.1f} %, {100 * self.ece_before:.1f} % before calibration"
        if self.judged == self.parts:
            return f"{said}, mean of {self.parts} parts: {error}"
        of = f"mean of {self.judged} of {self.parts} parts"
        return f"{said}, {of} (the others have no {shown}): {error}"

    def to_dict(self) -> dict[str, Any]:
        """Return for a model's metadata what was fitted to."""
        said = {
            "fitted on": "images left out",
            "places": self.places,
            "ece of images left out": self.ece,
            "ece of images left out before": self.ece_before,
        }
        if self.judged < self.parts:
            said |= {"parts": self.parts, "parts judged": self.judged}
        return said


def _mean_error(counts: NDArray[np.float64]) -> float:
    """Return the mean of the expected calibration errors of parts, NaN of none."""
    return float(expected_calibration_error(counts).mean()) if len(counts) else math.nan


def check_elsewhere(
    tile_indexes: Sequence[PathLike], outputs: TrainOutputs, options: TrainOptions, ranks: Ranks
) -> None:
    """Check, before any training, that images of tile indexes can be left out in turn.

    A warning says that networks which start from a model have seen what that was trained on.

    Raises:
        UsageError: the run trains no further, or in several processes; the images are of fewer than
            three places.
        NoLabelledPixelError: a part has all training tiles.
        InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
    """
    if outputs.export_best:
        raise UsageError(
            f"`{_OPTION}=elsewhere`", "takes more training", "leave it out with `export_best`"
        )
    check_folds(
        _OPTION, options, ranks,
        "the networks that leave out images start from it too: of those that it was trained on "
        "they are as sure as beside the tiles",
    )  # fmt: skip
    labelled = labelled_tiles(tile_indexes)
    # in the order of `fit_elsewhere`, which decides between places of the same size
    tiles = [tile for split in _SPLITS for tile in labelled if tile.split == split]
    places = places_of(tiles)
    if len(places) < FEWEST:
        raise UsageError(
            f"`{_OPTION}=elsewhere`",
            f"leaves out images in turn, and the tiles are of {len(places)} that do not overlap",
            f"give tiles of {FEWEST} such images or more, or leave it out",
        )
    remedy = f"give training tiles of more images, or leave out `{_OPTION}`"
    check_left(tile_indexes, tiles, deal_places(places), remedy)


def places_of(tiles: Sequence[IndexedTile]) -> list[list[IndexedTile]]:
    """Return the tiles of each place, by labelled pixels, the most first.

    Images are of one place where their grids overlap, be it through others.

    Raises:
        NotARasterError: an image cannot be opened.
    """
    places: list[tuple[list[Grid], list[IndexedTile]]] = []
    for image in dict.fromkeys(tile.image for tile in tiles):
        with open_raster(image) as dataset:
            grid = Grid.of(dataset)
        mine = [tile for tile in tiles if tile.image == image]
        joined = [place for place in places if any(overlaps(grid, other) for other in place[0])]
        places = [place for place in places if place not in joined]
        grids, members = [grid], mine
        for others, more in joined:
            grids, members = [*others, *grids], [*more, *members]
        places.append((grids, members))
    return sorted((members for _, members in places), key=_labelled, reverse=True)


def deal_places(places: Sequence[Sequence[IndexedTile]]) -> list[list[IndexedTile]]:
    """Return the tiles of each part that is left out: whole places, of about as many pixels.

    There are as many parts as places, `defaults.CALIBRATION_FOLDS` at most.
    """
    parts: list[list[IndexedTile]] = [
        [] for _ in range(min(len(places), defaults.CALIBRATION_FOLDS))
    ]
    for place in places:
        min(parts, key=_labelled).extend(place)
    return parts


def _labelled(tiles: Sequence[IndexedTile]) -> int:
    return sum(sum(tile.class_counts.values()) for tile in tiles)


def fit_elsewhere(
    run: TrainingRun, options: TrainOptions, outputs: TrainOutputs, progress: Progress
) -> Elsewhere:
    """Train networks that leave out images, and fit temperatures to what they say of these.

    Each is trained as the run's own, for as long, on the training tiles of the other images. It
    predicts the training and validation tiles of those left out; what has a class that it was not
    shown does not count. Each part counts alike, see `Temperatures.across`.

    Raises:
        CheckpointError: as `train_folds`.
        NotARasterError: pixels cannot be read.
    """
    places = places_of([*run.data.train, *run.data.validation])
    parts = deal_places(places)
    folds = Folds(parts, outputs.calibration_checkpoint, apart=True)
    models = train_folds(run, folds, options, resume=outputs.resume, progress=progress)
    network, _ = make_network(run.data, options.chosen_recipe(), options)
    network.to(run.trainer.device)
    samples = []
    for part, model in zip(parts, models, strict=True):
        sample = ScoreSample(part, len(run.data.nomenclature), options.seed, parts=len(parts))
        predict = predictor_of(model, network, calibrated=False)
        for tile in part:
            p, labels = predict(run.source, tile)
            sample.add(p, np.where(np.isin(labels, model.absent), np.uint8(IGNORE), labels))
        samples.append(sample)
    return fitted_across([sample.drawn() for sample in samples], len(places))


def fitted_across(drawn: Sequence[Drawn], places: int) -> Elsewhere:
    """Return the temperatures fitted to the pixels drawn from all parts, see `Elsewhere`."""
    temperatures = Temperatures.across(drawn)
    classes = len(temperatures.values)
    before: list[NDArray[np.float64]] = []
    after: list[NDArray[np.float64]] = []
    for number, (scores, labels) in enumerate(drawn):
        others = Temperatures.across([*drawn[:number], *drawn[number + 1 :]])
        if not (len(labels) and others.pixels):
            continue
        agreed = scores.argmax(axis=1) == labels
        for counts, values in ((before, np.ones(classes)), (after, others.values)):
            counts.append(reliability(confidence_of(scores, values), agreed))
    counts_of = (np.reshape(counts, (-1, 3, BINS)) for counts in (before, after))
    return Elsewhere(temperatures, places, len(drawn), *counts_of)
