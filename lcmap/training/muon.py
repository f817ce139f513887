"""Muon, which orthogonalises the steps of convolution kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lcmap.training.cuda_graphs import Recorded

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Steps along Nesterov's momentum made orthogonal; decay is decoupled, as in AdamW.

    A kernel [out, in, k, k] is a matrix [out, in · k · k]; its steps are × √(out / (in · k · k))
    where that is above 1. Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.
    torch.optim.Muon takes matrices alone, and multiplies them in bfloat16, which is slow on
    processors that lack it.
    """

    def __init__(
        self, kernels: list[nn.Parameter], lr: float, weight_decay: float, momentum: float
    ) -> None:
        """Update these kernels."""
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(kernels, settings)
        self._steps = [Recorded(_steps) for _ in self.param_groups]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all kernels that have a gradient."""
        for group, steps_of in zip(self.param_groups, self._steps, strict=True):
            rate, momentum = group["lr"], group["momentum"]
            kernels = [kernel for kernel in group["params"] if kernel.grad is not None]
            gradients = [kernel.grad for kernel in kernels]
            averages = [self._average(kernel) for kernel in kernels]
            # on CUDA each of these is one kernel, not one for each tensor
            torch._foreach_lerp_(averages, gradients, 1 - momentum)
            steps = steps_of(torch._foreach_lerp(gradients, averages, momentum))
            torch._foreach_mul_(kernels, 1 - rate * group["weight_decay"])
            torch._foreach_add_(kernels, steps, alpha=-rate)

    def _average(self, kernel: nn.Parameter) -> Tensor:
        state = self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(kernel)
        average: Tensor = state["momentum"]
        return average


def _steps(directions: Sequence[Tensor]) -> list[Tensor]:
    """Return the steps [out, in, k, k] of kernels, at a learning rate of 1, along directions."""
    steps = []
    for direction in directions:
        matrix = direction.flatten(1)  # [out, in · k · k]
        rows, columns = matrix.shape
        step = orthogonalised(matrix).view_as(direction)
        # as the kernel lies in memory, for the operations on all kernels at once
        as_kernel = torch.empty_like(direction)
        steps.append(torch.mul(step, math.sqrt(max(1.0, rows / columns)), out=as_kernel))
    return steps


class Together:
    """Optimizers of different parameters, as one."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        """Let these step together."""
        self._parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all, in order."""
        return [group for part in self._parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self) -> None:
        """Update all parameters once."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all."""
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for part, its in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(its)


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return about U Vᵀ of a matrix U S Vᵀ, float32 [m, n]: its singular values come near 1.

    By five steps of a Newton-Schulz iteration, which leave them between about 0.7 and 1.2.
    """
    a, b, c = _COEFFICIENTS
    rows, columns = matrix.shape
    x = matrix.T if rows > columns else matrix
    x = x / x.norm().clamp(min=torch.finfo(torch.float32).tiny)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if rows > columns else x
