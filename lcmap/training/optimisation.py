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

from lcmap.training.muon import Muon, Together
from lcmap.training.recipe import Recipe

Optimizer = torch.optim.Optimizer | Together

_STEP_FACTOR = 0.7
_STEP_EPOCHS = 50
_FIRST_STEPS = 10


@dataclass
class Budget:
    """How long a run lasts: so many steps, or so many seconds of training and validation.

    One of steps ends at the step `end`, where that comes first.
    """

    steps: int | None = None
    seconds: float | None = None
    end: int | None = None

    @property
    def last_step(self) -> int | None:
        """The steps after which the run ends, if it counts them."""
        return self.steps if self.end is None else self.end

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


def one_cycle(progress: float, warm_up: float) -> float:
    """Return the factor at a fraction 0 … 1 of the run: up to 1 in the warm-up, then a cosine.

    Source: Smith and Topin 2018 (arXiv:1708.07120), with a cosine for the descent.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warm_up:
        return progress / warm_up
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warm_up) / (1.0 - warm_up)))


def trapezoid(progress: float, warm_up: float, cool_down: float) -> float:
    """Return the factor at a fraction 0 … 1 of the run: up to 1, constant, then down to 0.

    `warm_up` and `cool_down` are the fractions in which it rises and falls. Source: Zhai et al.
    2022 (arXiv:2106.04560), section 3.5.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warm_up:
        return progress / warm_up
    return min(1.0, (1.0 - progress) / cool_down) if cool_down else 1.0


def stepwise(epochs: int) -> float:
    """Return the factor after so many whole epochs: × 0.7 every 50.

    Source: Stocker and Le Bris 2020, section 2.4.
    """
    return float(_STEP_FACTOR ** (epochs // _STEP_EPOCHS))


def make_optimizer(network: nn.Module, recipe: Recipe) -> Optimizer:
    """Return the optimizer of a recipe for the parameters of a network, which are float32.

    It updates them in one kernel, several times as fast as operation by operation; Muon, matrix by
    matrix. Each group has the `initial_lr` that the schedule's factor multiplies; the first one's
    is the recipe's learning rate.
    """
    if recipe.optimizer == "adam":
        optimizer: Optimizer = torch.optim.Adam(
            network.parameters(), recipe.learning_rate, fused=True
        )
    elif recipe.optimizer == "adamw":
        optimizer = _adamw([p for p in network.parameters() if p.ndim > 1], network, recipe)
    else:
        optimizer = _muon(network, recipe)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def _adamw(kernels: list[nn.Parameter], network: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return the optimizer of these kernels, and of all that are none."""
    # decay pulls kernels towards 0, which means nothing for normalisation and biases
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
    )


def _muon(network: nn.Module, recipe: Recipe) -> Together:
    """Return Muon for the kernels of hidden layers that mix channels, AdamW for the rest.

    The last kernel gives the scores: it is no hidden layer's (Jordan et al. 2024). Those of
    depthwise convolutions mix no channels.
    """
    kernels = [p for p in network.parameters() if p.ndim > 1]
    hidden = [p for p in kernels[:-1] if p.ndim == 4 and p.shape[1] > 1]
    places = set(map(id, hidden))
    return Together(
        _adamw([p for p in kernels if id(p) not in places], network, recipe),
        Muon(hidden, recipe.muon.learning_rate, recipe.weight_decay, recipe.muon.momentum),
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
        mine, counts = _numbers_and_counts(self.network)
        new, new_counts = _numbers_and_counts(network)
        # on CUDA in one kernel, not in one for each
        torch._foreach_lerp_(mine, new, 1 - decay)
        torch._foreach_copy_(counts, new_counts)


def _numbers_and_counts(network: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the weights and statistics of a network, and its counts, which are integers."""
    tensors = [*network.parameters(), *network.buffers()]
    numbers = [tensor for tensor in tensors if tensor.is_floating_point()]
    return numbers, [tensor for tensor in tensors if not tensor.is_floating_point()]
