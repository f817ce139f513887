"""The simulation of benchmarks/country.py: work is conserved, bounds and closed forms hold."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support import PROJECT


def _country() -> Any:
    spec = importlib.util.spec_from_file_location("country", PROJECT / "benchmarks" / "country.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there
    spec.loader.exec_module(module)
    return module


country = _country()
WAYS = pytest.mark.parametrize("run", [country.by_shards, country.by_cluster])
PLAIN = country.Setting(
    machines=1, tiles=1, tile_seconds=2.0, spread=0.0, slow=0.0, start=5.0, task_seconds=0.0,
    stored_seconds=0.0,
)  # fmt: skip

any_setting = st.builds(
    country.Setting,
    machines=st.integers(1, 12),
    tiles=st.integers(1, 400),
    tile_seconds=st.floats(0.1, 10),
    spread=st.sampled_from([0.0, 0.5, 1.0]),
    slow=st.sampled_from([0.0, 0.3, 1.0]),
    mtbf=st.sampled_from([float("inf"), 300.0, 3000.0]),
    repair=st.floats(0, 200),
    start=st.floats(0, 20),
    task_seconds=st.sampled_from([0.0, 0.01]),
    stored_seconds=st.sampled_from([0.0, 0.02]),
)


@WAYS
@given(any_setting, st.integers(0, 2**32))
@settings(max_examples=30)
def test_every_tile_is_stored_once(run: Callable[..., Any], setting: Any, seed: int) -> None:
    outcome = run(setting, seed)
    assert outcome.tiles == setting.tiles
    assert outcome.lost >= 0
    if setting.mtbf == float("inf"):
        assert outcome.failures == outcome.lost == 0
    assert outcome == run(setting, seed)


@WAYS
@given(any_setting, st.integers(0, 2**32))
@settings(max_examples=30)
def test_nothing_is_faster_than_all_machines_at_work(
    run: Callable[..., Any], setting: Any, seed: int
) -> None:
    setting = replace(setting, spread=0.0)
    slow = round(setting.slow * setting.machines)
    speed = slow / country.SLOWNESS + setting.machines - slow
    least = setting.start + setting.tiles * setting.tile_seconds / speed
    outcome = run(setting, seed)
    assert outcome.seconds >= least * (1 - 1e-9)
    if run is country.by_cluster:
        assert outcome.seconds >= setting.tiles * setting.stored_seconds


@given(st.integers(1, 12), st.integers(1, 5), st.integers(1, 30))
def test_shards_without_failures_take_their_closed_form(
    machines: int, shards_a_machine: int, tiles: int
) -> None:
    shards = machines * shards_a_machine
    setting = replace(PLAIN, machines=machines, shards_a_machine=shards_a_machine,
                      tiles=shards * tiles)  # fmt: skip
    expected = shards_a_machine * (5 + tiles * 2.0)
    assert country.by_shards(setting, 0).seconds == pytest.approx(expected)


@given(st.integers(1, 12), st.integers(1, 200))
def test_a_cluster_without_failures_takes_its_closed_form(machines: int, each: int) -> None:
    setting = replace(PLAIN, machines=machines, tiles=machines * each)
    ended = country.by_cluster(setting, 0).seconds
    # equal machines end with one tile each, so no machine has more than a tile more than another
    assert 5 + each * 2.0 <= ended + 1e-6 <= 5 + (each + country.IN_HAND) * 2.0
    if machines == 1:
        assert ended == pytest.approx(5 + each * 2.0)


def test_a_scheduler_that_is_too_slow_is_overhead() -> None:
    """Machines that have a task for a second wait where the scheduler takes one for each."""
    setting = replace(PLAIN, machines=4, tiles=400, tile_seconds=1.0)
    assert country.by_cluster(setting, 0).overhead(4) == pytest.approx(0, abs=1e-9)
    slow = country.by_cluster(replace(setting, task_seconds=1.0), 0)
    assert slow.seconds == pytest.approx(5 + 400 + 1)
    assert slow.overhead(4) == pytest.approx(3, rel=0.05)  # one of four is at work


@given(st.integers(0, 2**32))
def test_failures_cost_time(seed: int) -> None:
    setting = replace(PLAIN, machines=4, tiles=2000, repair=300.0)
    for run in (country.by_shards, country.by_cluster):
        failing = run(replace(setting, mtbf=400.0), seed)
        assume(failing.failures)
        assert failing.seconds > run(setting, seed).seconds


def test_a_tile_takes_its_mean() -> None:
    import numpy as np

    setting = replace(PLAIN, spread=0.5)
    for number in (1000, 1001):
        draws = [
            country.tile_lengths(setting, number, np.random.default_rng(i)) for i in range(200)
        ]
        assert np.mean(draws) == pytest.approx(2.0 * number, rel=0.01)
        assert np.std(draws) == pytest.approx(2.0 * (number * np.expm1(0.25)) ** 0.5, rel=0.2)
