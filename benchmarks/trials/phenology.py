"""Reflectance by day of year of the simulated seasons: spectra, curves, parcels. No measurements.

What covers the ground is a mixture of endmembers whose shares change over the year. The green share
follows a double logistic curve (Beck et al. 2006, doi 10.1016/j.rse.2005.10.021), each parcel's
with a time and a height of its own. The numbers are plausible for Mediterranean France and rounded
by hand: a comparison on them says which of two methods uses a season better, not how well it maps
land.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BANDS = ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B11", "B12")
COARSE_BANDS = ("B5", "B6", "B7", "B8A", "B11", "B12")
"""Those that Sentinel-2 has at 20 m."""

SPECTRA = {
    # shapes as in the USGS Spectral Library 7 (Kokaly et al. 2017, doi 10.3133/ds1035): red edge
    # and plateau of leaves, lignin and cellulose of straw, iron and clay of soils, water's darkness
    "grass": (0.030, 0.080, 0.035, 0.110, 0.300, 0.400, 0.440, 0.460, 0.200, 0.090),
    "broadleaf": (0.020, 0.050, 0.022, 0.075, 0.240, 0.320, 0.350, 0.370, 0.160, 0.070),
    "conifer": (0.018, 0.035, 0.020, 0.050, 0.130, 0.170, 0.190, 0.205, 0.090, 0.040),
    "shrub": (0.030, 0.055, 0.040, 0.080, 0.170, 0.210, 0.240, 0.260, 0.170, 0.090),
    "straw": (0.080, 0.130, 0.180, 0.220, 0.250, 0.270, 0.300, 0.330, 0.380, 0.280),
    "soil": (0.090, 0.125, 0.165, 0.190, 0.205, 0.220, 0.240, 0.255, 0.320, 0.280),
    "stone": (0.130, 0.170, 0.210, 0.230, 0.245, 0.260, 0.275, 0.285, 0.340, 0.310),
    "asphalt": (0.090, 0.105, 0.115, 0.125, 0.130, 0.140, 0.150, 0.155, 0.180, 0.170),
    "tile": (0.090, 0.130, 0.200, 0.240, 0.260, 0.275, 0.290, 0.300, 0.330, 0.290),
    "water": (0.050, 0.050, 0.035, 0.030, 0.020, 0.018, 0.015, 0.013, 0.006, 0.004),
}  # fmt: skip
"""Reflectance of each endmember in BANDS."""


class Cover(NamedTuple):
    """How a class covers the ground over the year; days of the year, shares from 0 to 1.

    `low` and `peak` are green shares of `leaf` before `start` and between it and `end`; days are of
    half the change, which takes some `pace` days. `spread` is the standard deviation of those days
    over parcels. `stubble` is the share of straw on what is not green in the `dry` days after
    `end`, `mown` are the days of cuts. What is left is `ground`.
    """

    name: str
    short: str
    color: str
    leaf: str
    ground: str
    low: float
    peak: float
    start: float = 105
    end: float = 300
    pace: float = 8
    spread: float = 8
    stubble: float = 0.0
    dry: float = 0
    mown: tuple[float, ...] = ()


COVERS = {
    1: Cover("Building", "Bui", "#db0e9a", "grass", "tile", 0.02, 0.05),
    2: Cover("Pervious surface", "Per", "#938e7b", "grass", "stone", 0.05, 0.15),
    3: Cover("Impervious surface", "Imp", "#f80c00", "grass", "asphalt", 0.02, 0.06),
    4: Cover("Bare soil", "Soi", "#a97101", "grass", "soil", 0.03, 0.10, end=180),
    5: Cover("Water", "Wat", "#1553ae", "grass", "water", 0.0, 0.02),
    6: Cover("Coniferous", "Con", "#194a26", "conifer", "soil", 0.78, 0.86),
    7: Cover("Deciduous", "Dec", "#46e483", "broadleaf", "soil", 0.22, 0.90, 105, 312, 7, 6,
             0.6, 60),
    8: Cover("Brushwood", "Bru", "#f3a60d", "shrub", "soil", 0.50, 0.66, 95, 200, 15),
    9: Cover("Vineyard", "Vin", "#660082", "broadleaf", "soil", 0.10, 0.48, 118, 292, 10, 7),
    10: Cover("Meadow", "Mea", "#55ff00", "grass", "soil", 0.42, 0.85, 72, 318, 12, 8, 0.5, 60,
              (152, 222)),
    # green from the rains of autumn to June: its year starts on day 290, see `green_share`
    11: Cover("Dry grassland", "Dry", "#c5dc42", "grass", "soil", 0.14, 0.62, 298, 162, 12, 9, 0.9,
              130),
    12: Cover("Winter crops", "Win", "#fff30d", "grass", "soil", 0.08, 0.88, 62, 152, 9, 9,
              0.75, 75),
    13: Cover("Summer crops", "Sum", "#ff8c00", "grass", "soil", 0.05, 0.86, 156, 246, 8, 10,
              0.6, 45),
}  # fmt: skip
"""The classes of the simulated seasons by code."""

OF_FLAIR = {
    **{code: (code,) for code in range(1, 10)},
    10: (10, 11), 11: (12, 12, 13, 13, 10), 12: (12, 13), 13: (5,), 15: (8,), 16: (7,), 17: (8,),
    18: (1,),
}  # fmt: skip
"""What a parcel of each FLAIR class is drawn from: herbaceous vegetation is meadow or dry
grassland, agricultural land mostly crops. FLAIR's classes not named here have no label."""


