"""The network against the same sums written with PyTorch's pooling and transposed convolutions."""

from __future__ import annotations

import copy
import dataclasses
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcmap.network import Architecture, LandCoverNetwork, receptive_field


def trained_a_little(network: LandCoverNetwork, channels: list[int]) -> LandCoverNetwork:
    """Move the statistics of batch normalisation away from 0 and 1, then freeze them."""
    for _ in range(3):
        network(*(torch.randn(2, c, 32, 32, dtype=torch.float64) for c in channels))
    return network.eval()


def reference(network: LandCoverNetwork, *images: Tensor) -> Tensor:
    """The paper's network: mirror padding, max_unpool2d, transposed convolutions in the decoder."""

    def block(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d, transposed: bool) -> Tensor:
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        if transposed:
            # padding 2 takes away the rim that a transposed convolution adds, as "valid" does
            kernel = convolution.weight.flip(2, 3).transpose(0, 1)
            x = F.conv_transpose2d(x, kernel, padding=2)
        else:
            x = F.conv2d(x, convolution.weight)
        if network.training:
            return torch.relu(nn.BatchNorm2d.forward(norm, x))
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        x = (x - norm.running_mean[:, None, None]) * scale[:, None, None]
        return torch.relu(x + norm.bias[:, None, None])

    def blocks(x: Tensor, module: nn.Module, transposed: bool = False) -> Tensor:
        for part in (module.first, module.second):
            x = block(x, part[0], part[1], transposed)
        return x

    features, skips = [], []
    of_sides: dict[int, list[Tensor]] = {}
    for number, (encoder, x) in enumerate(zip(network.encoders, images, strict=True)):
        for module in encoder:
            x = blocks(x, module)
            pooled, indices = F.max_pool2d(x, 2, return_indices=True)
            if number == 0:
                skips.append((x, indices))
            elif network.architecture.side_skips and network.levels[number]:
                of_sides.setdefault(x.shape[-1], []).append(x)
            x = pooled
        features.append(x)
    x = blocks(torch.cat(features, dim=1), network.deepest)
    for level in reversed(range(len(skips))):
        skip, indices = skips[level]
        joined = [network.skips[level](skip), *of_sides.get(skip.shape[-1], [])]
        x = torch.cat((F.max_unpool2d(x, indices, 2), *joined), dim=1)
        x = blocks(x, network.decoder[level], transposed=True)
    return network.classifier(x)


@pytest.mark.parametrize(
    ("channels", "depth", "skip"),
    [([4], 3, "concat"), ([3], 2, "reduce"), ([4, 10], 2, "concat"), ([2, 1, 3], 1, "reduce")],
)
def test_network_equals_the_papers(channels: list[int], depth: int, skip: str) -> None:
    torch.manual_seed(0)
    network = LandCoverNetwork(channels, 5, Architecture(width=4, depth=depth, skip=skip)).double()
    trained_a_little(network, channels)
    images = [torch.randn(2, c, 24, 40, dtype=torch.float64) for c in channels]
    found = network(*images)
    assert found.shape == (2, 5, 24, 40)
    assert torch.allclose(found, reference(network, *images), rtol=0, atol=1e-10)


@pytest.mark.parametrize("side_skips", [False, True])
@pytest.mark.parametrize(
    ("levels", "channels"), [((0, 1), [3, 2]), ((0, 2, 0), [2, 3, 1]), ((0, 2, 1), [1, 2, 2])]
)
def test_coarse_inputs_enter_where_the_cells_are_theirs(
    levels: tuple[int, ...], channels: list[int], side_skips: bool
) -> None:
    torch.manual_seed(10)
    architecture = Architecture(
        width=10, depth=3, levels=levels, side_width=2, side_skips=side_skips
    )
    network = LandCoverNetwork(channels, 5, architecture).double()

    def images(height: int, width: int) -> list[Tensor]:
        return [
            torch.randn(2, c, height >> level, width >> level, dtype=torch.float64)
            for c, level in zip(channels, levels, strict=True)
        ]

    for _ in range(3):
        network(*images(32, 32))
    given = images(24, 40)
    found = network.eval()(*given)
    assert found.shape == (2, 5, 24, 40)
    assert torch.allclose(found, reference(network, *given), rtol=0, atol=1e-10)
    for number, level in enumerate(levels):
        widths = [of.second[0].weight.shape[0] for of in network.encoders[number]]
        # halved, but no fewer than 16
        assert widths == ([10, 16, 20][level:] if level else [10, 20, 40])
        other = [-x if place == number else x for place, x in enumerate(given)]
        assert not torch.equal(network(*other), found)


