"""How far two bfloat16 computations of one network may be apart that add in another order.

    python benchmarks/compare_bfloat16.py MODEL.onnx IMAGE.stack.tif... [--side 512]

Kernels for tiles of other shapes may add the products of a convolution in another order. The sums
then differ by roundings of float32, and now and then one rounds to the next bfloat16. That is
imitated: inputs, weights and results of every convolution are rounded to bfloat16, and the sums
are perturbed at random before, relatively by so many float32 roundings. Two draws are compared, as
`lcmap predict --verify` compares two tilings; and the last with float32. IMAGE is a stack that
lcmap prepare wrote for the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lcmap.dataset.inputs import open_input
from lcmap.dataset.normalisation import scale
from lcmap.network import LandCoverNetwork
from lcmap.raster.opening import read_valid
from lcmap.raster.windows import Window
from lcmap.training.initialisation import load_network

ROUNDINGS = (2**-23, 2**-22, 2**-20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, nargs="+")
    parser.add_argument("--side", type=int, default=512)
    arguments = parser.parse_args()
    network = load_network(arguments.model).eval()
    for path in arguments.images:
        pixels = window(path, arguments.side // network.stride * network.stride)
        exact = probabilities(network, pixels)
        for roundings in ROUNDINGS:
            first, second = (perturbed(network, pixels, roundings, seed=seed) for seed in range(2))
            print(f"{path.name}, sums apart by {roundings:.1e}: {difference(first, second)}")
        print(f"{path.name}, float32: {difference(first, exact)}")


def window(path: Path, side: int) -> Tensor:
    """Return the first pixels of a stack as the network takes them, [1, C, side, side]."""
    with open_input(path) as image:
        here = Window(0, 0, side, side)
        values = image.dataset.read(window=((0, side), (0, side)))
        pixels = scale(values, image.quantiles(), read_valid(image.dataset, here))
    return torch.from_numpy(pixels)[None]


@torch.inference_mode()
def probabilities(network: LandCoverNetwork, pixels: Tensor) -> np.ndarray:
    """Return the probabilities of the classes, [K, H, W]."""
    found: np.ndarray = network(pixels).softmax(1)[0].numpy()
    return found


def perturbed(
    network: LandCoverNetwork, pixels: Tensor, roundings: float, *, seed: int
) -> np.ndarray:
    """Return the probabilities in bfloat16, with sums that are off by so much."""
    with in_bfloat16(network, roundings, torch.Generator().manual_seed(seed)):
        return probabilities(network, pixels)


@contextmanager
def in_bfloat16(
    network: LandCoverNetwork, roundings: float, generator: torch.Generator
) -> Iterator[None]:
    """Round what goes into convolutions and what comes out."""

    def before(_: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(rounded(tensor) for tensor in given)

    def after(_: nn.Module, __: tuple[Tensor, ...], result: Tensor) -> Tensor:
        return rounded(result * (1 + roundings * torch.randn(result.shape, generator=generator)))

    with ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                stack.enter_context(_rounded_weight(module))
                stack.callback(module.register_forward_pre_hook(before).remove)
                stack.callback(module.register_forward_hook(after).remove)
        yield


@contextmanager
def _rounded_weight(module: nn.Conv2d) -> Iterator[None]:
    exact = module.weight.data
    module.weight.data = rounded(exact)
    yield
    module.weight.data = exact


def rounded(tensor: Tensor) -> Tensor:
    return tensor.bfloat16().float()


def difference(first: np.ndarray, second: np.ndarray) -> str:
    winner = first.argmax(axis=0)
    apart = np.abs(first - second)
    of_winner = np.take_along_axis(apart, winner[None], axis=0)
    share = np.mean(winner != second.argmax(axis=0))
    return (
        f"{100 * share:.3f} % of the pixels in another class, probability of the mapped class "
        f"apart by {of_winner.max():.3f} at most, {of_winner.mean():.1e} on average"
    )


if __name__ == "__main__":
    main()
