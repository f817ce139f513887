"""A training run: its state, one step of it, one epoch of it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lcmap.training.averaging import WeightAverage
from lcmap.training.batches import Batch, Sampler, batches_ahead
from lcmap.training.loss import weighted_cross_entropy
from lcmap.training.optimisation import one_cycle, stepwise
from lcmap.training.precision import autocast
from lcmap.training.recipe import Recipe


@dataclass
class Budget:
    """How long a run lasts: so many steps, or so many seconds of training and validation."""

    steps: int | None = None
    seconds: float | None = None

    def progress(self, steps: int, seconds: float) -> float:
        """Return which fraction of the budget is used, at least 1 once it is spent."""
        if self.steps is not None:
            return steps / self.steps
        assert self.seconds is not None
        return seconds / self.seconds


@dataclass
class Epoch:
    """What an epoch of training came to: its mean loss and the last learning rate."""

    loss: float
    learning_rate: float


class Clock:
    """Counts the seconds between `start` and `stop`, over interruptions."""

    def __init__(self, before: float = 0.0) -> None:
        """Go on counting from `before`; the clock stands until it is started."""
        self._before = before
        self._started: float | None = None

    def start(self) -> None:
        """Let the clock run."""
        self._started = time.monotonic()

    def stop(self) -> None:
        """Let the clock stand."""
        self._before = self.seconds
        self._started = None

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        if self._started is None:
            return self._before
        return self._before + time.monotonic() - self._started


class Run:
    """A network in training, with all that the next step depends on."""

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        weights: Tensor,
        budget: Budget,
        *,
        steps_per_pass: float,
        device: torch.device,
        bfloat16: bool,
    ) -> None:
        """Train `network` in place; `weights` float32 [K] are the classes' in the loss."""
        self.network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.average = WeightAverage(self.network, recipe.average) if recipe.average else None
        self.recipe = recipe
        self.budget = budget
        self.device = device
        self.bfloat16 = bfloat16
        self.steps = 0
        self.clock = Clock()
        self._weights = weights.to(device)
        self._steps_per_pass = steps_per_pass
        self._optimizer = _optimizer(self.network, recipe)

    @property
    def evaluated(self) -> nn.Module:
        """The network to validate and to keep: the average, where there is one."""
        return self.average.network if self.average else self.network

    @property
    def progress(self) -> float:
        """Which fraction of the budget is used."""
        return self.budget.progress(self.steps, self.clock.seconds)

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        if self.recipe.schedule == "steps":
            factor = stepwise(self.steps / self._steps_per_pass)
        else:
            # the middle of the step, so that neither the first nor the last is lost
            half = 0.5 / self.budget.steps if self.budget.steps else 0.0
            factor = one_cycle(self.progress + half)
        return self.recipe.learning_rate * factor

    def step(self, batch: Batch) -> Tensor:
        """Take one step of the optimizer; return the loss before it, on the device."""
        rate = self.learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = batch.to(self.device)
        with autocast(self.device, self.bfloat16):
            scores = self.network(*batch.images)  # [N, K, H, W]
        loss = weighted_cross_entropy(scores, batch.labels, self._weights)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        self.steps += 1
        if self.average:
            self.average.update(self.network, self.steps)
        return loss.detach()

    def epoch(
        self, sampler: Sampler, steps: int, spent: Callable[[], bool], report: Callable[[], None]
    ) -> Epoch:
        """Take so many steps, or until the budget is `spent`; call `report` after each."""
        losses = []
        rate = 0.0
        with batches_ahead(sampler, self.steps, self.steps + steps) as batches:
            for batch in batches:
                rate = self.learning_rate()
                losses.append(self.step(batch))
                report()
                if spent():
                    break
        return Epoch(float(torch.stack(losses).mean()), rate)

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict() if self.average else None,
            "optimizer": self._optimizer.state_dict(),
            "steps": self.steps,
            "seconds": self.clock.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        if self.average:
            self.average.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]
        self.clock = Clock(before=state["seconds"])


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), recipe.learning_rate)
    # decay pulls kernels towards 0, which means nothing for normalisation and biases
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, recipe.learning_rate, weight_decay=recipe.weight_decay)


def copy_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict that further training does not change."""
    return {name: copy.deepcopy(value.detach().cpu()) for name, value in state.items()}
