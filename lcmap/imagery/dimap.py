"""DIMAP products, as SPOT-6/7 and Pléiades are delivered: what their XML says.

A product is a DIM_*.XML with image files of tiles, IMG_*_R1C1.JP2 or .TIF, beside it. A delivery is
a folder of one or several: panchromatic and multispectral. Airbus, "SPOT 6/7 Imagery User Guide".
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.etree.ElementTree import Element

from lcmap.errors import ProductError
from lcmap.paths import PathLike
from lcmap.raster.radiometry import DN
from lcmap.sentinel2.metadata import day_of, elements, number_of, read_xml, text_of
from lcmap.sentinel2.product_files import inside

NAMES = {"B2": "red", "B1": "green", "B0": "blue", "B3": "nir", "P": "panchromatic"}
"""Bands by their id, in the order in which a stack has them."""

_IN_FILES = ("B0", "B1", "B2", "B3")
"""The order of four bands where the metadata does not say."""

_TILE = re.compile(r"_R(\d{1,4})C(\d{1,4})\.(?:jp2|tiff?)", re.IGNORECASE)
_DEPTH = 6
"""Levels of folders that are searched: a delivery has PROD_*/VOL_*/IMG_*, below the order's."""


@dataclass(frozen=True)
class Dimap:
    """A DIMAP product: its tiles by row and column from 1, and the ids of the bands in their files.

    `bands` is None where the metadata does not say it; `nodata` where no value is special. `level`
    is DN where the numbers are the sensor's, "" where they were processed further.
    """

    path: Path
    tiles: Mapping[tuple[int, int], Path]
    bands: tuple[str, ...] | None
    nodata: float | None
    day: date | None
    level: str

    def ids(self, count: int) -> tuple[str, ...] | None:
        """Return the ids of the bands of files with so many, None where they are unknown."""
        if self.bands is not None and len(self.bands) == count:
            return self.bands
        return {1: ("P",), len(_IN_FILES): _IN_FILES}.get(count)


def is_dimap(path: PathLike) -> bool:
    """Tell whether an input is a DIMAP product: its XML, or a folder that holds one."""
    if os.path.isdir(path):
        return next(_documents(Path(path)), None) is not None
    if Path(path).suffix.casefold() != ".xml" or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return b"<Dimap_Document" in file.read(4096)


def is_tile(path: PathLike) -> bool:
    """Tell whether a file is called as a tile of a product is."""
    return _TILE.search(os.fspath(path)) is not None


def find_dimap(path: Path, *, pan: bool) -> Path:
    """Return the XML of a product: the file itself, or that of the folder it is in.

    Of a folder with both, the multispectral one is taken, or with `pan` the panchromatic one.

    Raises:
        ProductError: there is none, or there are several, or one is a link out of the folder.
    """
    if not path.is_dir() and _is_document(path.name):
        return path
    folder = path if path.is_dir() else path.parent
    found = [inside(document, folder) for document in _documents(folder)]
    wanted = [document for document in found if _is_panchromatic(document) == pan]
    if not wanted and not pan:
        wanted = found
    if not wanted:
        raise ProductError(
            path, "holds no panchromatic DIMAP product", "name its DIM_*.XML or its image"
        )
    if len(wanted) > 1:
        names = ", ".join(str(document.relative_to(folder)) for document in wanted)
        raise ProductError(path, f"holds {len(wanted)} DIMAP products: {names}", "name one of them")
    return wanted[0]


def _documents(folder: Path) -> Iterator[Path]:
    """Yield the DIM_*.XML files in a folder and the folders in it."""
    for depth in range(_DEPTH):
        found = [path for path in folder.glob("*/" * depth + "*") if _is_document(path.name)]
        yield from sorted(path for path in found if path.is_file())


def _is_document(name: str) -> bool:
    return name.upper().startswith("DIM_") and name.upper().endswith(".XML")


def _is_panchromatic(document: Path) -> bool:
    root = read_xml(document)
    said = text_of(root, "SPECTRAL_PROCESSING")
    if said is not None:
        return said.upper() in {"P", "PAN"}
    bands = text_of(root, "NBANDS")
    return bands == "1" if bands is not None else "_P_" in document.name.upper()


def read_dimap(path: Path) -> Dimap:
    """Return what the XML of a product says of its image.

    Raises:
        ProductError: it is damaged, or a tile is missing or outside the product's folder.
    """
    root = read_xml(path)
    tiles = _listed_tiles(path, root) or _tiles_by_name(path)
    if not tiles:
        raise ProductError(
            path, "there is no image of it: IMG_*_R1C1.JP2 or .TIF", "copy the product whole"
        )
    _check_whole(path, root, tiles)
    indexes = {
        text_of(index, "BAND_ID") or "": number_of(path, text_of(index, "BAND_INDEX") or "")
        for index in elements(root, "Raster_Index")
    }
    imaged = text_of(root, "IMAGING_DATE")
    processing = text_of(root, "RADIOMETRIC_PROCESSING") or "BASIC"
    return Dimap(
        path=path,
        tiles=tiles,
        bands=tuple(sorted(indexes, key=lambda band: indexes[band])) or None,
        nodata=_nodata(path, root),
        day=None if imaged is None else day_of(path, imaged),
        level=DN if processing.upper() == "BASIC" else "",
    )


