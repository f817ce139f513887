"""lcmap prepare --period, run as a user would; then its outputs are opened."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from small_sentinel2 import (
    TEN,
    at_ten_metres,
    reflectance,
    write_l1c,
    write_l2a,
    write_theia,
    write_theia_composite,
)
from support import Run, write_raster

from lcmap.raster.quantile_tags import read_quantiles

Lcmap = Callable[..., Run]
DAYS = ("2018-06-20", "2018-07-05", "2018-07-15", "2018-08-04")
SHAPE = (40, 30)
NEAREST = ("--resampling", "nearest")


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        values: NDArray[Any] = dataset.read()
    return values


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Products of four days, of ESA and THEIA; all but the last half under clouds."""
    folder = tmp_path_factory.mktemp("products")
    scl = np.full((60, 60), 4, "uint8")
    scl[:30] = 9
    west = np.full((60, 60), 4, "uint8")
    west[:, :30] = 8
    clm = np.zeros((120, 120), "uint8")
    clm[60:] = 3
    return [
        write_l2a(folder, day=DAYS[0], baseline="02.06", scene_classes=west),
        write_l2a(folder, day=DAYS[1], scene_classes=scl),
        write_theia(folder, day=DAYS[2], masks={"CLM_R1": clm, "CLM_R2": clm[::2, ::2]}),
        write_l2a(folder, day=DAYS[3]),
    ]


def images() -> NDArray[np.int16]:
    """The four days as they are without clouds, [days, bands, 120, 120]."""
    return np.stack(
        [[at_ten_metres(reflectance(band, day)) for band in TEN] for day in DAYS]
    ).astype("int16")


def test_products_of_a_month(lcmap: Lcmap, tmp_path: Path, products: list[Path]) -> None:
    """Below clouds of one day in July, the other is the median; their order does not matter."""
    out, counts = tmp_path / "out.tif", tmp_path / "counts.tif"
    mixed = [products[i] for i in (2, 0, 3, 1)]
    arguments = ["--period", "2018-07", *NEAREST, "--clear-dates", counts]
    run = lcmap("prepare", *mixed, *arguments, "-o", out)
    assert run.exit_code == 0, run.stderr
    assert "2018-07, median: 2 of 4 dates in the period; 0 px (0 %) filled" in run.stdout
    _, july5, july15, _ = images()
    expected = np.concatenate([july15[:, :60], july5[:, 60:]], axis=1)
    with rasterio.open(out) as dataset:
        assert np.array_equal(dataset.read(), expected)
        assert dataset.descriptions == TEN
        assert dataset.nodata == -10_000
        quantiles = read_quantiles(dataset)
    assert quantiles is not None
    np.testing.assert_allclose(
        quantiles, np.quantile(expected.reshape(10, -1), (0.02, 0.98), axis=1).T
    )
    with rasterio.open(counts) as dataset:
        assert dataset.dtypes == ("uint8",)
        assert (dataset.read(1) == 1).all()


def test_linear_in_time(lcmap: Lcmap, tmp_path: Path, products: list[Path]) -> None:
    """To 16 July, 12: above, from 15 July to 4 August; below, from 5 July."""
    out = tmp_path / "out.tif"
    run = lcmap(
        "prepare", *products, "--period", "2018-07", "--method", "linear", *NEAREST, "-o", out
    )
    assert run.exit_code == 0, run.stderr
    _, july5, july15, august = images().astype(float)
    expected = np.empty_like(july5)
    expected[:, :60] = (july15 * 19 + august * 1)[:, :60] / 20
    expected[:, 60:] = (july5 * 19 + august * 11)[:, 60:] / 30
    assert np.abs(read(out) - expected).max() <= 0.5 + 1e-9


