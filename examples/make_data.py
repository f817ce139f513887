"""Cut the crops in examples/data out of the FLAIR zones, and draw a vector reference from labels.

    python examples/make_data.py FLAIR_FOLDER examples/data

FLAIR_FOLDER holds zoneN_0.8m_rgbn.tif and zoneN_0.8m_labels.tif: block means of the 0.2 m images
of FLAIR #1 (IGN, Licence Ouverte 2.0) and the majority of its hand-made labels.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
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


def crop(source: Path, target: Path, row: int, col: int) -> None:
    window = ((row, row + SIZE), (col, col + SIZE))
    with rasterio.open(source) as dataset:
        profile = dataset.profile | {
            "width": SIZE,
            "height": SIZE,
            "transform": dataset.window_transform(rasterio.windows.Window(col, row, SIZE, SIZE)),
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
            crop(flair / f"zone{zone}_0.8m_{kind}.tif", target / f"{name}_{kind}.tif", row, col)
        labels.append(target / f"{name}_labels.tif")
    draw_reference(labels, target / "reference.gpkg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
