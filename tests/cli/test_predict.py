"""lcmap predict as a user runs it: what it writes, and how it refuses."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS
from small_model import BANDS, whole_image, write_small_model
from support import Run

from lcmap.dataset.normalisation import scale
from lcmap.model_file import ModelInput, read_model, write_model
from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import read_nomenclature
from lcmap.raster.classes import read_class_table
from lcmap.raster.pixel_sample import PixelSample
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.windows import Window

Lcmap = Callable[..., Run]
NOMENCLATURE = load_nomenclature("flair7")
QUANTILES = np.array([[20.0, 220.0], [30.0, 200.0], [0.0, 255.0], [60.0, 180.0]])
RNG = np.random.default_rng(7)


def picture(height: int, width: int, bands: int = 4) -> np.ndarray:
    """Smooth noise, uint8 [bands, height, width]: the network sees edges, not grain alone."""
    coarse = RNG.integers(0, 256, (bands, height // 6 + 1, width // 6 + 1))
    fine = np.kron(coarse, np.ones((1, 6, 6)))[:, :height, :width]
    return np.clip(fine * 0.8 + RNG.normal(0, 12, fine.shape), 0, 255).astype(np.uint8)


def write_image(
    path: Path,
    pixels: np.ndarray,
    *,
    names: tuple[str, ...] = BANDS,
    quantiles: np.ndarray | None = QUANTILES,
    crs: str | None = "EPSG:2154",
    gsd: float = 0.8,
    **profile: Any,
) -> Path:
    bands, height, width = pixels.shape
    profile = {
        "driver": "GTiff", "count": bands, "dtype": pixels.dtype.name, "height": height,
        "width": width, "crs": crs, "transform": Affine(gsd, 0, 700_000, 0, -gsd, 6_300_000),
    } | profile  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(pixels)
        for band, name in enumerate(names, 1):
            dataset.set_band_description(band, name)
        if quantiles is not None:
            sample = PixelSample(bands, height, width, pixels.dtype.name)
            sample.update(pixels, Window(0, 0, height, width))
            write_quantiles(dataset, quantiles, sample)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(tmp_path / "image.tif", picture(150, 211))


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def expected(model: Path, image: Path, valid: np.ndarray | None = None) -> np.ndarray:
    """The probabilities of the whole image at once, float32 [K, height, width]."""
    return whole_image(model, scale(read(image), QUANTILES, valid), read_model(model).stride)


def assert_is_map_of(codes: np.ndarray, probabilities: np.ndarray) -> None:
    """Check that each code is of the largest probability, or of one that ties with it."""
    index = NOMENCLATURE.code_to_index[codes].astype(int)
    assert (index < len(NOMENCLATURE)).all()
    chosen = np.take_along_axis(probabilities, index[None], axis=0)[0]
    assert (probabilities.max(axis=0) - chosen < 1e-5).all()


@pytest.mark.parametrize("tile", [16, 40, 768])
def test_the_map_is_the_whole_image_result(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path, tile: int
) -> None:
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", tile)
    assert (run.exit_code, run.stdout) == (0, "")
    probabilities = expected(model, image)
    with rasterio.open(output) as land_cover, rasterio.open(image) as source:
        assert land_cover.dtypes == ("uint8",) and land_cover.nodata == 0
        assert land_cover.crs == source.crs and land_cover.transform == source.transform
        assert land_cover.profile["tiled"] and land_cover.compression.name == "deflate"
        table = read_class_table(land_cover)
        codes = land_cover.read(1)
    assert table == NOMENCLATURE.class_table()
    assert_is_map_of(codes, probabilities)
    # a map of one class would prove nothing
    assert len(np.unique(codes)) > 2


def test_openvino_gives_the_same_map(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    from lcmap.engines.openvino import TOLERANCE

    output, p = tmp_path / "map.tif", tmp_path / "p.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--probabilities", p,
                "--engine", "openvino", "--tile", 40)  # fmt: skip
    assert run.exit_code == 0
    probabilities = expected(model, image)
    np.testing.assert_allclose(read(p), probabilities, rtol=0, atol=TOLERANCE)
    assert_is_map_of(read(output)[0], probabilities)


def test_bfloat16_gives_nearly_the_same_map_whatever_the_tiles(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    # imitated by OpenVINO where the processor has no such instructions
    monkeypatch.setattr("lcmap.engines.choice.check_bfloat16", lambda: None)
    output, p = tmp_path / "map.tif", tmp_path / "p.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--probabilities", p,
                "--precision", "bfloat16", "--tile", 40, "--verify")  # fmt: skip
    assert run.exit_code == 0
    assert "pixels compared" in run.stderr and "differ (" in run.stderr
    probabilities = expected(model, image)
    difference = np.abs(read(p) - probabilities)
    # 8 bits are kept, and a maximum may move to another pixel of its cell
    assert np.median(difference) < 2e-2
    *_, second, first = np.sort(probabilities, axis=0)
    sure = first - second > 0.1
    assert sure.mean() > 0.1
    found = NOMENCLATURE.index_to_code[probabilities.argmax(axis=0)]
    assert np.mean(read(output)[0][sure] == found[sure]) > 0.99
    with rasterio.open(output) as land_cover:
        tags = land_cover.tags()
    assert tags["LCMAP_PRECISION"] == "bfloat16" and tags["LCMAP_ENGINE"].startswith("openvino 20")


def test_openvino_refuses_what_it_cannot_do(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "map.tif"
    command = ("predict", image, "-m", model, "-o", output, "--engine", "openvino")
    run = lcmap(*command, "--provider", "cuda")
    assert_refused(run, 2, "--engine openvino: computes on CPU only", output)
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert_refused(lcmap(*command), 2, "pip install 'lcmap[openvino]'", output)


def test_float16_gives_nearly_the_same_map(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    output, p = tmp_path / "map.tif", tmp_path / "p.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--probabilities", p,
                "--precision", "float16", "--tile", 40)  # fmt: skip
    assert run.exit_code == 0
    probabilities = expected(model, image)
    difference = np.abs(read(p) - probabilities)
    # halves keep 11 bits, and a maximum may move to another pixel of its cell
    assert 1e-6 < np.median(difference) < 2e-3
    assert np.quantile(difference, 0.99) < 2e-2
    *_, second, first = np.sort(probabilities, axis=0)
    certain = first - second > 0.1
    mapped = NOMENCLATURE.code_to_index[read(output)[0]]
    assert (mapped == probabilities.argmax(axis=0))[certain].mean() > 0.999


def test_float16_refuses_what_it_cannot_do(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map.tif"
    command = ("predict", image, "-m", model, "-o", output, "--precision", "float16")
    run = lcmap(*command, "--verify")
    assert_refused(run, 2, "--precision float16: rounds by more than --verify allows", output)
    run = lcmap(*command, "--engine", "openvino")
    assert_refused(run, 2, "--engine openvino: has no float16 on CPU", output)


def test_memory_decides_the_tiles_and_not_the_map(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    written = []
    for memory in ("565M", "2G"):
        output = tmp_path / f"{memory}.tif"
        run = lcmap("predict", image, "-m", model, "-o", output, "--memory", memory, "-v")
        assert run.exit_code == 0
        written.append(output.read_bytes())
    assert written[0] == written[1]
    output = tmp_path / "never.tif"
    for memory, line in (("1M", "--memory: is too little for this model; give 5"), ("much", "")):
        run = lcmap("predict", image, "-m", model, "-o", output, "--memory", memory)
        assert run.exit_code == 2 and line in run.stderr and not output.exists()


def test_bytes_do_not_depend_on_threads_or_repetition(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    written = []
    for i, threads in enumerate([1, 2, 2]):
        output = tmp_path / f"map{i}.tif"
        assert lcmap("predict", image, "-m", model, "-o", output, "--threads", threads)[0] == 0
        written.append(output.read_bytes())
    assert written[0] == written[1] == written[2]


def test_confidence_and_probabilities(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    output, confidence, p = (tmp_path / f"{name}.tif" for name in ("map", "confidence", "p"))
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", 32,
                "--confidence", confidence, "--probabilities", p)  # fmt: skip
    assert run.exit_code == 0
    probabilities = expected(model, image)
    with rasterio.open(p) as dataset:
        assert dataset.dtypes == ("float32",) * 7 and np.isnan(dataset.nodata)
        assert dataset.descriptions == tuple(c.name for c in NOMENCLATURE.classes)
        assert read_nomenclature(dataset, p) == NOMENCLATURE
        found = dataset.read()
    np.testing.assert_allclose(found, probabilities, atol=2e-6)
    percent = read(confidence)[0]
    assert percent.dtype == np.uint8
    assert np.abs(percent - 100 * probabilities.max(axis=0)).max() <= 0.5 + 1e-3
    with rasterio.open(confidence) as dataset:
        assert dataset.nodata == 0 and dataset.descriptions == ("confidence (%)",)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_margin_is_that_of_the_probabilities(
    lcmap: Lcmap, model: Path, tmp_path: Path, engine: str
) -> None:
    pixels = np.maximum(picture(60, 70), 1)
    pixels[:, 10:30, 20:50] = 0
    image = write_image(tmp_path / "image.tif", pixels, nodata=0)
    margin, p = tmp_path / "margin.tif", tmp_path / "p.tif"
    run = lcmap("predict", image, "-m", model, "-o", tmp_path / "map.tif", "--tile", 32,
                "--engine", engine, "--margin", margin, "--probabilities", p)  # fmt: skip
    assert run.exit_code == 0 and f"{margin} (" in run.stderr
    second, first = np.sort(read(p), axis=0)[-2:]
    valid = np.isfinite(first)
    with rasterio.open(margin) as dataset:
        assert (dataset.nodata, dataset.descriptions) == (255, ("margin (%)",))
        found = dataset.read(1)
    assert 0 < valid.mean() < 1 and (found[~valid] == 255).all()
    assert np.abs(found[valid] - 100 * (first - second)[valid]).max() <= 0.5 + 1e-3
    assert len(np.unique(found[valid])) > 10


def test_pixels_without_data_stay_0_and_do_not_reach_others(
    lcmap: Lcmap, model: Path, tmp_path: Path
) -> None:
    pixels = np.maximum(picture(90, 130), 1)
    valid = np.ones((90, 130), bool)
    valid[30:50, 40:80] = False
    pixels[2][~valid] = 0  # in one band alone
    image = write_image(tmp_path / "image.tif", pixels, nodata=0)
    output, confidence, p = (tmp_path / f"{name}.tif" for name in ("map", "confidence", "p"))
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", 16,
                "--confidence", confidence, "--probabilities", p)  # fmt: skip
    assert run.exit_code == 0
    codes = read(output)[0]
    np.testing.assert_array_equal(codes > 0, valid)
    np.testing.assert_array_equal(read(confidence)[0] > 0, valid)
    found = read(p)
    assert np.isnan(found[:, ~valid]).all()
    np.testing.assert_allclose(found[:, valid], expected(model, image, valid)[:, valid], atol=2e-6)


def test_overviews_are_the_most_frequent_class(lcmap: Lcmap, model: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", picture(520, 600))
    output, cog = tmp_path / "map.tif", tmp_path / "cog.tif"
    assert lcmap("predict", image, "-m", model, "-o", output).exit_code == 0
    assert lcmap("predict", image, "-m", model, "-o", cog, "--cog").exit_code == 0
    for path in (output, cog):
        with rasterio.open(path) as dataset:
            codes = dataset.read(1)
            assert dataset.overviews(1) == [2]
            reduced = dataset.read(1, out_shape=(260, 300))
            assert read_class_table(dataset) == NOMENCLATURE.class_table()
        cells = codes.reshape(260, 2, 300, 2).transpose(0, 2, 1, 3).reshape(260, 300, 4)
        frequency = (cells == reduced[..., None]).sum(axis=2)
        most = (cells[..., None] == cells[..., None, :]).sum(axis=3).max(axis=2)
        np.testing.assert_array_equal(frequency, most)
    with rasterio.open(cog) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_qml_and_class_names_beside_the_map(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "map.tif"
    assert lcmap("predict", image, "-m", model, "-o", output, "--qml").exit_code == 0
    style = (tmp_path / "map.qml").read_text()
    for land_cover in NOMENCLATURE.classes:
        assert land_cover.name in style and land_cover.color in style
    assert (tmp_path / "map.tif.aux.xml").exists()
    other = tmp_path / "other.tif"
    (tmp_path / "other.qml").write_text("<my-own-style/>")
    run = lcmap("predict", image, "-m", model, "-o", other, "--qml")
    assert run.exit_code == 73 and "other.qml: exists already" in run.stderr
    assert not other.exists()


def test_the_style_is_there_unless_someone_made_one(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path
) -> None:
    output, style = tmp_path / "map.tif", tmp_path / "map.qml"
    command = ("predict", image, "-m", model, "-o", output)
    for _ in range(2):
        assert lcmap(*command).exit_code == 0
        entries = list(ElementTree.parse(style).iter("paletteEntry"))
        assert [entry.get("value") for entry in entries] == [str(c) for c in NOMENCLATURE.codes]
        assert output.with_name("map.tif.aux.xml").exists()
        output.unlink()  # what stays is lcmap's own, and may be replaced
    style.write_text("<qgis>mine</qgis>")
    run = lcmap(*command)
    assert run.exit_code == 73 and "map.qml: exists already" in run.stderr
    assert lcmap(*command, "--no-qml").exit_code == 0
    assert style.read_text() == "<qgis>mine</qgis>"


def test_verify_reports_and_passes(lcmap: Lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", 32, "--verify")
    assert run.exit_code == 0
    assert f"verified: {150 * 211} pixels compared, " in run.stderr
    assert_is_map_of(read(output)[0], expected(model, image))


def test_verify_finds_a_model_that_sees_further_than_it_says(
    lcmap: Lcmap, image: Path, tmp_path: Path
) -> None:
    short = write_small_model(tmp_path / "short.onnx", receptive_field=0)
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", short, "-o", output, "--tile", 32, "--verify")
    assert run.exit_code == 65
    assert "short.onnx: the map depends on its tiles: " in run.stderr
    assert not output.exists()
    # without the check it would be written, seams and all
    assert lcmap("predict", image, "-m", short, "-o", output, "--tile", 32).exit_code == 0


def test_an_image_without_quantiles_is_predicted_with_its_own(
    lcmap: Lcmap, model: Path, tmp_path: Path
) -> None:
    pixels = picture(60, 70)
    bare = write_image(tmp_path / "bare.tif", pixels, quantiles=None)
    own = np.quantile(pixels.reshape(4, -1), (0.02, 0.98), axis=1).T
    tagged = write_image(tmp_path / "tagged.tif", pixels, quantiles=own)
    for image in (bare, tagged):
        run = lcmap("predict", image, "-m", model, "-o", image.with_suffix(".map.tif"))
        assert run.exit_code == 0
        assert ("bare.tif carries no quantiles" in run.stderr) == (image == bare)
    np.testing.assert_array_equal(
        read(tmp_path / "bare.map.tif"), read(tmp_path / "tagged.map.tif")
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (3, 2), (7, 9), (8, 8), (17, 33)])
def test_small_images(lcmap: Lcmap, model: Path, tmp_path: Path, shape: tuple[int, int]) -> None:
    image = write_image(tmp_path / "image.tif", picture(*shape))
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", 8, "--verify")
    assert run.exit_code == 0
    codes = read(output)[0]
    assert codes.shape == shape
    assert_is_map_of(codes, expected(model, image))


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_image_without_any_data_gives_an_empty_map_and_a_warning(
    lcmap: Lcmap, model: Path, tmp_path: Path, precision: str
) -> None:
    image = write_image(
        tmp_path / "image.tif", np.zeros((4, 40, 50), np.uint8), nodata=0, quantiles=None
    )
    command = ("predict", image, "-m", model, "-o", tmp_path / "map.tif", "--precision", precision)
    run = lcmap(*command, "--verify")
    assert run.exit_code == 0
    assert "warning: " in run.stderr and "no pixel is valid in every band" in run.stderr
    assert not read(tmp_path / "map.tif").any()


def test_nan_is_no_data(lcmap: Lcmap, tmp_path: Path) -> None:
    pixels = picture(40, 50).astype(np.float32)
    pixels[1, 10:20, 5:9] = np.nan
    pixels[3, 30, 40] = np.inf
    valid = np.isfinite(pixels).all(axis=0)
    image = write_image(tmp_path / "image.tif", pixels)
    model = write_small_model(tmp_path / "model.onnx", dtype="float32")
    output = tmp_path / "map.tif"
    assert lcmap("predict", image, "-m", model, "-o", output, "--tile", 8).exit_code == 0
    codes = read(output)[0]
    np.testing.assert_array_equal(codes > 0, valid)
    index = NOMENCLATURE.code_to_index[codes[valid]].astype(int)
    p = expected(model, image, valid)[:, valid]
    assert (p.max(axis=0) - np.take_along_axis(p, index[None], axis=0)[0] < 1e-5).all()


def test_an_image_without_crs_is_predicted_with_a_warning(
    lcmap: Lcmap, model: Path, tmp_path: Path
) -> None:
    image = write_image(tmp_path / "image.tif", picture(20, 30), crs=None)
    run = lcmap("predict", image, "-m", model, "-o", tmp_path / "map.tif")
    assert run.exit_code == 0
    assert "image.tif: has no CRS, so its ground sampling distance is not checked" in run.stderr


def test_force_predicts_at_another_gsd(lcmap: Lcmap, model: Path, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", picture(20, 30), gsd=1.6)
    command = ("predict", image, "-m", model, "-o", tmp_path / "map.tif")
    run = lcmap(*command)
    assert run.exit_code == 65 and not (tmp_path / "map.tif").exists()
    assert "has 1.6 m pixels, the model was trained on 0.8 m; --force" in run.stderr
    assert lcmap(*command, "--force").exit_code == 0


def assert_refused(run: Run, code: int, line: str, *absent: Path) -> None:
    """Check for one line on standard error, nothing on standard output, nothing written."""
    assert run.exit_code == code
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1 and line in run.stderr
    for path in absent:
        assert not path.exists()
        assert not list(path.parent.glob(f".{path.name}*"))


def rgb(path: Path) -> Path:
    return write_image(path, picture(20, 30, 3), names=BANDS[:3], quantiles=None)


def truncated(path: Path) -> Path:
    write_image(path, picture(600, 700), compress="deflate", tiled=True)
    path.write_bytes(path.read_bytes()[:200_000])
    return path


def damaged(path: Path) -> Path:
    """A file of the right length with a block overwritten: it opens, and fails when read."""
    write_image(path, picture(600, 700), compress="deflate", tiled=True)
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", dm="TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 1000] = b"\xff" * 1000
    path.write_bytes(content)
    return path


def text(path: Path) -> Path:
    path.write_text("no raster")
    return path


def disguised_vrt(path: Path) -> Path:
    real = write_image(path.with_name("real.tif"), picture(20, 30))
    with rasterio.open(real) as dataset:
        transform = ", ".join(str(v) for v in dataset.transform.to_gdal())
    path.write_text(
        f'<VRTDataset rasterXSize="30" rasterYSize="20"><GeoTransform>{transform}</GeoTransform>'
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{real}</SourceFilename><SourceBand>1</SourceBand>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    return path


@pytest.mark.parametrize(
    ("make", "code", "line"),
    [
        (lambda path: path, 66, "image.tif: no such file"),
        (text, 65, "image.tif: cannot be opened as a raster"),
        (truncated, 65, "image.tif: "),
        (damaged, 65, "image.tif: its pixels cannot be read"),
        (disguised_vrt, 65, "--allow-vrt"),
        (rgb, 65, "image.tif: has 3 band(s), the model takes 4 (red, green, blue, nir)"),
        (
            lambda path: write_image(path, picture(20, 30), names=("nir", "red", "green", "blue")),
            65,
            "its bands are nir, red, green, blue, the model takes red, green, blue, nir",
        ),
        (
            lambda path: write_image(path, picture(20, 30).astype(np.uint16)),
            65,
            "image.tif: is uint16, the model was trained on uint8",
        ),
    ],
    ids=["missing", "text", "truncated", "damaged", "vrt", "rgb", "order", "uint16"],
)
def test_images_that_are_refused(
    lcmap: Lcmap, model: Path, tmp_path: Path, make: Callable[[Path], Path], code: int, line: str
) -> None:
    image, output = make(tmp_path / "image.tif"), tmp_path / "map.tif"
    confidence = tmp_path / "confidence.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--confidence", confidence)
    assert_refused(run, code, line, output, confidence)


def test_a_vrt_is_read_where_it_is_allowed(lcmap: Lcmap, tmp_path: Path) -> None:
    model = write_small_model(tmp_path / "model.onnx", bands=("pan",))
    run = lcmap("predict", disguised_vrt(tmp_path / "image.vrt"), "-m", model,
                "-o", tmp_path / "map.tif", "--allow-vrt", "--force")  # fmt: skip
    assert run.exit_code == 0, run.stderr
    assert read(tmp_path / "map.tif").all()


@pytest.mark.parametrize("kind", ["missing", "truncated", "foreign", "two inputs", "no graph"])
def test_models_that_are_refused(
    lcmap: Lcmap, image: Path, model: Path, tmp_path: Path, kind: str
) -> None:
    bad, output = tmp_path / "bad.onnx", tmp_path / "map.tif"
    code, line = 65, "bad.onnx: "
    if kind == "missing":
        code, line = 66, "bad.onnx: no such file"
    elif kind == "truncated":
        bad.write_bytes(model.read_bytes()[:3000])
    elif kind == "foreign":
        shutil.copy(model, bad)
        loaded = onnx.load(bad)
        del loaded.metadata_props[:]
        onnx.save(loaded, bad)
        line = "without lcmap's metadata"
    elif kind == "two inputs":
        loaded, metadata = onnx.load(model), read_model(model)
        second = onnx.ValueInfoProto()
        second.CopyFrom(loaded.graph.input[0])
        second.name = "s2"
        loaded.graph.input.append(second)
        inputs = (*metadata.inputs, ModelInput("s2", "image", BANDS, "uint16", 10.0))
        changed = dataclasses.replace(metadata, inputs=inputs)
        write_model(loaded.SerializeToString(), changed, bad)
        line = "takes 2 inputs (red, green, blue, nir; red, green, blue, nir), not 1"
    else:
        loaded = onnx.load(model)
        loaded.graph.node[0].op_type = "NoSuchOperator"
        onnx.save(loaded, bad)
        line = "bad.onnx: its graph has the operator NoSuchOperator"
    run = lcmap("predict", image, "-m", bad, "-o", output)
    assert_refused(run, code, line, output)


def test_existing_outputs_are_kept(lcmap: Lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    output.write_bytes(b"precious")
    command = ("predict", image, "-m", model, "-o", output)
    assert_refused(lcmap(*command), 73, "map.tif: exists already; --overwrite")
    confidence = ("-o", tmp_path / "other.tif", "--confidence", output)
    run = lcmap("predict", image, "-m", model, *confidence)
    assert_refused(run, 73, "map.tif: exists already", tmp_path / "other.tif")
    assert output.read_bytes() == b"precious"
    assert lcmap(*command, "--overwrite").exit_code == 0
    assert read(output).any()


def test_outputs_that_collide(lcmap: Lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--confidence", output)
    assert_refused(run, 2, "map.tif: is named for two outputs", output)
    before = image.read_bytes()
    run = lcmap("predict", image, "-m", model, "-o", image, "--overwrite")
    assert_refused(run, 2, "image.tif: is one of the inputs")
    assert image.read_bytes() == before
    run = lcmap("predict", image, "-m", model, "--qml")
    assert_refused(run, 2, "--qml: needs a map in a file")
    run = lcmap("predict", image, "-m", model, "-o", tmp_path / "absent" / "map.tif")
    assert_refused(run, 73, "no such folder")


def test_cuda_where_there_is_none(lcmap: Lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has CUDA here")
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--provider", "cuda")
    assert_refused(run, 2, "--provider cuda: ", output)
    assert lcmap("predict", image, "-m", model, "-o", output, "--provider", "gpu").exit_code == 2


def test_a_nomenclature_of_any_codes(lcmap: Lcmap, image: Path, tmp_path: Path) -> None:
    classes = tuple(
        dataclasses.replace(item, code=code)
        for item, code in zip(NOMENCLATURE.classes, (254, 3, 17, 200, 1, 90, 33), strict=True)
    )
    nomenclature = dataclasses.replace(NOMENCLATURE, classes=classes)
    model = write_small_model(tmp_path / "model.onnx", nomenclature=nomenclature)
    output = tmp_path / "map.tif"
    assert lcmap("predict", image, "-m", model, "-o", output).exit_code == 0
    winner = expected(model, image).argmax(axis=0)
    codes = read(output)[0]
    assert (codes == nomenclature.index_to_code[winner]).mean() > 0.9999
    with rasterio.open(output) as dataset:
        assert dataset.colormap(1)[254][:3] == NOMENCLATURE.class_table().colors[1]
        assert dataset.crs == CRS.from_epsg(2154)


@pytest.mark.data
def test_real_imagery_is_verified(
    lcmap: Lcmap, model: Path, data_folder: Path, tmp_path: Path
) -> None:
    image = data_folder / "flair" / "zone4_0.8m_rgbn.tif"
    output = tmp_path / "map.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--tile", 128, "--verify")
    assert run.exit_code == 0
    assert f"verified: {460 * 640} pixels compared" in run.stderr
    assert read(output).all()
