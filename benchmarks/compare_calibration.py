"""Confidence on ground that no tile showed: temperatures fitted beside the training ground, or not.

    python benchmarks/compare_calibration.py benchmarks/studies/screening.toml --work FOLDER
        [--contender default] [--ground zone-out-1.6m] [--zones 0 1 2] [--seed 0]
        [--device cuda]

A contender of a study is trained without one zone, as in the study, and tested on it. The scores of
a pixel become probabilities by what was fitted

- beside: to the validation tiles of the other zones, as `lcmap train` does;
- elsewhere: each of the other zones is predicted by a network that was trained without it and
  without the zone that is tested; it is fitted to as many pixels of each. Pixels of a class that
  the network was not shown do not count. `lcmap train --calibrate elsewhere` does so, with one
  temperature for all classes.

For comparison, one confidence for all pixels: how often the networks were right elsewhere. So n
zones take n (n + 1) / 2 trainings. What is in FOLDER is not made again, and a training that
was interrupted goes on. The table is printed, and calibration.json is written.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, softmax
from study import tell
from trials.declaration import Run, read_study
from trials.grounds import DATA, prepare_fold
from trials.measuring import scored
from trials.networks import margin_of, network_of
from trials.running import Folder, scaled_as_trained, train, trainer_of

from lcmap.accuracy.calibration import expected_calibration_error, reliability
from lcmap.dataset.reading import IGNORE
from lcmap.errors import LcmapError, UsageError
from lcmap.graph.classification import NEVER
from lcmap.raster.writing import atomic_path
from lcmap.training.calibration import confidence_of, fit_temperatures, temperatures_of
from lcmap.training.precision import DeviceName
from lcmap.training.samples import SampleSource, read_training_set

logger = logging.getLogger("trials.calibration")

PIXELS = 50_000
"""Of each zone that something is fitted to."""

_LEAST = 1e-30
"""Probabilities below it count as that."""


class Predicted(NamedTuple):
    """The labelled pixels of a zone: scores before softmax [n, K] and labels [n]."""

    scores: NDArray[np.float32]
    labels: NDArray[np.uint8]


class Fitted(NamedTuple):
    """What makes probabilities of scores: temperatures [K] of the class that wins, and the share
    of each probability that is given to all classes alike."""

    temperatures: NDArray[np.float64]
    even: float = 0.0

    def confidence(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the probability of the class that wins, [n], of scores [n, K]."""
        sure = confidence_of(scores, self.temperatures)
        return (1 - self.even) * sure + self.even / scores.shape[1]


