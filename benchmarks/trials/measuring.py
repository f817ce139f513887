"""What a network scores on the test ground, block by block: agreement and confidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lcmap.accuracy.calibration import reliability
from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.tally import cut
from lcmap.dataset.reading import IGNORE
from lcmap.graph.classification import Classification
from lcmap.raster.windows import Window, round_up
from lcmap.training.augmentation import Pixels
from lcmap.training.export import probabilities_of
from lcmap.training.samples import SampleSource
from lcmap.training.validation import padded_image
from trials.grounds import Area

_CORE = 512
"""Pixels along a side of what is predicted at once, without the margin."""

_PROCESSOR = torch.device("cpu")

Place = tuple[int, int, int]
"""A block: the number of its area, its row and its column."""


class Block(NamedTuple):
    """Counts of a block of ground.

    matrix: int64 [K, K+1], as `lcmap.accuracy` has it, no pixel without a class.
    calibration: float64 [3, bins], see `accuracy.calibration`.
    calibrated: the same with temperatures.
    """

    matrix: NDArray[np.int64]
    calibration: NDArray[np.float64]
    calibrated: NDArray[np.float64]

    def __add__(self, other: Block) -> Block:
        """Return the counts of both."""
        return Block(
            self.matrix + other.matrix,
            self.calibration + other.calibration,
            self.calibrated + other.calibrated,
        )

    def to_dict(self, place: Place) -> dict[str, Any]:
        """Return the block as JSON values."""
        return {
            "place": list(place),
            "margins": margins(self.matrix).tolist(),
            "calibration": [[round(value, 3) for value in row] for row in self.calibration],
            "calibrated": [[round(value, 3) for value in row] for row in self.calibrated],
        }


def measure(
    network: nn.Module,
    source: SampleSource,
    areas: Sequence[Area],
    classification: Classification,
    *,
    classes: int,
    margin: int,
    block: int,
    device: torch.device = _PROCESSOR,
) -> dict[Place, Block]:
    """Return the counts of the labelled pixels in the windows of areas, by block.

    The network is measured as it is, and with the temperatures of a `classification`, in float32.

    Blocks are squares of so many pixels, counted from the corner of each area's image; those
    without a labelled pixel are left out.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    found: dict[Place, Block] = {}
    for number, core, scores, labels in scored(
        network, source, areas, margin=margin, device=device
    ):
        probabilities, calibrated = (
            probabilities_of(scores, one)[0].numpy() for one in (Classification(), classification)
        )
        for (row, col), part in cut(core, block):
            here = part.slices
            counted = count_block(
                probabilities[:, *here], labels[here], classes, calibrated[:, *here]
            )
            if counted.matrix.any():
                place = (number, row, col)
                found[place] = found[place] + counted if place in found else counted
    return found


def scored(
    network: nn.Module,
    source: SampleSource,
    areas: Sequence[Area],
    *,
    margin: int,
    device: torch.device = _PROCESSOR,
) -> Iterator[tuple[int, Window, Tensor, NDArray[np.uint8]]]:
    """Yield what a network says of the windows of areas, in float32, a part at a time.

    That is the number of the area, the part of it, scores before softmax [1, K, h, w] and labels
    [h, w], 255 for none.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    network = network.to(device).eval()
    for number, area in enumerate(areas):
        for window in area.windows:
            for core in _cores(window):
                pixels, inside = _around(source, area, core, margin, network.stride)
                scores = _scores(network, pixels, device)[:, :, *inside.slices]
                yield number, core, scores, pixels.labels[inside.slices]


def count_block(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.uint8],
    classes: int,
    calibrated: NDArray[np.float32],
) -> Block:
    """Return the counts of pixels: probabilities [K, h, w] against labels [h, w], 255 for none.

    `calibrated` are probabilities by temperatures, [K, h, w] with the same winners.
    """
    known = labels != IGNORE
    reference = labels[known]
    predicted = probabilities.argmax(axis=0).astype(np.uint8)[known]
    agreed = reference == predicted
    before, after = (p.max(axis=0)[known] for p in (probabilities, calibrated))
    matrix = count(cells(reference, predicted, classes), classes)[:classes, : classes + 1]
    return Block(matrix, reliability(before, agreed), reliability(after, agreed))


def _cores(window: Window) -> Iterator[Window]:
    for _, part in cut(window, _CORE):
        yield part.shifted(window.row, window.col)


def _around(
    source: SampleSource, area: Area, core: Window, margin: int, stride: int
) -> tuple[Pixels, Window]:
    """Return what the network sees of a window, on its pooling grid, and where in it that is."""
    whole = area.image.window
    row, col = (max(start - margin, 0) // stride * stride for start in core[:2])
    height = round_up(core.stop_row + margin, stride) - row
    width = round_up(core.stop_col + margin, stride) - col
    seen = Window(row, col, height, width).clipped(whole.height, whole.width)
    pixels = source.read(area.image, seen)
    images = tuple(padded_image(image, stride) for image in pixels.images)
    return pixels._replace(images=images), core.shifted(-row, -col)


def _scores(network: nn.Module, pixels: Pixels, device: torch.device) -> Tensor:
    """Return scores before softmax, [1, K, H, W], of padded images."""
    images = [torch.from_numpy(image)[None].to(device) for image in pixels.images]
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found: Tensor = network(*images)
    return found.cpu()
