"""Muon, which orthogonalises the steps of convolution kernels."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

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

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all kernels that have a gradient."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is not None:
                    self._update(kernel, kernel.grad, group)

    def _update(self, kernel: nn.Parameter, gradient: Tensor, group: dict[str, Any]) -> None:
        rate, momentum, state = group["lr"], group["momentum"], self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(average, momentum).flatten(1)  # [out, in · k · k]
        step = orthogonalised(matrix).view_as(kernel)
        rows, columns = matrix.shape
        kernel.mul_(1 - rate * group["weight_decay"])
        kernel.sub_(step, alpha=rate * math.sqrt(max(1.0, rows / columns)))


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
