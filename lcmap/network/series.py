"""What the encoder of a series begins with: dates of one sensor, pooled over time by attention.

In the manner of the lightweight temporal attention encoder (Garnot and Landrieu 2020,
arXiv:2007.00586), of every pixel by itself as in U-TAE (Garnot and Landrieu 2021,
arXiv:2107.07933). There the score of a date is the product of a learned query and of a key, which
is a linear function of the date's features and of its day: so it is a linear function of both, and
here a 1 × 1 convolution of each.

Shapes: N images of T dates each, C bands, F features, h × w pixels. In a model file the batch is
one image and dates are its first axis: runtimes compute fast what has four axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

OF_DATE = 16
"""Features of a date, and of what heads choose: each as many as another."""

HEADS = 4
"""Each chooses among the dates by itself."""

FEATURES = 32
"""Of a series."""

HARMONICS = 4
"""Sines and cosines that a day is known by: of the year, its halves, thirds and quarters."""

_YEAR = 365.25
"""Days."""

_AWAY = 3e4
"""Taken off the score of a date that is not valid: more than scores are apart, and a float16."""

_LEAST = -60.0
"""Scores further below the highest count as this: processors compute slowly with what is so small
that float32 denotes it with fewer digits."""


class SeriesEncoder(nn.Module):
    """Features of any number of dates, in any order, of one sensor.

    Pixels are encoded by themselves: a network sees no further with it, a masked pixel's neighbours
    do not see it, and the network that its features enter looks around. A 3 × 3 convolution of each
    date was measured to take twice the time.
    """

    harmonics: Tensor

    def __init__(self, bands: int) -> None:
        """Take dates of so many bands.

        Raises:
            ValueError: there is no band.
        """
        super().__init__()
        if bands < 1:
            raise ValueError("bands must be at least 1")
        self.bands = bands
        self.of_date = nn.Sequential(_block(bands, OF_DATE), _block(OF_DATE, OF_DATE))
        # a bias would be added to all dates alike, and the weights stay as they are
        self.score = nn.Conv2d(OF_DATE, HEADS, 1, bias=False)
        self.score_of_day = nn.Conv2d(2 * HARMONICS, HEADS, 1, bias=False)
        self.joint = _block(OF_DATE, FEATURES)
        self.nothing = nn.Parameter(torch.zeros(1, FEATURES, 1, 1))
        harmonics = 2 * math.pi / _YEAR * torch.arange(1.0, HARMONICS + 1)
        self.register_buffer("harmonics", harmonics[None, :, None, None], persistent=False)

    def forward(self, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Return the features [N, FEATURES, h, w] of series [N, T, C, h, w], T at least 1.

        `valid` [N, T, h, w] is 1 where a date is valid and 0 elsewhere; what the series holds there
        has no influence, if it is finite. Where no date of a pixel is valid, its features are
        learned ones. `days` [N, T] are of the year, from 1.

        Of one image they may be [T, C, h, w], [T, 1, h, w] and [T, 1, 1, 1], as in a model file.
        """
        if series.dim() == 4:
            return self._pooled(*self._of_dates(series, valid, days), valid)
        n, t, _, h, w = series.shape
        of_dates = self._of_dates(
            series.flatten(0, 1), valid.reshape(n * t, 1, h, w), days.reshape(n * t, 1, 1, 1)
        )
        # dates first, as of one image
        found, scores = (x.view(n, t, -1, h, w).transpose(0, 1) for x in of_dates)
        return self._pooled(found, scores, valid.transpose(0, 1)[:, :, None])

    def _of_dates(self, series: Tensor, valid: Tensor, days: Tensor) -> tuple[Tensor, Tensor]:
        """Return features [T, OF_DATE, h, w] and scores [T, HEADS, h, w] of each date by itself."""
        found = self.of_date(series * valid)
        angles = days * self.harmonics  # [T, HARMONICS, 1, 1]
        of_day = self.score_of_day(torch.cat((torch.sin(angles), torch.cos(angles)), dim=1))
        return found, self.score(found) + (of_day + (valid - 1) * _AWAY)

    def _pooled(self, found: Tensor, scores: Tensor, valid: Tensor) -> Tensor:
        """Return the features [N, FEATURES, h, w] of all dates, the first axis of each argument.

        They are [T, N, OF_DATE, h, w], [T, N, HEADS, h, w] and [T, N, 1, h, w]; of one image the
        second axis is left out, and N is 1 in the result.
        """
        one = found.dim() == 4
        apart = (scores - scores.amax(dim=0, keepdim=True)).clamp(min=_LEAST)
        weights = torch.exp(apart) * valid
        any_valid = valid.amax(dim=0, keepdim=one)
        total = weights.sum(dim=0, keepdim=one).clamp(min=1.0)  # less only where no date is valid
        chosen = (found * _of_features(weights)).sum(dim=0, keepdim=one) / _of_features(total)
        joint: Tensor = self.joint(chosen)  # [N, FEATURES, h, w]
        return joint * any_valid + self.nothing * (1 - any_valid)


def _of_features(of_heads: Tensor) -> Tensor:
    """Return what each head has [..., HEADS, h, w] for all it chooses, [..., OF_DATE, h, w].

    A head chooses each HEADS-th feature.
    """
    return torch.cat([of_heads] * (OF_DATE // HEADS), dim=of_heads.dim() - 3)


def _block(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )
