"""How the threads of OpenMP wait: asked of the library that PyTorch computes with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lcmap.openmp import wait_briefly


def settings_of_openmp(**environment: str) -> str:
    """Return the settings that OpenMP prints when lcmap has started and torch is loaded."""
    program = """
import sys
from lcmap.__main__ import main
sys.argv[1:] = ["--version"]
try:
    main()
except SystemExit:
    import torch
"""
    free = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=free | {"OMP_DISPLAY_ENV": "verbose"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    if "GOMP_SPINCOUNT" not in done.stderr:
        pytest.skip("PyTorch does not compute with GNU's OpenMP here")
    return done.stderr


def test_threads_that_wait_give_their_processor_away_soon() -> None:
    assert "GOMP_SPINCOUNT = '10000'" in settings_of_openmp()


def test_the_environment_may_say_otherwise() -> None:
    assert "GOMP_SPINCOUNT = '7'" in settings_of_openmp(GOMP_SPINCOUNT="7")
    assert "GOMP_SPINCOUNT = '0'" in settings_of_openmp(OMP_WAIT_POLICY="passive")


def test_a_policy_of_waiting_is_left_as_it_is() -> None:
    environment = {"OMP_WAIT_POLICY": "active"}
    wait_briefly(environment)
    assert environment == {"OMP_WAIT_POLICY": "active"}
