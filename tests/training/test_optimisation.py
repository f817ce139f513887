from __future__ import annotations

import math

import pytest

from lcmap.training.optimisation import one_cycle, stepwise


def test_one_cycle_rises_to_one_then_falls_to_nothing() -> None:
    rates = [one_cycle(i / 1000) for i in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == 0 and rates[peak] == 1 and peak == 100
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    # the descent is point-symmetric about its middle
    assert one_cycle(0.55) == pytest.approx(0.5)


def test_one_cycle_stays_at_its_ends() -> None:
    assert one_cycle(-1) == 0
    assert one_cycle(1.5) == pytest.approx(0, abs=1e-12)


def test_paper_rate_falls_every_50_epochs() -> None:
    assert [stepwise(n) for n in (0, 49, 50, 99, 100)] == pytest.approx([1, 1, 0.7, 0.7, 0.49])
    assert math.prod(stepwise(50) for _ in range(3)) == pytest.approx(stepwise(150))
