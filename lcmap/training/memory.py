"""Memory that a training step frees, kept for the next."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# `mallopt` of glibc
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
_MMAP_MAX = -4

_NEVER = 2**31 - 1
_MAPPED_AT_MOST = 65536  # glibc's default
_ADAPTED = 32 * 2**20  # bytes; what glibc raises its threshold to by itself


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let the process keep the memory that it frees, where its allocator is glibc's.

    Each step takes the same large arrays as the one before. Given back to the system in between,
    their pages are cleared and mapped again every time, a tenth of a step on a processor.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield
    finally:
        libc.mallopt(_MMAP_MAX, _MAPPED_AT_MOST)
        libc.mallopt(_MMAP_THRESHOLD, _ADAPTED)
        libc.mallopt(_TRIM_THRESHOLD, 2 * _ADAPTED)
        libc.malloc_trim(0)
