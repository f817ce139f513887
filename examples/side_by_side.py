"""Draw the image and the label maps of each zone side by side, with a legend of the classes.

python examples/side_by_side.py OUTPUT.png TITLE,TITLE,... IMAGE MAP ... [IMAGE MAP ...]

The titles are those of the columns; each zone has an image and as many maps as titles follow.
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

LONGEST_SIDE = 1000
"""Pixels; larger rasters are drawn from every so many pixels."""


def drawn_shape(dataset: rasterio.DatasetReader) -> tuple[int, int]:
    """Return rows and columns as they are drawn."""
    step = max(dataset.height, dataset.width) / LONGEST_SIDE
    rows, cols = dataset.height, dataset.width
    return (rows, cols) if step <= 1 else (round(rows / step), round(cols / step))


def read_rgb(path: str) -> np.ndarray:
    """Return the first three bands, [height, width, 3], stretched between their quantiles."""
    with rasterio.open(path) as dataset:
        bands = dataset.read([1, 2, 3], out_shape=(3, *drawn_shape(dataset))).astype("float32")
    low, high = np.quantile(bands, (0.02, 0.98), axis=(1, 2))
    stretched = (bands - low[:, None, None]) / np.maximum(high - low, 1e-6)[:, None, None]
    return stretched.clip(0, 1).transpose(1, 2, 0)


def read_map(path: str) -> tuple[np.ndarray, ClassTable, set[int]]:
    """Return a label raster in its own colours, [height, width, 3], its classes and its codes."""
    with rasterio.open(path) as dataset:
        codes = dataset.read(1, out_shape=drawn_shape(dataset))
        table = read_class_table(dataset)
    if table is None:
        sys.exit(f"{path}: carries no classes; give a map or reference made by lcmap")
    palette = np.full((256, 3), 255, "uint8")
    for code, color in table.colors.items():
        palette[code] = color
    return palette[codes], table, set(np.unique(codes).tolist())


def main(output: Path, titles: list[str], files: list[str]) -> None:
    columns = len(titles)
    rows = [files[i : i + columns] for i in range(0, len(files), columns)]
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(4 * columns, 4 * len(rows) + 0.6),
        squeeze=False,
        layout="constrained",
    )
    present: set[int] = set()
    for row, (image, *maps) in zip(axes, rows, strict=True):
        pictures = [read_rgb(image)]
        for path in maps:
            picture, table, codes = read_map(path)
            pictures.append(picture)
            present |= codes
        for axis, picture in zip(row, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.set_axis_off()
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title)
    handles = [
        Patch(color=[c / 255 for c in table.colors[code]], label=table.names[code])
        for code in table.codes
        if code in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(output, dpi=80)


if __name__ == "__main__":
    titles = sys.argv[2].split(",") if len(sys.argv) > 2 else []
    if len(titles) < 2 or len(sys.argv) == 3 or (len(sys.argv) - 3) % len(titles):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), titles, sys.argv[3:])
