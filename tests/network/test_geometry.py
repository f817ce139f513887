"""How far the network sees, measured by its gradients."""

from __future__ import annotations

import pytest
import torch

from lcmap.network import LandCoverNetwork, receptive_field, stride
from lcmap.network.geometry import reach


def measured_reach(depth: int, pixel: int, length: int) -> tuple[int, int]:
    """Return how far before and after `pixel` inputs move its scores, over several networks."""
    seen = torch.zeros(length, dtype=torch.bool)
    for seed in range(3):
        torch.manual_seed(seed)
        network = LandCoverNetwork([1], 1, width=4, depth=depth).double().eval()
        x = torch.randn(1, 1, 2 * stride(depth), length, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(x)[0, :, :, pixel].abs().sum(), x)
        seen |= (gradient != 0).any(dim=2)[0, 0]
    places = seen.nonzero()
    return pixel - int(places[0]), int(places[-1]) - pixel


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_reach_is_what_gradients_show_at_every_place_in_the_pooling_grid(depth: int) -> None:
    grid = stride(depth)
    start = -(-receptive_field(depth) // grid) * grid
    for place in range(grid):
        pixel = start + place
        found = measured_reach(depth, pixel, 2 * start + 2 * grid)
        assert found == reach(depth, pixel) == reach(depth, place)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_no_pixel_of_a_block_sees_further_beyond_it_than_the_receptive_field(depth: int) -> None:
    grid = stride(depth)
    before, after = zip(*(reach(depth, pixel) for pixel in range(grid)), strict=True)
    farthest = receptive_field(depth)
    assert max(reached - pixel for pixel, reached in enumerate(before)) == farthest
    assert max(pixel + reached for pixel, reached in enumerate(after)) - (grid - 1) == farthest


def test_receptive_field_of_three_poolings() -> None:
    assert receptive_field(3) == 46
    # convolutions without padding lose 44 px: they start where pixels see the least far
    assert min(reach(3, pixel)[0] for pixel in range(8)) == 44
