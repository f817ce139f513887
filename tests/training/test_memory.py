from __future__ import annotations

import ctypes
import resource

import pytest
import torch

from lcmap.training.memory import freed_memory_kept

ELEMENTS = 2**24  # 64 MiB, more than glibc keeps by itself
PAGES = 4 * ELEMENTS // resource.getpagesize()


def faults_of_an_array() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(ELEMENTS)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc's allocator")
def test_memory_of_a_step_serves_the_next_and_is_given_back_at_the_end() -> None:
    with freed_memory_kept():
        faults_of_an_array()
        assert faults_of_an_array() < PAGES / 100
        kept = resident()
    assert resident() < kept - PAGES / 2
    with freed_memory_kept():  # and it can be asked for again
        faults_of_an_array()
        assert faults_of_an_array() < PAGES / 100
