"""The processes of a run as threads of one, for what several compute together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torch import Tensor

from lcmap.launch import Launch
from lcmap.training.ranks import Ranks

Value = TypeVar("Value")


class _ThreadedRanks(Ranks):
    def __init__(self, rank: int, given: list[Tensor], barrier: threading.Barrier) -> None:
        super().__init__(Launch(rank, len(given)))
        self._given, self._barrier = given, barrier

    def sum(self, tensor: Tensor) -> Tensor:
        self._given[self.launch.rank] = tensor.detach()
        self._barrier.wait(30)
        total = sum(self._given[1:], self._given[0].clone())
        self._barrier.wait(30)
        return total


def in_ranks(size: int, compute: Callable[[Ranks], Value]) -> list[Value]:
    """Return what each of so many ranks computes, which sum together."""
    given, barrier = [Tensor()] * size, threading.Barrier(size)
    with ThreadPoolExecutor(size) as pool:
        runs = [pool.submit(compute, _ThreadedRanks(r, given, barrier)) for r in range(size)]
        return [run.result() for run in runs]
