"""The training loop: steps, epochs, validation, the best model kept."""

from __future__ import annotations

import copy
import io
import logging
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lcmap import defaults
from lcmap.accuracy.confusion import margins
from lcmap.accuracy.measures import Scores, scores
from lcmap.network import LandCoverNetwork
from lcmap.progress import Progress, silent
from lcmap.training.batches import Batch, Batches, Sampler, batches_ahead, steps_per_pass
from lcmap.training.cuda_graphs import Passes
from lcmap.training.curves import Row
from lcmap.training.interpolation import best_share, interpolated
from lcmap.training.loss import class_weights, training_loss
from lcmap.training.mean_teacher import MeanTeacher, adapt_normalisation
from lcmap.training.normalisation_statistics import (
    all_have_statistics,
    normalisations,
    recompute_statistics,
)
from lcmap.training.optimisation import (
    Budget,
    Clock,
    WeightAverage,
    make_optimizer,
    one_cycle,
    stepwise,
    trapezoid,
)
from lcmap.training.options import TrainOptions
from lcmap.training.precision import autocast, choose_device, computes_bfloat16
from lcmap.training.ranks import ALONE, Ranks
from lcmap.training.recipe import Recipe
from lcmap.training.samples import SampleSource, TrainingSet
from lcmap.training.shared_normalisation import share_normalisation
from lcmap.training.unlabelled_batches import JointSampler, unlabelled_sampler
from lcmap.training.validation import graph_inputs, padded_images, validate, validation_values

logger = logging.getLogger(__name__)

SHORTEST_EPOCH = 50
"""Steps: an epoch passes over the tiles so often that it has at least so many, unless the recipe
wants one pass."""

_TILES_TO_VERIFY = 8
_BATCHES_OF_STATISTICS = 10

_FEW_BATCHES = 4
"""To keep a model's statistics was better for tiles of less than two batches, worse for those of
eight; between these nothing was measured (benchmarks/accuracy.md)."""


