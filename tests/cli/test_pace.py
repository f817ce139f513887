"""The time left: of the present step alone, by the units of this run."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from lcmap.cli.console import Reporter
from lcmap.cli.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_a_new_step_does_not_take_the_time_of_those_before(clock) -> None:
    pace = Pace()
    for done in range(1, 101):
        clock(10)
        left = pace.update(done, 100)
        assert left == pytest.approx(10 * (100 - done))
    clock(0.5)
    assert pace.update(1, 400) == pytest.approx(0.5 * 399)


def test_a_step_of_as_many_units_as_the_one_before(clock) -> None:
    pace = Pace()
    for _ in range(2):
        for done in range(1, 5):
            clock(3)
            assert pace.update(done, 4) == pytest.approx(3 * (4 - done))


def test_a_run_that_goes_on_counts_what_it_does_itself(clock) -> None:
    pace = Pace()
    clock(5)
    assert pace.update(901, 1000) is None
    clock(2)
    assert pace.update(902, 1000) == pytest.approx(2 * 98)


def test_the_bar_shows_the_time_left_as_it_runs_down(clock) -> None:
    console = Console(force_terminal=True, width=120, record=True)
    with Reporter(console, quiet=False).progress("predict") as progress:
        for _ in range(2):
            for done in (1, 2):
                clock(100)
                progress(done, 3)
    shown = console.export_text()
    assert "0:00:00" not in shown


def test_the_time_left_runs_down_between_updates(clock) -> None:
    pace = Pace()
    assert pace.shown() == ""
    clock(100)
    pace.update(1, 3)
    assert pace.shown() == "3 min 20 s left"
    clock(50)
    assert pace.shown() == "2 min 30 s left"
    clock(500)
    assert pace.shown() == "1 s left"
    pace.update(3, 3)
    assert pace.shown() == ""


@pytest.mark.parametrize(
    ("amount", "unit", "told"),
    [
        (12_340_000, "px", "1.2 Mpx/s"),
        (3_400_000, "px", "340 kpx/s"),
        (25e9, "px", "2.5 Gpx/s"),
        (120, "steps", "12 steps/s"),
        (5, "steps", "0.5 steps/s"),
        (0, "px", ""),
    ],
)
def test_the_rate_is_told_in_a_few_characters(clock, amount: float, unit: str, told: str) -> None:
    pace = Pace()
    assert pace.rate_shown() == ""
    clock(10)
    pace.update(1, 4, amount, unit)
    assert pace.rate_shown() == told


def test_the_rate_is_that_of_this_step_and_this_run(clock) -> None:
    pace = Pace()
    pace.update(50, 100, 5000)  # a run that goes on
    clock(10)
    pace.update(51, 100, 5100)
    assert pace.rate_shown() == "10 px/s"
    clock(2)
    pace.update(1, 7, 4000)
    assert pace.rate_shown() == "2.0 kpx/s"
