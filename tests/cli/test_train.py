"""lcmap train as a user runs it."""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import rasterio
import torch
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import transform_bounds
from small_network import drown_in_int8
from support import undigested

from lcmap.errors import QuantisationLossError
from lcmap.graph.classification import Classification
from lcmap.model_file import read_model
from lcmap.network import LandCoverNetwork
from lcmap.raster.grid import Grid
from lcmap.raster.writing import RasterFormat, atomic_raster
from lcmap.training.export import Agreement, verify

GRID = Grid(CRS.from_epsg(2154), rasterio.Affine(1.5, 0, 0, 0, -1.5, 0), width=96, height=96)


@pytest.fixture
def tiles(tmp_path: Path, lcmap: Callable[..., object]) -> Path:
    """Tiles of an image whose labels can be learnt, made by lcmap prepare."""
    random = np.random.default_rng(0)
    light = random.integers(0, 2, (12, 12)).repeat(8, axis=0).repeat(8, axis=1)
    bands = 60 + 120 * light + random.integers(-20, 21, (2, 96, 96))
    for name, values in (("image", bands), ("labels", 1 + light[None])):
        with atomic_raster(
            tmp_path / f"{name}.tif",
            GRID,
            RasterFormat(count=len(values), dtype="uint8", nodata=0 if name == "labels" else None),
            overwrite=False,
        ) as dataset:
            dataset.write(values.astype(np.uint8))
    index = tmp_path / "image.tiles.geojson"
    result = lcmap(
        "prepare", tmp_path / "image.tif", "--labels", tmp_path / "labels.tif", "--nomenclature",
        "flair7", "--tiles", index, "--tile-size", 16, "--gap", 0, "-o", tmp_path / "stack.tif",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    return index


SMALL = ("--width", 8, "--depth", 1, "--batch-size", 2, "--epochs", 1)


def test_a_model_of_two_ground_sampling_distances_takes_images_of_both(
    lcmap: Callable[..., object], tmp_path: Path
) -> None:
    stacks = {}
    for gsd in (0.8, 1.6):
        grid = dataclasses.replace(GRID, transform=Affine(gsd, 0, 7e5, 0, -gsd, 66e5 + 1e3 * gsd))
        values = np.random.default_rng(0).integers(0, 2, (12, 12)).repeat(8, 0).repeat(8, 1)
        for name, written in (("image", 60 + 120 * values), ("labels", 1 + values)):
            nodata = 0 if name == "labels" else None
            format_of = RasterFormat(count=1, dtype="uint8", nodata=nodata)
            path = tmp_path / f"{name}{gsd}.tif"
            with atomic_raster(path, grid, format_of, overwrite=False) as dataset:
                dataset.write(written[None].astype(np.uint8))
        stacks[gsd] = tmp_path / f"stack{gsd}.tif"
        result = lcmap(
            "prepare", tmp_path / f"image{gsd}.tif", "--labels", tmp_path / f"labels{gsd}.tif",
            "--nomenclature", "flair7", "--tiles", tmp_path / f"{gsd}.geojson", "--tile-size", 16,
            "--gap", 0, "--band-names", "panchromatic", "-o", stacks[gsd],
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
    model = tmp_path / "model.onnx"
    result = lcmap("train", tmp_path / "0.8.geojson", tmp_path / "1.6.geojson", "-o", model, *SMALL)
    assert result.exit_code == 0, result.stderr
    assert read_model(model).inputs[0].gsd_range == pytest.approx((0.8, 1.6), rel=0.01)
    for stack in stacks.values():
        result = lcmap("predict", stack, "-m", model, "-o", stack.with_suffix(".map.tif"))
        assert result.exit_code == 0, result.stderr
        assert "m pixels" not in result.stderr


def test_a_label_map_and_a_second_image_go_in_beside_the_image(
    lcmap: Callable[..., object], tmp_path: Path
) -> None:
    """The image is noise; both side inputs together tell the class, either alone one of two."""
    random = np.random.default_rng(0)
    crop = random.choice([5, 13], (24, 24)).astype(np.uint8)  # rapeseed or grassland in OSO
    bright = random.integers(0, 2, (24, 24)).astype(np.int16)
    truth = 1 + (crop == 13) + 2 * bright  # four classes
    coarser = dataclasses.replace(GRID, transform=GRID.transform @ Affine.scale(4), width=24,
                                  height=24)  # fmt: skip
    for name, grid, values in (
        ("image", GRID, random.integers(0, 256, (2, 96, 96)).astype(np.uint8)),
        ("oso", coarser, crop[None]),
        ("s2", coarser, 500 + 3000 * bright[None]),
        ("labels", GRID, np.kron(truth, np.ones((4, 4)))[None].astype(np.uint8)),
    ):
        with atomic_raster(
            tmp_path / f"{name}.tif",
            grid,
            RasterFormat(count=len(values), dtype=values.dtype.name, nodata=None),
            overwrite=False,
        ) as dataset:
            dataset.write(values)
    index, stack = tmp_path / "image.tiles.geojson", tmp_path / "stack.tif"
    result = lcmap(
        "prepare", tmp_path / "image.tif", "--side", f"{tmp_path / 'oso.tif'}:oso23@0",
        "--side", f"{tmp_path / 's2.tif'}@0", "--labels", tmp_path / "labels.tif", "--nomenclature",
        "flair7", "--tiles", index, "--tile-size", 16, "--gap", 0, "--block-tiles", 1, "-o", stack,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "oso.tif: side input, labels in oso23" in result.stdout
    assert "s2.tif: side input, image" in result.stdout
    model = tmp_path / "model.onnx"
    result = lcmap("train", index, "-o", model, "--width", 8, "--depth", 1, "--batch-size", 4,
                   "--epochs", 8)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    image, oso, s2 = read_model(model).inputs
    assert (image.kind, oso.kind, s2.kind) == ("image", "labels", "image")
    assert oso.nomenclature is not None and oso.nomenclature.name == "oso23" and oso.channels == 23
    assert (s2.dtype, s2.gsd) == ("int16", pytest.approx(4 * GRID.gsd_metres))
    output = tmp_path / "map.tif"
    result = lcmap("fuse", stack, f"{tmp_path / 'oso.tif'}:oso23", tmp_path / "s2.tif", "-m", model,
                   "-o", output, "--verify")  # fmt: skip
    assert result.exit_code == 0 and "0 differ" in result.stderr
    with rasterio.open(output) as found, rasterio.open(tmp_path / "labels.tif") as wanted:
        assert (found.read(1) == wanted.read(1)).mean() > 0.6


def test_indexes_of_other_side_inputs_are_not_mixed(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.tiles.geojson"
    made = lcmap(
        "prepare", tmp_path / "image.tif", "--side", tmp_path / "image.tif", "--labels",
        tmp_path / "labels.tif", "--nomenclature", "flair7", "--tiles", other, "--tile-size", 16,
        "--gap", 0, "-o", tmp_path / "other.tif",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    result = lcmap("train", tiles, other, "-o", tmp_path / "model.onnx", *SMALL)
    assert result.exit_code == 65
    assert "has image beside the image, " in result.stderr
    assert "has no side input" in result.stderr and not (tmp_path / "model.onnx").exists()


def test_ground_of_two_splits_is_refused_or_said(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    # the same pixels, 48 px to the right, in an image and an index of its own
    with rasterio.open(tmp_path / "stack.tif") as dataset:
        profile, values = dataset.profile, dataset.read()
    profile["transform"] = GRID.transform @ Affine.translation(48, 0)
    with rasterio.open(tmp_path / "other.tif", "w", **profile) as dataset:
        dataset.write(values)
    document = json.loads(tiles.read_text())
    for feature in document["features"]:
        feature["properties"]["image"] = "other.tif"
    other = tmp_path / "other.tiles.geojson"
    other.write_text(json.dumps(document))
    model = tmp_path / "m.onnx"
    result = lcmap("train", tiles, other, "-o", model, *SMALL)
    assert result.exit_code == 65 and not model.exists()
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("lcmap: "))
    place: dict[str, set[tuple[int, int]]] = {
        split: set() for split in ("train", "validation", "test")
    }
    for feature in document["features"]:
        p = feature["properties"]
        place[p["split"]] |= {(p["row"], p["col"]), (p["row"], p["col"] + 48)}
    for split in ("validation", "test"):
        share = 100 * len(place["train"] & place[split]) / len(place[split])
        assert f"{share:.1f} % of the {split} ground is training ground too" in line
    assert " on other.tif row " in line and "--allow-overlap" in line
    result = lcmap("train", tiles, other, "-o", model, *SMALL, "--allow-overlap")
    assert result.exit_code == 0, result.stderr
    assert "training ground too" in result.stderr and model.exists()


def test_train_writes_a_verified_model_that_predicts(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model.onnx"
    result = lcmap("train", tiles, "-o", model, *SMALL, "--stac")
    assert result.exit_code == 0, result.stderr
    assert "onnxruntime agrees with PyTorch" in result.stdout
    assert "validation mIoU" in result.stdout and "Traceback" not in result.stderr
    assert "no training tile has" in result.stderr
    assert read_model(model).nomenclature.name == "flair7"
    made = {path.name for path in tmp_path.iterdir() if path.name.startswith("model.")}
    assert made == {"model.onnx", "model.curves.csv", "model.curves.png", "model.stac.json"}
    west, south, east, north = json.loads((tmp_path / "model.stac.json").read_text())["bbox"]
    with rasterio.open(tmp_path / "stack.tif") as stack:
        outer = transform_bounds(stack.crs, "EPSG:4326", *stack.bounds)
    assert outer[0] - 1e-6 <= west < east <= outer[2] + 1e-6
    assert outer[1] - 1e-6 <= south < north <= outer[3] + 1e-6

    result = lcmap("predict", tmp_path / "stack.tif", "-m", model, "-o", tmp_path / "map.tif")
    assert result.exit_code == 0, result.stderr
    with (
        rasterio.open(tmp_path / "map.tif") as found,
        rasterio.open(tmp_path / "labels.tif") as ref,
    ):
        assert (found.read(1) == ref.read(1)).mean() > 0.8

    (tmp_path / ".model.onnx.lcmap-made").unlink()  # as if something else had made it
    again = lcmap("train", tiles, "-o", model, *SMALL)
    assert again.exit_code == 73 and "--overwrite" in again.stderr


def test_quantize_writes_an_int8_model_that_predicts(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    model, int8 = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    result = lcmap("train", tiles, "-o", model, *SMALL, "--quantize")
    assert result.exit_code == 0, result.stderr
    trained, *_, quantised = result.stdout.splitlines()
    assert trained.startswith(f"{model}: epoch 1")
    assert quantised.startswith(f"{int8}: 10 of 13 convolutions in int8, validation mIoU ")
    assert (read_model(model).precision, read_model(int8).precision) == ("float32", "int8")
    by = {"scores_computed_by": f"onnxruntime {onnxruntime.__version__} on cpu in int8"}
    assert read_model(int8).training == read_model(model).training | by
    maps = []
    for of in (model, int8):
        output = tmp_path / f"{of.stem}.tif"
        result = lcmap("predict", tmp_path / "stack.tif", "-m", of, "-o", output, "--verify")
        assert result.exit_code == 0 and " 0 differ" in result.stderr
        with rasterio.open(output) as dataset:
            maps.append(dataset.read(1))
    # after 50 steps many pixels are near a tie
    assert (maps[0] == maps[1]).mean() > 0.95

    again = lcmap("train", tiles, "-o", tmp_path / "again.int8.onnx", "--quantize-only", model)
    assert again.exit_code == 0, again.stderr
    assert again.stdout == quantised.replace("model.int8", "again.int8") + "\n"
    assert undigested(tmp_path / "again.int8.onnx") == undigested(int8)
    assert not list(tmp_path.glob("again*.curves.*"))
    link = tmp_path / "link.onnx"
    for read in (model, tiles):
        link.symlink_to(read)
        result = lcmap("train", tiles, "-o", link, "--quantize-only", model, "--overwrite")
        assert result.exit_code == 2 and "link.onnx: is one of the inputs; " in result.stderr
        link.unlink()

    model.unlink()
    (tmp_path / ".model.onnx.lcmap-made").unlink()  # as if something else had made the other
    kept = int8.read_bytes()
    for arguments in (
        ("-o", model, "--quantize", *SMALL),  # known before anything is trained
        ("-o", int8, "--quantize-only", tmp_path / "again.int8.onnx"),
    ):
        result = lcmap("train", tiles, *arguments)
        assert result.exit_code == 73 and "int8.onnx" in result.stderr
        assert int8.read_bytes() == kept and not model.exists()


def test_an_int8_model_that_loses_too_much_is_refused(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    model, int8 = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    assert lcmap("train", tiles, "-o", model, *SMALL).exit_code == 0
    drown_in_int8(model)
    result = lcmap("train", tiles, "-o", int8, "--quantize-only", model)
    assert result.exit_code == 65
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("lcmap: "))
    assert f"{int8}: int8 costs more than 0.5 points: validation mIoU" in line
    assert "--max-loss" in line and not int8.exists()
    result = lcmap("train", tiles, "-o", int8, "--quantize-only", model, "--max-loss", 100)
    assert result.exit_code == 0, result.stderr
    assert read_model(int8).precision == "int8"


def test_the_model_is_kept_where_its_int8_form_is_refused(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tiles: object, model: Path, output: Path, *_: object, **given: Any) -> None:
        assert not model.exists() and given["within"].written(model).exists()
        raise QuantisationLossError(output, "int8 costs more than 0.5 points")

    monkeypatch.setattr("lcmap.training.train.quantise_model", refuse)
    result = lcmap("train", tiles, "-o", tmp_path / "m.onnx", *SMALL, "--quantize")
    assert result.exit_code == 65
    assert result.stdout.startswith(f"{tmp_path / 'm.onnx'}: epoch 1 of 1")
    assert f"{tmp_path / 'm.int8.onnx'}: int8 costs more" in result.stderr.splitlines()[-1]
    made = {path.name for path in tmp_path.iterdir() if path.name.startswith((".m.", "m."))}
    assert made == {"m.onnx", "m.curves.csv", "m.curves.png", ".m.onnx.lcmap-made"}


@pytest.mark.parametrize(
    "options",
    [
        ("--quantize",),
        ("--epochs", 3),
        ("--resume",),
        ("--width", 8, "--depth", 1),
        ("--recipe", "default"),
        ("--patience", 30),
        ("--final",),
        ("--device", "auto"),
    ],
)
def test_quantize_only_trains_nothing(
    lcmap: Callable[..., object], tmp_path: Path, options: tuple[object, ...]
) -> None:
    result = lcmap("train", tmp_path / "none.geojson", "-o", tmp_path / "m.onnx", "--quantize-only",
                   tmp_path / "none.onnx", *options)  # fmt: skip
    assert result.exit_code == 2
    assert f"lcmap: {options[0]}: is about training; leave it out" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none.geojson", "-o", "m.onnx"], 66, "none.geojson: no such file"),
        (["image.tif", "-o", "m.onnx"], 65, "image.tif: is not"),
        (["image.tiles.geojson", "-o", "m.pt"], 2, "a model's name ends in .onnx"),
        (["image.tiles.geojson", "-o", "no/m.onnx"], 73, "no such folder"),
        (["image.tiles.geojson", "-o", "m.onnx", "--epochs", 1, "--minutes", 1], 2, "--epochs"),
        (["image.tiles.geojson", "-o", "m.onnx", "--init-from", "none.onnx"], 66, "none.onnx"),
        (["image.tiles.geojson", "-o", "m.onnx", "--recipe", "other"], 2, "other"),
        (["image.tiles.geojson", "-o", "m.onnx", "--calibrate", "elsewhere"], 2, "are of 1 that"),
    ],
)
def test_bad_input_is_one_line_and_its_exit_code(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[object], code: int, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    result = lcmap("train", *arguments)
    assert result.exit_code == code and said in result.stderr
    assert "Traceback" not in result.stderr
    if code != 2:
        lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1 and lines[0].startswith("lcmap: ")
    assert set(tmp_path.iterdir()) == before


def test_sigterm_leaves_a_checkpoint_from_which_the_best_model_can_be_had(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    arguments = ["train", tiles, "-o", tmp_path / "m.onnx", *SMALL[:-1], 1000]
    process = subprocess.Popen(
        [sys.executable, "-c", "from lcmap.cli import main; main()", *map(str, arguments)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (tmp_path / "m.checkpoint.curves.png").exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr and "Traceback" not in stderr
    made = {path.name for path in tmp_path.iterdir() if path.name.startswith("m.")}
    assert made == {f"m.checkpoint{end}" for end in (".pt", ".curves.csv", ".curves.png")}
    assert not list(tmp_path.glob(".m.*"))
    assert "--resume goes on" in stderr and "--export-best it writes the best model" in stderr

    checkpoint = (tmp_path / "m.checkpoint.pt").read_bytes()
    curves = list(csv.DictReader((tmp_path / "m.checkpoint.curves.csv").read_text().splitlines()))
    result = lcmap(*arguments, "--export-best")
    assert result.exit_code == 0, result.stderr
    best = max(curves, key=lambda row: float(row["miou"]))
    assert read_model(tmp_path / "m.onnx").training["epoch"] == int(best["epoch"])
    result = lcmap("predict", tmp_path / "stack.tif", "-m", tmp_path / "m.onnx", "-o",
                   tmp_path / "map.tif")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    # the run can still go on
    assert (tmp_path / "m.checkpoint.pt").read_bytes() == checkpoint
    again = lcmap(*arguments, "--export-best")
    assert again.exit_code == 0 and "m.onnx: up to date" in again.stderr


def test_there_must_be_a_run_to_export(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path
) -> None:
    result = lcmap("train", tiles, "-o", tmp_path / "m.onnx", "--export-best")
    assert result.exit_code == 66
    assert "m.checkpoint.pt: no such file, so there is no model to export" in result.stderr
    assert "--export-best" in result.stderr and not (tmp_path / "m.onnx").exists()


def test_a_model_is_written_though_pytorch_computes_otherwise(
    lcmap: Callable[..., object], tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Agreement] = []

    def of_another_network(
        model: bytes, network: LandCoverNetwork, samples: Any, classification: Classification
    ) -> Agreement:
        other = copy.deepcopy(network)
        torch.nn.init.zeros_(other.classifier.weight)
        seen.append(verify(model, other, samples, classification))
        return seen[-1]

    monkeypatch.setattr("lcmap.training.finished_model.verify", of_another_network)
    result = lcmap("train", tiles, "-o", tmp_path / "m.onnx", *SMALL)
    assert result.exit_code == 0, result.stderr
    (warning,) = (line for line in result.stderr.splitlines() if "differ by up to" in line)
    assert warning.startswith(f"warning: {tmp_path / 'm.onnx'}: onnxruntime ")
    assert f"in {100 * seen[0].apart:.1f} % of pixels of training tiles" in warning
    assert "agrees" not in result.stdout
    made = {path.name for path in tmp_path.iterdir() if path.name.startswith("m.")}
    assert made == {"m.onnx", "m.curves.csv", "m.curves.png"}
    result = lcmap("predict", tmp_path / "stack.tif", "-m", tmp_path / "m.onnx", "-o",
                   tmp_path / "map.tif")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    with (
        rasterio.open(tmp_path / "map.tif") as found,
        rasterio.open(tmp_path / "labels.tif") as ref,
    ):
        assert (found.read(1) == ref.read(1)).mean() > 0.8


def test_a_largest_loss_without_an_int8_model_is_refused(
    lcmap: Callable[..., object], tmp_path: Path
) -> None:
    result = lcmap("train", tmp_path / "none.geojson", "-o", tmp_path / "m.onnx",
                   "--max-loss", "0.5")  # fmt: skip
    assert result.exit_code == 2
    assert "lcmap: --max-loss: is about an int8 model" in result.stderr
