"""The U-Net / DeconvNet that turns images into class scores (paper, sections 2.2 and 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from lcmap.network.geometry import stride
from lcmap.network.operations import NormReluPad, max_pool, mirror_pad, unpool_and_join

Skip = Literal["concat", "reduce"]


class LandCoverNetwork(nn.Module):
    """The encoder-decoder of the paper, with one encoder per input.

    Each level has two blocks (3 × 3 convolution with mirror padding, batch normalisation, ReLU)
    and half the resolution and twice the channels of the level above; `depth` levels are pooled,
    one more is below them. Max pooling hands its indices to the unpooling of the same level; the
    decoder joins what is unpooled with the encoder's features of that level. Of several inputs
    all features are joined before the deepest level; skips and indices come from the first alone.
    A transposed 3 × 3 convolution of stride 1 is a 3 × 3 convolution with the kernel turned, so
    the decoder's are convolutions too.

    With `skip` "reduce" a 1 × 1 convolution halves the channels of each skip (U-Net+).
    """

    def __init__(
        self,
        input_channels: Sequence[int],
        classes: int,
        width: int = 32,
        depth: int = 3,
        skip: Skip = "concat",
    ) -> None:
        """Make the network for inputs of these channels, with `width` channels on its top level.

        Raises:
            ValueError: no input, or a number below one, or an unknown kind of skip.
        """
        super().__init__()
        if not input_channels or min(*input_channels, classes, width, depth) < 1:
            raise ValueError("inputs, channels, classes, width and depth must be at least 1")
        if skip not in get_args(Skip):
            raise ValueError(f"unknown kind of skip {skip!r}")
        self.depth = depth
        self.stride = stride(depth)
        widths = [width * 2**level for level in range(depth + 1)]
        kept = [w if skip == "concat" else max(w // 2, 1) for w in widths[:-1]]
        self.encoders = nn.ModuleList(
            nn.ModuleList(_Level(c, w, w) for c, w in pairwise([channels, *widths[:-1]]))
            for channels in input_channels
        )
        self.deepest = _Level(len(input_channels) * widths[-2], widths[-1], widths[-2])
        self.skips = nn.ModuleList(
            nn.Identity() if skip == "concat" else nn.Conv2d(w, s, 1)
            for w, s in zip(widths, kept, strict=False)
        )
        self.decoder = nn.ModuleList(
            _Level(w + s, w, above)
            for w, s, above in zip(widths, kept, [width, *widths], strict=False)
        )
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, *images: Tensor) -> Tensor:
        """Return the scores (before softmax) [N, K, H, W] of one image [N, C, H, W] per input.

        Raises:
            ValueError: not one image per input.
        """
        if len(images) != len(self.encoders):
            raise ValueError(f"got {len(images)} images for {len(self.encoders)} inputs")
        features = []
        skips: list[tuple[Tensor, Tensor]] = []
        for model_input, (encoder, x) in enumerate(zip(self.encoders, images, strict=True)):
            for level in _children(encoder):
                x = level(mirror_pad(x))  # [N, w, H, W]
                pooled, indices = max_pool(x)  # [N, w, H/2, W/2]
                if model_input == 0:
                    skips.append((x, indices))
                x = pooled
            features.append(x)
        x = self.deepest(mirror_pad(torch.cat(features, dim=1)))
        for level, reduce in zip(reversed(self.decoder), reversed(self.skips), strict=True):
            skip, indices = skips.pop()
            x = level(unpool_and_join(x, indices, reduce(skip)))
        return self.classifier(x)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start_as(self, other: LandCoverNetwork) -> None:
        """Take over the weights of a network whose inputs are this one's first.

        The encoders of further inputs keep their weights, but what they find is multiplied by 0:
        scores are the other's, whatever the further inputs hold, until training finds a use for
        them.
        """
        joint = "deepest.first.0.weight"
        own, theirs = self.state_dict(), other.state_dict()
        kernel = torch.zeros_like(own[joint])
        kernel[:, : theirs[joint].shape[1]] = theirs[joint]
        self.load_state_dict(own | theirs | {joint: kernel})


def _children(modules: nn.Module) -> list[nn.Module]:
    return list(modules.children())


class _Level(nn.Module):
    """Two blocks; takes its input with one mirrored pixel around it already."""

    def __init__(self, channels: int, between: int, out: int) -> None:
        super().__init__()
        # A bias before batch normalisation would be subtracted again.
        self.first = nn.Sequential(
            nn.Conv2d(channels, between, 3, bias=False), NormReluPad(between)
        )
        self.second = nn.Sequential(
            nn.Conv2d(between, out, 3, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
        )

    def forward(self, padded: Tensor) -> Tensor:
        """Return [N, out, H, W] from [N, channels, H+2, W+2]."""
        return self.second(self.first(padded))  # type: ignore[no-any-return]
