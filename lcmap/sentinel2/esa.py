"""ESA's SAFE products, levels 1C and 2A, before and after processing baseline 04.00.

Sources: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), issues 13 to 15; the
notice on baseline 04.00, which brought the radiometric offset and raster masks at level 1C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from lcmap.errors import ProductError, UsageError
from lcmap.raster.radiometry import BOA, TOA
from lcmap.sentinel2.bands import BANDS, RESOLUTIONS, padded
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
    PolygonMask,
    RasterMask,
    Scene,
    values_masked,
)

METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml", "S2?_OPER_MTD_SAFL1C_*.xml")
"""Names of the metadata file; the last is that of products before December 2016."""

_NODATA = 0
_SATURATED = 65_535
_OFFSET_SINCE = 4.0

_SCL_MASKED = values_masked(0, 1, 3, 8, 9, 10)
"""No data, saturated or defective, cloud shadow, cloud of medium and high probability, cirrus."""

_CLASSI_MASKED = {1: "opaque cloud", 2: "cirrus"}
"""Bands of MSK_CLASSI that are honoured; the third is snow, which is ground."""

_QUALIT_MASKED = {3: "MSI data lost", 4: "MSI data degraded", 6: "no data", 8: "saturated"}
"""Bands of MSK_QUALIT that are honoured. Lost and degraded ancillary packets (1, 2) leave the
reflectance as it is; defective pixels (5) have been interpolated, crosstalk (7) corrected."""

_CLOUD_TYPES = ("OPAQUE", "CIRRUS")


@dataclass(frozen=True)
class _Radiometry:
    """How a product's numbers become reflectance; offsets by band."""

    quantification: float
    offsets: Mapping[str, float]


def find_metadata(folder: Path) -> Path | None:
    """Return the product metadata of a SAFE folder; None where it is none.

    Raises:
        ProductError: it is a link out of the folder.
    """
    found = (first_inside(folder, pattern, folder) for pattern in METADATA)
    return next((path for path in found if path is not None), None)


def read_safe(folder: Path, bands: Sequence[str]) -> list[Scene]:
    """Return the granules of a SAFE folder, with these bands.

    The offset and the quantification come from the metadata.

    Raises:
        ProductError: metadata, a band or a mask is missing or damaged.
        UsageError: a band that the product's level does not have.
    """
    path = find_metadata(folder)
    assert path is not None
    metadata = read_xml(path)
    level2 = path.name == "MTD_MSIL2A.xml"
    if level2 and "B10" in bands:
        raise UsageError("B10", f"{folder.name} is level 2A, which has none", "leave it out")
    radiometry = _radiometry(path, metadata, level2)
    granules = sorted(granule for granule in folder.glob("GRANULE/*") if granule.is_dir())
    if not granules:
        raise ProductError(folder, "has no GRANULE/* folder", "unpack the product whole")
    day = day_of(path, text_of(metadata, "PRODUCT_START_TIME", "DATATAKE_SENSING_START"))
    scenes = []
    for granule in granules:
        files = {band: _band_file(granule, band, radiometry, level2) for band in bands}
        masks = _level2_masks(granule, bands) if level2 else _level1_masks(granule, bands)
        name = folder.name if len(granules) == 1 else f"{folder.name}/{granule.name}"
        scenes.append(Scene(name, day, files, masks, BOA if level2 else TOA, path))
    return scenes


def _radiometry(path: Path, metadata: ElementTree.Element, level2: bool) -> _Radiometry:
    names = (
        ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE")
        if level2
        else ("QUANTIFICATION_VALUE",)
    )
    quantification = text_of(metadata, *names)
    if quantification is None:
        raise ProductError(path, f"has no {names[0]}", "unpack the product whole")
    offsets = {}
    for element in elements(metadata, "BOA_ADD_OFFSET" if level2 else "RADIO_ADD_OFFSET"):
        band_id = element.get("band_id", "")
        # a text of thousands of digits is no integer
        number = int(number_of(path, band_id))
        if not 0 <= number < len(BANDS):
            raise ProductError(
                path, f"band_id {band_id[:20]!r} is unknown", "unpack the product again"
            )
        offsets[BANDS[number]] = number_of(path, element.text or "")
    baseline = number_of(path, text_of(metadata, "PROCESSING_BASELINE") or "0")
    if baseline >= _OFFSET_SINCE and not offsets:
        raise ProductError(
            path,
            f"is of processing baseline {baseline:05.2f} and has no radiometric offset",
            "get the product's own metadata",
        )
    return _Radiometry(quantification_of(path, quantification), offsets)


