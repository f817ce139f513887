"""Draw image, reference and map of each zone side by side, with a legend of the classes.

python examples/side_by_side.py OUTPUT.png IMAGE REFERENCE MAP [IMAGE REFERENCE MAP ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import rasterio
from matplotlib.patches import Patch

from lcmap.raster.classes import ClassTable, read_class_table

TITLES = ("image", "reference", "map")


def read_rgb(path: str) -> np.ndarray:
    """Return the first three bands, [height, width, 3], stretched between their quantiles."""
    with rasterio.open(path) as dataset:
        bands = dataset.read([1, 2, 3]).astype("float32")
    low, high = np.quantile(bands, (0.02, 0.98), axis=(1, 2))
    stretched = (bands - low[:, None, None]) / np.maximum(high - low, 1e-6)[:, None, None]
    return stretched.clip(0, 1).transpose(1, 2, 0)


def read_map(path: str) -> tuple[np.ndarray, ClassTable]:
    """Return a label raster in its own colours, [height, width, 3], and its classes."""
    with rasterio.open(path) as dataset:
        codes, table = dataset.read(1), read_class_table(dataset)
    if table is None:
        sys.exit(f"{path}: carries no classes; give a map or reference made by lcmap")
    palette = np.full((256, 3), 255, "uint8")
    for code, color in table.colors.items():
        palette[code] = color
    return palette[codes], table


def main(output: Path, files: list[str]) -> None:
    rows = [files[i : i + 3] for i in range(0, len(files), 3)]
    figure, axes = plt.subplots(
        len(rows), 3, figsize=(12, 4 * len(rows) + 0.6), squeeze=False, layout="constrained"
    )
    for row, (image, reference, map_) in zip(axes, rows, strict=True):
        reference_picture, table = read_map(reference)
        pictures = (read_rgb(image), reference_picture, read_map(map_)[0])
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], TITLES, strict=True):
        axis.set_title(title)
    handles = [
        Patch(color=[c / 255 for c in table.colors[code]], label=table.names[code])
        for code in table.codes
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(output, dpi=80)


if __name__ == "__main__":
    if len(sys.argv) < 5 or (len(sys.argv) - 2) % 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
