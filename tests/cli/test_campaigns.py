"""Maps of several overlapping images, as a user runs them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from shapely.geometry import box
from small_campaign import NORTH, WEST, Scene, cut, expected, picture
from small_model import BANDS, write_label_fusion_model
from small_vectors import write_layer
from support import Run, write_raster

from lcmap.dataset import mosaic_reader
from lcmap.dataset.inputs import reopened_input
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

__all__ = ["write_layer"]

Lcmap = Callable[..., Run]
SHAPE = (70, 96)
WINDOWS = [
    Window(0, 0, 40, 60), Window(4, 40, 50, 56), Window(30, 0, 40, 50), Window(33, 44, 37, 40),
]  # fmt: skip
CODES = load_nomenclature("flair7").index_to_code


@pytest.fixture
def scenes() -> list[Scene]:
    return cut(picture(*SHAPE), WINDOWS)


@pytest.fixture
def folder(tmp_path: Path, scenes: list[Scene]) -> Path:
    (tmp_path / "scenes").mkdir()
    for number, scene in enumerate(scenes, start=1):
        scene.write(tmp_path / "scenes" / f"scene{number}.tif")
    return tmp_path


@pytest.fixture(scope="module")
def fusion_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_label_fusion_model(tmp_path_factory.mktemp("model") / "fusion.onnx")


def read(path: Path) -> NDArray[np.generic]:
    with rasterio.open(path) as dataset:
        return dataset.read()


def check(folder: Path, probabilities: NDArray[np.float32], owners: NDArray[np.uint16]) -> None:
    """Check map, probabilities and scenes in a folder against the definition."""
    found = read(folder / "p.tif")
    assert np.array_equal(np.isnan(found), np.isnan(probabilities))
    assert np.nanmax(np.abs(found - probabilities)) < 1e-5
    valid = owners > 0
    assert np.array_equal(read(folder / "s.tif")[0], owners)
    codes = read(folder / "map.tif")[0]
    assert (codes[~valid] == 0).all()
    ranked = np.sort(probabilities[:, valid], axis=0)
    sure = ranked[-1] - ranked[-2] > 1e-5
    wanted = CODES[probabilities[:, valid].argmax(axis=0)]
    assert np.array_equal(codes[valid][sure], wanted[sure])


def outputs(folder: Path) -> list[object]:
    return [
        "-o", folder / "map.tif", "--probabilities", folder / "p.tif",
        "--scenes", folder / "s.tif", "--tile", 24, "--overwrite",
    ]  # fmt: skip


def test_a_folder_of_one_image_is_that_image(lcmap: Lcmap, folder: Path, model: Path) -> None:
    image = folder / "scenes" / "scene1.tif"
    (folder / "one").mkdir()
    (folder / "one" / image.name).symlink_to(image)
    for given, made in ((image, "a.tif"), (folder / "one", "b.tif")):
        assert lcmap("predict", given, "-m", model, "-o", folder / made).exit_code == 0
    assert (folder / "a.tif").read_bytes() == (folder / "b.tif").read_bytes()
    run = lcmap("predict", folder / "one", "-m", model, "-o", "-", "--scenes", folder / "s.tif")
    assert run.exit_code == 0
    assert np.array_equal(read(folder / "s.tif") > 0, read(folder / "a.tif") > 0)


def test_crops_of_an_image_make_the_map_of_the_image(
    lcmap: Lcmap, tmp_path: Path, model: Path
) -> None:
    whole = picture(*SHAPE)
    every = np.ones(SHAPE, bool)
    quantiles = np.array([[20.0, 220.0]] * 4)
    Scene(Window(0, 0, *SHAPE), whole, every, quantiles).write(tmp_path / "whole.tif")
    crops = [
        Window(0, 0, 40, 60), Window(3, 41, 50, 55), Window(31, 0, 39, 50), Window(53, 44, 17, 52),
        Window(0, 60, 3, 36),
    ]  # fmt: skip
    names = [tmp_path / f"crop{i}.tif" for i in range(len(crops))]
    for name, window in zip(names, crops, strict=True):
        pixels = whole[:, *window.slices]
        Scene(window, pixels, every[window.slices], quantiles + 40).write(name)
    for given, made in (([tmp_path / "whole.tif"], "a"), (names, "b")):
        files = ["-o", tmp_path / f"{made}.tif", "--probabilities", tmp_path / f"{made}.p.tif"]
        scaled = ["--quantiles", tmp_path / "whole.tif"]
        run = lcmap("predict", *given, "-m", model, *files, *scaled, "--tile", 32)
        assert run.exit_code == 0, run.stderr
    whole_map, crops_map = (read(tmp_path / f"{name}.tif") for name in "ab")
    probabilities = [read(tmp_path / f"{name}.p.tif") for name in "ab"]
    assert np.abs(probabilities[0] - probabilities[1]).max() < 1e-6
    ranked = np.sort(probabilities[0], axis=0)
    sure = ranked[-1] - ranked[-2] > 1e-6
    assert sure.mean() > 0.9
    assert np.array_equal(whole_map[0][sure], crops_map[0][sure])


def test_the_first_image_in_order_counts(
    lcmap: Lcmap, folder: Path, scenes: list[Scene], model: Path
) -> None:
    run = lcmap("predict", folder / "scenes", "-m", model, *outputs(folder), "--verify")
    assert run.exit_code == 0, run.stderr
    check(folder, *expected(model, scenes, SHAPE))
    with rasterio.open(folder / "s.tif") as dataset:
        assert dataset.nodata == 0
        assert dataset.tags()["LCMAP_SCENE_3"] == "scene3.tif"
    paths = [folder / "scenes" / f"scene{number}.tif" for number in (4, 3, 2, 1)]
    run = lcmap("predict", *paths, "-m", model, *outputs(folder))
    assert run.exit_code == 0, run.stderr
    check(folder, *expected(model, scenes[::-1], SHAPE))


def test_the_newest_image_counts(
    lcmap: Lcmap, folder: Path, scenes: list[Scene], model: Path
) -> None:
    days = ["2018-07-14", "2018-07-20", "2018-06-30", "2018-07-20"]
    paths = []
    for i, (scene, day) in enumerate(zip(scenes, days, strict=True)):
        named = i == 2  # the others say it in a tag
        path = folder / (f"s_{day}.tif" if named else f"s{i}.tif")
        paths.append(scene.write(path, **({} if named else {"ACQUISITION_DATE": f"{day}T10:50"})))
    run = lcmap("predict", *paths, "-m", model, *outputs(folder), "--prefer", "newest")
    assert run.exit_code == 0, run.stderr
    check(folder, *expected(model, scenes, SHAPE, [2, 4, 1, 3]))
    given = folder / "scenes"
    run = lcmap("predict", given, "-m", model, *outputs(folder), "--prefer", "newest")
    assert run.exit_code == 65
    assert "scene1.tif: neither its tags nor its name say when it was taken" in run.stderr
    assert "--prefer newest" in run.stderr


def test_the_surest_image_counts(
    lcmap: Lcmap, folder: Path, scenes: list[Scene], model: Path
) -> None:
    given = ["predict", folder / "scenes", "-m", model, *outputs(folder), "--verify"]
    run = lcmap(*given, "--prefer", "confidence")
    assert run.exit_code == 0, run.stderr
    check(folder, *expected(model, scenes, SHAPE, by_confidence=True))


def test_an_index_gives_images_and_their_order(
    lcmap: Lcmap, folder: Path, scenes: list[Scene], model: Path, write_layer: Callable[..., Path]
) -> None:
    order = [3, 1, 4, 2]
    index = write_layer(
        folder / "campaign.gti.gpkg", [box(0, 0, 1, 1)] * 4,
        {"location": [f"scenes/scene{number}.tif" for number in order]},
    )  # fmt: skip
    run = lcmap("predict", index, "-m", model, *outputs(folder))
    assert run.exit_code == 0, run.stderr
    check(folder, *expected(model, [scenes[number - 1] for number in order], SHAPE))


def test_a_vector_file_that_is_no_index_is_bad_data(
    lcmap: Lcmap, folder: Path, model: Path, write_layer: Callable[..., Path]
) -> None:
    index = write_layer(folder / "communes.gpkg", [box(0, 0, 1, 1)], {"nom": ["Lattes"]})
    run = lcmap("predict", index, "-m", model, *outputs(folder))
    assert run.exit_code == 65
    assert run.stderr == (
        f'lcmap: {index}: is no index of rasters: it has no field "location"; make one with '
        "gdaltindex, name the rasters, or rasterize labels with lcmap rasterize-ref\n"
    )


def test_few_images_are_open_at_a_time(
    lcmap: Lcmap,
    folder: Path,
    scenes: list[Scene],
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, now = [], 0

    @contextmanager
    def counted(*args: Any) -> Iterator[Any]:
        nonlocal now
        now += 1
        opened.append(now)
        with reopened_input(*args) as dataset:
            yield dataset
        now -= 1

    monkeypatch.setattr(mosaic_reader, "MOST_OPEN", 2)
    monkeypatch.setattr(mosaic_reader, "reopened_input", counted)
    run = lcmap("predict", folder / "scenes", "-m", model, *outputs(folder))
    assert run.exit_code == 0, run.stderr
    assert (max(opened), now) == (2, 0)
    check(folder, *expected(model, scenes, SHAPE))


def test_a_campaign_in_8_bit_integers(lcmap: Lcmap, folder: Path, model: Path) -> None:
    run = lcmap("predict", folder / "scenes", "-m", model, *outputs(folder), "--precision", "int8")
    assert run.exit_code == 0, run.stderr
    assert (read(folder / "map.tif") > 0).mean() > 0.8


def test_parts_of_a_label_map_beside_a_campaign(
    lcmap: Lcmap, folder: Path, tmp_path: Path, fusion_model: Path
) -> None:
    rng = np.random.default_rng(1)
    codes = rng.integers(1, 24, (1, 9, 12)).astype(np.uint8)
    corner = (WEST - 20, NORTH + 10)
    write_raster(tmp_path / "oso.tif", codes, corner=corner, pixel=10, nodata=0)
    (tmp_path / "oso").mkdir()
    for name, cols in (("west", slice(0, 7)), ("east", slice(5, 12)), ("far", slice(0, 2))):
        x = corner[0] + 10 * cols.start + 5000 * (name == "far")
        write_raster(
            tmp_path / "oso" / f"{name}.tif", codes[..., cols], corner=(x, corner[1]), pixel=10,
            nodata=0,
        )  # fmt: skip
    for i, oso in enumerate(("oso.tif:oso23", "oso:oso23", "oso/*.tif:oso23")):
        given = ["fuse", folder / "scenes", f"{tmp_path}/{oso}"]
        run = lcmap(*given, "-m", fusion_model, "-o", tmp_path / f"{i}.tif", "--tile", 24)
        assert run.exit_code == 0, run.stderr
    found = [read(tmp_path / f"{i}.tif") for i in range(3)]
    assert len(np.unique(found[0])) > 3
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    given = ["reclassify-oso", folder / "scenes", tmp_path / "oso", "--oso", "oso23"]
    run = lcmap(*given, "-m", fusion_model, "-o", tmp_path / "r.tif", "--tile", 24)
    assert run.exit_code == 0, run.stderr
    assert np.array_equal(found[0], read(tmp_path / "r.tif"))


def test_pixels_without_an_image_are_mapped_from_what_is_there(
    lcmap: Lcmap, folder: Path, tmp_path: Path, fusion_model: Path
) -> None:
    codes = np.random.default_rng(1).integers(1, 24, (1, 9, 12)).astype(np.uint8)
    write_raster(tmp_path / "oso.tif", codes, corner=(WEST, NORTH), pixel=10, nodata=0)
    run = lcmap(
        "fuse", folder / "scenes", f"{tmp_path / 'oso.tif'}:oso23", "-m", fusion_model,
        *outputs(folder), "--allow-missing",
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    scenes, codes = read(folder / "s.tif"), read(folder / "map.tif")
    assert (codes > 0).all()
    assert (scenes == 0).any()


def test_an_input_left_out_of_a_campaign_equals_one_without_data(
    lcmap: Lcmap, folder: Path, tmp_path: Path, fusion_model: Path
) -> None:
    oso = write_raster(tmp_path / "oso.tif", np.zeros((1, 9, 12), np.uint8),
                       corner=(WEST, NORTH), pixel=10, nodata=0)  # fmt: skip
    empty, without = tmp_path / "empty.tif", tmp_path / "without.tif"
    command = ("fuse", folder / "scenes", f"{oso}:oso23", "-m", fusion_model, "--tile", 24)
    run = lcmap(*command, "-o", empty, "--allow-missing")
    assert run.exit_code == 0, run.stderr
    run = lcmap(*command, "-o", without, "--without", "oso23")
    assert run.exit_code == 0, run.stderr
    assert len(np.unique(read(without))) > 2
    assert np.array_equal(read(empty), read(without))


def test_images_that_make_no_campaign_are_refused(lcmap: Lcmap, folder: Path, model: Path) -> None:
    pixels = picture(20, 20)
    first = folder / "scenes" / "scene1.tif"
    off = write_raster(folder / "off.tif", pixels, corner=(WEST + 0.3, NORTH), names=BANDS)
    other = write_raster(folder / "utm.tif", pixels, epsg=32631, names=BANDS)
    for path, message in (
        (off, f"off.tif: does not lie on the pixels of {first}"),
        (other, "utm.tif: is in another coordinate reference system"),
    ):
        run = lcmap("predict", first, path, "-m", model, "-o", folder / "map.tif")
        assert run.exit_code == 65
        assert message in run.stderr
    run = lcmap("predict", first, "-", "-m", model, "-o", folder / "map.tif")
    assert run.exit_code == 2
    assert "cannot be one of several images" in run.stderr
    (folder / "empty").mkdir()
    run = lcmap("predict", folder / "empty", "-m", model, "-o", folder / "map.tif")
    assert run.exit_code == 66
    assert "the folder holds no raster" in run.stderr
    second = folder / "scenes" / "scene2.tif"
    run = lcmap("predict", first, second, "-m", model, "-o", first, "--overwrite")
    assert run.exit_code == 2
    assert "is one of the inputs" in run.stderr
    run = lcmap("predict", folder / "scenes", "-m", model, "-o", folder / "scenes" / "map.tif")
    assert run.exit_code == 2
    assert f"would be one of the inputs {folder / 'scenes'} of the next run" in run.stderr
    assert not (folder / "map.tif").exists()


def test_scenes_are_refused_where_there_are_none(lcmap: Lcmap, folder: Path) -> None:
    run = lcmap("fuse", "--late", "mean", "p.tif", "q.tif", "--scenes", folder / "s.tif")
    assert run.exit_code == 2
    assert "--scenes" in run.stderr
