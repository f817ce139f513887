"""How long a scale bar is: a round length on the ground."""

from __future__ import annotations

import math

from lcmap.raster.grid import Grid
from lcmap.raster.true_scale import units_per_metre_at

_ROUND = (5.0, 2.0, 1.0)
_MOST_DISTORTION = 0.1
"""By how much a metre may differ over a grid for one bar to be true of it."""


def pixel_metres(grid: Grid) -> tuple[float, float] | None:
    """Return how long a pixel is on the ground along columns and rows, in metres, at the centre.

    None where that is not defined, as without a coordinate reference system, or where it differs
    by more than a tenth over the grid, as on a map of a continent.
    """
    if grid.crs is None:
        return None
    across, down = grid.gsd
    middle = grid.width / 2, grid.height / 2
    sides = [(col, middle[1]) for col in (0, grid.width)]
    ends = [(middle[0], row) for row in (0, grid.height)]
    try:
        lengths = [
            (across / along, down / other)
            for along, other in (
                units_per_metre_at(grid, *place) for place in (middle, *sides, *ends)
            )
        ]
    except ValueError:
        return None
    x, y = lengths[0]
    furthest = max(max(abs(a / x - 1), abs(b / y - 1)) for a, b in lengths)
    return None if furthest > _MOST_DISTORTION else (x, y)


def round_length(most: float) -> float:
    """Return the longest of 1, 2 and 5 times a power of ten that is no more than `most` metres.

    Of 340 metres that is 200. `most` is above 0.
    """
    power = 10.0 ** math.floor(math.log10(most))
    # a tenth of 3 is less than 0.3 by rounding
    return next((n * power for n in _ROUND if n * power <= most * (1 + 1e-9)), power)


def length_text(metres: float) -> str:
    """Return a round length to read, as in 200 m and 5 km."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
