from __future__ import annotations

import copy

import torch
from threaded_ranks import in_ranks
from torch import nn

from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.normalisation_statistics import (
    all_have_statistics,
    recompute_statistics,
)
from lcmap.training.ranks import Ranks
from lcmap.training.shared_normalisation import share_normalisation


def trained_a_little() -> LandCoverNetwork:
    """Return a network in training, with statistics that mean nothing any more."""
    torch.manual_seed(0)
    network = LandCoverNetwork([3], 4, Architecture(width=4, depth=1)).train()
    network(5 + torch.randn(2, 3, 8, 8))
    return network


def test_statistics_are_those_of_the_batches_as_pytorch_takes_them() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4))
    network(5 + torch.randn(2, 3, 8, 8))
    expected = copy.deepcopy(network)
    batches = [torch.randn(2, 3, 8, 8) for _ in range(3)]
    torch.optim.swa_utils.update_bn(batches, expected)
    weights = [p.clone() for p in network.parameters()]
    network.eval()
    recompute_statistics(network, [(batch,) for batch in batches])
    assert not network.training
    assert all(map(torch.equal, network.parameters(), weights))
    momenta = {m.momentum for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert momenta == {0.1}
    found, wanted = dict(network.named_buffers()), dict(expected.named_buffers())
    for name in wanted.keys() - {n for n in wanted if n.endswith("num_batches_tracked")}:
        torch.testing.assert_close(found[name], wanted[name])


def test_several_ranks_have_the_statistics_of_all() -> None:
    network = trained_a_little()
    batches = [torch.randn(4, 3, 8, 8) for _ in range(3)]
    copies = [copy.deepcopy(network) for _ in range(2)]
    recompute_statistics(network, [(batch,) for batch in batches])

    def compute(ranks: Ranks) -> LandCoverNetwork:
        mine = copies[ranks.launch.rank]
        share_normalisation(mine, ranks)
        recompute_statistics(mine, [(batch[ranks.share(4)],) for batch in batches])
        return mine

    for found in in_ranks(2, compute):
        for one, other in zip(found.buffers(), network.buffers(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_layers_that_saw_a_batch_have_statistics() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3, affine=False))
    assert not all_have_statistics(network)
    network[1](torch.randn(2, 3, 4, 4))
    assert not all_have_statistics(network)
    network[0](torch.randn(2, 3, 4, 4))
    assert all_have_statistics(network)
    assert all_have_statistics(nn.BatchNorm2d(3, track_running_stats=False))  # it needs none
