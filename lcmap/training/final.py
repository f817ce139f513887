"""Training anew on all labels, once a first run has told for how long."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from lcmap.dataset.class_shares import class_shares
from lcmap.model_file import BOUNDS_KEY
from lcmap.network import LandCoverNetwork
from lcmap.training.curves import Row
from lcmap.training.ground import bounds_in_degrees
from lcmap.training.optimisation import Budget, Clock
from lcmap.training.options import TrainOptions
from lcmap.training.samples import TrainingSet
from lcmap.training.trainer import Trainer, copy_of

logger = logging.getLogger(__name__)

SCORES_OF_KEY = "scores_of"
SCORES_OF = "the same recipe without the validation tiles"
"""Whose scores a model carries that was trained on the validation tiles too."""


def with_validation_tiles(data: TrainingSet) -> TrainingSet:
    """Return the tiles of which those for validation train too, and none validates."""
    tiles = data.train + data.validation
    shares = class_shares(tiles, data.nomenclature)
    return dataclasses.replace(data, train=tiles, validation=(), shares=shares)


class FinalTrainer(Trainer):
    """Trains a network anew on training and validation tiles, as a first run that has ended.

    It takes as many steps as the kept epoch of that run had, each with the learning rate that this
    step had there; an epoch has as many steps as there. What is kept are the last weights, or those
    as far on the way from an initial model as there.
    """

    def __init__(self, first: Trainer, network: LandCoverNetwork, options: TrainOptions) -> None:
        """Train `network` in place; the clock goes on from that of `first`."""
        super().__init__(
            with_validation_tiles(first._data), first._source, network, first._recipe, options,
            first._progress, first._ranks, first._now,
        )  # fmt: skip
        self._steps_per_epoch = first._steps_per_epoch
        kept = first.rows[first.best_epoch - 1]
        steps = kept["steps"]
        whole = first.budget.steps
        if whole is None:
            # where the clock drove the schedule, steps do, as fast as they did on the mean
            whole = self._ranks.of_first(round(steps / first.budget.progress(0, kept["seconds"])))
        self.budget = Budget(steps=max(whole, steps), end=steps)
        self._clock = Clock(before=first.rows[-1]["seconds"], now=self._now)
        self.share = first.share
        self._note = "on all tiles"

    @property
    def data(self) -> TrainingSet:
        """The tiles that it is trained on."""
        return self._data

    @property
    def said(self) -> dict[str, Any]:
        """What the metadata of its model say beyond those of the first run's."""
        return {
            "trained_on": "training and validation tiles",
            SCORES_OF_KEY: SCORES_OF,
            BOUNDS_KEY: bounds_in_degrees(self._data.train),
        }

    @property
    def ended(self) -> bool:
        """Whether all steps are taken."""
        return self._spent()

    def epoch(self) -> None:
        """Train for one epoch; keep the weights after the last.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        self._clock.start()
        loss, rate = self._train_epoch()
        if self.ended:
            self._settle_statistics()
            self.best = copy_of(self.evaluated.state_dict())
            self.best_epoch = len(self.rows) + 1
        self._clock.stop()
        row = self._row(loss, rate)
        self.rows.append(row)
        logger.info(
            "on all tiles, epoch %d: %d of %d steps, %.0f s, loss %.3f",
            row["epoch"], row["steps"], self.budget.end, row["seconds"], row["loss"],
        )  # fmt: skip


def rows_of_both(first: Trainer, final: Trainer) -> list[Row]:
    """Return the curves of both runs as one, saying which tiles trained."""
    tiles: list[tuple[str, Trainer]] = [("training", first), ("all", final)]
    rows: list[dict[str, Any]] = [
        row | {"tiles": name} for name, trainer in tiles for row in trainer.rows
    ]
    return rows
