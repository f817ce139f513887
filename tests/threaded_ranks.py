"""The processes of a run as threads of one, for what several compute together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from torch import Tensor

from lcmap.launch import Launch
from lcmap.training.ranks import Ranks

Value = TypeVar("Value")


class _ThreadedRanks(Ranks):
    def __init__(self, rank: int, given: list[Any], barrier: threading.Barrier) -> None:
        super().__init__(Launch(rank, len(given)))
        self._given, self._barrier = given, barrier

    def __deepcopy__(self, _: object) -> _ThreadedRanks:
        return self

    def sum(self, tensor: Tensor) -> Tensor:
        first, *others = self._of_all(tensor.detach())
        total: Tensor = sum(others, first.clone())
        return total

    def of_first(self, value: Value) -> Value:
        first: Value = self._of_all(value)[0]
        return first

    def _of_all(self, value: object) -> list[Any]:
        self._given[self.launch.rank] = value
        self._barrier.wait(30)
        given = list(self._given)
        self._barrier.wait(30)
        return given


def in_ranks(size: int, compute: Callable[[Ranks], Value]) -> list[Value]:
    """Return what each of so many ranks computes, which sum together."""
    given, barrier = [None] * size, threading.Barrier(size)
    with ThreadPoolExecutor(size) as pool:
        runs = [pool.submit(compute, _ThreadedRanks(r, given, barrier)) for r in range(size)]
        return [run.result() for run in runs]
