"""lcmap reclassify-oso as a user runs it: with a model, and by crosswalk alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject
from small_fusion import BANDS, IMAGE, OSO, write_fusion_model
from small_model import write_small_model
from support import Run, write_raster

from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.raster.classes import read_class_table, write_class_table

Lcmap = Callable[..., Run]
OSO23 = load_nomenclature("oso23")
WEST, NORTH = 721_104.0, 6_249_288.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fusion_model(tmp_path_factory.mktemp("model") / "oso.onnx", [IMAGE, OSO])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(7).integers(0, 256, (4, 90, 121)).astype(np.uint8)
    return write_raster(tmp_path / "spot.tif", pixels, names=BANDS)


@pytest.fixture
def oso(tmp_path: Path) -> Path:
    """Codes as CESBIO ships them: 0 and 255 are no class, and no tag names the nomenclature."""
    codes = np.random.default_rng(2).choice([0, *OSO23.codes, 255], (1, 40, 45)).astype(np.uint8)
    return write_raster(
        tmp_path / "OCS_2018.tif", codes, corner=(WEST - 100, NORTH + 100), pixel=10
    )


def read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        codes: NDArray[np.uint8] = dataset.read(1)
    return codes


def refused(run: Run, code: int, line: str, output: Path) -> None:
    assert run.exit_code == code
    assert run.stderr.count("\n") == 1 and line in run.stderr, run.stderr
    assert not output.exists()


def test_with_a_model_it_is_fuse_with_the_map_named(
    lcmap: Lcmap, model: Path, image: Path, oso: Path, tmp_path: Path
) -> None:
    reclassified, fused = tmp_path / "reclassified.tif", tmp_path / "fused.tif"
    run = lcmap("reclassify-oso", image, oso, "--oso", "oso23", "-m", model, "-o", reclassified,
                "--tile", 32, "--verify")  # fmt: skip
    assert run.exit_code == 0 and "0 differ" in run.stderr
    assert lcmap("fuse", image, f"{oso}:oso23", "-m", model, "-o", fused).exit_code == 0
    codes = read(reclassified)
    assert (codes == read(fused)).all() and len(np.unique(codes)) > 2
    # no class of the map, no class of the new one
    nearest = np.zeros_like(codes)
    with rasterio.open(oso) as source, rasterio.open(image) as target:
        reproject(rasterio.band(source, 1), nearest, dst_transform=target.transform,
                  dst_crs=target.crs, resampling=Resampling.nearest)  # fmt: skip
    assert ((codes == 0) == np.isin(nearest, (0, 255))).mean() > 0.999


def test_a_map_that_says_its_classes_needs_no_option(
    lcmap: Lcmap, model: Path, image: Path, oso: Path, tmp_path: Path
) -> None:
    with rasterio.open(oso, "r+") as dataset:
        write_class_table(dataset, OSO23.class_table())
    output = tmp_path / "map.tif"
    assert lcmap("reclassify-oso", image, oso, "-m", model, "-o", output).exit_code == 0
    assert lcmap("reclassify-oso", image, oso, "--crosswalk-only", "-o", tmp_path / "a.tif"
                 ).exit_code == 0  # fmt: skip


@pytest.mark.parametrize("target", ["oso-reclass", "flair7"])
def test_crosswalk_alone(lcmap: Lcmap, image: Path, oso: Path, tmp_path: Path, target: str) -> None:
    output = tmp_path / "adapted.tif"
    options = [] if target == "oso-reclass" else ["--crosswalk", f"oso23:{target}"]
    run = lcmap("reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only", "-o", output,
                *options, "--qml")  # fmt: skip
    assert run.exit_code == 0 and run.stderr.startswith("wrote ")
    kept, discarded, new = run.stdout.splitlines()
    assert discarded.startswith("discarded: Bâtis denses, Bâtis diffus")
    assert new.startswith("new: ")
    assert ("Residential" in new) if target == "oso-reclass" else (new == "new: Building")
    assert kept.startswith("kept: Water" if target == "oso-reclass" else "kept: Road")
    with rasterio.open(output) as adapted, rasterio.open(image) as source, rasterio.open(oso) as o:
        assert adapted.transform == source.transform and adapted.shape == source.shape
        assert read_class_table(adapted) == load_nomenclature(target).class_table()
        nearest = np.zeros(source.shape, np.uint8)
        reproject(rasterio.band(o, 1), nearest, dst_transform=source.transform,
                  dst_crs=source.crs, resampling=Resampling.nearest)  # fmt: skip
        codes = adapted.read(1)
    expected = load_crosswalk(f"oso23:{target}").table[np.where(nearest == 255, 0, nearest)]
    assert (codes == expected).mean() > 0.999  # but for centres on an edge
    assert output.with_suffix(".qml").exists()


def test_crosswalk_alone_takes_the_majority_where_the_image_is_coarser(
    lcmap: Lcmap, oso: Path, tmp_path: Path
) -> None:
    """Pixels of 2 × 2 label pixels get the class that most of these lead to, 0 before any other."""
    coarse = write_raster(
        tmp_path / "coarse.tif", np.ones((1, 20, 22), np.uint8), pixel=20,
        corner=(WEST - 100, NORTH + 100),
    )  # fmt: skip
    output = tmp_path / "adapted.tif"
    run = lcmap("reclassify-oso", coarse, oso, "--oso", "oso23", "--crosswalk-only", "-o", output)
    assert run.exit_code == 0, run.stderr
    codes = read(oso)[:40, :44]
    adapted = load_crosswalk("oso23:oso-reclass").table[np.where(codes == 255, 0, codes)]
    cells = adapted.reshape(20, 2, 22, 2).transpose(0, 2, 1, 3).reshape(20, 22, 4)
    votes = (cells[..., None] == np.arange(256)).sum(axis=2)
    np.testing.assert_array_equal(read(output), votes.argmax(axis=2))


def test_what_is_refused(lcmap: Lcmap, model: Path, image: Path, oso: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"

    def run(*options: object, map_: Path = oso, model_: Path | None = model) -> Run:
        given = [] if model_ is None else ["-m", model_]
        return lcmap("reclassify-oso", image, map_, *given, "-o", output, *options)

    refused(run(), 2, "--oso oso23 (since 2018) or --oso oso17", output)
    refused(run("--crosswalk-only", model_=None), 2, "--oso oso23 (since 2018)", output)
    refused(run("--oso", "oso17"), 65, "is in oso17, the model was trained on oso23", output)
    refused(run("--oso", "oso24"), 2, "no built-in nomenclature has this name", output)
    refused(run("--oso", "oso23", model_=None), 2, "--model: is missing; name one, or --crosswalk",
            output)  # fmt: skip
    refused(run("--oso", "oso23", "--crosswalk", "oso23:topo6"), 2,
            "--crosswalk: applies with --crosswalk-only alone; leave it out", output)  # fmt: skip
    refused(run("--oso", "oso17", "--crosswalk-only", "--crosswalk", "oso23:topo6", model_=None),
            65, "is in oso17, the crosswalk starts from oso23", output)  # fmt: skip
    refused(run("--oso", "oso17", "--crosswalk-only", model_=None), 65, "that oso17 does not have",
            output)  # fmt: skip
    plain = write_small_model(tmp_path / "plain.onnx")
    refused(run("--oso", "oso23", model_=plain), 65, "does not take a label map", output)
    bands = write_raster(tmp_path / "bands.tif", np.ones((2, 40, 45), np.uint8), pixel=10)
    refused(run("--oso", "oso23", "--crosswalk-only", map_=bands, model_=None), 65, "has 2 bands",
            output)  # fmt: skip
    odd = write_raster(tmp_path / "odd.tif", read(oso)[None].astype("complex64"), pixel=10)
    refused(run("--oso", "oso23", "--crosswalk-only", map_=odd, model_=None), 65,
            "odd.tif: has complex64 values, which are no label codes", output)  # fmt: skip
    far = write_raster(tmp_path / "far.tif", np.ones((1, 40, 45), np.uint8), corner=(0, 0))
    refused(run("--oso", "oso23", "--crosswalk-only", map_=far, model_=None), 65,
            "covers no ground", output)  # fmt: skip
    refused(run("--oso", "oso23", "--crosswalk-only", map_=tmp_path / "no.tif", model_=None), 66,
            "no.tif: no such file", output)  # fmt: skip


@pytest.mark.parametrize(
    "option",
    [
        ("--model", "any.onnx"),
        ("--confidence", "c.tif"),
        ("--margin", "m.tif"),
        ("--probabilities", "p.tif"),
        ("--tile", "64"),
        ("--memory", "2G"),  # as it is by default, but given
        ("--threads", "2"),
        ("--precision", "float32"),
        ("--engine", "onnxruntime"),
        ("--provider", "cpu"),
        ("--force",),
        ("--verify",),
    ],
    ids=lambda option: option[0],
)
def test_crosswalk_alone_refuses_what_belongs_to_a_model(
    lcmap: Lcmap, image: Path, oso: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    output = tmp_path / "map.tif"
    run = lcmap("reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only", "-o", output,
                *option)  # fmt: skip
    line = f"lcmap: {option[0]}: does not apply with --crosswalk-only; leave it out"
    refused(run, 2, line, output)


@pytest.mark.parametrize("name", ["map.tif", "map.qml", "map.tif.aux.xml"])
def test_crosswalk_alone_keeps_what_is_there(
    lcmap: Lcmap, image: Path, oso: Path, tmp_path: Path, name: str
) -> None:
    there = tmp_path / name
    there.write_bytes(b"precious")
    before = sorted(tmp_path.iterdir())
    command = ("reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only", "--qml",
               "-o", tmp_path / "map.tif")  # fmt: skip
    run = lcmap(*command)
    assert run.exit_code == 73 and run.stderr.count("\n") == 1
    assert f"{there}: exists already; --overwrite to replace it" in run.stderr
    assert there.read_bytes() == b"precious" and sorted(tmp_path.iterdir()) == before
    assert lcmap(*command, "--overwrite").exit_code == 0
    assert there.read_bytes() != b"precious"


@pytest.mark.parametrize("taken", ["image", "oso"])
def test_crosswalk_alone_does_not_replace_its_inputs(
    lcmap: Lcmap, image: Path, oso: Path, taken: str
) -> None:
    output = {"image": image, "oso": oso}[taken]
    before = output.read_bytes()
    run = lcmap("reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only", "-o", output,
                "--overwrite")  # fmt: skip
    assert run.exit_code == 2 and f"{output}: is one of the inputs" in run.stderr
    assert output.read_bytes() == before
