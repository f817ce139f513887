"""A small learnable image with labels, tiled, and a model trained on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.crs import CRS

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.tile_index import SPLITS, IndexedTile, TileIndex, write_tile_index
from lcmap.nomenclature import LandCoverClass, Nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.windows import iter_blocks
from lcmap.raster.writing import RasterFormat, atomic_raster
from lcmap.training import folds

# handing out the work of networks this small takes longer than doing it
torch.set_num_threads(1)

GRID = Grid(
    CRS.from_epsg(2154), rasterio.Affine(1.5, 0, 700000, 0, -1.5, 6250000), width=48, height=48
)
THREE = Nomenclature(
    "three",
    "Three classes",
    tuple(
        LandCoverClass(code, name, name[:3].capitalize(), color)
        for code, name, color in ((2, "dark", "#000000"), (5, "light", "#ffffff"),
                                  (9, "never", "#ff0000"))
    ),
)  # fmt: skip


def learnable(bands: int = 2, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an image [C, 48, 48] and codes [48, 48]: light and dark patches of 6 px."""
    random = np.random.default_rng(seed)
    light = random.integers(0, 2, (8, 8)).repeat(6, axis=0).repeat(6, axis=1)
    noise = random.integers(-20, 21, (bands, *GRID.shape))
    return (60 + 120 * light + noise).astype(np.uint8), np.where(light, 5, 2).astype(np.uint8)


@pytest.fixture(scope="session")
def three() -> Nomenclature:
    """The nomenclature of the labels."""
    return THREE


def index_maker(beside: Path) -> Callable[..., Path]:
    """Return what writes an image, its labels and their tile index, and returns the index's path.

    A `side` input is the labels once more. The image is so many pixels `east` of `GRID`.
    """

    def make(
        name: str = "zone",
        image: NDArray[Any] | None = None,
        codes: NDArray[np.uint8] | None = None,
        *,
        nomenclature: Nomenclature | None = THREE,
        splits: tuple[str, ...] = SPLITS,
        nodata: float | None = None,
        band_names: tuple[str, ...] = (),
        side: RasterContent | None = None,
        folder: Path = beside,
        east: float = 0.0,
    ) -> Path:
        grid = replace(GRID, transform=GRID.transform @ rasterio.Affine.translation(east, 0))
        default_image, default_codes = learnable()
        image = default_image if image is None else image
        codes = default_codes if codes is None else codes
        with atomic_raster(
            folder / f"{name}.tif",
            grid,
            RasterFormat(
                count=len(image), dtype=str(image.dtype), nodata=nodata, band_names=band_names
            ),
            overwrite=True,
        ) as dataset:
            dataset.write(image)
        with atomic_raster(
            folder / f"{name}.labels.tif",
            grid,
            RasterFormat(count=1, dtype="uint8", nodata=0),
            overwrite=True,
        ) as dataset:
            dataset.write(codes, 1)
        tiles = []
        for i, window in enumerate(iter_blocks(*GRID.shape, 16)):
            found = codes[window.slices]
            counts = {int(code): int((found == code).sum()) for code in np.unique(found) if code}
            tiles.append(
                IndexedTile(
                    image=folder / f"{name}.tif",
                    labels=folder / f"{name}.labels.tif" if nomenclature else None,
                    sides=(folder / f"{name}.labels.tif",) if side else (),
                    window=window,
                    split=splits[i % len(splits)],  # type: ignore[arg-type]
                    labelled_share=sum(counts.values()) / found.size if nomenclature else 0.0,
                    class_counts=counts if nomenclature else {},
                )
            )
        index = TileIndex(
            path=folder / f"{name}.tiles.geojson", nomenclature=nomenclature,
            sides=(side,) if side else (),
            tiles=tuple(tiles),
            tile_size=16, split_method="random", seed=0, gap=0,
        )  # fmt: skip
        write_tile_index(index, overwrite=True)
        return index.path

    return make


@pytest.fixture
def make_index(tmp_path: Path) -> Callable[..., Path]:
    """See `index_maker`."""
    return index_maker(tmp_path)


@pytest.fixture(scope="module")
def make_shared_index(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """See `index_maker`; for fixtures that several tests read."""
    return index_maker(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def stopped_at_second(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The folds whose training begins, in order; the first time the second does is interrupted."""
    whole, begun = folds._train_without, list[int]()

    def stopped(run: Any, parts: Any, number: int, options: Any, progress: Any) -> Any:
        begun.append(number)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return whole(run, parts, number, options, progress)

    monkeypatch.setattr(folds, "_train_without", stopped)
    return begun
