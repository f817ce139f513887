"""Where labels are near a border between two classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lcmap.dataset.reading import IGNORE


def near_another_class(labels: Tensor, distance: int) -> Tensor:
    """Return which labelled pixels have another class within `distance` pixels, bool [N, H, W].

    labels: int64 [N, H, W], 255 where there is none, which is no class. Distances are counted along
    rows, columns and diagonals alike (Chebyshev), so a border has so many pixels on either side.
    """
    labelled = labels != IGNORE
    # the largest and the smallest class around differ; 0 counts in neither
    ends = torch.stack((labels.where(labelled, 0), IGNORE - labels)).byte()  # [2, N, H, W]
    for axis in (2, 3):
        ends = _largest_around(ends.movedim(axis, -1), distance).movedim(-1, axis)
    return (ends[0] != IGNORE - ends[1]) & labelled


def _largest_around(values: Tensor, distance: int) -> Tensor:
    """Return the maximum of the values within a distance along the last axis."""
    wanted, width = 2 * distance + 1, 1
    found = F.pad(values, (distance, distance))
    # of windows twice as wide each time
    while width < wanted:
        step = min(width, wanted - width)
        found = torch.maximum(found[..., :-step], found[..., step:])
        width += step
    return found
