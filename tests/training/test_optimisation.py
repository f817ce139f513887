from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.optimisation import make_optimizer, one_cycle, stepwise, trapezoid
from lcmap.training.recipe import DEFAULT, PAPER, Recipe


def test_one_cycle_rises_to_one_then_falls_to_nothing() -> None:
    rates = [one_cycle(i / 1000, 0.1) for i in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == 0 and rates[peak] == 1 and peak == 100
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    # the descent is point-symmetric about its middle
    assert one_cycle(0.55, 0.1) == pytest.approx(0.5)


def test_one_cycle_stays_at_its_ends() -> None:
    assert one_cycle(-1, 0.1) == 0
    assert one_cycle(1.5, 0.1) == pytest.approx(0, abs=1e-12)


def test_without_warm_up_one_cycle_is_a_cosine() -> None:
    assert [one_cycle(p, 0) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])


def test_a_trapezoid_rises_stays_and_falls() -> None:
    progress = [-1, 0, 0.05, 0.1, 0.5, 0.75, 0.875, 1, 2]
    factors = [trapezoid(p, 0.1, 0.25) for p in progress]
    assert factors == pytest.approx([0, 0, 0.5, 1, 1, 1, 0.5, 0, 0])
    assert [trapezoid(p, 0, 0) for p in (0, 0.5, 1)] == [1, 1, 1]


def test_paper_rate_falls_every_50_epochs() -> None:
    assert [stepwise(n) for n in (0, 49, 50, 99, 100)] == pytest.approx([1, 1, 0.7, 0.7, 0.49])
    assert math.prod(stepwise(50) for _ in range(3)) == pytest.approx(stepwise(150))


MUON = replace(DEFAULT, name="muon", optimizer="muon")


@pytest.mark.parametrize("recipe", [DEFAULT, PAPER, MUON], ids=lambda recipe: recipe.name)
def test_fused_steps_are_those_of_single_operations_also_from_their_checkpoint(
    recipe: Recipe,
) -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 4, 8, 8)
    first = LandCoverNetwork([4], 3, Architecture(width=4, depth=1)).to(
        memory_format=torch.channels_last
    )
    start = first.state_dict()
    runs = []
    for fused in ([True, True], [False, False], [False, True]):
        network = LandCoverNetwork([4], 3, Architecture(width=4, depth=1)).to(
            memory_format=torch.channels_last
        )
        network.load_state_dict(start)
        state = None
        for now in fused:
            optimizer = make_optimizer(network, recipe)
            if state:
                optimizer.load_state_dict(state)
            for group in optimizer.param_groups:  # a state says too whether it was fused
                group["fused"] = now
            for _ in range(3):
                optimizer.zero_grad()
                network(image).square().mean().backward()
                optimizer.step()
            state = optimizer.state_dict()
        runs.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert not torch.equal(runs[0], torch.cat([p.flatten() for p in first.parameters()]))
    for found in runs[1:]:
        assert torch.allclose(found, runs[0], rtol=1e-4, atol=1e-5)