def _band_file(granule: Path, band: str, radiometry: _Radiometry, level2: bool) -> BandFile:
    metres = RESOLUTIONS[band]
    pattern = (
        f"IMG_DATA/R{metres}m/*_{padded(band)}_{metres}m.jp2"
        if level2
        else f"IMG_DATA/*_{padded(band)}.jp2"
    )
    return BandFile(
        path=_only(granule, pattern),
        nodata=_NODATA,
        saturated=_SATURATED,
        offset=radiometry.offsets.get(band, 0.0),
        quantification=radiometry.quantification,
    )


def _only(granule: Path, pattern: str) -> Path:
    return only(granule, pattern, granule.parent.parent)


def _level2_masks(granule: Path, bands: Sequence[str]) -> dict[str, tuple[Mask, ...]]:
    scene_classes = RasterMask(_only(granule, "IMG_DATA/R20m/*_SCL_20m.jp2"), 1, _SCL_MASKED)
    return dict.fromkeys(bands, (scene_classes,))


def _level1_masks(granule: Path, bands: Sequence[str]) -> dict[str, tuple[Mask, ...]]:
    """Return the masks by band: rasters since baseline 04.00, polygons before."""
    set_bit = values_masked(*range(1, 256))
    classes = first_inside(granule, "QI_DATA/*MSK_CLASSI_B00.jp2", granule.parent.parent)
    if classes is not None:
        clouds: tuple[Mask, ...] = tuple(
            RasterMask(classes, index, set_bit) for index in _CLASSI_MASKED
        )
        return {
            band: clouds
            + tuple(
                RasterMask(_only(granule, f"QI_DATA/*MSK_QUALIT_{padded(band)}.jp2"), i, set_bit)
                for i in _QUALIT_MASKED
            )
            for band in bands
        }
    path = _only(granule, "QI_DATA/*MSK_CLOUDS_*B00*.gml")
    cloud_polygons = PolygonMask(path, read_polygons(path, _CLOUD_TYPES))
    masks: dict[str, tuple[Mask, ...]] = {}
    for band in bands:
        path = _only(granule, f"QI_DATA/*MSK_SATURA_*{padded(band)}*.gml")
        # saturation before and after the on-ground processing
        masks[band] = (cloud_polygons, PolygonMask(path, read_polygons(path, ())))
    return masks


def read_polygons(path: Path, types: Sequence[str]) -> tuple[dict[str, Any], ...]:
    """Return the polygons of a GML mask as GeoJSON geometries: of these mask types, () for all.

    Raises:
        ProductError: the file is not such a mask.
    """
    polygons = []
    for feature in elements(read_xml(path), "MaskFeature"):
        if types and text_of(feature, "maskType") not in types:
            continue
        for polygon in elements(feature, "Polygon"):
            rings = [
                _ring(path, positions)
                # the exterior ring comes first, as in GeoJSON
                for side in ("exterior", "interior")
                for boundary in elements(polygon, side)
                for positions in elements(boundary, "posList")
            ]
            if rings:
                polygons.append({"type": "Polygon", "coordinates": rings})
    return tuple(polygons)


def _ring(path: Path, positions: ElementTree.Element) -> list[tuple[float, float]]:
    numbers = [number_of(path, text) for text in (positions.text or "").split()]
    dimension = int(number_of(path, positions.get("srsDimension", "2")))
    if dimension not in (2, 3) or len(numbers) % dimension or len(numbers) < 4 * dimension:
        raise ProductError(path, "has a polygon that is none", "unpack the product again")
    return list(zip(numbers[::dimension], numbers[1::dimension], strict=True))
