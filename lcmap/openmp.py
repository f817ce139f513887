"""How the threads of OpenMP, with which PyTorch computes, wait for each other.

Imports nothing that takes time, since each command asks.
"""

from __future__ import annotations

from collections.abc import MutableMapping

_SPINS = "10000"
"""Fewer cost time where nothing runs beside, more where something does."""


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait give their processor away soon, unless the environment says how.

    GNU's OpenMP lets them spin for 300 000 rounds, since it takes every processor for its own.
    Where another process has one of them, the thread that all wait for is the one that cannot run
    meanwhile, and a training step takes many times as long: "Beside other work" in
    docs/benchmarks.md. It reads the environment when it is loaded, so this comes before torch.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)
