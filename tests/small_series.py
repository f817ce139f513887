"""An encoder of series with weights and statistics as training leaves them, and dates for it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from lcmap.model_file.graph import input_tensors
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.network.series import FEATURES, SeriesEncoder
from lcmap.training.export import traced

BANDS = 3


def trained_encoder() -> SeriesEncoder:
    """Return an encoder whose normalisation has statistics, and whose constant is not 0."""
    torch.manual_seed(0)
    encoder = SeriesEncoder(BANDS)
    nn.init.normal_(encoder.nothing)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.normal_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, 0, 0.5)
    return encoder.eval().requires_grad_(False)


def dates_of(
    n: int, t: int, size: tuple[int, int], seed: int, clear: float = 0.6
) -> tuple[Tensor, Tensor, Tensor]:
    """Return series [N, T, BANDS, h, w], where it is valid [N, T, h, w], and days [N, T]."""
    random = torch.Generator().manual_seed(seed)
    series = torch.randn(n, t, BANDS, *size, generator=random)
    valid = (torch.rand(n, t, *size, generator=random) < clear).float()
    return series, valid, torch.randint(1, 366, (n, t), generator=random).float()


class SeriesNetwork(nn.Module):
    """A network of an image and of a series of dates, each on the grid of a level."""

    def __init__(self, architecture: Architecture) -> None:
        """Take an image of three bands, return probabilities of four classes."""
        super().__init__()
        self.encoder = trained_encoder()
        self.network = LandCoverNetwork([3, FEATURES], 4, architecture).eval()
        for name, value in self.network.state_dict().items():
            if name.endswith("running_mean"):
                value.normal_(0, 0.3)
            if name.endswith("running_var"):
                value.uniform_(0.3, 2)

    def forward(self, image: Tensor, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
        """Return probabilities [1, 4, H, W]."""
        return torch.softmax(self.network(image, self.encoder(series, valid, days)), dim=1)


@cache
def exported_encoder() -> bytes:
    """Return the graph of `trained_encoder` for any number of dates and any size."""
    dates, rows, columns = (torch.export.Dim(name) for name in ("dates", "rows", "columns"))
    examples = torch.zeros(3, BANDS, 8, 9), torch.ones(3, 1, 8, 9), torch.ones(3, 1, 1, 1)
    of_pixels = {0: dates, 2: rows, 3: columns}
    free = {"series": of_pixels, "valid": of_pixels, "days": {0: dates}}
    return traced(trained_encoder(), examples, list(free), free)


@cache
def exported_series_network(architecture: Architecture) -> bytes:
    """Return the graph of a `SeriesNetwork` as a model's file has it: of "image" and "series".

    The series is of the second input's level.
    """
    torch.manual_seed(0)
    network = SeriesNetwork(architecture)
    stride, cell = network.network.stride, 1 << architecture.levels[1]
    dates = torch.export.Dim("dates")
    rows, columns = (torch.export.Dim(name, min=2) for name in ("rows", "columns"))
    of_image = {2: stride * rows, 3: stride * columns}
    of_series = {0: dates, 2: stride // cell * rows, 3: stride // cell * columns}
    side = 4 * stride
    examples = (
        torch.zeros(1, 3, side, side),
        torch.zeros(3, BANDS, side // cell, side // cell),
        torch.ones(3, 1, side // cell, side // cell),
        torch.ones(3, 1, 1, 1),
    )
    free = {"image": of_image, "series": of_series, "valid": of_series, "days": {0: dates}}
    names = ["image", *input_tensors("series", is_series=True)]
    return traced(network, examples, names, free)
