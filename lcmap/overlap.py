"""Reading and writing while others compute: a thread each, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Read = TypeVar("Read")
Computed = TypeVar("Computed")

_AHEAD = 2
"""How many items are read before they are needed, and how many wait to be written."""


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Computed],
    write: Callable[[Item, Computed], None],
    *,
    at_once: int = 1,
) -> None:
    """Do write(item, compute(item, read(item))) for every item, in order.

    All `read` calls are made by one thread, all `write` calls by another, `compute` by `at_once`.
    The first exception of any of them is raised, after the calls under way have ended.
    """
    reads: deque[tuple[Item, Future[Read]]] = deque()
    computed: deque[tuple[Item, Future[Computed]]] = deque()
    writes: deque[Future[None]] = deque()
    with (
        ThreadPoolExecutor(1, "read") as reader,
        ThreadPoolExecutor(at_once, "compute") as computer,
        ThreadPoolExecutor(1, "write") as writer,
    ):

        def write_oldest() -> None:
            item, future = computed.popleft()
            result = future.result()
            if len(writes) == _AHEAD:
                writes.popleft().result()
            writes.append(writer.submit(write, item, result))

        def compute_oldest() -> None:
            item, future = reads.popleft()
            given = future.result()
            if len(computed) == at_once:
                write_oldest()
            computed.append((item, computer.submit(compute, item, given)))

        try:
            for item in items:
                reads.append((item, reader.submit(read, item)))
                if len(reads) > _AHEAD:
                    compute_oldest()
            while reads:
                compute_oldest()
            while computed:
                write_oldest()
            while writes:
                writes.popleft().result()
        except BaseException:
            for pool in (reader, computer, writer):
                pool.shutdown(wait=False, cancel_futures=True)
            raise