class Scored(NamedTuple):
    """How far a confidence can be believed: counts of its bins, see `accuracy.calibration`, and
    the sum over pixels of its squared distance from 1 where the class is right, from 0 elsewhere
    (Brier 1950)."""

    counts: NDArray[np.float64]
    squares: float

    @classmethod
    def of(cls, confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Scored:
        """Return that of the confidence [n] of pixels whose class is right or not, [n]."""
        return cls(reliability(confidence, right), float(np.square(confidence - right).sum()))

    def __add__(self, other: Scored) -> Scored:  # type: ignore[override]
        """Return that of the pixels of both."""
        return Scored(self.counts + other.counts, self.squares + other.squares)

    @property
    def ece(self) -> float:
        """The expected calibration error."""
        return float(expected_calibration_error(self.counts))

    @property
    def brier(self) -> float:
        """The Brier score."""
        return self.squares / float(self.counts[0].sum())

    @property
    def accuracy(self) -> float:
        """The share of pixels whose class is right."""
        return float(self.counts[2].sum() / self.counts[0].sum())

    @property
    def confidence(self) -> float:
        """The mean confidence."""
        return float(self.counts[1].sum() / self.counts[0].sum())


def by_class(zones: Predicted) -> Fitted:
    """Return a temperature for each class, as `lcmap train` fits them."""
    return Fitted(fit_temperatures(*zones))


def one_for_all(zones: Predicted) -> Fitted:
    """Return one temperature of all classes, as `lcmap train --calibrate elsewhere` fits it."""
    return Fitted(fit_temperatures(*zones, alike=True))


def one_and_even(zones: Predicted) -> Fitted:
    """Return one temperature of all classes and an even share, by maximum likelihood."""
    classes = zones.scores.shape[1]
    rows = np.arange(len(zones.labels))

    def parts(values: NDArray[np.float64]) -> tuple[float, float]:
        return float(np.exp(values[0])), float(expit(values[1]))

    def loss(values: NDArray[np.float64]) -> float:
        temperature, share = parts(values)
        p = softmax(zones.scores.astype(np.float64) / temperature, axis=1)[rows, zones.labels]
        return -float(np.log(np.maximum((1 - share) * p + share / classes, _LEAST)).mean())

    temperature, share = parts(minimize(loss, [0.0, -2.0], method="Nelder-Mead").x)
    return Fitted(np.full(classes, temperature), share)


def predicted(run: Run, zones: Sequence[str], folder: Folder, device: DeviceName) -> Path:
    """Train without some zones, and return the file of what the network says of them.

    It has `scores.ZONE` and `labels.ZONE`, as `Predicted` has them, `temperatures` that were fitted
    beside, and `shares` of the classes in training.

    Raises:
        LcmapError: the data or the network cannot be had.
    """
    path = folder.path / "scores" / f"without-{'-'.join(zones)}.{run.digest}.npz"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.info("training without zone %s", " and ".join(zones))
    torch.set_num_threads(run.threads)
    folds = {zone: prepare_fold(run.ground, zone, DATA, folder.grounds) for zone in zones}
    indexes = sorted(set.intersection(*(set(fold.indexes) for fold in folds.values())))
    training = read_training_set(indexes, scaling=run.contender.recipe.scaling)
    tested = [area.image.image for fold in folds.values() for area in fold.areas]
    training = scaled_as_trained(training, tested)
    checkpoint, found = path.with_suffix(".checkpoint.pt"), {}
    with training.reader() as reader:
        source = SampleSource(reader, training.sides)
        network = network_of(run.contender, training, run.seed)
        trainer = trainer_of(run, training, source, network, device)
        train(trainer, training, checkpoint, run.identity | {"without": list(zones)})
        temperatures = temperatures_of(network, source, training, run.seed).values
        for zone, fold in folds.items():
            parts = []
            for _, _, scores, labels in scored(
                network, source, fold.areas, margin=margin_of(network), device=trainer.device
            ):
                known = labels != IGNORE
                parts.append(Predicted(scores[0].numpy()[:, known].T, labels[known]))
            whole = Predicted(*(np.concatenate(part) for part in zip(*parts, strict=True)))
            found |= {f"{name}.{zone}": values for name, values in whole._asdict().items()}
    with atomic_path(path, overwrite=True) as temporary, open(temporary, "wb") as file:
        np.savez(file, temperatures=temperatures, shares=training.shares, **found)
    checkpoint.unlink(missing_ok=True)
    return path


def read_zone(path: Path, zone: str, *, learnt: bool = False) -> Predicted:
    """Return what `predicted` kept of a zone; a class that was not in training never wins.

    With `learnt` the pixels of such a class are left out.
    """
    with np.load(path) as file:
        absent = file["shares"] == 0
        scores = file[f"scores.{zone}"] + np.where(absent, np.float32(NEVER), np.float32(0))
        labels = file[f"labels.{zone}"]
    kept = ~absent[labels] if learnt else np.ones(len(labels), np.bool_)
    return Predicted(scores[kept], labels[kept])


def drawn(zones: Sequence[Predicted], pixels: int, seed: int) -> Predicted:
    """Return so many pixels of each zone, or all that it has, together."""
    random = np.random.default_rng(seed)
    parts = []
    for zone in zones:
        most = min(pixels, len(zone.labels))
        chosen = random.choice(len(zone.labels), most, replace=False)
        parts.append(Predicted(*(values[chosen] for values in zone)))
    return Predicted(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def compare_zone(zone: str, zones: Sequence[str], files: dict[str, Path]) -> dict[str, Scored]:
    """Return how far the confidence on a zone can be believed, by the way it was made.

    `files` are those of `predicted`, by the zones that they are without, joined by a space.
    """
    tested = read_zone(files[zone], zone)
    with np.load(files[zone]) as file:
        temperatures = file["temperatures"]
    others = [other for other in zones if other != zone]
    pairs = {other: files[" ".join(sorted((zone, other)))] for other in others}
    parts = [read_zone(path, other, learnt=True) for other, path in pairs.items()]
    elsewhere = drawn(parts, PIXELS, seed=0)
    right = tested.scores.argmax(axis=1) == tested.labels
    classes = tested.scores.shape[1]
    ways = {
        "as trained": Fitted(np.ones(classes)),
        "beside": Fitted(temperatures),
        "elsewhere, by class": by_class(elsewhere),
        "elsewhere, one for all": one_for_all(elsewhere),
        "elsewhere, one for all and an even share": one_and_even(elsewhere),
    }
    found = {way: Scored.of(fit.confidence(tested.scores), right) for way, fit in ways.items()}
    constant = float((elsewhere.scores.argmax(axis=1) == elsewhere.labels).mean())
    return found | {
        "one confidence for all pixels": Scored.of(np.full(len(right), constant), right)
    }


def table(found: dict[str, dict[str, Scored]]) -> str:
    """Return as Markdown the errors in percent, by zone and way, and the Brier score."""
    ways = list(next(iter(found.values())))
    heads = ["expected calibration error, %", *(f"zone {zone}" for zone in found)]
    heads += ["mean", "all zones as one", "Brier score, all"]
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for way in ways:
        errors = [100 * of_zone[way].ece for of_zone in found.values()]
        whole = sum_of([of_zone[way] for of_zone in found.values()])
        values = [*errors, sum(errors) / len(errors), 100 * whole.ece]
        cells = [way, *(f"{value:.1f}" for value in values), f"{whole.brier:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    accuracies = [
        f"{100 * next(iter(of_zone.values())).accuracy:.1f}" for of_zone in found.values()
    ]
    lines.append("| pixels that are right, % | " + " | ".join(accuracies) + " | | | |")
    return "\n".join(lines)


def sum_of(parts: Sequence[Scored]) -> Scored:
    """Return that of the pixels of all parts."""
    return functools.reduce(Scored.__add__, parts)


def chosen_run(arguments: argparse.Namespace) -> Run:
    """Return the run of the study that is wanted, without its fold.

    Raises:
        InputMissingError, DataError: as `read_study`.
        UsageError: it has no such run, or one that leaves no zone out.
    """
    wanted = (arguments.contender, arguments.ground, arguments.seed)
    for run in read_study(arguments.study).runs:
        if (run.contender.name, run.ground.name, run.seed) == wanted:
            if run.ground.protocol == "leave-one-zone-out" and len(run.ground.zones) > 2:
                return dataclasses.replace(run, fold="")
            raise UsageError(run.ground.name, "does not leave out one of three zones or more",
                             "choose another with --ground")  # fmt: skip
    raise UsageError(
        "/".join(map(str, wanted)), "is no run of the study", "study.py --list shows them"
    )


def chosen_zones(run: Run, names: Sequence[str] | None) -> list[str]:
    """Return the zones of a run's ground, or those of the names, sorted.

    Raises:
        UsageError: they are fewer than two, or one is none of the ground.
    """
    zones = sorted(set(run.ground.zones if names is None else names))
    if len(zones) < 2 or not set(zones) <= set(run.ground.zones):
        raise UsageError(
            " ".join(zones), "are not two zones or more of the ground",
            f"choose of {' '.join(run.ground.zones)} with --zones",
        )  # fmt: skip
    return zones


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="a TOML file, see study.py")
    parser.add_argument("--work", type=Path, required=True, help="where the results are")
    parser.add_argument("--contender", default="default")
    parser.add_argument("--ground", default="zone-out-1.6m")
    parser.add_argument("--zones", nargs="+", help="which are left out [default: all]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=get_args(DeviceName), default="cpu")
    arguments = parser.parse_args(words)
    folder = Folder(arguments.work)
    try:
        run = chosen_run(arguments)
        zones = chosen_zones(run, arguments.zones)
        left_out = [*itertools.combinations(zones, 1), *itertools.combinations(zones, 2)]
        files = {" ".join(out): predicted(run, out, folder, arguments.device) for out in left_out}
    except LcmapError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    found = {zone: compare_zone(zone, zones, files) for zone in zones}
    values = {
        zone: {
            way: {name: getattr(one, name) for name in ("ece", "brier", "accuracy", "confidence")}
            for way, one in of_zone.items()
        }
        for zone, of_zone in found.items()
    }
    (arguments.work / "calibration.json").write_text(json.dumps(values, indent=1) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    tell()
    sys.exit(main())
