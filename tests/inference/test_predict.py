"""What a run does at the same time: before its first tile is computed, and after its last."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import rasterio
from small_model import BANDS, write_small_model

from lcmap.engines.compute import Compute
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.errors import NotAModelError
from lcmap.inference.options import MapOutputs
from lcmap.inference.predict import PredictReport, predict
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.source import TileSource
from lcmap.inference.tile_predictor import TilePredictor

TILES = 6


def write_image(path: Path, pixels: np.ndarray) -> Path:
    bands, height, width = pixels.shape
    place = {"crs": "EPSG:2154", "transform": rasterio.Affine(0.8, 0, 7e5, 0, -0.8, 6.3e6)}
    with rasterio.open(
        path, "w", "GTiff", width, height, bands, dtype="uint8", nodata=0, **place
    ) as dataset:
        dataset.write(pixels)
        dataset.descriptions = BANDS
    return path


def mapped(folder: Path, pixels: np.ndarray) -> PredictReport:
    """Map an image of six tiles with a small model."""
    return predict(
        [write_image(folder / "image.tif", pixels)],
        write_small_model(folder / "model.onnx"),
        MapOutputs(folder / "map.tif"),
        Compute(tile=32, engine="onnxruntime", threads=1),
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (4, 64, 96), np.uint8)


def test_the_first_graph_is_loaded_while_its_tile_is_read(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=30)  # which one alone does not get past
    read, load = TileSource.read, OnnxRuntimeSession.__init__
    begun: list[str] = []

    def meeting(kind: str) -> None:
        begun.append(kind)
        if begun.count(kind) == 1:
            both.wait()

    def read_together(self: TileSource, *args: Any) -> Any:
        meeting("read")
        return read(self, *args)

    def load_together(self: OnnxRuntimeSession, *args: Any, **options: Any) -> None:
        meeting("load")
        load(self, *args, **options)

    monkeypatch.setattr(TileSource, "read", read_together)
    monkeypatch.setattr(OnnxRuntimeSession, "__init__", load_together)
    report = mapped(tmp_path, pixels)
    assert report.mapped == pixels[0].size
    assert begun.count("read") == TILES
    # 32 × 32 pixels: each tile touches other sides of the image
    assert begun.count("load") == TILES


def refuse(*args: Any, **options: Any) -> NoReturn:
    raise NotAModelError("land.onnx", "has a graph that nothing loads", "export it again")


def test_a_graph_that_cannot_be_loaded_is_one_error(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeSession, "__init__", refuse)
    with pytest.raises(NotAModelError, match=r"land\.onnx: has a graph that nothing loads"):
        mapped(tmp_path, pixels)
    assert not (tmp_path / "map.tif").exists()


def test_a_graph_that_no_tile_needs_need_not_be_loaded(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OnnxRuntimeSession, "__init__", refuse)
    assert mapped(tmp_path, np.zeros_like(pixels)).mapped == 0


def test_the_network_is_unloaded_before_the_last_tile_is_written(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    unload, store = TilePredictor.unload, TileWork.store
    done: list[str] = []

    def unload_noted(self: TilePredictor) -> None:
        done.append("unload")
        unload(self)

    def store_noted(self: TileWork, *args: Any, **facts: int) -> None:
        done.append("store")
        store(self, *args, **facts)

    monkeypatch.setattr(TilePredictor, "unload", unload_noted)
    monkeypatch.setattr(TileWork, "store", store_noted)
    mapped(tmp_path, pixels)
    assert done.count("store") == TILES
    assert done.count("unload") == 1 and done[-1] == "store"
