from __future__ import annotations

import ctypes
import resource

import pytest
import torch

from lcmap.training.memory import freed_memory_kept

ELEMENTS = 2**24  # 64 MiB, more than glibc keeps by itself
PAGES = 4 * ELEMENTS // resource.getpagesize()


def take_an_array() -> int:
    """Take memory for an array, free it again, and return the pages resident meanwhile."""
    array = torch.ones(ELEMENTS)
    assert array[-1] == 1
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])


def pages_mapped_anew() -> int:
    """Return how many pages an array needs that none had before it; the system may reclaim some."""
    found = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        take_an_array()
        found.append(resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before)
    return min(found)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc's allocator")
def test_memory_of_a_step_serves_the_next_and_is_given_back_at_the_end() -> None:
    for _ in range(2):
        with freed_memory_kept():
            assert pages_mapped_anew() < PAGES / 100
            held = take_an_array()
        with open("/proc/self/statm") as file:
            assert int(file.read().split()[1]) < held - PAGES / 2
