"""lcmap fuse as a user runs it, against the network over the whole of all inputs at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform
from small_fusion import BANDS, IMAGE, OSO, S2, S2_BANDS, write_fusion_model
from small_model import write_small_model
from support import Run, write_raster

from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.raster_content import RasterContent
from lcmap.engines.calibration import quantise
from lcmap.model_file import read_model, write_model
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.classes import write_class_table
from lcmap.raster.grid import Grid
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.quantiles import band_quantiles
from lcmap.raster.windows import Window

Lcmap = Callable[..., Run]
NOMENCLATURE = load_nomenclature("flair7")
HEIGHT, WIDTH = 150, 211
WEST, NORTH = 721_104.0, 6_249_288.0
NODATA = -10_000


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fusion_model(tmp_path_factory.mktemp("two") / "two.onnx", [IMAGE, S2])


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fusion_model(tmp_path_factory.mktemp("three") / "three.onnx", [IMAGE, S2, OSO])


@pytest.fixture
def image(tmp_path: Path) -> Path:
    coarse = np.random.default_rng(7).integers(0, 256, (4, HEIGHT // 6 + 1, WIDTH // 6 + 1))
    pixels = np.kron(coarse, np.ones((1, 6, 6)))[:, :HEIGHT, :WIDTH].astype(np.uint8)
    return write_raster(tmp_path / "spot.tif", pixels, names=BANDS)


def write_s2(
    path: Path, *, epsg: int = 2154, shift: float = 0.0, hole: bool = False, bands: int = 3
) -> Path:
    """Write a 10 m image that reaches beyond the image's ground on all sides."""
    pixels = np.random.default_rng(1).integers(0, 4000, (bands, 40, 45)).astype(np.int16)
    if hole:
        pixels[:, 14:18, 15:21] = NODATA
    xs, ys = transform("EPSG:2154", f"EPSG:{epsg}", [WEST - 123.4], [NORTH + 143.2])
    corner = (xs[0] + shift, ys[0])
    names = S2_BANDS[:bands]
    return write_raster(
        path, pixels, epsg=epsg, corner=corner, pixel=10, names=names, nodata=NODATA
    )


@pytest.fixture
def s2(tmp_path: Path) -> Path:
    return write_s2(tmp_path / "s2.tif")


def write_oso(path: Path, *, tagged: bool = False) -> Path:
    codes = np.random.default_rng(2).integers(1, 24, (1, 40, 45)).astype(np.uint8)
    write_raster(path, codes, corner=(WEST - 100, NORTH + 100), pixel=10, nodata=0)
    if tagged:
        with rasterio.open(path, "r+") as dataset:
            write_class_table(dataset, load_nomenclature("oso23").class_table())
    return path


def read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        codes: NDArray[np.uint8] = dataset.read(1)
    return codes


def at_once(
    model: Path, image: Path, *sides: Path
) -> tuple[NDArray[np.float32], list[NDArray[np.bool_]]]:
    """The network over all of every input at once, and where each input is valid."""
    metadata = read_model(model)
    whole = Window(0, 0, HEIGHT, WIDTH)
    below, right = (-n % metadata.stride for n in (HEIGHT, WIDTH))
    given, valid = {}, []
    with rasterio.open(image) as dataset:
        grid = Grid.of(dataset)
    for model_input, path in zip(metadata.inputs, (image, *sides), strict=True):
        with rasterio.open(path) as dataset:
            quantiles = band_quantiles(path) if model_input.kind == "image" else None
            side = RasterContent(model_input.kind, model_input.nomenclature)
            values, where = InputReader(dataset, grid, side, quantiles, path.name).read(whole)
        padded = np.pad(values, ((0, 0), (0, below), (0, right)), mode="reflect")
        given[model_input.name] = padded[None]
        valid.append(where)
    session = onnxruntime.InferenceSession(model)
    return session.run(None, given)[0][0, :, :HEIGHT, :WIDTH], valid


