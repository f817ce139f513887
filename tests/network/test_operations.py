"""The operations against PyTorch's own pooling, padding and automatic differentiation."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from lcmap.network.operations import (
    NormReluPad,
    cells_to_pixels_and_join,
    max_pool,
    mirror_pad,
    pixels_to_cells,
    plain_max_pool,
    plain_mirror_pad,
    plain_unpool,
    unpool_and_join,
)

# few distinct values, so that most cells hold ties
SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))


@st.composite
def tied_images(draw: st.DrawFn) -> Tensor:
    n, c, h, w = draw(SHAPES)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    return torch.randint(-2, 3, (n, c, 2 * h, 2 * w), generator=generator).float()


@given(tied_images())
def test_pooling_and_unpooling_give_the_bits_of_pytorchs(x: Tensor) -> None:
    expected, places = F.max_pool2d(x, 2, return_indices=True)
    unpooled = F.max_unpool2d(expected, places, 2)
    maxima, indices = max_pool(x)
    assert torch.equal(maxima, expected)
    joined = unpool_and_join(expected, indices, x)
    assert torch.equal(joined[:, : x.shape[1], 1:-1, 1:-1], unpooled)
    maxima, is_maximum = plain_max_pool(x)
    assert torch.equal(maxima, expected)
    assert torch.equal(plain_unpool(expected, is_maximum), unpooled)


@given(tied_images())
def test_exactly_one_pixel_of_each_cell_is_its_maximum(x: Tensor) -> None:
    _, is_maximum = plain_max_pool(x)
    assert (F.avg_pool2d(is_maximum.double(), 2) == 0.25).all()


@given(tied_images(), st.integers(1, 3))
def test_fast_and_plain_forms_agree_forward_and_backward(x: Tensor, skip_channels: int) -> None:
    x = x.double()
    skip = torch.randn(len(x), skip_channels, *x.shape[2:], dtype=torch.float64)

    def fast(x: Tensor, skip: Tensor) -> Tensor:
        maxima, indices = max_pool(x)
        return unpool_and_join(maxima * 3, indices, skip)

    def plain(x: Tensor, skip: Tensor) -> Tensor:
        maxima, places = F.max_pool2d(x, 2, return_indices=True)
        joined = torch.cat((F.max_unpool2d(maxima * 3, places, 2), skip), dim=1)
        return F.pad(joined, (1, 1, 1, 1), mode="reflect")

    results = []
    for function in (fast, plain):
        inputs = [x.clone().requires_grad_(), skip.clone().requires_grad_()]
        output = function(*inputs)
        weights = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).reshape(output.shape)
        results.append((output, *torch.autograd.grad((output * weights).sum(), inputs)))
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)


@given(tied_images())
def test_cells_hold_their_pixels_in_reading_order(x: Tensor) -> None:
    by_channel = F.pixel_unshuffle(x, 2).unflatten(1, (-1, 4))
    cells = pixels_to_cells(x)
    assert torch.equal(cells, by_channel.transpose(1, 2).flatten(1, 2))
    joined = cells_to_pixels_and_join(cells, x[:, :1])
    assert torch.equal(joined, F.pad(torch.cat((x, x[:, :1]), dim=1), (1, 1, 1, 1), "reflect"))


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_cells_become_pixels_with_their_gradient(size: tuple[int, int]) -> None:
    cells = torch.randn(2, 8, *size, dtype=torch.float64, requires_grad=True)
    height, width = size
    feature = torch.randn(2, 3, 2 * height, 2 * width, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cells_to_pixels_and_join, (cells, feature))


@pytest.mark.parametrize("size", [(2, 2), (2, 5), (7, 3)])
def test_mirror_padding_is_reflect_padding_and_its_gradient(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    assert torch.equal(mirror_pad(x), F.pad(x, (1, 1, 1, 1), mode="reflect"))
    assert torch.equal(mirror_pad(x), plain_mirror_pad(x))
    assert torch.autograd.gradcheck(mirror_pad, (x,))


def test_layout_in_memory_changes_nothing() -> None:
    x = torch.randn(2, 3, 4, 6)
    other = x.to(memory_format=torch.channels_last)
    assert torch.equal(mirror_pad(x), mirror_pad(other))
    assert torch.equal(max_pool(x)[0], max_pool(other)[0])


def test_inputs_and_gradients_are_left_as_they_are() -> None:
    x = torch.randn(1, 3, 4, 4, requires_grad=True)
    gradient = torch.randn(1, 3, 6, 6)
    before = x.detach().clone(), gradient.clone()
    for padded in (mirror_pad, NormReluPad(3)):
        padded(x).backward(gradient)
        assert torch.equal(gradient, before[1])
        assert torch.equal(x, before[0])


def normalised_by_pytorch(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    return F.pad(torch.relu(norm(x)), (1, 1, 1, 1), mode="reflect")


def norms(training: bool, dtype: torch.dtype = torch.float32) -> tuple[NormReluPad, nn.BatchNorm2d]:
    """Return lcmap's normalisation and PyTorch's in the same state, with weights of either sign."""
    ours, theirs = NormReluPad(3), nn.BatchNorm2d(3)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    nn.init.normal_(theirs.running_mean)
    nn.init.uniform_(theirs.running_var, 0.5, 2.0)
    ours.load_state_dict(theirs.state_dict())
    return ours.to(dtype).train(training), theirs.to(dtype).train(training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_normalisation_relu_and_padding_at_once_are_pytorchs_one_by_one(
    training: bool, dtype: torch.dtype, layout: torch.memory_format
) -> None:
    torch.manual_seed(6)
    # weights and statistics stay float32 where pixels are bfloat16, as in autocast
    ours, theirs = norms(training, torch.float64 if dtype == torch.float64 else torch.float32)
    x = (3 * torch.randn(2, 3, 6, 5) + 1).to(dtype).to(memory_format=layout)
    towards = torch.randn(2, 3, 8, 7).to(dtype)
    results = []
    for norm in (ours, theirs):
        given = x.clone().requires_grad_()
        y = norm(given) if norm is ours else normalised_by_pytorch(theirs, given)
        gradients = torch.autograd.grad(y, [given, norm.weight, norm.bias], towards)
        results.append((y, *gradients, *norm.state_dict().values()))
    close = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        assert (found - expected).abs().max() <= close * expected.abs().max()


@given(st.booleans(), st.integers(1, 3), st.integers(2, 6), st.integers(2, 6), st.integers(0, 99))
def test_normalisation_relu_and_padding_of_any_size(
    training: bool, n: int, height: int, width: int, seed: int
) -> None:
    torch.manual_seed(seed)
    ours, theirs = norms(training, torch.float64)
    x = torch.randn(n, 3, height, width, dtype=torch.float64, requires_grad=True)
    found, expected = ours(x), normalised_by_pytorch(theirs, x)
    towards = torch.randn_like(expected)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, [x, *ours.parameters()], towards),
        torch.autograd.grad(expected, [x, *theirs.parameters()], towards),
    )
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_normalisation_relu_and_padding_are_differences(training: bool) -> None:
    torch.manual_seed(7)
    norm, _ = norms(training, torch.float64)
    x = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    parameters = dict(norm.named_parameters())

    def of_all(x: Tensor, *values: Tensor) -> Tensor:
        return torch.func.functional_call(norm, dict(zip(parameters, values, strict=True)), (x,))

    assert torch.autograd.gradcheck(of_all, (x, *parameters.values()))


def test_bfloat16_stays_bfloat16_in_every_operation() -> None:
    skip = torch.randn(1, 2, 4, 6, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        maxima, indices = max_pool(skip)
        joined = unpool_and_join(maxima, indices, skip)
        padded = mirror_pad(skip)
    assert maxima.dtype == joined.dtype == padded.dtype == torch.bfloat16
    expected = F.max_unpool2d(maxima.float(), indices, 2)
    assert torch.equal(joined[:, :2, 1:-1, 1:-1].float(), expected)
