"""What drives a run: its budget, the learning rate, the optimizer, the average of the weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lcmap.training.recipe import Recipe

_WARM_UP = 0.1
_STEP_FACTOR = 0.7
_STEP_EPOCHS = 50
_FIRST_STEPS = 10


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


class Clock:
    """Counts the seconds between `start` and `stop`, over interruptions."""

    def __init__(self, before: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        """Go on counting from `before`; the clock stands until it is started.

        `now` gives the seconds that are counted, of any origin.
        """
        self._before = before
        self._now = now
        self._started: float | None = None

    def start(self) -> None:
        """Let the clock run."""
        self._started = self._now()

    def stop(self) -> None:
        """Let the clock stand."""
        self._before = self.seconds
        self._started = None

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        if self._started is None:
            return self._before
        return self._before + self._now() - self._started


def one_cycle(progress: float) -> float:
    """Return the factor at a fraction 0 … 1 of the run: up to 1 in its first tenth, then a cosine.

    Source: Smith and Topin 2018 (arXiv:1708.07120), with a cosine for the descent.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (progress - _WARM_UP) / (1.0 - _WARM_UP)))


def stepwise(epochs: int) -> float:
    """Return the factor after so many whole epochs: × 0.7 every 50.

    Source: Stocker and Le Bris 2020, section 2.4.
    """
    return float(_STEP_FACTOR ** (epochs // _STEP_EPOCHS))


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimizer of a recipe for the parameters of a network, which are float32.

    It updates them in one kernel, several times as fast as operation by operation.
    """
    if recipe.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), recipe.learning_rate, fused=True)
    # decay pulls kernels towards 0, which means nothing for normalisation and biases
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


class WeightAverage:
    """An exponential running average of weights and of batch normalisation's statistics.

    It generalises better than the last weights (Izmailov et al. 2018, arXiv:1803.05407).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start from the network's weights; `decay` per step."""
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step (counted from 1); the first steps are soon forgotten."""
        decay = min(self._decay, step / (step + _FIRST_STEPS))
        for mine, new in zip(_tensors(self.network), _tensors(network), strict=True):
            if mine.is_floating_point():
                mine.lerp_(new, 1 - decay)
            else:
                mine.copy_(new)


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    return [*network.parameters(), *network.buffers()]
