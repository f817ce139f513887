from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.muon import orthogonalised
from lcmap.training.optimisation import Optimizer, make_optimizer
from lcmap.training.recipe import DEFAULT, Muon

RECIPE = replace(DEFAULT, optimizer="muon", muon=Muon(learning_rate=0.05))


def small_network(memory_format: torch.memory_format = torch.channels_last) -> LandCoverNetwork:
    torch.manual_seed(0)
    return LandCoverNetwork([4], 3, Architecture(width=16, depth=1)).to(memory_format=memory_format)


def trained(network: LandCoverNetwork, optimizer: Optimizer, steps: int = 3) -> None:
    torch.manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        network(torch.randn(2, 4, 8, 8)).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("shape", [(16, 144), (144, 16), (32, 32)])
def test_a_matrix_keeps_its_directions_and_gets_singular_values_near_one(
    shape: tuple[int, int],
) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = np.linalg.svd(matrix.numpy(), full_matrices=False)
    found = u.T @ orthogonalised(matrix).numpy() @ v.T
    np.testing.assert_allclose(found - np.diag(np.diag(found)), 0, atol=1e-4)
    assert np.all(np.diag(found) > 0.3) and np.all(np.diag(found) < 1.3)
    assert torch.isfinite(orthogonalised(torch.zeros(3, 4))).all()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has no Muon of its own")
def test_hidden_kernels_step_as_pytorchs_muon_does_on_their_matrices() -> None:
    network = small_network()
    optimizer = make_optimizer(network, RECIPE)
    hidden = [p for p in network.parameters() if p.ndim == 4][:-1]
    matrices = [torch.nn.Parameter(p.detach().flatten(1).clone()) for p in hidden]
    reference = torch.optim.Muon(matrices, lr=0.05, weight_decay=RECIPE.weight_decay)
    before = [matrix.detach().clone() for matrix in matrices]
    for _ in range(3):
        optimizer.zero_grad()
        network(torch.randn(2, 4, 8, 8)).square().mean().backward()
        for matrix, kernel in zip(matrices, hidden, strict=True):
            assert kernel.grad is not None
            matrix.grad = kernel.grad.flatten(1).clone()
        optimizer.step()
        reference.step()
    for kernel, matrix, start in zip(hidden, matrices, before, strict=True):
        found, expected = kernel.detach().flatten(1) - start, matrix.detach() - start
        # that one multiplies in bfloat16
        assert (found - expected).norm() < 0.05 * expected.norm()


def test_all_else_steps_as_with_adamw() -> None:
    networks = [small_network(), small_network()]
    for network, recipe in zip(networks, (RECIPE, DEFAULT), strict=True):
        trained(network, make_optimizer(network, recipe), steps=1)
    alike = [
        torch.equal(p, q)
        for p, q in zip(*(n.parameters() for n in networks), strict=True)
        if p.ndim == 1 or p is networks[0].classifier.weight
    ]
    assert len(alike) > 4 and all(alike)
    assert not torch.equal(*(n.encoders[0][0].first[0].weight for n in networks))  # type: ignore[index]


def test_depthwise_kernels_are_adamws() -> None:
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3), torch.nn.Conv2d(6, 6, 7, groups=6), torch.nn.Conv2d(6, 2, 1)
    )
    *_, muon = make_optimizer(network, RECIPE).param_groups
    assert [tuple(p.shape) for p in muon["params"]] == [(6, 3, 3, 3)]
    assert (muon["initial_lr"], muon["momentum"]) == (0.05, 0.95)


def test_steps_do_not_depend_on_how_kernels_lie_in_memory_and_go_on_from_their_state() -> None:
    formats = (torch.channels_last, torch.contiguous_format, torch.channels_last)
    networks = [small_network(each) for each in formats]
    for network in networks[:2]:
        trained(network, make_optimizer(network, RECIPE), steps=1)
    optimizer = make_optimizer(networks[2], RECIPE)
    trained(networks[2], optimizer, steps=1)
    for p, q in zip(*(n.parameters() for n in networks[:2]), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-3, atol=1e-4)
    state = copy.deepcopy(optimizer.state_dict())
    copied = small_network()
    copied.load_state_dict(networks[2].state_dict())
    other = make_optimizer(copied, RECIPE)
    other.load_state_dict(state)
    trained(networks[2], optimizer)
    trained(copied, other)
    for p, q in zip(networks[2].parameters(), copied.parameters(), strict=True):
        assert torch.equal(p, q)