def test_with_cells_of_two_pixels_for_a_stem_level_one_is_the_top() -> None:
    architecture = Architecture(width=8, depth=2, stem="half", levels=(0, 1, 2), side_width=4)
    network = LandCoverNetwork([2, 3, 1], 4, architecture)
    widths = [[of.second[0].weight.shape[0] for of in each] for each in network.encoders]
    assert widths == [[8, 16], [8, 16], [16]]
    images = [torch.randn(1, c, 16 >> level, 24 >> level) for c, level in ((2, 0), (3, 1), (1, 2))]
    assert network(*images).shape == (1, 4, 16, 24)


def test_gradients_are_the_references() -> None:
    torch.manual_seed(1)
    network = LandCoverNetwork([2], 3, Architecture(width=3, depth=2)).double().eval()
    image = torch.randn(1, 2, 16, 16, dtype=torch.float64)
    parameters = [p for p in network.parameters() if p.requires_grad]
    found = torch.autograd.grad(network(image).square().sum(), parameters)
    expected = torch.autograd.grad(reference(network, image).square().sum(), parameters)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-8, atol=1e-10)


def test_steps_of_training_are_the_references() -> None:
    torch.manual_seed(2)
    network = LandCoverNetwork([2], 3, Architecture(width=3, depth=2)).double()
    other = copy.deepcopy(network)
    started = copy.deepcopy(network.state_dict())
    forward = {network: network, other: partial(reference, other)}
    for run, scores in forward.items():
        torch.manual_seed(3)
        optimizer = torch.optim.SGD(run.parameters(), 0.05, momentum=0.9)
        for _ in range(4):
            optimizer.zero_grad()
            image = torch.randn(2, 2, 16, 16, dtype=torch.float64)
            scores(image).square().mean().backward()
            optimizer.step()
    expected = other.state_dict()
    for name, found in network.state_dict().items():
        assert not torch.equal(found, started[name]), name
        assert torch.allclose(found, expected[name], rtol=1e-7, atol=1e-9), name


