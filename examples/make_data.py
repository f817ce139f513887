"""Cut the crops in examples/data out of the FLAIR zones, and draw a vector reference from labels.

    python examples/make_data.py FLAIR_FOLDER examples/data

FLAIR_FOLDER holds zoneN_0.8m_rgbn.tif and zoneN_0.8m_labels.tif: block means of the 0.2 m images
of FLAIR #1 (IGN, Licence Ouverte 2.0) and the majority of its hand-made labels; and, of the same
ground at 10 m, zoneN_10m_rgbn.tif (block means) and zoneN_10m_oso_like.tif (a Random Forest's
classification of these, in the codes of OSO).
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import rasterio.windows
import shapely
import shapely.geometry

SIZE = 640
CROPS = {"suburb": (0, 460, 0), "vineyards": (1, 0, 700), "lagoon": (2, 520, 0)}

# layer -> {FLAIR code: nature}
LAYERS = {
    "building": {1: "building", 18: "greenhouse"},
    "road_and_paved": {2: "pervious", 3: "impervious", 13: "swimming pool"},
    "bare_soil": {4: "bare soil"},
    "water": {5: "water"},
    "vegetation": {
        6: "conifer",
        7: "broadleaf",
        8: "brushwood",
        9: "vineyard",
        10: "grass",
        11: "crop",
        12: "ploughed",
    },
}
SIMPLIFICATION_METRES = 0.6


def crop(source: Path, target: Path, window: rasterio.windows.Window) -> None:
    with rasterio.open(source) as dataset:
        profile = dataset.profile | {
            "width": window.width,
            "height": window.height,
            "transform": dataset.window_transform(window),
            "compress": "deflate",
            "zlevel": 9,
            "predictor": 2,
            "tiled": True,
            "blockxsize": 256,
            "blockysize": 256,
        }
        with rasterio.open(target, "w", **profile) as copy:
            copy.write(dataset.read(window=window))
            copy.descriptions = dataset.descriptions
            copy.update_tags(ATTRIBUTION="IGN, FLAIR #1, Licence Ouverte 2.0")


def covering(source: Path, ground: Path) -> rasterio.windows.Window:
    """Return the smallest window of whole pixels of `source` that covers the ground of another."""
    with rasterio.open(source) as coarse, rasterio.open(ground) as fine:
        left, top = ~coarse.transform @ (fine.bounds.left, fine.bounds.top)
        right, bottom = ~coarse.transform @ (fine.bounds.right, fine.bounds.bottom)
        rows = max(math.floor(top), 0), min(math.ceil(bottom), coarse.height)
        cols = max(math.floor(left), 0), min(math.ceil(right), coarse.width)
    return rasterio.windows.Window.from_slices(rows, cols)


def draw_reference(labels: list[Path], target: Path) -> None:
    target.unlink(missing_ok=True)
    polygons: dict[int, list[shapely.Geometry]] = {}
    for path in labels:
        with rasterio.open(path) as dataset:
            codes = dataset.read(1)
            for geometry, code in rasterio.features.shapes(codes, transform=dataset.transform):
                polygon = shapely.geometry.shape(geometry).simplify(SIMPLIFICATION_METRES)
                polygons.setdefault(int(code), []).append(polygon)
    for layer, natures in LAYERS.items():
        drawn = [(p, nature) for code, nature in natures.items() for p in polygons.get(code, [])]
        pyogrio.raw.write(
            target,
            geometry=shapely.to_wkb([p for p, _ in drawn]),
            field_data=[np.array([nature for _, nature in drawn], object)],
            fields=["nature"],
            layer=layer,
            driver="GPKG",
            geometry_type="Polygon",
            crs="EPSG:2154",
            append=target.exists(),
        )


def main(flair: Path, target: Path) -> None:
    labels = []
    for name, (zone, row, col) in CROPS.items():
        for kind in ("rgbn", "labels"):
            window = rasterio.windows.Window(col, row, SIZE, SIZE)
            crop(flair / f"zone{zone}_0.8m_{kind}.tif", target / f"{name}_{kind}.tif", window)
        for source, kind in (("10m_rgbn", "coarse"), ("10m_oso_like", "oso_like")):
            coarse = flair / f"zone{zone}_{source}.tif"
            crop(
                coarse, target / f"{name}_{kind}.tif", covering(coarse, target / f"{name}_rgbn.tif")
            )
        labels.append(target / f"{name}_labels.tif")
    draw_reference(labels, target / "reference.gpkg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
