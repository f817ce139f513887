"""Campaigns of overlapping scenes, and what they mean, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from small_model import BANDS, whole_image
from support import write_raster

from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.windows import Window

WEST, NORTH = 721_104.0, 6_249_288.0


def picture(height: int, width: int, seed: int = 7) -> NDArray[np.uint8]:
    """Patches with grain, uint8 [4, height, width]; no pixel is 0."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 236, (4, height // 6 + 1, width // 6 + 1))
    fine = np.kron(coarse, np.ones((1, 6, 6)))[:, :height, :width]
    return np.clip(fine + rng.normal(0, 9, fine.shape), 1, 255).astype(np.uint8)


@dataclass(frozen=True)
class Scene:
    """A scene: its window in the campaign, its pixels [4, h, w], valid [h, w], quantiles [4, 2]."""

    window: Window
    pixels: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    quantiles: NDArray[np.float64]

    def write(self, path: Path, **tags: str) -> Path:
        """Write it; pixels without data are 0, and declared so."""
        corner = WEST + 0.8 * self.window.col, NORTH - 0.8 * self.window.row
        pixels = np.where(self.valid, self.pixels, 0).astype(np.uint8)
        write_raster(path, pixels, corner=corner, names=BANDS, nodata=0)
        with rasterio.open(path, "r+") as dataset:
            write_quantiles(dataset, self.quantiles)
            dataset.update_tags(**tags)
        return path


def cut(whole: NDArray[np.uint8], windows: Sequence[Window], *, seed: int = 0) -> list[Scene]:
    """Cut an image into scenes: each of other light, with black rims and quantiles of its own."""
    rng = np.random.default_rng(seed)
    scenes = []
    for window in windows:
        gain, offset = rng.uniform(0.6, 1.0), rng.uniform(0, 30)
        pixels = whole[:, *window.slices] * gain + offset
        rows, cols = np.mgrid[: window.height, : window.width]
        valid = rows + rng.uniform(-0.2, 0.2) * cols > rng.uniform(0, 8)
        valid &= (rows - window.height / 2) ** 2 + (cols - window.width / 3) ** 2 > 10
        quantiles = np.array([[20.0, 220.0]] * 4) * gain + offset
        scenes.append(Scene(window, np.clip(pixels, 1, 255).astype(np.uint8), valid, quantiles))
    return scenes


def views(scenes: Sequence[Scene], order: Sequence[int], shape: tuple[int, int]) -> list[Any]:
    """The definition: each scene, scaled, on the whole grid, filled from the others in order."""
    placed = []
    for scene in scenes:
        low, high = scene.quantiles.T[..., None, None]
        values, valid = np.zeros((4, *shape), np.float32), np.zeros(shape, bool)
        scaled = (scene.pixels - low) / (high - low)
        values[:, *scene.window.slices] = np.where(scene.valid, scaled, 0)
        valid[scene.window.slices] = scene.valid
        placed.append((values, valid))
    found = []
    for own in range(len(scenes)):
        seen = np.zeros((4, *shape), np.float32)
        filled = np.zeros(shape, bool)
        for index in [own, *(number - 1 for number in order)]:
            values, valid = placed[index]
            new = valid & ~filled
            seen[:, new] = values[:, new]
            filled |= new
        found.append((seen, placed[own][1]))
    return found


def expected(
    model: Path,
    scenes: Sequence[Scene],
    shape: tuple[int, int],
    order: Sequence[int] | None = None,
    *,
    stride: int = 4,
    by_confidence: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
    """The probabilities [K, h, w] of a campaign's map, and the scene of each pixel, one by one."""
    order = order or range(1, len(scenes) + 1)
    seen = views(scenes, list(order), shape)
    maps = [whole_image(model, values, stride) for values, _ in seen]
    result = np.full(maps[0].shape, np.nan, np.float32)
    owners = np.zeros(shape, np.uint16)
    for row in range(shape[0]):
        for col in range(shape[1]):
            there = [number for number in order if seen[number - 1][1][row, col]]
            if by_confidence:
                there.sort(key=lambda number: -maps[number - 1][:, row, col].max())
            if there:
                owners[row, col] = there[0]
                result[:, row, col] = maps[there[0] - 1][:, row, col]
    return result, owners
