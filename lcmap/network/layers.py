"""What the network is built of: levels of two blocks, refinement on pixels, context.

Shapes: N images, C channels, H × W pixels. A level or a block takes its input with one mirrored
pixel around it already, see `lcmap.network.operations`.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lcmap.network.branches import Branches
from lcmap.network.geometry import CONTEXT_REACH
from lcmap.network.operations import NormReluPad, cells_to_pixels_and_join, mirror_pad

FINE = 16
"""Channels of the level that refines on pixels what levels of cells found."""


class Level(nn.Module):
    """Two blocks."""

    def __init__(self, channels: int, between: int, out: int, *, reparametrised: bool) -> None:
        """Take `channels`, return `out`."""
        super().__init__()
        self.first = nn.Sequential(
            _convolution(channels, between, reparametrised), NormReluPad(between)
        )
        self.second = _block(between, out, reparametrised)

    def forward(self, padded: Tensor) -> Tensor:
        """Return [N, out, H, W] from [N, channels, H+2, W+2]."""
        return self.second(self.first(padded))  # type: ignore[no-any-return]


class Refinement(nn.Module):
    """The level of pixels above levels of cells; half of what it joins is from the image."""

    def __init__(self, image_channels: int, *, reparametrised: bool) -> None:
        """Take an image of these channels."""
        super().__init__()
        self.feature = _block(image_channels, FINE // 2, reparametrised)
        self.joint = _block(FINE, FINE, reparametrised)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        """Return [N, FINE, H, W] from x [N, 2·FINE, H/2, W/2] and the image [N, C, H, W]."""
        feature = self.feature(mirror_pad(image))  # [N, FINE/2, H, W]
        return self.joint(cells_to_pixels_and_join(x, feature))  # type: ignore[no-any-return]


class ContextBlock(nn.Module):
    """A residual of a wide depthwise and a 1 × 1 convolution (Liu et al. 2022, arXiv:2201.03545).

    Its input is padded by its outermost pixels: of few cells, as the deepest level may have, there
    is nothing to mirror. It starts as the identity.
    """

    def __init__(self, channels: int) -> None:
        """Take and return so many channels."""
        super().__init__()
        self.wide = nn.Sequential(
            nn.Conv2d(channels, channels, 2 * CONTEXT_REACH + 1, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        )
        norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(norm.weight)
        self.across = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), norm)

    def forward(self, x: Tensor) -> Tensor:
        """Return [N, C, H, W] from x [N, C, H, W], no value of which is below 0."""
        padded = F.pad(x, (CONTEXT_REACH,) * 4, mode="replicate")
        return F.relu(x + self.across(self.wide(padded)))


def _block(channels: int, out: int, reparametrised: bool) -> nn.Sequential:
    return nn.Sequential(
        _convolution(channels, out, reparametrised), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


def _convolution(channels: int, out: int, reparametrised: bool) -> nn.Module:
    # A bias before batch normalisation would be subtracted again.
    return Branches(channels, out) if reparametrised else nn.Conv2d(channels, out, 3, bias=False)
