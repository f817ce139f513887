"""How far the network sees, measured by its gradients."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn

from lcmap.network import Architecture, LandCoverNetwork, receptive_field, stride
from lcmap.network.geometry import reach

BUILT = [
    Architecture(width=4, depth=depth, stem=stem, context=context)
    for depth, stem, context in product((1, 2), ("full", "half"), (0, 1))
]
COMBINED = [
    Architecture(width=4, depth=3),
    Architecture(width=4, depth=1, stem="half", context=2, skip="reduce", clip=(-9, 9)),
    Architecture(width=4, depth=2, stem="half", context=1, reparametrised=True),
]


def measured_reach(architecture: Architecture, pixels: range, length: int) -> list[tuple[int, int]]:
    """Return how far before and after pixels inputs move their scores, over several networks."""
    seen = torch.zeros(len(pixels), length, dtype=torch.bool)
    for seed in range(3):
        torch.manual_seed(seed)
        network = LandCoverNetwork([1], 1, architecture).double().eval()
        for block in network.context:
            nn.init.ones_(block.across[1].weight)
        height = 2 * stride(architecture)
        x = torch.randn(1, 1, height, length, dtype=torch.float64, requires_grad=True)
        scores = network(x)[0].abs().sum(dim=(0, 1))
        for found, pixel in zip(seen, pixels, strict=True):
            (gradient,) = torch.autograd.grad(scores[pixel], x, retain_graph=True)
            found |= (gradient != 0).any(dim=2)[0, 0]
    places = [found.nonzero() for found in seen]
    return [
        (pixel - int(place[0]), int(place[-1]) - pixel)
        for pixel, place in zip(pixels, places, strict=True)
    ]


@pytest.mark.parametrize("architecture", [*BUILT, *COMBINED], ids=str)
def test_reach_is_what_gradients_show_at_every_place_in_the_pooling_grid(
    architecture: Architecture,
) -> None:
    grid = stride(architecture)
    start = -(-receptive_field(architecture) // grid) * grid
    pixels = range(start, start + grid)
    found = measured_reach(architecture, pixels, 2 * start + 2 * grid)
    assert found == [reach(architecture, pixel) for pixel in pixels]
    assert found == [reach(architecture, place) for place in range(grid)]


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("parts", [{}, {"stem": "half"}, {"context": 2}], ids=str)
def test_no_pixel_of_a_block_sees_further_beyond_it_than_the_receptive_field(
    depth: int, parts: dict
) -> None:
    architecture = Architecture(depth=depth, **parts)
    grid = stride(architecture)
    before, after = zip(*(reach(architecture, pixel) for pixel in range(grid)), strict=True)
    farthest = receptive_field(architecture)
    assert max(reached - pixel for pixel, reached in enumerate(before)) == farthest
    assert max(pixel + reached for pixel, reached in enumerate(after)) - (grid - 1) == farthest


def test_receptive_field_of_three_poolings() -> None:
    architecture = Architecture(depth=3)
    assert receptive_field(architecture) == 46
    # convolutions without padding lose 44 px: they start where pixels see the least far
    assert min(reach(architecture, pixel)[0] for pixel in range(8)) == 44


def test_receptive_field_of_a_stem_of_cells_and_of_context() -> None:
    half = Architecture(depth=3, stem="half")
    assert (stride(half), receptive_field(half)) == (16, 92)
    context = Architecture(depth=3, context=2)
    assert receptive_field(context) == 46 + 2 * 3 * stride(context)


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=4, depth=2, levels=(0, 1)),
        Architecture(width=4, depth=2, stem="half", context=1, levels=(0, 1)),
        Architecture(width=4, depth=2, stem="half", levels=(0, 2)),
    ],
    ids=str,
)
def test_a_coarse_input_is_seen_no_further_than_the_receptive_field(
    architecture: Architecture,
) -> None:
    grid, level = stride(architecture), architecture.levels[1]
    farthest = receptive_field(architecture)
    start = -(-farthest // grid) * grid + grid
    length = 2 * start + grid
    seen = torch.zeros(length >> level, dtype=torch.bool)
    for seed in range(3):
        torch.manual_seed(seed)
        network = LandCoverNetwork([1, 1], 1, architecture).double().eval()
        for block in network.context:
            nn.init.ones_(block.across[1].weight)
        image = torch.randn(1, 1, 2 * grid, length, dtype=torch.float64)
        side = torch.randn(1, 1, 2 * grid >> level, length >> level, dtype=torch.float64)
        block_of_scores = network(image, side.requires_grad_())[..., start : start + grid]
        (gradient,) = torch.autograd.grad(block_of_scores.abs().sum(), side)
        seen |= (gradient != 0).any(dim=2)[0, 0]
    cells = seen.nonzero()
    first, stop = int(cells[0]) << level, int(cells[-1]) + 1 << level
    assert start - farthest <= first < start and start + grid < stop <= start + grid + farthest