def _nodata(path: Path, root: Element) -> float | None:
    for special in elements(root, "Special_Value"):
        if (text_of(special, "SPECIAL_VALUE_TEXT") or "").upper() == "NODATA":
            return number_of(
                path, text_of(special, "SPECIAL_VALUE_COUNT", "SPECIAL_VALUE_INDEX") or ""
            )
    return None


def _listed_tiles(path: Path, root: Element) -> dict[tuple[int, int], Path]:
    """Return the tiles that the metadata names."""
    tiles: dict[tuple[int, int], Path] = {}
    for file in elements(root, "Data_File"):
        for element in elements(file, "DATA_FILE_PATH"):
            hrefs = [text for key, text in element.items() if key.rpartition("}")[2] == "href"]
            if not hrefs:
                continue
            place = _place(path, hrefs[0], file.get("tile_R"), file.get("tile_C"))
            if place in tiles:
                raise ProductError(
                    path,
                    f"names several files for tile {_called(place)}",
                    "give the image files themselves, with the bands' names",
                )
            image = path.parent / hrefs[0]
            if not image.is_file():
                raise ProductError(
                    path,
                    f"tile {_called(place)}, {hrefs[0]}, is missing",
                    "copy the product whole",
                )
            tiles[place] = inside(image, path.parent).resolve()
    return tiles


def _place(path: Path, name: str, row: str | None, col: str | None) -> tuple[int, int]:
    if row is not None and col is not None:
        return int(number_of(path, row)), int(number_of(path, col))
    match = _TILE.search(name)
    return (int(match[1]), int(match[2])) if match else (1, 1)


def _tiles_by_name(path: Path) -> dict[tuple[int, int], Path]:
    """Return the tiles that are called as the XML is, beside it or in folders beside it."""
    stem = path.stem[len("DIM") :].casefold()
    tiles: dict[tuple[int, int], Path] = {}
    for pattern in ("*", "IMG_*/*"):
        for image in sorted(path.parent.glob(pattern)):
            match = _TILE.search(image.name)
            if match and image.name[: match.start()].casefold() == f"img{stem}":
                tiles.setdefault(
                    (int(match[1]), int(match[2])), inside(image, path.parent).resolve()
                )
    return tiles


def _check_whole(path: Path, root: Element, tiles: Mapping[tuple[int, int], Path]) -> None:
    rows, cols = (max(place[axis] for place in tiles) for axis in (0, 1))
    for count in elements(root, "NTILES_COUNT"):
        rows = max(rows, int(number_of(path, count.get("ntiles_R", "1"))))
        cols = max(cols, int(number_of(path, count.get("ntiles_C", "1"))))
    if rows * cols > len(tiles):
        lacking = next(
            place
            for place in ((row, col) for row in range(1, rows + 1) for col in range(1, cols + 1))
            if place not in tiles
        )
        raise ProductError(path, f"tile {_called(lacking)} is missing", "copy the product whole")


def _called(place: tuple[int, int]) -> str:
    return f"R{place[0]}C{place[1]}"


def calibration(product: Dimap, bands: tuple[str, ...]) -> list[tuple[float, float]]:
    """Return by band the factor and the offset from numbers to reflectance at the sensor.

    Radiance is number / GAIN + BIAS, reflectance π · radiance · d² / (irradiance · sin(elevation of
    the sun)), d the distance to the sun in astronomical units.

    Raises:
        ProductError: the metadata lack a value.
    """
    root = read_xml(product.path)
    gains = _by_band(product.path, root, "Band_Radiance", "GAIN")
    biases = _by_band(product.path, root, "Band_Radiance", "BIAS")
    irradiances = _by_band(product.path, root, "Band_Solar_Irradiance", "VALUE")
    sun = math.sin(math.radians(_sun_elevation(product.path, root)))
    if product.day is None:
        raise _uncalibrated(product.path, "IMAGING_DATE")
    day_of_year = product.day.timetuple().tm_yday
    distance = 1 - 0.01673 * math.cos(math.radians(0.9856 * (day_of_year - 4)))
    found = []
    for band in bands:
        gain, irradiance = gains.get(band, 0.0), irradiances.get(band, 0.0)
        if not gain > 0 or not irradiance > 0 or not sun > 0:
            raise _uncalibrated(product.path, f"gain, irradiance or sun elevation of {band}")
        scale = math.pi * distance**2 / (irradiance * sun)
        found.append((scale / gain, scale * biases.get(band, 0.0)))
    return found


def _by_band(path: Path, root: Element, kind: str, value: str) -> dict[str, float]:
    return {
        text_of(element, "BAND_ID") or "": number_of(path, text_of(element, value) or "")
        for element in elements(root, kind)
    }


def _sun_elevation(path: Path, root: Element) -> float:
    """Return the elevation of the sun in degrees at the image's centre, else where it is given."""
    places = elements(root, "Located_Geometric_Values")
    places.sort(key=lambda place: (text_of(place, "LOCATION_TYPE") or "").casefold() != "center")
    for place in [*places, root]:
        text = text_of(place, "SUN_ELEVATION")
        if text is not None:
            return number_of(path, text)
    raise _uncalibrated(path, "SUN_ELEVATION")


def _uncalibrated(path: Path, lacks: str) -> ProductError:
    return ProductError(
        path, f"cannot become reflectance: there is no {lacks} in it", "drop `reflectance`"
    )
