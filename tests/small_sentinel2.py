"""Small Sentinel-2 products, with the names and the structure of those that are delivered.

A scene of 120 × 120 px of 10 m whose reflectance is known. Only what a reader may look at is
there: images, masks and metadata, not previews and auxiliary files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

CORNER = (600_000.0, 4_900_020.0)
EPSG = 32631
SIZE = 120
TILE = "T31TFJ"
PIXELS = {
    "B1": 60, "B2": 10, "B3": 10, "B4": 10, "B5": 20, "B6": 20, "B7": 20, "B8": 10, "B8A": 20,
    "B9": 60, "B10": 60, "B11": 20, "B12": 20,
}  # fmt: skip
TEN = tuple(band for band, pixel in PIXELS.items() if pixel < 60)

Masks = Mapping[str, NDArray[Any]]


def padded(band: str) -> str:
    return band if len(band) == 3 else f"B0{band[1:]}"


def reflectance(band: str, day: str = "2018-07-05") -> NDArray[np.int16]:
    """Reflectance × 10 000 of a band at its own resolution: noise that depends on day and band."""
    place = list(PIXELS).index(band)
    noise = np.random.default_rng([place, *day.encode()])
    n = SIZE * 10 // PIXELS[band]
    values: NDArray[np.int16] = noise.integers(0, 400, (n, n)).astype("int16")
    return values + np.int16(200 + 300 * place)


def at_ten_metres(values: NDArray[Any]) -> NDArray[Any]:
    """Repeat pixels of 20 or 60 m to those of 10 m."""
    times = SIZE // len(values)
    return values.repeat(times, axis=0).repeat(times, axis=1)


def write(path: Path, image: NDArray[Any], corner: tuple[float, float], **profile: Any) -> None:
    """Write an array [h, w] or [bands, h, w] over the scene's ground."""
    image = image if image.ndim == 3 else image[None]
    pixel = SIZE * 10 / image.shape[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jp2":
        profile |= {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"}
    with rasterio.open(
        path,
        "w",
        **({"driver": "GTiff"} | profile),
        count=len(image),
        height=image.shape[1],
        width=image.shape[2],
        dtype=image.dtype,
        crs=f"EPSG:{EPSG}",
        transform=Affine(pixel, 0, corner[0], 0, -pixel, corner[1]),
    ) as dataset:
        dataset.write(image)


def numbers(
    band: str, day: str, offset: int, extra: Mapping[str, Mapping[tuple[int, int], int]]
) -> NDArray[np.uint16]:
    """What the file of a band holds; `extra` sets pixels of bands to numbers of their own."""
    values = (reflectance(band, day).astype(int) - offset).astype("uint16")
    for place, number in extra.get(band, {}).items():
        values[place] = number
    return values


def metadata(level: str, day: str, baseline: str, offset: int, quantification: int) -> str:
    kind, prefix = ("BOA", "BOA_") if level == "2A" else ("RADIO", "")
    offsets = "".join(
        f'<{kind}_ADD_OFFSET band_id="{i}">{offset}</{kind}_ADD_OFFSET>' for i in range(13)
    )
    lists = {
        "BOA": f"<BOA_ADD_OFFSET_VALUES_LIST>{offsets}</BOA_ADD_OFFSET_VALUES_LIST>",
        "RADIO": f"<Radiometric_Offset_List>{offsets}</Radiometric_Offset_List>",
    }
    namespace = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="{namespace}">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{day}T10:50:29.024Z</PRODUCT_START_TIME>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
    </Product_Info>
    <Product_Image_Characteristics>
      <{prefix}QUANTIFICATION_VALUE unit="none">{quantification}</{prefix}QUANTIFICATION_VALUE>
      {lists[kind] if offset else ""}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""


def write_l1c(
    folder: Path,
    *,
    day: str = "2018-07-05",
    baseline: str = "05.00",
    classes: NDArray[np.uint8] | None = None,
    quality: Masks | None = None,
    extra: Mapping[str, Mapping[tuple[int, int], int]] | None = None,
    corner: tuple[float, float] = CORNER,
    tile: str = TILE,
    quantification: int = 10_000,
    bands: Sequence[str] = TEN,
) -> Path:
    """Write an L1C product; the baseline tells whether it has an offset and raster masks.

    `classes`, [3, 20, 20], are opaque clouds, cirrus and snow at 60 m; `quality`, by band
    [8, h, w], the quality bits. Before 04.00 they become polygons, of the bits the saturation.
    """
    new = baseline >= "04.00"
    offset = -1000 if new else 0
    compact = day.replace("-", "")
    orbit = f"{compact}T105029_N{baseline.replace('.', '')}_R051"
    product = folder / f"S2A_MSIL1C_{orbit}_{tile}_{compact}T130530.SAFE"
    granule = product / "GRANULE" / f"L1C_{tile}_A015860_{compact}T105029"
    granule.mkdir(parents=True)
    (product / "MTD_MSIL1C.xml").write_text(metadata("1C", day, baseline, offset, quantification))
    n = SIZE // 6
    classes = np.zeros((3, n, n), "uint8") if classes is None else classes
    for band in bands:
        image = numbers(band, day, offset, extra or {})
        write(granule / f"IMG_DATA/{tile}_{compact}T105029_{padded(band)}.jp2", image, corner)
        m = SIZE * 10 // PIXELS[band]
        bits = (quality or {}).get(band, np.zeros((8, m, m), "uint8"))
        name = granule / "QI_DATA"
        if new:
            write(name / f"MSK_QUALIT_{padded(band)}.jp2", bits, corner)
        else:
            write_gml(name / f"MSK_SATURA_{padded(band)}.gml", {"QT_SATURATED_PIXELS_L1A": bits[7]},
                      corner)  # fmt: skip
    if new:
        write(granule / "QI_DATA/MSK_CLASSI_B00.jp2", classes, corner)
    else:
        write_gml(
            granule / "QI_DATA/MSK_CLOUDS_B00.gml",
            {"OPAQUE": classes[0], "CIRRUS": classes[1]},
            corner,
        )
    return product


def write_old_l1c(folder: Path, *, day: str = "2016-09-05", tiles: Mapping[str, Any]) -> Path:
    """Write an L1C product as before December 2016: several granules, long names.

    `tiles` has the corner of each.
    """
    compact = day.replace("-", "")
    stamp = f"{compact}T104813_R002_V{compact}T005712_{compact}T010424"
    product = folder / f"S2A_OPER_PRD_MSIL1C_PDMC_{stamp}.SAFE"
    n = SIZE // 6
    for tile, corner in tiles.items():
        name = f"SGS__{compact}T073438_A006291_{tile}"
        granule = product / "GRANULE" / f"S2A_OPER_MSI_L1C_TL_{name}_N02.04"
        for band in ("B2", "B8A"):
            image = numbers(band, day, 0, {})
            write(
                granule / f"IMG_DATA/S2A_OPER_MSI_L1C_TL_{name}_{padded(band)}.jp2", image, corner
            )
            write_gml(
                granule / f"QI_DATA/S2A_OPER_MSK_SATURA_{name}_{padded(band)}_MSIL1C.gml",
                {"QT_SATURATED_PIXELS_L1A": np.zeros((n, n), "uint8")},
                corner,
            )
        write_gml(
            granule / f"QI_DATA/S2A_OPER_MSK_CLOUDS_{name}_B00_MSIL1C.gml",
            {"OPAQUE": np.zeros((n, n), "uint8")},
            corner,
        )
    (product / f"S2A_OPER_MTD_SAFL1C_PDMC_{stamp}.xml").write_text(
        metadata("1C", day, "02.04", 0, 10_000)
    )
    return product


def write_l2a(
    folder: Path,
    *,
    day: str = "2018-07-05",
    baseline: str = "05.00",
    scene_classes: NDArray[np.uint8] | None = None,
    extra: Mapping[str, Mapping[tuple[int, int], int]] | None = None,
    corner: tuple[float, float] = CORNER,
    tile: str = TILE,
    bands: Sequence[str] = TEN,
) -> Path:
    """Write an L2A product; `scene_classes` [60, 60] is its SCL, vegetation by default."""
    offset = -1000 if baseline >= "04.00" else 0
    compact = day.replace("-", "")
    orbit = f"{compact}T105029_N{baseline.replace('.', '')}_R051"
    product = folder / f"S2A_MSIL2A_{orbit}_{tile}_{compact}T145012.SAFE"
    images = product / "GRANULE" / f"L2A_{tile}_A015860_{compact}T105029" / "IMG_DATA"
    for band in bands:
        if band != "B10":
            pixel = PIXELS[band]
            image = numbers(band, day, offset, extra or {})
            name = f"R{pixel}m/{tile}_{compact}T105029_{padded(band)}_{pixel}m.jp2"
            write(images / name, image, corner)
    classes = np.full((SIZE // 2,) * 2, 4, "uint8") if scene_classes is None else scene_classes
    write(images / f"R20m/{tile}_{compact}T105029_SCL_20m.jp2", classes, corner)
    (product / "MTD_MSIL2A.xml").write_text(metadata("2A", day, baseline, offset, 10_000))
    return product


def write_theia(
    folder: Path,
    *,
    day: str = "2018-07-05",
    masks: Masks | None = None,
    extra: Mapping[str, Mapping[tuple[int, int], int]] | None = None,
    with_metadata: bool = True,
) -> Path:
    """Write a THEIA product; `masks` by name, as "CLM_R1", are 0 where they are not given."""
    name = f"SENTINEL2A_{day.replace('-', '')}-105031-456_L2A_{TILE}_D"
    product = folder / name
    for band in TEN:
        image = reflectance(band, day).copy()
        for place, number in (extra or {}).get(band, {}).items():
            image[place] = number
        path = product / f"{name}_V1-8_FRE_{band}.tif"
        write(path, image, CORNER, nodata=-10_000)
    for kind in ("CLM", "EDG", "SAT"):
        for resolution, n in (("R1", SIZE), ("R2", SIZE // 2)):
            key = f"{kind}_{resolution}"
            mask = (masks or {}).get(key, np.zeros((n, n), "uint8"))
            write(product / "MASKS" / f"{name}_V1-8_{key}.tif", mask, CORNER)
    if with_metadata:
        (product / f"{name}_V1-8_MTD_ALL.xml").write_text(f"""<?xml version="1.0"?>
<Muscate_Metadata_Document>
  <Product_Characteristics>
    <ACQUISITION_DATE>{day}T10:50:31.456Z</ACQUISITION_DATE>
  </Product_Characteristics>
  <Radiometric_Informations>
    <REFLECTANCE_QUANTIFICATION_VALUE>10000</REFLECTANCE_QUANTIFICATION_VALUE>
    <Special_Values_List>
      <SPECIAL_VALUE name="nodata">-10000</SPECIAL_VALUE>
    </Special_Values_List>
  </Radiometric_Informations>
</Muscate_Metadata_Document>
""")
    return product


def write_theia_composite(folder: Path, flags: NDArray[np.uint8] | None) -> Path:
    """Write a THEIA composite of a month (L3A); `flags` [SIZE, SIZE] are those of 10 m, if any."""
    name = f"SENTINEL2X_20180715-000000-000_L3A_{TILE}_C_V1-0"
    product = folder / name
    for band in TEN:
        write(product / f"{name}_FRC_{band}.tif", reflectance(band), CORNER, nodata=-10_000)
    for resolution, step in (("R1", 1), ("R2", 2)):
        weights = np.full((SIZE // step,) * 2, 100, "uint8")
        write(product / "MASKS" / f"{name}_WGT_{resolution}.tif", weights, CORNER)
        if flags is not None:
            path = product / "MASKS" / f"{name}_FLG_{resolution}.tif"
            write(path, flags[::step, ::step].copy(), CORNER)
    return product


def write_gml(path: Path, masks: Masks, corner: tuple[float, float]) -> None:
    """Write masks [h, w] by type as a GML mask: a square polygon for each pixel that is set."""
    features = []
    for kind, mask in masks.items():
        pixel = SIZE * 10 / len(mask)
        for i, (row, col) in enumerate(np.argwhere(mask)):
            west, north = corner[0] + col * pixel, corner[1] - row * pixel
            east, south = west + pixel, north - pixel
            ring = f"{west} {north} {east} {north} {east} {south} {west} {south} {west} {north}"
            features.append(f"""
    <eop:MaskFeature gml:id="{kind}.{i}">
      <eop:maskType codeSpace="urn:gs2:S2PDGS:maskType">{kind}</eop:maskType>
      <eop:extentOf><gml:Polygon gml:id="{kind}.{i}_Polygon"><gml:exterior><gml:LinearRing>
        <gml:posList srsDimension="2">{ring}</gml:posList>
      </gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf>
    </eop:MaskFeature>""")
    members = f"<eop:maskMembers>{''.join(features)}</eop:maskMembers>" if features else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"""<?xml version="1.0" encoding="UTF-8"?>
<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" xmlns:gml="http://www.opengis.net/gml/3.2"
    gml:id="{path.stem}">
  <gml:name>mask {path.stem}</gml:name>
  {members}
</eop:Mask>
""")
