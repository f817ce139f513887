"""What an encoder of a series begins with: dates of one sensor, pooled over time by attention.

In the manner of the lightweight temporal attention encoder (Garnot and Landrieu 2020,
arXiv:2007.00586), of every pixel for itself as in U-TAE (Garnot and Landrieu 2021,
arXiv:2107.07933). There the score of a date is the product of a learned query and of a key, which
is a linear function of the date's features: so it is a linear function of them itself, and here a
1 × 1 convolution.

Shapes: N images of T dates each, C bands, F features, h × w pixels. In a model file the batch is
one image and dates are its first axis, for runtimes compute fast what has four axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lcmap.network.layers import block
from lcmap.network.operations import mirror_pad

HARMONICS = 4
"""Sines and cosines that a day is encoded by, of the year and its halves, thirds and quarters."""

SERIES_WIDTH = 32
"""Features of a series."""

HEADS = 16
"""Each chooses among the dates by itself, for as many features as another."""

_YEAR = 365.25
"""Days."""

_AWAY = 3e4
"""Taken off the score of a date that is not valid: more than scores are apart, and a float16."""


class SeriesEncoder(nn.Module):
    """Features of any number of dates, in any order, of one sensor.

    Each date has one 3 × 3 convolution by itself, so that a series of cells of 4 × 4 pixels sees no
    further than the image whose network it enters. The day is added to what is found, and heads
    choose among the valid dates of a pixel, each for its share of the features.
    """

    def __init__(
        self,
        bands: int,
        width: int = SERIES_WIDTH,
        heads: int = HEADS,
        *,
        reparametrised: bool = False,
    ) -> None:
        """Take dates of so many bands, return `width` features.

        Raises:
            ValueError: the heads cannot share the features evenly.
        """
        super().__init__()
        if min(bands, width, heads) < 1 or width % heads:
            raise ValueError("bands and heads must be at least 1, and width a multiple of heads")
        self.bands, self.width, self.heads = bands, width, heads
        self.around = block(bands, width, reparametrised)
        self.across = nn.Sequential(nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width))
        self.day = nn.Conv2d(2 * HARMONICS, width, 1, bias=False)
        # a bias would be added to all dates alike, and their softmax stay as it is
        self.score = nn.Conv2d(width, heads, 1, bias=False)
        self.joint = nn.Sequential(
            nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.nothing = nn.Parameter(torch.zeros(1, width, 1, 1))
        harmonics = 2 * math.pi / _YEAR * torch.arange(1.0, HARMONICS + 1)
        self.register_buffer("harmonics", harmonics[None, :, None, None], persistent=False)

    def forward(self, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Return the features [N, F, h, w] of series [N, T, C, h, w], T at least 1.

        `valid` [N, T, h, w] is 1 where a date is valid and 0 elsewhere; what the series holds there
        has no influence. Where no date of a pixel is valid, the features are learned ones. `days`
        [N, T] are of the year, from 1.

        Of one image they are [T, C, h, w], [T, 1, h, w] and [T, 1, 1, 1] too, as in a model file.
        """
        if series.dim() == 4:
            return self._pooled(*self._of_dates(series, valid, days), valid)
        n, t, _, h, w = series.shape
        of_dates = self._of_dates(
            series.flatten(0, 1), valid.reshape(n * t, 1, h, w), days.reshape(n * t, 1, 1, 1)
        )
        # dates first, as of one image
        found, scores = (x.unflatten(0, (n, t)).transpose(0, 1) for x in of_dates)
        return self._pooled(found, scores, valid.transpose(0, 1)[:, :, None])

    def _of_dates(self, series: Tensor, valid: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [T, F, h, w] and scores [T, HEADS, h, w] of each date by itself."""
        angles = days * self.harmonics  # [T, HARMONICS, 1, 1]
        encoded = torch.cat((torch.sin(angles), torch.cos(angles)), dim=1)
        found = self.across(self.around(mirror_pad(series * valid)))
        found = torch.relu(found + self.day(encoded))
        return found, self.score(found)

    def _pooled(self, found: Tensor, scores: Tensor, valid: Tensor) -> Tensor:
        """Return the features [N, F, h, w] of all dates, the first axis of each argument.

        They are [T, N, F, h, w], [T, N, HEADS, h, w] and [T, N, 1, h, w], or of one image without
        the second axis; its result is [1, F, h, w].
        """
        one = found.dim() == 4
        scores = scores + (valid - 1) * _AWAY
        weights = torch.exp(scores - scores.amax(dim=0, keepdim=True))
        total = weights.sum(dim=0, keepdim=one)  # at least 1
        any_valid = valid.amax(dim=0, keepdim=one)
        # a head's features are each HEADS-th
        chosen = (found * self._for_features(weights)).sum(dim=0, keepdim=one)
        joint = self.joint(chosen / self._for_features(total))  # [N, F, h, w]
        return joint * any_valid + self.nothing * (1 - any_valid)  # type: ignore[no-any-return]

    def _for_features(self, of_heads: Tensor) -> Tensor:
        """Return what each head has, [..., HEADS, h, w], for each of its features."""
        return torch.cat([of_heads] * (self.width // self.heads), dim=-3)
