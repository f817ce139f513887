"""Files that do not say what they hold: borders, transparency, coordinate reference systems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from small_model import BANDS, write_small_model
from support import EXAMPLE_DATA, PROJECT, Run, write_raster

Lcmap = Callable[..., Run]
FLAIR = CRS.from_wkt(
    'LOCAL_CS["RGF93 v1 / Lambert-93",UNIT["metre",1,AUTHORITY["EPSG","9001"]],'
    'AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 200, (4, 64, 64), dtype=np.uint8)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_model(tmp_path / "model.onnx")


def codes(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def ok(done: Run) -> Run:
    assert done.exit_code == 0, done.stderr
    return done


def test_an_undeclared_border_is_named_and_taken_for_nodata(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path
) -> None:
    collared = np.pad(pixels, ((0, 0), (16, 16), (16, 16)))
    image = write_raster(tmp_path / "image.tif", collared, names=BANDS)
    declared = write_raster(tmp_path / "declared.tif", collared, names=BANDS, nodata=0)
    done = ok(lcmap("predict", image, "-m", model, "-o", tmp_path / "a.tif"))
    assert "warning: " in done.stderr and "--nodata 0" in done.stderr
    assert codes(tmp_path / "a.tif")[0, 0] != 0
    done = ok(lcmap("prepare", image, "-o", tmp_path / "a.stack.tif"))
    assert "warning: " in done.stderr and "--nodata 0" in done.stderr
    for path, options in ((image, ("--nodata", "0")), (declared, ())):
        done = ok(lcmap("predict", path, "-m", model, "-o", tmp_path / f"{path.stem}.map.tif",
                        *options))  # fmt: skip
        assert "--nodata" not in done.stderr
        done = ok(lcmap("prepare", path, "-o", tmp_path / f"{path.stem}.stack.tif", *options))
        assert "--nodata" not in done.stderr
    maps = [codes(tmp_path / f"{name}.map.tif") for name in ("image", "declared")]
    np.testing.assert_array_equal(*maps)
    assert not maps[0][:16].any() and maps[0][16:-16, 16:-16].all()
    stacks = [rasterio.open(tmp_path / f"{name}.stack.tif") for name in ("image", "declared")]
    assert [stack.nodata for stack in stacks] == [0, 0]
    assert stacks[0].tags(1) == stacks[1].tags(1)
    for stack in stacks:
        stack.close()


def test_a_border_of_data_is_not_suspected(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path
) -> None:
    pixels[:, :4, :20] = 0
    image = write_raster(tmp_path / "image.tif", pixels, names=BANDS)
    done = ok(lcmap("predict", image, "-m", model, "-o", tmp_path / "a.tif"))
    assert "--nodata" not in done.stderr


def test_four_bands_are_what_a_model_of_four_bands_takes(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path
) -> None:
    pixels[3, 10:20] = 0
    plain = write_raster(tmp_path / "plain.tif", pixels, photometric="MINISBLACK", alpha="NO")
    # as GDAL writes four bands of bytes unless it is told otherwise
    alpha = write_raster(tmp_path / "alpha.tif", pixels, photometric="RGB", alpha="YES")
    for path in (plain, alpha):
        ok(lcmap("predict", path, "-m", model, "-o", tmp_path / f"{path.stem}.map.tif"))
    maps = [codes(tmp_path / f"{name}.map.tif") for name in ("plain", "alpha")]
    np.testing.assert_array_equal(*maps)
    assert maps[0].all()


def test_a_local_system_is_recognised_and_assumed(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path
) -> None:
    suburb = (721_250.0, 6_248_800.0)
    image = write_raster(tmp_path / "image.tif", pixels, names=BANDS, epsg=None, corner=suburb)
    with rasterio.open(image, "r+") as dataset:
        dataset.crs = FLAIR
    rules = PROJECT / "examples" / "reference-flair7.toml"
    commands = {
        "predict": (image, "-m", model),
        "prepare": (image,),
        "rasterize-ref": (EXAMPLE_DATA / "reference.gpkg", "--rules", rules, "--like", image),
    }
    for command, arguments in commands.items():
        output = tmp_path / f"{command}.tif"
        refused = lcmap(command, *arguments, "-o", output)
        assert refused.exit_code == 65, command
        assert "image.tif: its coordinate reference system" in refused.stderr
        assert refused.stderr.rstrip().endswith("--assume-crs EPSG:2154")
        assert not output.exists()
        ok(lcmap(command, *arguments, "-o", output, "--assume-crs", "EPSG:2154"))
        with rasterio.open(output) as dataset:
            assert dataset.crs.to_epsg() == 2154
    refused = lcmap("predict", image, "-m", model, "-o", tmp_path / "x.tif", "--assume-crs", "no")
    assert refused.exit_code == 2 and "--assume-crs no" in refused.stderr


@pytest.mark.parametrize(
    "called", ["Band {}", "Band_{}", "band{}", "BAND 0{}", "B{}", "Layer_{}", "{}", "Bande {}"]
)
def test_a_number_is_no_band_name(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path, called: str
) -> None:
    image = write_raster(tmp_path / "image.tif", pixels, names=BANDS)
    ok(lcmap("predict", image, "-m", model, "-o", tmp_path / "map.tif"))
    numbered = [called.format(i) for i in range(1, 5)]
    other = write_raster(tmp_path / "other.tif", pixels, names=numbered)
    ok(lcmap("predict", other, "-m", model, "-o", tmp_path / "other.map.tif"))
    np.testing.assert_array_equal(codes(tmp_path / "map.tif"), codes(tmp_path / "other.map.tif"))
    # numbers of other places do tell bands apart
    swapped = write_raster(tmp_path / "swapped.tif", pixels, names=numbered[::-1])
    done = lcmap("predict", swapped, "-m", model, "-o", tmp_path / "swapped.map.tif")
    assert done.exit_code == 65 and "its bands are" in done.stderr


def test_an_envi_file_has_no_band_names(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path
) -> None:
    image = write_raster(tmp_path / "image.tif", pixels, names=BANDS)
    with rasterio.open(image) as dataset:
        profile = {key: dataset.profile[key] for key in ("width", "height", "crs", "transform")}
    with rasterio.open(
        tmp_path / "envi.dat", "w", driver="ENVI", count=4, dtype="uint8", **profile
    ) as dataset:
        dataset.write(pixels)
    for path in (image, tmp_path / "envi.dat"):
        ok(lcmap("predict", path, "-m", model, "-o", tmp_path / f"{path.stem}.map.tif"))
    np.testing.assert_array_equal(
        codes(tmp_path / "image.map.tif"), codes(tmp_path / "envi.map.tif")
    )


def test_transparency_that_is_called_by_its_number_is_a_mask(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray
) -> None:
    pixels[3] = 255
    pixels[:, :, :20] = 0
    names = ("Band_1", "Band_2", "Band_3", "Band_4")
    image = write_raster(tmp_path / "rgba.tif", pixels, names=names, photometric="RGB", alpha="YES")
    done = ok(lcmap("prepare", image, "-o", tmp_path / "stack.tif"))
    assert "band 4 is marked as transparency" in done.stderr
    with rasterio.open(tmp_path / "stack.tif") as stack:
        assert stack.count == 3
        assert np.array_equal(stack.dataset_mask() != 0, pixels[3] != 0)


RPC = {
    "LINE_OFF": "32", "SAMP_OFF": "32", "LAT_OFF": "43.2", "LONG_OFF": "3.3", "HEIGHT_OFF": "0",
    "LINE_SCALE": "32", "SAMP_SCALE": "32", "LAT_SCALE": "0.01", "LONG_SCALE": "0.01",
    "HEIGHT_SCALE": "500",
    "LINE_NUM_COEFF": " ".join(["0", "0", "-1", *["0"] * 17]),
    "LINE_DEN_COEFF": " ".join(["1", *["0"] * 19]),
    "SAMP_NUM_COEFF": " ".join(["0", "1", *["0"] * 18]),
    "SAMP_DEN_COEFF": " ".join(["1", *["0"] * 19]),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(("kind", "option"), [("gcp", "-tps"), ("rpc", "-rpc")])
def test_an_image_that_is_not_orthorectified_is_refused(
    lcmap: Lcmap, tmp_path: Path, pixels: np.ndarray, model: Path, kind: str, option: str
) -> None:
    image = tmp_path / "raw.tif"
    with rasterio.open(
        image, "w", driver="GTiff", width=64, height=64, count=4, dtype="uint8"
    ) as dataset:
        dataset.write(pixels)
        if kind == "gcp":
            corners = ((0, 0), (0, 64), (64, 0), (64, 64))
            points = [
                GroundControlPoint(row=row, col=col, x=7e5 + 0.8 * col, y=6.6e6 - 0.8 * row)
                for row, col in corners
            ]
            dataset.gcps = (points, CRS.from_epsg(2154))
        else:
            dataset.update_tags(ns="RPC", **RPC)
    out = tmp_path / "out.tif"
    reference = EXAMPLE_DATA / "reference.gpkg"
    for command in (
        ("prepare", image),
        ("prepare", image, "--assume-crs", "EPSG:2154"),
        ("predict", image, "-m", model),
        ("rasterize-ref", reference, "--rules", "bdtopo-topo6", "--like", image),
    ):
        done = lcmap(*command, "-o", out)
        assert done.exit_code == 65, done.stderr
        assert f"orthorectify it first, e.g. gdalwarp {option} " in done.stderr
        assert not out.exists()
