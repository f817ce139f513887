"""Learning rates over a run, as factors of the recipe's."""

from __future__ import annotations

import math

_WARM_UP = 0.1
_STEP_FACTOR = 0.7
_STEP_PASSES = 50


def one_cycle(progress: float) -> float:
    """Return the factor at a fraction 0 … 1 of the run: up to 1 in its first tenth, then a cosine.

    Source: Smith and Topin 2018 (arXiv:1708.07120), with a cosine for the descent.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < _WARM_UP:
        return progress / _WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (progress - _WARM_UP) / (1.0 - _WARM_UP)))


def stepwise(passes: float) -> float:
    """Return the factor after so many passes over the training tiles: × 0.7 every 50.

    Source: Stocker and Le Bris 2020, section 2.4.
    """
    return float(_STEP_FACTOR ** math.floor(passes / _STEP_PASSES))