class Parcels(NamedTuple):
    """Parameters of P parcels, drawn once for all dates.

    codes: uint8, of COVERS. shift: days, float64. vigour: a factor of the green share above `low`.
    wet: 0 to 1, how much darker the ground is than its spectrum.
    """

    codes: NDArray[np.uint8]
    shift: NDArray[np.float64]
    vigour: NDArray[np.float64]
    wet: NDArray[np.float64]


def draw_parcels(flair: NDArray[np.uint8], generator: np.random.Generator) -> Parcels:
    """Return parameters of parcels by their FLAIR codes [P]; code 0 where those have no class."""
    codes = np.zeros(len(flair), np.uint8)
    for code, choices in OF_FLAIR.items():
        here = flair == code
        codes[here] = generator.choice(choices, here.sum())
    spread = np.array([COVERS[code].spread if code else 0 for code in codes])
    return Parcels(
        codes,
        generator.normal(0, 1, len(codes)) * spread,
        generator.normal(1, 0.10, len(codes)).clip(0.6, 1.2),
        generator.uniform(0, 0.35, len(codes)),
    )


def green_share(cover: Cover, day: float, shift: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the green share, 0 to 1, of parcels shifted by so many days, on a day of the year."""
    start, end = cover.start + shift, cover.end + shift
    start = np.where(start > end, start - 365.25, start)  # green over the turn of the year
    curve = np.zeros(len(shift))
    for year in (-365.25, 0.0, 365.25):  # those before and after, so that a year ends as it begins
        rise, fall = (1 / (1 + np.exp(-(day - e - year) / (cover.pace / 2))) for e in (start, end))
        curve += rise - fall
    for cut in cover.mown:
        since = day - cut - shift
        curve *= np.where(since > 0, 1 - 0.75 * np.exp(-np.maximum(since, 0) / 22), 1)
    share: NDArray[np.float64] = cover.low + (cover.peak - cover.low) * curve.clip(0, 1)
    return share


def reflectance_of_parcels(parcels: Parcels, day: float) -> NDArray[np.float64]:
    """Return the reflectance [P, 10] of parcels on a day of the year; 0 of those without class."""
    found = np.zeros((len(parcels.codes), len(BANDS)))
    for code, cover in COVERS.items():
        here = parcels.codes == code
        shift, vigour = parcels.shift[here], parcels.vigour[here]
        green = green_share(cover, day, shift)
        green = (cover.low + (green - cover.low) * vigour).clip(0, 1)
        since = (day - cover.end - shift) % 365.25
        dead = cover.stubble * (1 - green) * (since < cover.dry)
        ground = np.array(SPECTRA[cover.ground]) * (1 - parcels.wet[here, None])
        found[here] = (
            green[:, None] * SPECTRA[cover.leaf]
            + dead[:, None] * np.array(SPECTRA["straw"])
            + (1 - green - dead)[:, None] * ground
        )
    return found
