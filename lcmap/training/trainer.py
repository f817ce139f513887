"""The epochs of a run: trained, validated, the best kept."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lcmap.accuracy.measures import PER_CLASS, Scores
from lcmap.progress import Progress, silent
from lcmap.training.batches import Sampler
from lcmap.training.class_weights import class_weights
from lcmap.training.curves import Row
from lcmap.training.export import noise_to_verify
from lcmap.training.precision import computes_bfloat16
from lcmap.training.recipe import Recipe
from lcmap.training.run import Budget, Run, copy_of
from lcmap.training.samples import SampleSource, TrainingSet
from lcmap.training.validation import padded_image, validate

logger = logging.getLogger(__name__)

DEFAULT_EPOCHS = 100
DEFAULT_PATIENCE = 30
SHORTEST_EPOCH = 50
"""Steps: an epoch passes over the tiles so often that it has at least so many."""

_TILES_TO_VERIFY = 8


class Trainer:
    """Trains a network epoch by epoch and keeps the state with the best validation mIoU.

    `rows` are the curves so far, `best` is the kept state dict, of epoch `best_epoch`.
    """

    def __init__(
        self,
        data: TrainingSet,
        source: SampleSource,
        network: nn.Module,
        stride: int,
        recipe: Recipe,
        *,
        epochs: int | None = None,
        minutes: float | None = None,
        patience: int = DEFAULT_PATIENCE,
        seed: int = 0,
        device: torch.device,
        progress: Progress = silent,
    ) -> None:
        """Train `network`, which takes multiples of `stride` pixels, for epochs or for minutes."""
        self._data = data
        self._source = source
        self._progress = progress
        self._patience = patience
        self._seed = seed
        self._stride = stride
        side = _side(recipe, data, stride)
        pass_ = data.pixels / (recipe.batch_size * side**2)
        passes = max(math.ceil(SHORTEST_EPOCH / pass_), 1)
        self._steps = math.ceil(passes * pass_)
        weights = class_weights(data.shares, recipe.class_weights)
        if minutes is not None:
            budget = Budget(seconds=60 * minutes)
        else:
            budget = Budget(steps=(epochs or DEFAULT_EPOCHS) * self._steps)
        self.run = Run(
            network, recipe, torch.from_numpy(weights.astype(np.float32)), budget,
            steps_per_pass=pass_, device=device, bfloat16=computes_bfloat16(device),
        )  # fmt: skip
        self._sampler = Sampler(source, data.train, recipe, side, seed)
        self.rows: list[Row] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_epoch = 0
        self._validation_seconds = 0.0
        self._note = ""

    @property
    def ended(self) -> bool:
        """Whether the budget is spent, or patience is at its end."""
        return bool(self.rows) and (
            self._spent() or len(self.rows) - self.best_epoch >= self._patience
        )

    def epoch(self) -> None:
        """Train for one epoch, validate, and keep the model if it is the best so far.

        The run's clock counts the time in here alone.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        self.run.clock.start()
        left = self._steps
        if self.run.budget.steps is not None:
            left = min(left, self.run.budget.steps - self.run.steps)
        trained = self.run.epoch(self._sampler, left, self._spent, self._report)
        started = time.monotonic()
        found = self._validate()
        self._validation_seconds = time.monotonic() - started
        self.run.clock.stop()
        row = self._row(trained.loss, trained.learning_rate, found)
        self.rows.append(row)
        if not self.best_epoch or row["miou"] > self.rows[self.best_epoch - 1]["miou"]:
            self.best_epoch = len(self.rows)
            self.best = copy_of(self.run.evaluated.state_dict())
        best = self.rows[self.best_epoch - 1]["miou"]
        self._note = f"epoch {row['epoch']}, mIoU {row['miou']:.3f} (best {best:.3f})"
        logger.info(
            "epoch %d: %d steps, %.0f s, loss %.3f, validation mIoU %.3f, OA %.3f%s",
            row["epoch"], row["steps"], row["seconds"], row["loss"], row["miou"], row["oa"],
            " (best)" * (self.best_epoch == len(self.rows)),
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "run": self.run.state_dict(),
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "validation_seconds": self._validation_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.run.load_state_dict(state["run"])
        self.rows = state["rows"]
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._validation_seconds = state["validation_seconds"]

    def samples_to_verify(self) -> list[tuple[NDArray[np.float32], ...]]:
        """Return noise and validation tiles to hold the exported model against PyTorch."""
        samples = noise_to_verify(
            [model_input.channels for model_input in self._data.inputs], self._stride, self._seed
        )
        for tile in self._data.validation[:_TILES_TO_VERIFY]:
            images = self._source.read(tile).images
            samples.append(tuple(padded_image(image, self._stride)[None] for image in images))
        return samples

    def _spent(self) -> bool:
        budget = self.run.budget
        reserve = self._validation_seconds if budget.seconds is not None else 0.0
        return budget.progress(self.run.steps, self.run.clock.seconds + reserve) >= 1

    def _report(self) -> None:
        budget = self.run.budget
        if budget.seconds is not None:
            done = min(int(self.run.clock.seconds), int(budget.seconds))
            self._progress(done, max(int(budget.seconds), 1), self._note)
        else:
            assert budget.steps is not None
            self._progress(self.run.steps, budget.steps, self._note)

    def _validate(self) -> Scores:
        return validate(
            self.run.evaluated, self._source, self._data.validation,
            classes=len(self._data.nomenclature), stride=self._stride,
            batch_size=self.run.recipe.batch_size, device=self.run.device,
            bfloat16=self.run.bfloat16,
        )  # fmt: skip

    def _row(self, loss: float, learning_rate: float, found: Scores) -> Row:
        miou, oa, *_ = (float(value) for value in found.overall)
        ious = found.per_class[PER_CLASS.index("iou")]
        return {
            "epoch": len(self.rows) + 1,
            "steps": self.run.steps,
            "seconds": self.run.clock.seconds,
            "learning_rate": learning_rate,
            "loss": loss,
            "miou": miou,
            "oa": oa,
        } | {
            f"iou {c.short}": float(iou)
            for c, iou in zip(self._data.nomenclature.classes, ious, strict=True)
        }


def _side(recipe: Recipe, data: TrainingSet, grid: int) -> int:
    """Return the side of a training square: the recipe's or a tile's, on the pooling grid."""
    side = min(recipe.crop or data.tile_size, data.tile_size)
    return max(-(-side // grid), 2) * grid
