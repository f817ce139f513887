"""THEIA's products in the MUSCATE format: level 2A, made by MAJA, and 3A, composites of a month.

Sources: CESBIO, "Theia's Sentinel-2 L2A product format" and "MAJA output format".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lcmap.errors import UsageError
from lcmap.raster.radiometry import BOA
from lcmap.sentinel2.bands import RESOLUTIONS
from lcmap.sentinel2.metadata import (
    day_of,
    elements,
    number_of,
    quantification_of,
    read_xml,
    text_of,
)
from lcmap.sentinel2.product_files import first_inside, only
from lcmap.sentinel2.scene import (
    BandFile,
    Mask,
    RasterMask,
    Scene,
    bits_masked,
    values_masked,
)

REFLECTANCE = "*_FRE_B*.tif"
"""Reflectance corrected for slopes too ("flat")."""

COMPOSITE = "*_FRC_B*.tif"
"""Reflectance of a composite."""

_NODATA = -10_000
_QUANTIFICATION = 10_000.0

_CLOUD_BITS = 1 << 0 | 1 << 7
"""Bits of CLM that are honoured: 0, all clouds except the thinnest and all shadows (the union of
the bits for each); and 7, high clouds seen at 1.38 µm, as cirrus is masked in ESA's products.
What the other bits mean differs between the descriptions of THEIA's and of MAJA's own format
(shadows are bits 5 and 6, or 2 and 3); what they mark is in bit 0 already, save the thinnest
clouds, through which MAJA corrects."""

_HIDING_FLAGS = (0, 1)
"""Of FLG in composites: no data and cloud; 2 is snow, 3 water, 4 land."""

_BITS = {10: ("B2", "B3", "B4", "B8"), 20: ("B5", "B6", "B7", "B8A", "B11", "B12")}
"""Bands by resolution, in the order of their bits in SAT."""

_SET = {10: "R1", 20: "R2"}


def is_theia(folder: Path) -> bool:
    """Tell whether a folder is a THEIA product."""
    return any(next(folder.glob(kind), None) is not None for kind in (REFLECTANCE, COMPOSITE))


def read_theia(folder: Path, bands: Sequence[str]) -> list[Scene]:
    """Return the scene of a THEIA folder, with these bands.

    Raises:
        ProductError: metadata, a band or a mask is missing or damaged.
        UsageError: a band that such products do not have.
    """
    for band in bands:
        if RESOLUTIONS[band] not in _BITS:
            raise UsageError(
                band, f"{folder.name} is a THEIA product, which has none", "leave it out"
            )
    composite = next(folder.glob(REFLECTANCE), None) is None
    kind = "FRC" if composite else "FRE"
    metadata = first_inside(folder, "*_MTD_ALL.xml", folder)
    quantification, nodata, time = _QUANTIFICATION, _NODATA, _time_in_name(folder)
    if metadata is not None:
        root = read_xml(metadata)
        text = text_of(root, "REFLECTANCE_QUANTIFICATION_VALUE")
        if text is not None:
            quantification = quantification_of(metadata, text)
        for value in elements(root, "SPECIAL_VALUE"):
            if value.get("name") == "nodata":
                nodata = int(number_of(metadata, value.text or ""))
        time = text_of(root, "ACQUISITION_DATE") or time
    files = {
        band: BandFile(
            path=only(folder, f"*_{kind}_{band}.tif", folder),
            nodata=nodata,
            quantification=quantification,
        )
        for band in bands
    }
    masks_of = _flags if composite else _masks
    masks = {band: masks_of(folder, band) for band in bands}
    return [Scene(folder.name, day_of(metadata or folder, time), files, masks, BOA, metadata)]


def _time_in_name(folder: Path) -> str | None:
    """Return the time in a name such as SENTINEL2A_20180705-105031-456_L2A_T31TFJ_D."""
    image = next((path for kind in (REFLECTANCE, COMPOSITE) for path in folder.glob(kind)), folder)
    match = re.match(r"SENTINEL2[A-Z]_(\d{4})(\d{2})(\d{2})-", image.name)
    return "-".join(match.groups()) if match else None


def _masks(folder: Path, band: str) -> tuple[Mask, ...]:
    resolution = RESOLUTIONS[band]
    saturated = bits_masked(1 << _BITS[resolution].index(band))
    return (
        RasterMask(_mask_file(folder, "CLM", resolution), 1, bits_masked(_CLOUD_BITS)),
        RasterMask(_mask_file(folder, "EDG", resolution), 1, values_masked(*range(1, 256))),
        RasterMask(only(folder, f"MASKS/*_SAT_{_SET[resolution]}.tif", folder), 1, saturated),
    )


def _flags(folder: Path, band: str) -> tuple[Mask, ...]:
    """Return what hides pixels of a composite: its flags, where they say no data or cloud."""
    resolution = RESOLUTIONS[band]
    flags = first_inside(folder, f"MASKS/*_FLG_{_SET[resolution]}.tif", folder)
    return () if flags is None else (RasterMask(flags, 1, values_masked(*_HIDING_FLAGS)),)


def _mask_file(folder: Path, kind: str, resolution: int) -> Path:
    """Return the mask of this resolution; that of 10 m where there is no other."""
    found = first_inside(folder, f"MASKS/*_{kind}_{_SET[resolution]}.tif", folder)
    return found or only(folder, f"MASKS/*_{kind}_R1.tif", folder)
