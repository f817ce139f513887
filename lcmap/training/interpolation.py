"""Weights on the way from a model that training started from to those that it came to.

Fine-tuning on a few tiles unlearns what they do not show. On the way there are networks that do
better elsewhere than either end. Source: Wortsman et al. 2022 (arXiv:2109.01903).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

SHARE_KEY = "share of the way from the initial model"
"""What the metadata of a model call `Trainer.share`."""

State = Mapping[str, Tensor]


def interpolated(start: State, end: State, share: float) -> dict[str, Tensor]:
    """Return the weights and statistics at this share of the way, 0 at the start, 1 at the end.

    Counts, which are integers, are those of the end.
    """
    return {
        name: torch.lerp(start[name], value, share) if value.is_floating_point() else value
        for name, value in end.items()
    }


def best_share(shares: Iterable[float], score: Callable[[float], float], of_end: float) -> float:
    """Return the share whose score is highest; 1 where none is above that of the end."""
    best, found = of_end, 1.0
    for share in shares:
        here = score(share)
        if here > best:
            best, found = here, share
    return found