def test_filled_from_outside_the_period_or_left_nodata(
    lcmap: Lcmap, tmp_path: Path, products: list[Path]
) -> None:
    """Half of 20 June is clouded: from 5 July where that is clear, else 15 July."""
    june, july5, july15, _ = images()
    out, strict = tmp_path / "out.tif", tmp_path / "strict.tif"
    run = lcmap("prepare", *products[:3], "--period", "2018-06", *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    assert "1 of 3 dates in the period; 7200 px (50 %) filled" in run.stdout
    expected = june.copy()
    expected[:, :60, :60] = july15[:, :60, :60]
    expected[:, 60:, :60] = july5[:, 60:, :60]
    assert np.array_equal(read(out), expected)
    run = lcmap("prepare", *products, "--period", "2018-06", "--strict", *NEAREST, "-o", strict)
    assert run.exit_code == 0, run.stderr
    assert "0 px (0 %) filled" in run.stdout
    expected[:, :, :60] = -10_000
    assert np.array_equal(read(strict), expected)


def write_stack(
    folder: Path,
    name: str,
    image: NDArray[Any],
    names: tuple[str, ...] = ("B03", "B8A"),
    **profile: Any,
) -> Path:
    return write_raster(folder / name, image, names=names, **profile)


def noise(seed: int, dtype: str = "uint16") -> NDArray[Any]:
    return np.random.default_rng(seed).integers(1, 200, (2, *SHAPE)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_stacks_of_several_dates(lcmap: Lcmap, tmp_path: Path, dtype: str) -> None:
    """Dates from names; what has no nodata value and is never clear gets a mask."""
    clear = np.random.default_rng(9).random((3, *SHAPE)) < 0.5
    paths = [
        write_stack(tmp_path, f"s2_2018070{i}.tif", noise(i, dtype), mask=clear[i])
        for i in range(1, 3)
    ]
    paths.append(write_stack(tmp_path, "s2_20180900.tif", noise(0, dtype), mask=clear[0]))
    out = tmp_path / "out.tif"
    run = lcmap(
        "prepare", *paths, "--period", "2018-07", "--dates", "2018-07-01,20180702,2018-09-01",
        "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    values = np.stack([noise(i, dtype) for i in (1, 2, 0)]).astype(float)
    july = np.where(clear[[1, 2], None], values[:2], np.nan)
    with np.errstate(all="ignore"):
        expected = np.where(np.isnan(july[0]), july[1], july[0])
        both = ~np.isnan(july).any(axis=0)
        expected[both] = july.mean(axis=0)[both]
    none = np.isnan(expected)
    expected[none] = values[2][none]
    known = clear.any(axis=0)
    with rasterio.open(out) as dataset:
        assert dataset.dtypes == (dtype,) * 2
        assert dataset.descriptions == ("B3", "B8A")
        found = dataset.read()
        assert np.array_equal(dataset.read_masks(1) != 0, known)
    rounding = 0 if dtype == "float32" else 0.5
    assert np.abs(found[:, known] - expected[:, known]).max() <= rounding


def test_dates_from_names_and_tags(lcmap: Lcmap, tmp_path: Path) -> None:
    """Only one image is of July; a tag goes before a name."""
    july = write_stack(tmp_path, "s2_20180601.tif", noise(1))
    with rasterio.open(july, "r+") as dataset:
        dataset.update_tags(ACQUISITION_DATE="2018-07-05T10:50:31Z")
    june = write_stack(tmp_path, "s2_20180602.tif", noise(2))
    out = tmp_path / "out.tif"
    run = lcmap("prepare", july, june, "--period", "2018-07", "-o", out)
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(read(out), noise(1))


def test_stack_without_names_takes_those_given(lcmap: Lcmap, tmp_path: Path) -> None:
    paths = [write_stack(tmp_path, f"s2_2018070{i}.tif", noise(i), names=()) for i in range(1, 4)]
    out = tmp_path / "out.tif"
    arguments = ["--period", "2018-07", "-o", out]
    refused(lcmap("prepare", *paths, *arguments), 2, "s2_20180701.tif", "--band-names")
    run = lcmap("prepare", *paths, *arguments, "--bands", "2", "--band-names", "B4")
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == ("B4",)
        expected = np.median([noise(i)[1] for i in range(1, 4)], axis=0)
        assert np.array_equal(dataset.read(1), expected)


def test_pixels_do_not_depend_on_the_grid_around_them(
    lcmap: Lcmap, tmp_path: Path, products: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 64 px, and strips of a few rows, give the same as one of all."""
    arguments = ["--period", "2018-07", "--method", "linear", "--clear-dates"]
    whole, blocks = tmp_path / "whole.tif", tmp_path / "blocks.tif"
    run = lcmap("prepare", *products, *arguments, tmp_path / "n.tif", "-o", whole)
    assert run.exit_code == 0, run.stderr
    monkeypatch.setattr("lcmap.imagery.stack.CHUNK", 64)
    monkeypatch.setattr("lcmap.imagery.masked_scenes.CHUNK", 48)
    monkeypatch.setattr("lcmap.imagery.compositing._BYTES", 1 << 17)
    run = lcmap("prepare", *products, *arguments, tmp_path / "m.tif", "-o", blocks)
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(read(blocks), read(whole))
    assert np.array_equal(read(tmp_path / "n.tif"), read(tmp_path / "m.tif"))


def test_many_dates(lcmap: Lcmap, tmp_path: Path) -> None:
    """More dates than files that are held open at a time."""
    days = [f"2018-{month:02d}-{day:02d}" for month in range(1, 8) for day in range(1, 29)][:160]
    rng = np.random.default_rng(5)
    values = rng.integers(1, 250, (len(days), 1, 6, 5)).astype("uint8")
    paths = [
        write_raster(tmp_path / f"s2_{day}.tif", image, names=("B4",), pixel=10.0)
        for day, image in zip(days, values, strict=True)
    ]
    like = write_raster(tmp_path / "like.tif", np.zeros((1, 12, 10), "uint8"), pixel=5.0)
    out, counts = tmp_path / "out.tif", tmp_path / "counts.tif"
    run = lcmap(
        "prepare", *paths, "--like", like, *NEAREST, "--period", "2018", "--clear-dates", counts,
        "-o", out,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    expected = np.median(values[:, 0], axis=0).repeat(2, axis=0).repeat(2, axis=1)
    assert np.abs(read(out)[0] - expected).max() <= 0.5
    assert (read(counts) == 160).all()


def write_composite(folder: Path, *, day: str) -> Path:
    assert day == DAYS[2]
    return write_theia_composite(folder, None)


@pytest.mark.parametrize("options", [(), ("--period", "2018-07")], ids=["day", "period"])
@pytest.mark.parametrize("write_other", [write_l2a, write_theia, write_composite])
def test_reflectance_of_two_levels_is_not_combined(
    lcmap: Lcmap, tmp_path: Path, write_other: Callable[..., Path], options: tuple[str, ...]
) -> None:
    """Neither of several days nor of one; which comes first does not matter."""
    other = write_other(tmp_path, day=DAYS[2])
    toa = write_l1c(tmp_path, day=DAYS[1] if options else DAYS[2])
    out = tmp_path / "out.tif"
    for pair in ((toa, other), (other, toa)):
        run = lcmap("prepare", *pair, *options, "-o", out)
        refused(run, 65, toa.name, other.name, "(TOA)", "(BOA)")
        assert not out.exists()


def test_level_1c_of_several_days(lcmap: Lcmap, tmp_path: Path) -> None:
    """Their median, opaque clouds left out; the stack says of each band what it is."""
    opaque = np.zeros((3, 20, 20), "uint8")
    opaque[0, :, :10] = 1
    products = [
        write_l1c(tmp_path, day=DAYS[1], baseline="02.06", classes=opaque),
        write_l1c(tmp_path, day=DAYS[2]),
    ]
    out = tmp_path / "out.tif"
    run = lcmap("prepare", *products, "--period", "2018-07", *NEAREST, "-o", out)
    assert run.exit_code == 0, run.stderr
    _, july5, july15, _ = images().astype(float)
    expected = (july5 + july15) / 2
    expected[:, :, :60] = july15[:, :, :60]
    assert np.abs(read(out) - expected).max() <= 0.5
    with rasterio.open(out) as dataset:
        assert {dataset.tags(i)["LCMAP_RADIOMETRY"] for i in dataset.indexes} == {"TOA"}


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        (("a_20180705.tif", "b_20180715.tif"), ("TOA", "BOA")),
        (("S2A_MSIL1C_20180705T1.tif", "S2A_MSIL2A_20180715T1.tif"), ("", "")),
        (("S2A_MSIL1C_20180705T1.tif", "b_20180715.tif"), ("", "BOA")),
        (("LC08_L1TP_20180705.tif", "LC08_L2SP_20180715.tif"), ("", "")),
        (("L1C/s2_20180705.tif", "L2A/s2_20180715.tif"), ("", "")),
    ],
)
def test_stacks_of_two_levels_are_not_combined(
    lcmap: Lcmap, tmp_path: Path, names: tuple[str, str], levels: tuple[str, str]
) -> None:
    """Tags of lcmap and names tell the level; a third of an unknown one is between them."""
    paths = []
    for name, level in zip(names, levels, strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        paths.append(write_stack(tmp_path, name, noise(1)))
        with rasterio.open(paths[-1], "r+") as dataset:
            for band in dataset.indexes if level else ():
                dataset.update_tags(band, LCMAP_RADIOMETRY=level)
    unknown = write_stack(tmp_path, "s2_20180710.tif", noise(3))
    out = tmp_path / "out.tif"
    run = lcmap("prepare", paths[0], unknown, paths[1], "--period", "2018-07", "-o", out)
    refused(run, 65, names[0], names[1], "(TOA)", "(BOA)")
    run = lcmap("prepare", paths[0], unknown, "--period", "2018-07", "-o", out)
    assert run.exit_code == 0, run.stderr
    with rasterio.open(out) as dataset:
        assert "LCMAP_RADIOMETRY" not in dataset.tags(1)


def refused(run: Run, code: int, *says: str) -> None:
    assert run.exit_code == code, run.stderr
    assert run.stderr.startswith("lcmap: ")
    assert run.stderr.count("\n") == 1
    for text in says:
        assert text in run.stderr


@pytest.fixture
def stacks(tmp_path: Path) -> list[Path]:
    return [write_stack(tmp_path, f"s2_2018070{i}.tif", noise(i)) for i in (1, 2)]


@pytest.mark.parametrize(
    "option", [("--method", "linear"), ("--strict",), ("--clear-dates", "n.tif"), ("--dates", "x")]
)
def test_options_that_need_a_period(
    lcmap: Lcmap, tmp_path: Path, stacks: list[Path], option: tuple[str, ...]
) -> None:
    run = lcmap("prepare", *stacks, *option, "-o", tmp_path / "out.tif")
    refused(run, 2, option[0], "give --period")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--period", "July"), "--period July: is not a period"),
        (("--period", "2017"), "no image is of it"),
        (("--period", "2018", "--dates", "2018-07-01"), "names 1 date(s) for 2 image(s)"),
        (("--period", "2018", "--dates", "2018-07-01,5.7."), "--dates 5.7.: is not a date"),
        (("--period", "2018", "--dates", "2018-07-01,2018-07-01"), "all are of 2018-07-01"),
        (("--period", "2018", "--bands", "B4"), "no such band"),
        (("--period", "2018", "--clear-dates", "-"), "goes to a file"),
    ],
)
def test_composite_that_cannot_be(
    lcmap: Lcmap, tmp_path: Path, stacks: list[Path], options: tuple[str, ...], says: str
) -> None:
    run = lcmap("prepare", *stacks, *options, "-o", tmp_path / "out.tif")
    refused(run, 2, says)
    assert not (tmp_path / "out.tif").exists()


def test_period_of_one_product(lcmap: Lcmap, tmp_path: Path, products: list[Path]) -> None:
    run = lcmap("prepare", products[1], "--period", "2018-07", "-o", tmp_path / "out.tif")
    refused(run, 2, "needs images of several days")
    run = lcmap(
        "prepare", *products, "--period", "2018", "--dates", "2018-07-01", "-o", tmp_path / "o.tif"
    )
    refused(run, 2, "--dates", "in the products' metadata")


def test_stacks_that_do_not_say_their_date(lcmap: Lcmap, tmp_path: Path) -> None:
    paths = [write_stack(tmp_path, f"{name}.tif", noise(1)) for name in ("a", "b")]
    run = lcmap("prepare", *paths, "--period", "2018", "-o", tmp_path / "out.tif")
    refused(run, 65, "a.tif", "give --dates")


def test_stacks_of_different_bands(lcmap: Lcmap, tmp_path: Path, stacks: list[Path]) -> None:
    other = write_stack(tmp_path, "s2_20180709.tif", noise(3), names=("B3", "B4"))
    run = lcmap("prepare", *stacks, other, "--period", "2018", "-o", tmp_path / "out.tif")
    refused(run, 2, "s2_20180709.tif", "choose the same with --bands")
    out = tmp_path / "out.tif"
    run = lcmap("prepare", *stacks, other, "--period", "2018", "--bands", "B03", "-o", out)
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(read(out)[0], np.median([noise(i)[0] for i in (1, 2, 3)], axis=0))


def test_clear_dates_are_an_output_like_others(
    lcmap: Lcmap, tmp_path: Path, stacks: list[Path]
) -> None:
    out, counts = tmp_path / "out.tif", tmp_path / "n.tif"
    counts.write_bytes(b"kept")
    run = lcmap("prepare", *stacks, "--period", "2018", "--clear-dates", counts, "-o", out)
    refused(run, 73, "n.tif", "--overwrite")
    assert counts.read_bytes() == b"kept"
    run = lcmap("prepare", *stacks, "--period", "2018", "--clear-dates", out, "-o", out)
    refused(run, 2, "out.tif: is named for two outputs")


def test_failure_leaves_nothing(lcmap: Lcmap, tmp_path: Path, products: list[Path]) -> None:
    """The last of the bands is damaged, which shows when all else is done."""
    broken = Path(shutil.copytree(products[1], tmp_path / "in" / products[1].name))
    (path,) = broken.glob("*/*/IMG_DATA/R20m/*_B12_20m.jp2")
    path.write_bytes(path.read_bytes()[:600])
    run = lcmap(
        "prepare", products[2], broken, "--period", "2018-07", "--clear-dates", tmp_path / "n.tif",
        "--tmpdir", tmp_path, "-o", tmp_path / "out.tif",
    )  # fmt: skip
    assert run.exit_code == 65, run.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_never_clear_at_all(lcmap: Lcmap, tmp_path: Path) -> None:
    """Where no date is clear there is nothing to fill from."""
    paths = []
    for i in (1, 2):
        image = noise(i, "int16")
        image[:, 3, 4] = -1
        paths.append(write_stack(tmp_path, f"s2_2018070{i}.tif", image, nodata=-1))
    out = tmp_path / "out.tif"
    assert lcmap("prepare", *paths, "--period", "2018", "-o", out).exit_code == 0
    image = read(out)
    assert np.argwhere(image[0] == -1).tolist() == [[3, 4]]


@pytest.mark.data
def test_slovenia_over_dates(lcmap: Lcmap, data_folder: Path, tmp_path: Path) -> None:
    """Three real dates, each under clouds of its own: no cloud shows in the median."""
    whole, paths = [], []
    with rasterio.open(data_folder / "sentinel2_slovenia/s2_l1c_2.tif") as dataset:
        profile, names = dataset.profile, dataset.descriptions
    cloudy = np.random.default_rng(3).integers(0, 4, (11, 10)).repeat(10, 0).repeat(10, 1)[:101]
    for i, month in ((2, 6), (3, 7), (4, 8)):
        with rasterio.open(data_folder / f"sentinel2_slovenia/s2_l1c_{i}.tif") as dataset:
            image = dataset.read()
        whole.append(image.copy())
        image[:, cloudy == i - 2] = 0
        path = tmp_path / f"s2_2015{month:02d}15.tif"
        with rasterio.open(path, "w", **(profile | {"nodata": 0})) as dataset:
            dataset.write(image)
            dataset.descriptions = names
        paths.append(path)
    out, counts = tmp_path / "out.tif", tmp_path / "n.tif"
    run = lcmap(
        "prepare", *paths, "--period", "2015-06/2015-08", "--clear-dates", counts, "-o", out
    )
    assert run.exit_code == 0, run.stderr
    ten = [names.index(name) for name in names if name not in ("B01", "B09", "B10")]
    values = np.stack(whole)[:, ten].astype(float)
    for i in range(3):
        values[i][:, cloudy == i] = np.nan
    with rasterio.open(out) as dataset:
        assert dataset.descriptions == TEN
        assert np.abs(dataset.read() - np.nanmedian(values, axis=0)).max() <= 0.5
    assert np.array_equal(read(counts)[0], np.where(cloudy == 3, 3, 2))
