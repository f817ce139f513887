"""lcmap train --unlabelled, as its user runs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from onnx import numpy_helper
from rasterio.crs import CRS
from support import Run

from lcmap.model_file import read_model

Lcmap = Callable[..., Run]
SMALL = ("--width", 8, "--depth", 1, "--batch-size", 2, "--epochs", 1)


def write(path: Path, values: np.ndarray, pixel: float = 1.5) -> Path:
    count, height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", dtype=values.dtype, count=count, height=height, width=width,
        crs="EPSG:2154", transform=Affine(pixel, 0, 7e5, 0, -pixel, 66e5),
    ) as dataset:  # fmt: skip
        dataset.write(values)
    return path


def values(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    light = random.integers(0, 2, (12, 12)).repeat(8, axis=0).repeat(8, axis=1)
    return (60 + 120 * light + random.integers(-20, 21, (2, 96, 96))).astype(np.uint8)


@pytest.fixture
def index(lcmap: Lcmap, tmp_path: Path) -> Path:
    image = write(tmp_path / "image.tif", values(0))
    labels = write(tmp_path / "labels.tif", 1 + (values(0)[:1] > 120).astype(np.uint8))
    index = tmp_path / "own.geojson"
    ok(lcmap(
        "prepare", image, "--labels", labels, "--nomenclature", "flair7", "--tiles", index,
        "--tile-size", 16, "--gap", 0, "-o", tmp_path / "own.tif",
    ))  # fmt: skip
    return index


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """An image without labels, darker than the labelled one."""
    return write(tmp_path / "other.tif", values(1) // 2)


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


def weights(model: Path) -> dict[str, bytes]:
    graph = onnx.load(model).graph
    return {t.name: numpy_helper.to_array(t).tobytes() for t in graph.initializer}


def test_an_image_without_labels_is_learnt_from_and_named_in_the_model(
    lcmap: Lcmap, index: Path, other: Path, tmp_path: Path
) -> None:
    model, folder = tmp_path / "model.onnx", tmp_path / "folder.onnx"
    done = ok(lcmap("train", index, "-o", model, *SMALL, "--unlabelled", other))
    assert read_model(model).training["unlabelled images"] == [str(other)]
    # both are scaled by the quantiles of the labelled one: those of the other are not needed
    assert "quantiles" not in done.stderr
    with rasterio.open(tmp_path / "image.tif") as dataset:
        own = np.quantile(dataset.read(), (0.02, 0.98), axis=(1, 2)).T
    np.testing.assert_allclose(read_model(model).inputs[0].quantiles, own)

    (tmp_path / "scenes").mkdir()
    scene = other.rename(tmp_path / "scenes" / "other.tif")
    ok(lcmap("train", index, "-o", folder, *SMALL, "--unlabelled", tmp_path / "scenes"))
    assert weights(folder) == weights(model)
    again = ok(lcmap("train", index, "-o", folder, *SMALL, "--unlabelled", tmp_path / "scenes"))
    assert "up to date" in again.stderr
    # an image that joins the folder counts
    write(scene.with_name("third.tif"), values(2))
    done = ok(lcmap("train", index, "-o", folder, *SMALL, "--unlabelled", tmp_path / "scenes"))
    assert "up to date" not in done.stderr
    assert len(read_model(folder).training["unlabelled images"]) == 2
    assert weights(folder) != weights(model)


def test_images_that_could_not_be_predicted_are_refused(
    lcmap: Lcmap, index: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"

    def said(image: Path, *options: object) -> tuple[int, str]:
        done = lcmap("train", index, "-o", model, *SMALL, "--unlabelled", image, *options)
        *warnings, error = done.stderr.strip().splitlines()
        assert not model.exists() and all(line.startswith("warning: ") for line in warnings)
        return done.exit_code, error

    code, text = said(write(tmp_path / "bands.tif", values(1)[:1]))
    assert code == 65
    assert "bands.tif: has 1 band(s), the tiles have 2 (band 1, band 2); give --unlabelled" in text
    code, text = said(write(tmp_path / "type.tif", values(1).astype(np.uint16)))
    assert code == 65 and "type.tif: is uint16, the tiles have uint8" in text
    code, text = said(write(tmp_path / "coarse.tif", values(1), 3.0))
    assert code == 65 and "coarse.tif: has 3 m pixels, the tiles have 1.5 m" in text
    empty = write(tmp_path / "empty.tif", values(1))
    with rasterio.open(empty, "r+") as dataset:
        dataset.nodata = 0
        dataset.write(np.zeros((2, 96, 96), np.uint8))
    code, text = said(empty)
    assert code == 65 and "empty.tif: no pixel is valid in every band" in text
    local = write(tmp_path / "local.tif", values(1))
    with rasterio.open(local, "r+") as dataset:
        dataset.crs = CRS.from_wkt('LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1]]')
    code, text = said(local)
    assert code == 65 and text.endswith(
        f"does not place it on earth; write it in: rio edit-info --crs EPSG:2154 {local}"
    )
    code, text = said(tmp_path / "none.tif")
    assert code == 66 and "none.tif" in text
    code, text = said(Path("-"))
    assert code == 2 and "--unlabelled: takes images in files" in text
    image = write(tmp_path / "other.tif", values(1))
    code, text = said(image, "--recipe", "paper")
    assert code == 2 and "needs the running average of the weights" in text
    assert "--recipe paper has not; use --recipe default" in text


def test_tiles_with_side_inputs_are_refused(lcmap: Lcmap, index: Path, tmp_path: Path) -> None:
    fusion = tmp_path / "fusion.geojson"
    ok(lcmap(
        "prepare", tmp_path / "image.tif", "--side", tmp_path / "own.tif", "--labels",
        tmp_path / "labels.tif", "--nomenclature", "flair7", "--tiles", fusion, "--tile-size", 16,
        "--gap", 0, "-o", tmp_path / "fusion.tif",
    ))  # fmt: skip
    done = lcmap(
        "train", fusion, "-o", tmp_path / "m.onnx", "--unlabelled", tmp_path / "image.tif", *SMALL
    )
    assert done.exit_code == 2
    assert "--unlabelled: is for networks of one image, and the tiles have side" in done.stderr


def test_an_output_is_no_input(lcmap: Lcmap, index: Path, other: Path, tmp_path: Path) -> None:
    image = other.rename(tmp_path / "model.curves.png")
    before = image.read_bytes()
    done = lcmap(
        "train", index, "-o", tmp_path / "model.onnx", "--unlabelled", image, "--overwrite", *SMALL
    )
    assert done.exit_code == 2 and "model.curves.png" in done.stderr
    assert image.read_bytes() == before