class Trainer:
    """A network in training: epoch by epoch, the state with the best validation mIoU kept.

    `sampler` makes its batches, `rows` are the curves so far, `best` is the kept state dict, of
    epoch `best_epoch`; `steps` are those taken so far. `share` is how far the weights that are kept
    are on the way from an initial model to `best`. Of several ranks each has a trainer, and all of
    them the same state.
    """

    def __init__(
        self,
        data: TrainingSet,
        source: SampleSource,
        network: LandCoverNetwork,
        recipe: Recipe,
        options: TrainOptions,
        progress: Progress = silent,
        ranks: Ranks = ALONE,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Train `network` in place, for as long as the options say.

        `now` gives the seconds that the run's clock counts: of the day, or of the processor.
        """
        self._ranks = ranks
        self.device = choose_device(options.device)
        self.bfloat16 = ranks.all_have(computes_bfloat16(self.device))
        share_normalisation(network, ranks)
        # a network with further inputs than the initial model is another: it goes to the end
        tuned = options.initial_model is not None and all_have_statistics(network)
        self._start: dict[str, Tensor] | None = None
        if tuned and recipe.interpolation:
            self._start = copy_of(network.state_dict())
        self.share = 1.0
        self.network = network.to(self.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        on_cuda_alone = self.device.type == "cuda" and not ranks.several
        self._passes = Passes(self.network, recorded=on_cuda_alone)
        self._data = data
        self._source = source
        self._recipe = recipe
        self._seed = options.seed
        self._progress = progress
        side = _side(recipe, data, network.stride)
        self.sampler: Batches = Sampler(source, data.train, recipe, side, options.seed, ranks)
        self._unlabelled = unlabelled_sampler(data, source, recipe, side, options.seed, ranks)
        self._steps_per_epoch = _steps_per_epoch(recipe, data, side)
        few = data.pixels < _FEW_BATCHES * _pixels_per_step(recipe, side)
        self._keeps_statistics = tuned and few and recipe.keeps_statistics
        self.budget = Budget(steps=(options.epochs or defaults.EPOCHS) * self._steps_per_epoch)
        if options.minutes is not None:
            self.budget = Budget(seconds=60 * options.minutes_of_a_run)
        weights = class_weights(data.shares, recipe.class_weights)
        self._weights = torch.from_numpy(weights.astype(np.float32)).to(self.device)
        self._optimizer = make_optimizer(self.network, recipe)
        self._average = WeightAverage(self.network, recipe.average) if recipe.average else None
        self._teacher: MeanTeacher | None = None
        if self._unlabelled and self._average and recipe.consistency.weight:
            self.sampler = JointSampler(self.sampler, self._unlabelled)
            self._teacher = MeanTeacher(
                self._average.network, recipe.consistency, self._weights, self.bfloat16, ranks
            )
        self._now = now
        self._clock = Clock(now=now)
        self.steps = 0
        self.rows: list[Row] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self._validation_seconds = 0.0
        self._note = ""

    @property
    def evaluated(self) -> nn.Module:
        """The network to validate and to keep: the average, where there is one."""
        return self._average.network if self._average else self.network

    @property
    def ended(self) -> bool:
        """Whether the budget is spent, or patience is at its end."""
        patience = self._recipe.patience
        return bool(self.rows) and (
            self._spent() or (patience is not None and len(self.rows) - self.best_epoch >= patience)
        )

    def epoch(self) -> None:
        """Train for one epoch, validate, and keep the model if it is the best so far.

        The run's clock counts the time in here alone.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        self._clock.start()
        loss, rate = self._train_epoch()
        started = self._now()
        found = self._validate()
        self._validation_seconds = self._now() - started
        self._clock.stop()
        row = self._row(loss, rate) | validation_values(found, self._data.nomenclature)
        self.rows.append(row)
        if not self.best_epoch or row["miou"] > self.rows[self.best_epoch - 1]["miou"]:
            self.best_epoch = len(self.rows)
            self.best = copy_of(self.evaluated.state_dict())
        best = self.rows[self.best_epoch - 1]["miou"]
        self._note = f"epoch {row['epoch']}, mIoU {row['miou']:.3f} (best {best:.3f})"
        logger.info(
            "epoch %d: %d steps, %.0f s, loss %.3f, validation mIoU %.3f, OA %.3f%s",
            row["epoch"], row["steps"], row["seconds"], row["loss"], row["miou"], row["oa"],
            " (best)" * (self.best_epoch == len(self.rows)),
        )  # fmt: skip

    def _train_epoch(self) -> tuple[float, float]:
        """Take the steps of an epoch; return their mean loss and the last learning rate."""
        steps = self._steps_per_epoch
        if self.budget.last_step is not None:
            steps = min(steps, self.budget.last_step - self.steps)
        self.network.train()
        if self._keeps_statistics:
            for layer in normalisations(self.network):
                layer.eval()
        losses = []
        with batches_ahead(self.sampler, self.steps, self.steps + steps) as batches:
            for batch in batches:
                losses.append(self.step(batch))
                self._report()
                if self._spent():
                    break
        loss = float(self._ranks.sum(torch.stack(losses).mean()))
        return loss, self._optimizer.param_groups[0]["lr"]

    def step(self, batch: Batch) -> Tensor:
        """Take one step of the optimizer; return this rank's part of the loss before it."""
        factor = self._learning_rate_factor()
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        batch = batch.to(self.device)
        found = self._passes(batch.all_images, self.bfloat16)  # [N, K, H, W]
        loss = training_loss(
            found[: len(batch.labels)], batch.labels, self._weights, self._recipe.loss, self._ranks
        )
        if self._teacher and batch.unlabelled:
            others = found[len(batch.labels) :]
            loss = loss + self._teacher.loss(others, batch.unlabelled, self._used())
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._ranks.sum_gradients(self.network)
        self._optimizer.step()
        self.steps += 1
        if self._average:
            self._average.update(self.network, self.steps)
        return loss.detach()

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        return self._recipe.learning_rate * self._learning_rate_factor()

    def _learning_rate_factor(self) -> float:
        recipe = self._recipe
        if recipe.schedule == "steps":
            return stepwise(self.steps // self._steps_per_epoch)
        # the middle of the step, so that neither the first nor the last is lost
        half = 0.5 / self.budget.steps if self.budget.steps else 0.0
        progress = self._used() + half
        if recipe.schedule == "trapezoid":
            return trapezoid(progress, recipe.warm_up, recipe.cool_down)
        return one_cycle(progress, recipe.warm_up)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next epoch depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self._average.network.state_dict() if self._average else None,
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "seconds": self._clock.seconds,
            "rows": self.rows,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "validation_seconds": self._validation_seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        if self._average:
            self._average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        self._clock = Clock(before=state["seconds"], now=self._now)
        self.rows = state["rows"]
        self.best = state["best"]
        self.best_epoch = state["best_epoch"]
        self._validation_seconds = state["validation_seconds"]

    def start_as_first(self) -> None:
        """Start, or continue, from the state that rank 0 has.

        Raises:
            RankLostError: another process ended.
        """
        if self._ranks.several:
            buffer = io.BytesIO()
            if self._ranks.launch.rank == 0:
                torch.save(self.state_dict(), buffer)
            state = io.BytesIO(self._ranks.of_first(buffer.getvalue()))
            self.load_state_dict(torch.load(state, map_location="cpu", weights_only=True))

    def choose_share(self) -> None:
        """Choose how far to go from the initial model, if there is one: what validates best.

        Raises:
            NotARasterError: pixels cannot be read.
            RankLostError: another process ended.
        """
        if self._start is None:
            return
        start, network = self._start, copy.deepcopy(self.network)

        def miou(share: float) -> float:
            network.load_state_dict(interpolated(start, self.best, share))
            return validation_values(self._scores(network), self._data.nomenclature)["miou"]

        of_best = self.rows[self.best_epoch - 1]["miou"]
        self.share = best_share(self._recipe.interpolation, miou, of_best)

    def load_best(self, network: nn.Module) -> None:
        """Give a network the weights to keep, its batch normalisation adapted to what has no label.

        The latter where the recipe wants it.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        kept = self.best
        if self._start is not None:
            kept = interpolated(self._start, kept, self.share)
        network.load_state_dict(kept)
        share = self._recipe.consistency.adapt_normalisation
        if self._unlabelled and share:
            adapt_normalisation(network, self._unlabelled, share)

    def samples_to_verify(self) -> list[tuple[NDArray[np.float32], ...]]:
        """Return training tiles, from all over them, to hold the exported model against PyTorch."""
        apart = -(-len(self._data.train) // _TILES_TO_VERIFY)
        read = (self._source.read(tile).images for tile in self._data.train[::apart])
        return [
            graph_inputs(padded_images(images, self.network.stride, self._source.levels))
            for images in read
        ]

    def _spent(self) -> bool:
        if self.budget.last_step is not None:
            return self.steps >= self.budget.last_step
        # the last epoch's, and those of `choose_share`
        validations = 1 + (len(self._recipe.interpolation) if self._start is not None else 0)
        return self._used(reserve=validations * self._validation_seconds) >= 1

    def _used(self, reserve: float = 0.0) -> float:
        """Return which fraction of the budget is used, with a reserve of seconds."""
        if self.budget.steps is not None:
            return self.budget.progress(self.steps, 0.0)
        # clocks differ, and all must end with the same step
        return self.budget.progress(self.steps, self._ranks.of_first(self._clock.seconds + reserve))

    def _report(self) -> None:
        if self.budget.seconds is not None:
            done = min(int(self._clock.seconds), int(self.budget.seconds))
            total = max(int(self.budget.seconds), 1)
        else:
            assert self.budget.last_step is not None
            done, total = self.steps, self.budget.last_step
        self._progress(done, total, self._note, amount=self.steps, unit="steps")

    def _validate(self) -> Scores:
        self._settle_statistics()
        return self._scores(self.evaluated)

    def _scores(self, network: nn.Module) -> Scores:
        """Return the scores of a network on the validation tiles, divided among the ranks."""
        tiles = self._data.validation
        counts = validate(
            network, self._source, tiles[self._ranks.share(len(tiles))],
            classes=len(self._data.nomenclature), stride=self.network.stride,
            batch_size=self._recipe.batch_size, device=self.device, bfloat16=self.bfloat16,
        )  # fmt: skip
        return scores(margins(self._ranks.sum(torch.from_numpy(counts)).numpy()))

    def _settle_statistics(self) -> None:
        """Take the statistics of batch normalisation anew, where the recipe wants it.

        They are those of the batches of the last steps.
        """
        if self._recipe.normalisation == "running" or self._keeps_statistics:
            return
        numbers = range(max(self.steps - _BATCHES_OF_STATISTICS, 0), self.steps)
        with (
            batches_ahead(self.sampler, numbers.start, numbers.stop) as batches,
            autocast(self.device, self.bfloat16),
        ):
            images = (batch.to(self.device).all_images for batch in batches)
            recompute_statistics(self.evaluated, images)

    def _row(self, loss: float, learning_rate: float) -> Row:
        return {
            "epoch": len(self.rows) + 1,
            "steps": self.steps,
            "seconds": self._clock.seconds,
            "learning_rate": learning_rate,
            "loss": loss,
        }


def _side(recipe: Recipe, data: TrainingSet, grid: int) -> int:
    """Return the side of a training square: the recipe's or a tile's, on the pooling grid."""
    side = min(recipe.crop or data.tile_size, data.tile_size)
    return max(-(-side // grid), 2) * grid


def _steps_per_epoch(recipe: Recipe, data: TrainingSet, side: int) -> int:
    if recipe.whole_passes:
        return steps_per_pass(len(data.train), recipe.batch_size)
    pixels = _pixels_per_step(recipe, side)
    passes = max(math.ceil(SHORTEST_EPOCH * pixels / data.pixels), 1)
    return math.ceil(passes * data.pixels / pixels)


def _pixels_per_step(recipe: Recipe, side: int) -> int:
    return recipe.batch_size * side**2


def copy_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict that further training does not change."""
    return {name: copy.deepcopy(value.detach().cpu()) for name, value in state.items()}
