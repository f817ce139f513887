"""Small DIMAP products, with the names and the structure of those that are delivered.

A scene of SPOT-6 of 40 × 50 px of 6 m in four bands, and 160 × 200 px of 1.5 m in one, whose
numbers are known, in tiles. The metadata hold what a reader may look at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

CORNER = (700_000.0, 6_600_000.0)
IDS = ("B0", "B1", "B2", "B3")
STAMP = "201807051012345_ORT_1234567101"
DAY = "2018-07-05"
GAINS = {"B0": 8.33, "B1": 9.52, "B2": 10.81, "B3": 15.04, "P": 10.0}
IRRADIANCES = {"B0": 1982.0, "B1": 1826.0, "B2": 1538.0, "B3": 1093.0, "P": 1707.0}
SUN_ELEVATION = 62.5


def numbers(band: str) -> NDArray[np.uint16]:
    """The numbers of a band: noise around a level of its own; 0 is no data, in a corner."""
    if band == "P":
        seen = np.mean([numbers(one) for one in IDS[:3]], axis=0).repeat(4, axis=0)
        noise = np.random.default_rng(12).integers(0, 20, (160, 200))
        values = (seen.repeat(4, axis=1) + noise).astype("uint16")
    else:
        place = IDS.index(band)
        noise = np.random.default_rng([11, place]).integers(0, 300, (40, 50))
        values = (noise + 400 * (place + 1)).astype("uint16")
    values[:4, :4] = 0
    return values


def write_dimap(
    folder: Path,
    kind: str = "MS",
    *,
    order: Sequence[str] = IDS,
    listed: bool = True,
    indexed: bool = True,
    suffix: str = "JP2",
    tile: int = 32,
) -> Path:
    """Write a product, "MS" or "P", of a delivery in `folder`; return its XML.

    Bands lie in the files in this `order`. `listed` and `indexed` tell whether the metadata name
    the files and the bands.
    """
    image = np.stack([numbers(band) for band in (["P"] if kind == "P" else order)])
    pixel = 1.5 if kind == "P" else 6.0
    product = folder / "PROD_SPOT6_001" / "VOL_SPOT6_001_A" / f"IMG_SPOT6_{kind}_001_A"
    product.mkdir(parents=True)
    files = []
    for i, top in enumerate(range(0, image.shape[1], tile), start=1):
        for j, left in enumerate(range(0, image.shape[2], tile), start=1):
            part = image[:, top : top + tile, left : left + tile]
            name = f"IMG_SPOT6_{kind}_{STAMP}_R{i}C{j}.{suffix}"
            files.append((i, j, name))
            corner = (CORNER[0] + left * pixel, CORNER[1] - top * pixel)
            jpeg = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "NBITS": "12"}
            with rasterio.open(
                product / name,
                "w",
                **(jpeg if suffix == "JP2" else {"driver": "GTiff"}),
                count=len(part),
                height=part.shape[1],
                width=part.shape[2],
                dtype="uint16",
                crs="EPSG:2154",
                transform=Affine(pixel, 0, corner[0], 0, -pixel, corner[1]),
            ) as dataset:
                dataset.write(part)
    document = product / f"DIM_SPOT6_{kind}_{STAMP}.XML"
    document.write_text(metadata(kind, image, order, files if listed else [], indexed))
    return document


def metadata(
    kind: str,
    image: NDArray[np.uint16],
    order: Sequence[str],
    files: Sequence[tuple[int, int, str]],
    indexed: bool,
) -> str:
    bands = ["P"] if kind == "P" else list(order)
    data_files = "".join(
        f'<Data_File tile_R="{i}" tile_C="{j}"><DATA_FILE_PATH href="{name}"/></Data_File>'
        for i, j, name in files
    )
    indexes = "".join(
        f"<Raster_Index><BAND_ID>{band}</BAND_ID><BAND_INDEX>{i}</BAND_INDEX></Raster_Index>"
        for i, band in enumerate(bands, start=1)
    )
    radiances = "".join(
        f"<Band_Radiance><BAND_ID>{band}</BAND_ID><GAIN>{GAINS[band]}</GAIN><BIAS>0</BIAS>"
        "</Band_Radiance>"
        for band in bands
    )
    irradiances = "".join(
        f"<Band_Solar_Irradiance><BAND_ID>{band}</BAND_ID><VALUE>{IRRADIANCES[band]}</VALUE>"
        "</Band_Solar_Irradiance>"
        for band in bands
    )
    values = "".join(
        f"<Located_Geometric_Values><LOCATION_TYPE>{place}</LOCATION_TYPE><Solar_Incidences>"
        f"<SUN_AZIMUTH>150.1</SUN_AZIMUTH><SUN_ELEVATION>{SUN_ELEVATION + off}</SUN_ELEVATION>"
        "</Solar_Incidences></Located_Geometric_Values>"
        for place, off in (("Top Center", 0.2), ("Center", 0.0), ("Bottom Center", -0.2))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Dimap_Document xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <Metadata_Identification>
    <METADATA_FORMAT version="2.0">DIMAP</METADATA_FORMAT>
    <METADATA_PROFILE>S6_ORTHO</METADATA_PROFILE>
  </Metadata_Identification>
  <Processing_Information><Product_Settings>
    <PROCESSING_LEVEL>ORTHO</PROCESSING_LEVEL><SPECTRAL_PROCESSING>{kind}</SPECTRAL_PROCESSING>
  </Product_Settings></Processing_Information>
  <Raster_Data>
    <Data_Access><Data_Files>{data_files}</Data_Files></Data_Access>
    <Raster_Dimensions>
      <NROWS>{image.shape[1]}</NROWS><NCOLS>{image.shape[2]}</NCOLS><NBANDS>{len(image)}</NBANDS>
    </Raster_Dimensions>
    <Raster_Display>
      {f"<Raster_Index_List>{indexes}</Raster_Index_List>" if indexed else ""}
      <Special_Value><SPECIAL_VALUE_COUNT>0</SPECIAL_VALUE_COUNT>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT></Special_Value>
      <Special_Value><SPECIAL_VALUE_COUNT>4095</SPECIAL_VALUE_COUNT>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT></Special_Value>
    </Raster_Display>
  </Raster_Data>
  <Radiometric_Data><Radiometric_Calibration><Instrument_Calibration><Band_Measurement_List>
    {radiances}{irradiances}
  </Band_Measurement_List></Instrument_Calibration></Radiometric_Calibration></Radiometric_Data>
  <Geometric_Data><Use_Area>{values}</Use_Area></Geometric_Data>
  <Dataset_Sources><Source_Identification><Strip_Source>
    <IMAGING_DATE>{DAY}</IMAGING_DATE><IMAGING_TIME>10:12:34.5Z</IMAGING_TIME>
  </Strip_Source></Source_Identification></Dataset_Sources>
</Dimap_Document>
"""
