"""Overlapped work keeps its order, its threads and its bounds, and ends at the first error."""

from __future__ import annotations

import threading
import time

import pytest

from lcmap.overlap import overlapped


def test_every_item_is_read_computed_and_written_in_order() -> None:
    written = []
    overlapped(
        range(50),
        read=lambda item: item + 1,
        compute=lambda item, read: (item, read * 10),
        write=lambda item, computed: written.append((item, computed)),
    )
    assert written == [(i, (i, (i + 1) * 10)) for i in range(50)]


def test_each_kind_of_work_has_one_thread() -> None:
    threads: dict[str, set[str]] = {"read": set(), "compute": set(), "write": set()}

    def note(kind: str) -> None:
        threads[kind].add(threading.current_thread().name)

    overlapped(
        range(20),
        read=lambda item: note("read"),
        compute=lambda item, read: note("compute"),
        write=lambda item, computed: note("write"),
    )
    used = [*threads["read"], *threads["compute"], *threads["write"]]
    assert len(used) == len(set(used)) == 3


def test_several_items_are_computed_at_once_and_written_in_order() -> None:
    together = threading.Barrier(3, timeout=30)
    written = []

    def compute(item: int, read: int) -> int:
        together.wait()  # which only three at once get past
        time.sleep(0.01 * (2 - item % 3))  # the first of three ends last
        return read

    overlapped(
        range(12), lambda item: item, compute, lambda item, _: written.append(item), at_once=3
    )
    assert written == list(range(12))


def test_no_more_than_a_few_items_are_held() -> None:
    held = most = 0
    lock = threading.Lock()

    def read(item: int) -> None:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)

    def write(item: int, computed: None) -> None:
        nonlocal held
        with lock:
            held -= 1

    overlapped(range(200), read, lambda item, read: None, write)
    assert held == 0
    assert most <= 6


def test_nothing_to_do() -> None:
    overlapped([], lambda item: item, lambda item, read: read, lambda item, computed: None)


@pytest.mark.parametrize("where", ["read", "compute", "write"])
def test_the_first_error_ends_it(where: str) -> None:
    calls: list[tuple[str, int]] = []

    def call(kind: str, item: int) -> None:
        calls.append((kind, item))
        if kind == where and item == 3:
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        overlapped(
            range(1000),
            read=lambda item: call("read", item),
            compute=lambda item, read: call("compute", item),
            write=lambda item, computed: call("write", item),
        )
    assert max(item for _, item in calls) < 12
    # the threads have ended with it
    assert not [t for t in threading.enumerate() if t.name.startswith(("read", "compute", "write"))]
