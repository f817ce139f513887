from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from lcmap.network import Architecture, LandCoverNetwork
from lcmap.training.cuda_graphs import Passes, Recorded
from lcmap.training.precision import autocast

on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

NETWORKS: dict[str, tuple[list[int], Architecture]] = {
    "paper": ([4], Architecture(width=16, depth=2)),
    "cells and context": ([4], Architecture(width=16, depth=2, stem="half", context=1)),
    "branches and halved skips": (
        [4],
        Architecture(width=16, depth=2, skip="reduce", reparametrised=True),
    ),
    "a coarser input": ([4, 6], Architecture(width=16, depth=2, levels=(0, 1))),
}


def small_network(name: str = "paper") -> LandCoverNetwork:
    torch.manual_seed(0)
    channels, architecture = NETWORKS[name]
    return LandCoverNetwork(channels, 3, architecture)


def images_of(
    network: LandCoverNetwork, number: int = 2, device: str = "cpu"
) -> tuple[Tensor, ...]:
    return tuple(
        torch.randn(number, channels, 32 >> level, 32 >> level, device=device)
        for channels, level in zip(network.input_channels, network.levels, strict=True)
    )


def test_what_cannot_be_recorded_is_computed_operation_by_operation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(module: nn.Module, images: Sequence[Tensor], *_: object) -> None:
        module(*images)  # as a recording does first
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refused)
    network = small_network().train()
    expected = copy.deepcopy(network)
    images = images_of(network)
    passes = Passes(network, recorded=True)
    for _ in range(2):
        found = passes(images, bfloat16=False)
        torch.testing.assert_close(found, expected(*images), rtol=0, atol=0)
    for mine, other in zip(network.buffers(), expected.buffers(), strict=True):
        assert torch.equal(mine, other)


def test_on_a_processor_a_function_is_called() -> None:
    tensors = [torch.ones(2), torch.ones(3)]
    doubled = Recorded(lambda given: [2 * tensor for tensor in given])
    assert [found.tolist() for found in doubled(tensors)] == [[2, 2], [2, 2, 2]]
    assert doubled([]) == []


@on_cuda
@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_replayed_passes_are_those_of_the_network(
    name: str, bfloat16: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    network = small_network(name).to("cuda").train()
    expected = copy.deepcopy(network)
    passes = Passes(network, recorded=True)
    for number in (4, 4, 4, 2, 4):
        images = images_of(network, number, "cuda")
        with autocast(images[0].device, bfloat16):
            wanted = expected(*images)
        found = passes(images, bfloat16)
        for scores, of in ((found, network), (wanted, expected)):
            of.zero_grad()
            scores.float().square().mean().backward()
        tolerance = 2e-2 if bfloat16 else 1e-4
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)
        for weight, other in zip(network.parameters(), expected.parameters(), strict=True):
            assert weight.grad is not None and other.grad is not None
            apart = (weight.grad - other.grad).norm()
            assert apart <= 10 * tolerance * other.grad.norm().clamp(min=1e-5)
        for mine, of_other in zip(network.buffers(), expected.buffers(), strict=True):
            torch.testing.assert_close(mine, of_other, rtol=tolerance, atol=tolerance)
    assert "cannot be recorded" not in caplog.text


@on_cuda
def test_a_replayed_function_gives_what_it_gives(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")

    def squares(given: Sequence[Tensor]) -> list[Tensor]:
        return [tensor @ tensor.T for tensor in given]

    recorded = Recorded(squares)
    for _ in range(3):
        tensors = [torch.randn(n, 7, device="cuda") for n in (3, 5)]
        for found, wanted in zip(recorded(tensors), squares(tensors), strict=True):
            torch.testing.assert_close(found, wanted)
    assert "cannot be recorded" not in caplog.text
