"""The U-Net / DeconvNet that turns images into class scores (paper, sections 2.2 and 2.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from lcmap.network.architecture import Architecture
from lcmap.network.branches import Branches
from lcmap.network.geometry import stride
from lcmap.network.layers import FINE, ContextBlock, Level, Refinement
from lcmap.network.operations import max_pool, mirror_pad, pixels_to_cells, unpool_and_join
from lcmap.network.series import FEATURES, SeriesEncoder

_PUBLISHED = Architecture()

_LEAST = 16
"""Channels that the encoder of a coarser input has at least, where the network itself has them."""


class LandCoverNetwork(nn.Module):
    """The encoder-decoder of the paper, with one encoder per input.

    Each level has two blocks (3 × 3 convolution with mirror padding, batch normalisation, ReLU)
    and half the resolution and twice the channels of the level above; `depth` levels are pooled,
    one more is below them. Max pooling hands its indices to the unpooling of the same level; the
    decoder joins what is unpooled with the encoder's features of that level. Of several inputs
    all features are joined before the deepest level; skips and indices come from the first alone.
    A transposed 3 × 3 convolution of stride 1 is a 3 × 3 convolution with the kernel turned, so
    the decoder's are convolutions too.

    With `skip` "reduce" a 1 × 1 convolution halves the channels of each skip (U-Net+). With `stem`
    "half" the levels are of cells of 2 × 2 pixels, whose values lie behind one another (Shi et al.
    2016, arXiv:1609.05158), and what they find is refined by one more level, of pixels, with a
    feature of the first image. `context` blocks on the deepest level see further at little cost.

    An input that is coarser than the image (`levels`) enters on the level that has its cells: its
    encoder has that level and those below, of fewer channels (`side_width`). A series is pooled
    over time before that, see `SeriesEncoder`. With `side_skips` what it finds on a level goes to
    the decoder's level too: else all that it tells is on the cells of the deepest one.
    """

    def __init__(
        self,
        input_channels: Sequence[int],
        classes: int,
        architecture: Architecture = _PUBLISHED,
    ) -> None:
        """Make the network for inputs of these channels.

        Raises:
            ValueError: no input, a number below one, or levels of other inputs.
        """
        super().__init__()
        if not input_channels or min(*input_channels, classes) < 1:
            raise ValueError("inputs, channels and classes must be at least 1")
        if len(architecture.levels) not in (0, len(input_channels)):
            raise ValueError(f"levels are not those of {len(input_channels)} inputs")
        if max(architecture.series, default=0) >= len(input_channels):
            raise ValueError(f"there is no series among {len(input_channels)} inputs")
        self.input_channels, self.classes = tuple(input_channels), classes
        self.architecture = architecture
        self.stride = stride(architecture)
        width, skip, half = architecture.width, architecture.skip, architecture.stem == "half"
        branched = architecture.reparametrised
        level = partial(Level, reparametrised=branched)
        widths = [width * 2**floor for floor in range(architecture.depth + 1)]
        kept = [w if skip == "concat" else max(w // 2, 1) for w in widths[:-1]]
        self.levels = architecture.levels or (0,) * len(input_channels)
        self.series = nn.ModuleDict({
            str(number): SeriesEncoder(input_channels[number])
            for number in architecture.series
        })  # fmt: skip
        of_encoders = [
            encoder_widths(
                architecture, FEATURES if number in architecture.series else channels, of_input
            )
            for number, (channels, of_input) in enumerate(
                zip(input_channels, self.levels, strict=True)
            )
        ]
        self.encoders = nn.ModuleList(
            nn.ModuleList(level(c, w, w) for c, w in pairwise(found)) for found in of_encoders
        )
        self.deepest = level(sum(found[-1] for found in of_encoders), widths[-1], widths[-2])
        self.context = nn.Sequential(
            *(ContextBlock(widths[-2]) for _ in range(architecture.context))
        )
        self.skips = nn.ModuleList(
            nn.Identity() if skip == "concat" else nn.Conv2d(w, s, 1)
            for w, s in zip(widths, kept, strict=False)
        )
        of_sides = [0] * architecture.depth
        for model_input, found in enumerate(of_encoders):
            if self._skips_of_side(model_input):
                for place, w in enumerate(reversed(found[1:]), start=1):
                    of_sides[-place] += w
        top = 2 * FINE if half else width
        self.decoder = nn.ModuleList(
            level(w + s + side, w, above)
            for w, s, side, above in zip(widths, kept, of_sides, [top, *widths], strict=False)
        )
        self.refinement = None
        if half:
            self.refinement = Refinement(input_channels[0], reparametrised=branched)
        self.classifier = nn.Conv2d(FINE if half else width, classes, 1)

    def forward(self, *images: Tensor) -> Tensor:
        """Return the scores (before softmax) [N, K, H, W] of one image [N, C, H, W] per input.

        That of an input of level k is [N, C, H/2^k, W/2^k]. A series is [N, T, C + 2, h, w]: the
        bands of each date, where they are valid, 0 or 1, and the day of the year, the same
        everywhere. Of one image it may be the three tensors of a model file, see `SeriesEncoder`.

        Raises:
            ValueError: not one image per input.
        """
        apart = all(image.dim() == 4 for image in images)
        wanted = len(self.encoders) + (2 * len(self.series) if apart else 0)
        if len(images) != wanted:
            raise ValueError(
                f"got {len(images)} tensors, not {wanted} for {len(self.encoders)} inputs"
            )
        given = iter(images)
        inputs = [self._pooled_over_time(number, given) for number in range(len(self.encoders))]
        features = []
        skips: list[tuple[Tensor, Tensor]] = []
        of_sides: list[list[Tensor]] = [[] for _ in self.decoder]
        for model_input, (encoder, x) in enumerate(zip(self.encoders, inputs, strict=True)):
            if self.refinement is not None and self.levels[model_input] == 0:
                x = pixels_to_cells(x)  # [N, 4·C, H/2, W/2]
            floors = _children(encoder)
            for floor, level in enumerate(floors, start=len(self.decoder) - len(floors)):
                x = level(mirror_pad(x))  # [N, w, H, W]
                if self._skips_of_side(model_input):
                    of_sides[floor].append(x)
                pooled, indices = max_pool(x)  # [N, w, H/2, W/2]
                if model_input == 0:
                    skips.append((x, indices))
                x = pooled
            features.append(x)
        x = self.context(self.deepest(mirror_pad(torch.cat(features, dim=1))))
        for level, reduce in zip(reversed(self.decoder), reversed(self.skips), strict=True):
            skip, indices = skips.pop()
            joined, sides = reduce(skip), of_sides.pop()
            if sides:
                joined = torch.cat((joined, *sides), dim=1)
            x = level(unpool_and_join(x, indices, joined))
        if self.refinement is not None:
            x = self.refinement(x, inputs[0])
        return self.classifier(x)  # type: ignore[no-any-return]

    def _skips_of_side(self, number: int) -> bool:
        """Tell whether what an input's encoder finds goes to the decoder's levels."""
        return self.architecture.side_skips and self.levels[number] > 0

    def _pooled_over_time(self, number: int, given: Iterator[Tensor]) -> Tensor:
        """Return an input as its encoder takes it, [N, C, H/2^k, W/2^k]; take its tensors."""
        x = next(given)
        rest: tuple[Tensor, ...] = ()
        if number in self.architecture.series:
            if x.dim() == 5:
                rest = x[:, :, -2], x[:, :, -1].amax(dim=(-2, -1))
                x = x[:, :, :-2]
            else:
                rest = next(given), next(given)
        if self.architecture.clip is not None:
            low, high = map(float, self.architecture.clip)
            x = x.clamp(low, high)
        return self.series[str(number)](x, *rest) if rest else x

    @torch.no_grad()
    def start_as(self, other: LandCoverNetwork) -> None:
        """Take over the weights of a network whose inputs are this one's first.

        The encoders of further inputs keep their weights, but what they find is multiplied by 0:
        scores are the other's, whatever the further inputs hold, until training finds a use for
        them.
        """
        own, theirs = self.state_dict(), other.state_dict()
        for name, kernel in theirs.items():
            # where the encoders of further inputs are joined, after those that both have
            if kernel.shape != own[name].shape:
                wider = torch.zeros_like(own[name])
                wider[:, : kernel.shape[1]] = kernel
                theirs[name] = wider
        self.load_state_dict(own | theirs)

    @torch.no_grad()
    def merged(self) -> LandCoverNetwork:
        """Return a network without branches that computes what this one does in evaluation.

        Without branches it is this one. What a branch adds to all pixels is taken off the mean of
        the normalisation that follows, so that there is no bias to be trained beside it.
        """
        if not self.architecture.reparametrised:
            return self
        architecture = dataclasses.replace(self.architecture, reparametrised=False)
        plain = LandCoverNetwork(self.input_channels, self.classes, architecture)
        state = self.state_dict()
        for name, module in self.named_modules():
            if isinstance(module, Branches):
                kernel, bias = module.merged()
                state[f"{name}.weight"] = kernel
                mean = f"{name.removesuffix('0')}1.running_mean"
                state[mean] = state[mean] - bias
        own = plain.state_dict()
        plain.to(self.classifier.weight).train(self.training)
        plain.load_state_dict({key: value for key, value in state.items() if key in own})
        return plain


def encoder_widths(architecture: Architecture, channels: int, level: int) -> list[int]:
    """Return the channels that go into an encoder of an input of this level, and leave its levels.

    With cells for a stem, a pixel of level 1 is a cell of the top level.
    """
    half = architecture.stem == "half"
    widths = [architecture.width * 2**floor for floor in range(architecture.depth)]
    if level == 0:
        return [4 * channels if half else channels, *widths]
    widths = widths[level - half :]
    return [channels, *(max(w // architecture.side_width, min(w, _LEAST)) for w in widths)]


def _children(modules: nn.Module) -> list[nn.Module]:
    return list(modules.children())