def assert_is_map_of(codes: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
    index = NOMENCLATURE.code_to_index[codes].astype(int)
    assert (index < len(NOMENCLATURE)).all()
    chosen = np.take_along_axis(probabilities, index[None], axis=0)[0]
    assert (probabilities.max(axis=0) - chosen < 1e-5).all()
    assert len(np.unique(codes)) > 2


@pytest.mark.parametrize("tile", [16, 60, 768])
@pytest.mark.parametrize("epsg", [2154, 32631])
def test_tiles_give_what_everything_at_once_gives(
    lcmap: Lcmap, two: Path, image: Path, tmp_path: Path, epsg: int, tile: int
) -> None:
    s2 = write_s2(tmp_path / "s2.tif", epsg=epsg)
    output = tmp_path / "map.tif"
    run = lcmap("fuse", image, s2, "-m", two, "-o", output, "--tile", tile)
    assert (run.exit_code, run.stdout) == (0, "")
    probabilities, valid = at_once(two, image, s2)
    assert all(where.all() for where in valid)
    assert_is_map_of(read(output), probabilities)


def test_the_side_input_matters(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    other = write_s2(tmp_path / "other.tif", shift=40.0)
    for name, side in (("one.tif", s2), ("two.tif", other)):
        assert lcmap("fuse", image, side, "-m", two, "-o", tmp_path / name).exit_code == 0
    assert (read(tmp_path / "one.tif") != read(tmp_path / "two.tif")).mean() > 0.01


@pytest.mark.parametrize("tagged", [False, True])
def test_three_entries_and_verify(
    lcmap: Lcmap, three: Path, image: Path, s2: Path, tmp_path: Path, tagged: bool
) -> None:
    oso = write_oso(tmp_path / "oso.tif", tagged=tagged)
    output, confidence = tmp_path / "map.tif", tmp_path / "conf.tif"
    given = oso if tagged else f"{oso}:oso23"
    run = lcmap("fuse", image, s2, given, "-m", three, "-o", output, "--verify", "--tile", 48,
                "--confidence", confidence)  # fmt: skip
    assert run.exit_code == 0 and "0 differ" in run.stderr
    probabilities, _ = at_once(three, image, s2, oso)
    assert_is_map_of(read(output), probabilities)
    percent = read(confidence).astype(float)
    assert np.abs(percent - 100 * probabilities.max(axis=0)).max() <= 0.51


def test_int8_by_a_sample_of_the_images(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    maps = []
    for precision in ("float32", "int8"):
        output = tmp_path / f"{precision}.tif"
        run = lcmap("fuse", image, s2, "-m", two, "-o", output, "--precision", precision,
                    "--tile", 40, "--verify")  # fmt: skip
        assert run.exit_code == 0 and "verified: " in run.stderr
        with rasterio.open(output) as dataset:
            maps.append(dataset.read(1))
    assert 0.8 < (maps[0] == maps[1]).mean() < 1


def test_int8_where_no_pixel_is_valid_in_every_input(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    """A side input of clouds alone: calibrated by what the image shows without it."""
    with rasterio.open(s2, "r+") as dataset:
        dataset.write(np.full(dataset.shape, NODATA, np.int16)[None].repeat(3, axis=0))
    found = []
    for precision in ("float32", "int8"):
        output = tmp_path / f"{precision}.p.tif"
        run = lcmap("fuse", image, s2, "-m", two, "-o", tmp_path / "map.tif", "--allow-missing",
                    "--precision", precision, "--probabilities", output, "--overwrite")  # fmt: skip
        assert run.exit_code == 0, run.stderr
        assert ("converted to int8" in run.stderr) == (precision == "int8")
        with rasterio.open(output) as dataset:
            found.append(dataset.read())
    assert np.abs(found[0] - found[1]).max() > 0


def test_a_model_in_int8_is_run_as_it_is(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    samples = [
        tuple(random.random((1, c, 64, 64), np.float32) for c in (len(BANDS), len(S2_BANDS)))
        for _ in range(4)
    ]
    model, output = tmp_path / "int8.onnx", tmp_path / "map.tif"
    metadata = replace(read_model(two), precision="int8")
    write_model(quantise(two.read_bytes(), samples), metadata, model)
    command = ("fuse", image, s2, "-m", model, "-o", output)
    assert lcmap(*command, "--verify").exit_code == 0
    with rasterio.open(output) as dataset:
        assert len(np.unique(dataset.read(1))) > 1
    run = lcmap(*command, "--precision", "float32", "--overwrite")
    assert run.exit_code == 2
    assert f"--precision float32: {model} is int8; use the model it was made from" in run.stderr


def test_nodata_in_any_input_is_nodata_in_the_map_unless_allowed(
    lcmap: Lcmap, two: Path, image: Path, tmp_path: Path
) -> None:
    with rasterio.open(image, "r+") as dataset:
        dataset.nodata = 0
        pixels = dataset.read()
        dataset.write(np.where(pixels == 0, 1, pixels))
        dataset.write(np.zeros((4, 10, 30), np.uint8), window=((20, 30), (150, 180)))
    side = write_s2(tmp_path / "s2.tif", hole=True)
    strict, allowed = tmp_path / "strict.tif", tmp_path / "allowed.tif"
    first = lcmap("fuse", image, side, "-m", two, "-o", strict)
    assert first.exit_code == 0, first.stderr
    run = lcmap("fuse", image, side, "-m", two, "-o", allowed, "--allow-missing", "--tile", 32)
    assert run.exit_code == 0
    assert run.stderr.count("was not trained to go without an input") == 1
    probabilities, (own, sides) = at_once(two, image, side)
    assert not own.all() and not sides.all() and (own | sides).all()
    assert ((read(strict) > 0) == (own & sides)).all()
    assert_is_map_of(read(allowed), probabilities)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_nodata_value_is_the_images_and_that_of_sides_without_one(
    lcmap: Lcmap, two: Path, image: Path, tmp_path: Path, copies: int
) -> None:
    """Several rasters of a side input are opened elsewhere in the code than one."""
    folder = tmp_path / "sides"
    folder.mkdir()
    sides = [write_s2(folder / f"{number}.tif", hole=True) for number in range(copies)]

    def mapped(declared: float | None, *options: object) -> NDArray[np.bool_]:
        for side in sides:
            with rasterio.open(side, "r+") as dataset:
                dataset.nodata = declared
        output = tmp_path / "map.tif"
        run = lcmap("fuse", image, folder if copies > 1 else sides[0], "-m", two, "-o", output,
                    "--overwrite", *options)  # fmt: skip
        assert run.exit_code == 0, run.stderr
        return read(output) > 0

    masked, black = mapped(NODATA), mapped(None, "--nodata", 0)
    assert not masked.all() and not black.all()
    assert (mapped(NODATA, "--nodata", 0) == (masked & black)).all()
    assert (mapped(None, "--nodata", NODATA) == masked).all()


def test_a_file_of_quantiles_scales_the_inputs_of_its_bands(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    """Those of one sensor's images leave the other sensor's as they are."""

    def fused(name: str, *options: object) -> NDArray[np.float32]:
        output = tmp_path / f"{name}.p.tif"
        run = lcmap("fuse", image, s2, "-m", two, "-o", tmp_path / "map.tif", "--overwrite",
                    "--probabilities", output, *options)  # fmt: skip
        assert run.exit_code == 0, run.stderr
        with rasterio.open(output) as dataset:
            return np.asarray(dataset.read())

    wide = write_raster(
        tmp_path / "wide.tif", np.array([[[0, 9000]]] * 3, np.int16), names=S2_BANDS
    )
    own, campaign = fused("own"), tmp_path / "s2.json"
    for measured in (s2, wide):
        made = lcmap("prepare", "--quantiles-of", measured, "-o", campaign, "--overwrite")
        assert made.exit_code == 0, made.stderr
        given = fused("given", "--quantiles", campaign)
        assert np.allclose(given, own, atol=1e-4) == (measured == s2)

    other = write_raster(tmp_path / "other.tif", np.full((1, 9, 9), 9, np.uint8), names=("swir",))
    assert lcmap("prepare", "--quantiles-of", other, "-o", campaign, "--overwrite").exit_code == 0
    run = lcmap("fuse", image, s2, "-m", two, "-o", tmp_path / "x.tif", "--quantiles", campaign)
    refused(run, 65, "the model takes red, green, blue, nir and B2, B3, B8", tmp_path / "x.tif")


def test_pipe(two: Path, image: Path, s2: Path, tmp_path: Path) -> None:
    lcmap = Path(sys.executable).with_name("lcmap")
    with image.open("rb") as stdin:
        prepared = subprocess.run([lcmap, "prepare", "-"], stdin=stdin, capture_output=True)
    made = subprocess.run(
        [lcmap, "fuse", "-", s2, "-m", two], input=prepared.stdout, capture_output=True
    )
    assert made.returncode == 0, made.stderr
    piped = tmp_path / "piped.tif"
    piped.write_bytes(made.stdout)
    probabilities, _ = at_once(two, image, s2)
    assert_is_map_of(read(piped), probabilities)


def refused(run: Run, code: int, line: str, output: Path) -> None:
    assert run.exit_code == code
    assert run.stderr.count("\n") == 1 and line in run.stderr, run.stderr
    assert not output.exists()


def test_what_is_refused(lcmap: Lcmap, two: Path, three: Path, image: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    s2 = write_s2(tmp_path / "s2.tif")
    far = write_s2(tmp_path / "far.tif", shift=90_000)
    edge = write_s2(tmp_path / "edge.tif", shift=250)
    few = write_s2(tmp_path / "few.tif", bands=2)
    oso = write_oso(tmp_path / "oso.tif")
    topo = write_raster(tmp_path / "topo.tif", np.ones((1, 40, 45), np.uint8), pixel=10)

    def fuse(*inputs: object, model: Path = two) -> Run:
        return lcmap("fuse", *inputs, "-m", model, "-o", output)

    refused(fuse(image), 65, "takes 2 inputs (red, green, blue, nir; B2, B3, B8), not 1", output)
    refused(fuse(image, s2, s2), 65, "not 3", output)
    refused(fuse(image, far), 65, "far.tif: covers no ground of", output)
    refused(fuse(image, edge), 65, "--allow-missing", output)
    refused(fuse(image, few), 65, "few.tif: has 2 band(s), the model takes 3 (B2, B3, B8)", output)
    refused(fuse(s2, image), 65, "s2.tif: has 3 band(s), the model takes 4", output)
    refused(fuse(image, f"{oso}:oso23"), 65, "is labels in oso23, the model takes image", output)
    refused(fuse(image, s2, oso, model=three), 2, "oso.tif:oso23 if they are oso23's", output)
    refused(fuse(image, s2, f"{oso}:oso17", model=three), 65,
            "is in oso17, the model was trained on oso23", output)  # fmt: skip
    refused(fuse(image, s2, f"{topo}:image", model=three), 65, "takes labels in oso23", output)
    refused(fuse(image, tmp_path / "none.tif"), 66, "none.tif: no such file", output)
    refused(fuse("-", "-"), 2, "standard input: can be one input only", output)
    assert fuse(image, edge, model=two).exit_code == 65
    assert lcmap("fuse", image, edge, "-m", two, "-o", output, "--allow-missing").exit_code == 0


def test_predict_names_the_command_for_several_inputs(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    run = lcmap("predict", image, "-m", two, "-o", tmp_path / "map.tif")
    refused(run, 65, "give them to lcmap fuse in this order", tmp_path / "map.tif")
    one = write_small_model(tmp_path / "one.onnx")
    run = lcmap("fuse", image, s2, "-m", one, "-o", tmp_path / "map.tif")
    refused(run, 65, "give them to lcmap predict", tmp_path / "map.tif")


def test_options_that_make_no_sense(
    lcmap: Lcmap, two: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map.tif"
    refused(lcmap("fuse", image, s2, "-o", output), 2, "--model: is missing; name one, or choose "
            "late fusion with --late product", output)  # fmt: skip
    refused(lcmap("fuse", image, s2, "-m", two, "--weights", "1,2", "-o", output), 2,
            "--weights: applies to late fusion only; leave it out", output)  # fmt: skip
    refused(lcmap("fuse", image, s2, "--late", "mean", "--weights", "1,x", "-o", output), 2,
            "1,x are not numbers", output)  # fmt: skip
    refused(lcmap("fuse", image, s2, "-m", two, "-o", s2, "--overwrite"), 2, "is one of the inputs",
            output)  # fmt: skip


@pytest.mark.parametrize(
    "option",
    [
        ("--model", "any.onnx"),
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
def test_late_fusion_refuses_what_belongs_to_a_model(
    lcmap: Lcmap, image: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    output = tmp_path / "map.tif"
    run = lcmap("fuse", image, image, "--late", "product", "-o", output, *option)
    line = f"lcmap: {option[0]}: does not apply to late fusion, which takes no model; leave it out"
    refused(run, 2, line, output)


def test_late_fusion_of_two_models(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    read_all = []
    files = []
    for depth in (1, 2):
        model = write_small_model(tmp_path / f"{depth}.onnx", depth=depth)
        path = tmp_path / f"{depth}.p.tif"
        files.append(path)
        run = lcmap("predict", image, "-m", model, "-o", tmp_path / f"{depth}.tif",
                    "--probabilities", path)  # fmt: skip
        assert run.exit_code == 0, run.stderr
        with rasterio.open(path) as dataset:
            read_all.append(dataset.read().astype(float))
    product, mean = tmp_path / "product.tif", tmp_path / "mean.tif"
    saved = tmp_path / "saved.tif"
    run = lcmap("fuse", *files, "--late", "product", "-o", product, "--probabilities", saved)
    assert (run.exit_code, run.stdout) == (0, "")
    assert run.stderr.startswith(f"wrote {product} (")
    expected = read_all[0] * read_all[1]
    assert_is_map_of(read(product), (expected / expected.sum(axis=0)).astype(np.float32))
    with rasterio.open(saved) as dataset:
        np.testing.assert_allclose(dataset.read(), expected / expected.sum(axis=0), atol=1e-5)
    run = lcmap("fuse", *files, "--late", "mean", "--weights", "3,1", "-o", mean)
    assert run.exit_code == 0
    assert_is_map_of(read(mean), ((3 * read_all[0] + read_all[1]) / 4).astype(np.float32))


def test_without_an_input_the_network_sees_zeros_whatever_is_named_for_it(
    lcmap: Lcmap, three: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    """Side 1 is no file at all, and side 2 has a hole that counts as it does else."""
    codes = np.random.default_rng(2).integers(1, 24, (1, 40, 45)).astype(np.uint8)
    codes[:, 14:18, 15:21] = 0
    oso = write_raster(tmp_path / "oso.tif", codes, corner=(WEST - 100, NORTH + 100), pixel=10,
                       nodata=0)  # fmt: skip
    output = tmp_path / "map.tif"
    run = lcmap("fuse", image, tmp_path / "none.tif", f"{oso}:oso23", "-m", three, "-o", output,
                "--without", "side1", "--tile", 60, "--verify")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert run.stderr.count("was not trained to go without an input") == 1
    metadata, whole = read_model(three), Window(0, 0, HEIGHT, WIDTH)
    given = {"side1": np.zeros((1, 3, 152, 212), np.float32)}
    for item, path in ((metadata.inputs[0], image), (metadata.inputs[2], oso)):
        with rasterio.open(image) as of_grid, rasterio.open(path) as dataset:
            quantiles = band_quantiles(path) if item.kind == "image" else None
            content = RasterContent(item.kind, item.nomenclature)
            reader = InputReader(dataset, Grid.of(of_grid), content, quantiles, path.name)
            values, valid = reader.read(whole)
        padded = np.pad(values, ((0, 0), (0, -HEIGHT % 4), (0, -WIDTH % 4)), mode="reflect")
        given[item.name] = padded[None]
    probabilities = onnxruntime.InferenceSession(three).run(None, given)[0][0]
    assert not valid.all()
    mapped = read(output) > 0
    assert (mapped == valid).all()
    index = NOMENCLATURE.code_to_index[read(output)].astype(int) % len(NOMENCLATURE)
    inside = probabilities[:, :HEIGHT, :WIDTH]
    chosen = np.take_along_axis(inside, index[None], axis=0)[0]
    assert (inside.max(axis=0) - chosen < 1e-5)[mapped].all()
    assert len(np.unique(read(output))) > 2
    with rasterio.open(output) as dataset:
        assert dataset.tags()["LCMAP_WITHOUT"] == "side1"


def test_what_is_named_for_an_input_that_is_left_out_is_not_written_over(
    lcmap: Lcmap, two: Path, image: Path, s2: Path
) -> None:
    before = s2.read_bytes()
    for given in (s2, f"{s2}:image"):
        run = lcmap("fuse", image, given, "-m", two, "-o", s2, "--without", "side1", "--overwrite")
        assert run.exit_code == 2 and "s2.tif: is one of the inputs" in run.stderr
        assert s2.read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["--precision", "int8"], ["--allow-missing"]])
def test_without_an_input_equals_one_that_is_missing_everywhere(
    lcmap: Lcmap, two: Path, image: Path, tmp_path: Path, arguments: list[str]
) -> None:
    with rasterio.open(image, "r+") as dataset:
        dataset.nodata = 0
        dataset.write(np.maximum(dataset.read(), 1))
        dataset.write(np.zeros((4, 10, 30), np.uint8), window=((20, 30), (150, 180)))
    side = write_s2(tmp_path / "s2.tif")
    with rasterio.open(side, "r+") as dataset:
        dataset.write(np.full((3, *dataset.shape), NODATA, np.int16))
        write_quantiles(dataset, np.tile([0.0, 4000.0], (3, 1)))
    missing, without = tmp_path / "missing.tif", tmp_path / "without.tif"
    command = ("fuse", image, side, "-m", two, "--tile", 60)
    if "int8" not in arguments:  # an input without any pixel leaves none to calibrate on
        first = lcmap(*command, "-o", missing, "--allow-missing")
        assert first.exit_code == 0, first.stderr
    run = lcmap(*command, "-o", without, "--without", "side1", *arguments)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(image) as dataset:
        assert ((read(without) > 0) == (dataset.dataset_mask() > 0)).all()
    assert len(np.unique(read(without))) > 2
    if "int8" not in arguments:
        assert (read(without) == read(missing)).all()


def test_without_belongs_to_what_a_map_is_made_of(
    lcmap: Lcmap, three: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    oso, output = write_oso(tmp_path / "oso.tif"), tmp_path / "map.tif"
    command = ("fuse", image, s2, f"{oso}:oso23", "-m", three, "-o", output)
    assert lcmap(*command).exit_code == 0
    whole = read(output)
    run = lcmap(*command, "--without", "oso23", "--without", "side1")
    assert run.exit_code == 0, run.stderr
    with rasterio.open(output) as dataset:
        assert dataset.tags()["LCMAP_WITHOUT"] == "side1, side2"
    assert (read(output) != whole).any()
    alone = read(output)
    # what is not read does not count
    s2.write_bytes(b"")
    again = lcmap(*command, "--without", "oso23", "--without", "side1")
    assert again.exit_code == 0 and "up to date" in again.stderr, again.stderr
    sharded = tmp_path / "sharded.tif"
    for shard in ("1/2", "2/2"):
        run = lcmap("fuse", image, s2, oso, "-m", three, "-o", sharded, "--without", "side1",
                    "--without", "side2", "--shard", shard, "--tile", 60)  # fmt: skip
        assert run.exit_code == 0, run.stderr
    assert lcmap("merge", sharded).exit_code == 0
    assert (read(sharded) == alone).all()


def test_what_cannot_be_left_out(
    lcmap: Lcmap, three: Path, image: Path, s2: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map.tif"

    def fuse(*names: str) -> Run:
        options = [word for name in names for word in ("--without", name)]
        return lcmap("fuse", image, s2, "oso.tif:oso23", "-m", three, "-o", output, *options)

    refused(fuse("s2"), 2, "--without s2: is no input of the model; it may go without side1, side2 "
            "or oso23", output)  # fmt: skip
    refused(fuse("side1", "image"), 2, "--without image: is the image, which gives the grid",
            output)  # fmt: skip
    late = lcmap("fuse", image, s2, "--late", "mean", "-o", output, "--without", "side1")
    refused(late, 2, "--without", output)


def test_a_label_map_is_left_out_of_a_reclassification(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    model = write_fusion_model(tmp_path / "oso.onnx", [IMAGE, replace(OSO, name="side1")])
    oso = write_oso(tmp_path / "oso.tif")
    both, alone = tmp_path / "both.tif", tmp_path / "alone.tif"
    command = ("reclassify-oso", image, oso, "--oso", "oso23")
    assert lcmap(*command, "-m", model, "-o", both).exit_code == 0
    run = lcmap(*command, "-m", model, "-o", alone, "--without", "oso23")
    assert run.exit_code == 0, run.stderr
    assert (read(alone) != read(both)).any() and (read(alone) > 0).all()
    refused(lcmap(*command, "--crosswalk-only", "-o", tmp_path / "c.tif", "--without", "oso23"), 2,
            "--without", tmp_path / "c.tif")  # fmt: skip