def test_statistics_and_gradients_stay_float32_in_bfloat16() -> None:
    torch.manual_seed(4)
    network = LandCoverNetwork([2], 3, Architecture(width=4, depth=2))
    other = copy.deepcopy(network)
    image = torch.randn(4, 2, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        scores = network(image)
    assert scores.dtype == torch.bfloat16
    scores.float().square().mean().backward()
    reference(other, image)
    expected = other.state_dict()
    for name, found in network.state_dict().items():
        assert found.dtype == expected[name].dtype
        if "running" in name:
            torch.testing.assert_close(found, expected[name], rtol=0.05, atol=0.01)
    assert {p.grad.dtype for p in network.parameters()} == {torch.float32}


def test_the_second_entry_matters_and_gives_no_skips() -> None:
    torch.manual_seed(2)
    network = LandCoverNetwork([2, 3], 3, Architecture(width=4, depth=1)).double().eval()
    first = torch.randn(1, 2, 8, 8, dtype=torch.float64)
    second = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    assert not torch.equal(network(first, second), network(first, second + 1))
    assert [tuple(f.first[0].weight.shape[:2]) for f in network.decoder] == [(4, 8)]
    assert network.deepest.first[0].weight.shape[1] == 8


@pytest.mark.parametrize(
    ("first", "further", "skip"),
    [([4], [10], "concat"), ([2, 1], [3, 2], "reduce"), ([3], [], "concat")],
)
def test_a_network_started_as_a_smaller_one_computes_what_that_does(
    first: list[int], further: list[int], skip: str
) -> None:
    torch.manual_seed(4)
    architecture = Architecture(width=4, depth=2, skip=skip)
    smaller = trained_a_little(LandCoverNetwork(first, 5, architecture).double(), first)
    network = LandCoverNetwork(first + further, 5, architecture).double()
    encoders = [copy.deepcopy(encoder.state_dict()) for encoder in network.encoders[len(first) :]]
    network.eval().start_as(smaller)
    images = [torch.randn(2, c, 16, 24, dtype=torch.float64) for c in first]
    others = [100 * torch.randn(2, c, 16, 24, dtype=torch.float64) for c in further]
    assert torch.allclose(network(*images, *others), smaller(*images), rtol=0, atol=1e-12)
    for before, encoder in zip(encoders, network.encoders[len(first) :], strict=True):
        assert all(torch.equal(before[name], w) for name, w in encoder.state_dict().items())


@pytest.mark.parametrize("side_skips", [False, True])
def test_a_network_is_extended_by_coarse_inputs(side_skips: bool) -> None:
    torch.manual_seed(11)
    of_one = Architecture(width=4, depth=2, side_skips=side_skips)
    smallest = LandCoverNetwork([2], 3, of_one).double().eval()
    smaller = LandCoverNetwork([2, 3], 3, dataclasses.replace(of_one, levels=(0, 1)))
    smaller.double().eval().start_as(smallest)
    network = LandCoverNetwork([2, 3, 1], 3, dataclasses.replace(of_one, levels=(0, 1, 1)))
    image = torch.randn(1, 2, 16, 24, dtype=torch.float64)
    side, other = (100 * torch.randn(1, c, 8, 12, dtype=torch.float64) for c in (3, 1))
    assert torch.allclose(smaller(image, side), smallest(image), rtol=0, atol=1e-12)
    smaller.train()
    for _ in range(3):
        smaller(image + torch.randn_like(image), side)
    network.double().eval().start_as(smaller)
    found = network(image, side, other)
    assert torch.allclose(found, smaller.eval()(image, side), rtol=0, atol=1e-12)


def test_training_reaches_the_further_entries_of_a_network_started_as_a_smaller_one() -> None:
    torch.manual_seed(5)
    network = LandCoverNetwork([2, 3], 4, Architecture(width=4, depth=2))
    network.start_as(LandCoverNetwork([2], 4, Architecture(width=4, depth=2)))
    images = [torch.randn(2, c, 16, 16) for c in (2, 3)]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    joint = network.deepest.first[0].weight

    def gradients() -> tuple[bool, bool]:
        network.zero_grad()
        network(*images)[:, 0].sum().backward()
        kernels = [w for w in network.encoders[1].parameters() if w.ndim > 1]
        return bool(joint.grad[:, 8:].any()), all(bool(w.grad.any()) for w in kernels)

    # nothing flows back through weights that are 0, which one step moves away from it
    assert gradients() == (True, False)
    optimizer.step()
    assert gradients() == (True, True)


def test_a_window_beyond_the_receptive_field_is_the_whole_images() -> None:
    torch.manual_seed(3)
    network = LandCoverNetwork([1], 2, Architecture(width=3, depth=2)).double().eval()
    image = torch.randn(1, 1, 96, 96, dtype=torch.float64)
    halo = -(-receptive_field(network.architecture) // network.stride) * network.stride
    with torch.no_grad():
        whole = network(image)[..., halo : halo + 8, halo : halo + 8]
        window = network(image[..., : 2 * halo + 8, : 2 * halo + 8])
    assert torch.allclose(window[..., halo : halo + 8, halo : halo + 8], whole, atol=1e-12)


def test_width_doubles_on_every_level_and_reduced_skips_are_halved() -> None:
    network = LandCoverNetwork([4], 7, Architecture(width=6, depth=2, skip="reduce"))
    widths = [level.second[0].weight.shape[0] for level in network.encoders[0]]
    assert widths == [6, 12]
    assert network.deepest.first[0].weight.shape[0] == 24
    assert [skip.weight.shape[:2] for skip in network.skips] == [(3, 6), (6, 12)]


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LandCoverNetwork([], 7)
    with pytest.raises(ValueError, match="at least 1"):
        LandCoverNetwork([4], 7, Architecture(depth=0))
    with pytest.raises(ValueError, match="unknown kind of stem"):
        Architecture(stem="quarter")
    with pytest.raises(ValueError, match="context must be from 0 to 16"):
        Architecture(context=17)
    with pytest.raises(ValueError, match="clip must leave 0 … 1 as it is"):
        Architecture(clip=(0, 0.5))
    with pytest.raises(ValueError, match="levels must be 0 for the first input"):
        Architecture(levels=(1, 0))
    with pytest.raises(ValueError, match="levels must be at most 1"):
        Architecture(depth=2, levels=(0, 2))
    with pytest.raises(ValueError, match="levels are not those of 1 inputs"):
        LandCoverNetwork([4], 7, Architecture(levels=(0, 1)))
    with pytest.raises(ValueError, match="unknown kind of skip"):
        LandCoverNetwork([4], 7, Architecture(skip="sum"))
    with pytest.raises(ValueError, match="got 2 tensors, not 1 for 1 inputs"):
        image = torch.zeros(1, 4, 16, 16)
        LandCoverNetwork([4], 7)(image, image)


def test_levels_of_cells_are_the_papers_network_of_unshuffled_images() -> None:
    """With the refinement taken apart: what it is given is what the paper's network gives."""
    torch.manual_seed(6)
    architecture = Architecture(width=4, depth=2, stem="half", skip="reduce")
    network = LandCoverNetwork([2, 3], 5, architecture).double()
    trained_a_little(network, [2, 3])
    images = [torch.randn(2, c, 24, 40, dtype=torch.float64) for c in (2, 3)]
    # channels behind one another in PyTorch's order become cells behind one another
    cells = [
        F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2) for x in images
    ]
    levels = copy.copy(network)
    levels._modules = {**network._modules, "classifier": nn.Identity()}
    found = reference(levels, *cells)  # [2, 32, 12, 20]
    fine = F.pixel_shuffle(found.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)
    refinement = network.refinement

    def block(x: Tensor, layers: nn.Sequential) -> Tensor:
        return layers(F.pad(x, (1, 1, 1, 1), mode="reflect"))

    joined = torch.cat((fine, block(images[0], refinement.feature)), dim=1)
    expected = network.classifier(block(joined, refinement.joint))
    assert torch.allclose(network(*images), expected, rtol=0, atol=1e-10)


def test_inputs_are_cut_off_at_the_clip() -> None:
    torch.manual_seed(7)
    network = LandCoverNetwork([2], 3, Architecture(width=4, depth=1, clip=(-0.5, 2))).eval()
    image = 3 * torch.randn(1, 2, 8, 8)
    clipped = image.clamp(-0.5, 2)
    assert not torch.equal(image, clipped)
    assert torch.equal(network(image), network(clipped))


def test_context_starts_as_the_identity_and_is_trained() -> None:
    torch.manual_seed(8)
    with_context = LandCoverNetwork([2], 3, Architecture(width=4, depth=1, context=2))
    plain = LandCoverNetwork([2], 3, Architecture(width=4, depth=1))
    plain.load_state_dict(with_context.state_dict(), strict=False)
    image = torch.randn(2, 2, 16, 16)
    assert torch.equal(with_context(image), plain(image))
    with_context(image).square().mean().backward()
    for block in with_context.context:
        assert block.across[1].weight.grad.any()


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(width=4, depth=2, reparametrised=True),
        Architecture(width=4, depth=1, reparametrised=True, stem="half", context=1),
    ],
    ids=str,
)
def test_merged_branches_are_a_plain_network_that_computes_the_same(
    architecture: Architecture,
) -> None:
    torch.manual_seed(9)
    network = LandCoverNetwork([2, 1], 3, architecture).double()
    for value in network.parameters():
        if value.ndim == 1:
            nn.init.uniform_(value, 0.5, 1.5)
    trained_a_little(network, [2, 1])
    before = copy.deepcopy(network.state_dict())
    merged = network.merged()
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    plain = dataclasses.replace(architecture, reparametrised=False)
    assert merged.architecture == plain
    assert merged.state_dict().keys() == LandCoverNetwork([2, 1], 3, plain).state_dict().keys()
    images = [torch.randn(2, c, 16, 24, dtype=torch.float64) for c in (2, 1)]
    assert torch.allclose(merged(*images), network(*images), rtol=0, atol=1e-10)
