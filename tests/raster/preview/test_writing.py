"""The picture of a preview: what it shows, its legend, and that it is the same again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from matplotlib.image import imread
from support import write_raster

from lcmap.errors import OutputExistsError, UsageError
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.classes import ClassTable, write_class_table
from lcmap.raster.old_sidecars import style_of
from lcmap.raster.preview import writing
from lcmap.raster.preview.figure import figure_of
from lcmap.raster.preview.reading import SourceImage
from lcmap.raster.preview.writing import Panel, check_preview, share_text, write_preview
from lcmap.raster.windows import Window

TABLE = load_nomenclature("flair7").class_table()


def write_map(path: Path, codes: Any, table: ClassTable | None = TABLE) -> Path:
    write_raster(path, np.asarray(codes, "uint8")[None], nodata=0)
    if table is not None:
        with rasterio.open(path, "r+") as dataset:
            write_class_table(dataset, table)
    return path


def halves(rows: int = 60, cols: int = 80) -> Any:
    """A quarter of water, a quarter of buildings, and half without data."""
    codes = np.zeros((rows, cols), "uint8")
    codes[: rows // 2, : cols // 2] = 1
    codes[: rows // 2, cols // 2 :] = 4
    return codes


def pixels_of(picture: Path, color: tuple[int, int, int]) -> int:
    rgb = np.round(imread(picture)[..., :3] * 255)
    return int((rgb == color).all(axis=2).sum())


def texts(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> list[str]:
    """Return all that is written in a picture."""
    figures = []

    def kept(panels: Any, ground: Any, path: Path, metadata: Any) -> None:
        figures.append(figure_of(panels, ground))
        figures[0].savefig(path, format="png")

    monkeypatch.setattr(writing, "save_figure", kept)
    write_preview(*arguments, overwrite=False, **options)
    found = [text.get_text() for axes in figures[0].axes for text in axes.texts]
    return [text for text in found if text]


def test_the_map_is_shown_in_its_colours(tmp_path: Path) -> None:
    map_ = write_map(tmp_path / "map.tif", halves())
    write_preview(tmp_path / "p.png", [Panel(map_, map_)], overwrite=False)
    building, water = (pixels_of(tmp_path / "p.png", TABLE.colors[code]) for code in (1, 4))
    # 1000 pixels are 80 of the map's
    assert building == pytest.approx(500 * 375, rel=0.02)
    assert water == pytest.approx(building, rel=0.02)
    for code in set(TABLE.codes) - {1, 4}:
        assert pixels_of(tmp_path / "p.png", TABLE.colors[code]) == 0


def test_the_legend_has_what_occurs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = write_map(tmp_path / "map.tif", halves())
    found = texts(monkeypatch, tmp_path / "p.png", [Panel("out/land $cover$.tif", map_)])
    assert found == [
        "land $cover$.tif", "20 m", "80 × 60 pixels of 0.8 m, EPSG:2154", "land $cover$.tif",
        "Building", "50.0 %", "Water", "50.0 %", "no data, of all pixels", "50.0 %",
    ]  # fmt: skip


def test_shares_are_those_of_the_map_not_of_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One pixel of 4 million is in no reduced image, and is in the legend."""
    codes = np.ones((2000, 2000), "uint8")
    codes[1000, 1000] = 4
    map_ = write_map(tmp_path / "map.tif", codes)
    found = texts(monkeypatch, tmp_path / "p.png", [Panel(map_, map_)])
    assert found[-4:] == ["Building", "100.0 %", "Water", "< 0.1 %"]
    assert share_text(0, 5) == "0.0 %"


def test_codes_without_names_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_ = write_map(tmp_path / "map.tif", halves(), None)
    assert "code 4" in texts(monkeypatch, tmp_path / "a.png", [Panel(map_, map_)])
    monkeypatch.undo()
    write_preview(tmp_path / "b.png", [Panel(map_, map_)], overwrite=False)
    for color in writing._OTHERS[:2]:
        assert pixels_of(tmp_path / "b.png", color) > 100_000


def test_a_long_legend_ends_with_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {code: f"class {code}" for code in range(1, 41)}
    table = ClassTable("many", names, {code: (code, 5, 250 - code) for code in names})
    codes = np.repeat(np.arange(1, 41), np.arange(1, 41))[None].repeat(4, axis=0)
    map_ = write_map(tmp_path / "map.tif", codes, table)
    found = texts(monkeypatch, tmp_path / "p.png", [Panel(map_, map_)])
    assert "class 40" in found and "class 17" in found and "class 16" not in found
    rest = 100 * sum(range(1, 17)) / sum(range(1, 41))
    assert found[-2:] == ["16 other classes", f"{rest:.1f} %"]


def test_the_image_is_beside_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    map_ = write_map(tmp_path / "map.tif", halves())
    image = write_raster(
        tmp_path / "scene.tif",
        np.random.default_rng(0).integers(0, 255, (3, 60, 80)).astype("uint8"),
        names=["red", "green", "blue"],
    )
    source = SourceImage((image,))
    found = texts(monkeypatch, tmp_path / "p.png", [Panel(map_, map_)], source)
    assert found[:2] == ["scene.tif: red, green, blue", "map.tif"]


def test_tiles_have_patterns_and_a_legend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = write_raster(tmp_path / "scene.tif", np.zeros((3, 60, 80), "uint8"))
    tiles = {
        "train": [Window(0, 0, 20, 20), Window(0, 20, 20, 20)],
        "test": [Window(40, 60, 20, 20)],
    }
    panel = Panel(image, image, codes=False, tiles=tiles)
    found = texts(monkeypatch, tmp_path / "p.png", [panel])
    assert found[-5:] == ["tiles", "train", "2 tiles", "test", "1 tile"]
    monkeypatch.undo()
    write_preview(tmp_path / "q.png", [panel], overwrite=False)
    picture = imread(tmp_path / "q.png")[48:798, 20:1020, :3]
    unlike = {
        name: len(np.unique(picture[row : row + 200, col : col + 200].reshape(-1, 3), axis=0))
        for name, row, col in (("train", 20, 20), ("test", 520, 770), ("none", 300, 500))
    }
    # black, a plain tint, and a tint with lines
    assert unlike["none"] == 1 and unlike["train"] < unlike["test"]


def test_the_same_bytes_again_whatever_the_user_set(tmp_path: Path) -> None:
    from matplotlib import rc_context

    map_ = write_map(tmp_path / "map.tif", halves())
    write_preview(tmp_path / "a.png", [Panel(map_, map_)], overwrite=False)
    with rc_context({"font.size": 20, "savefig.facecolor": "black", "font.family": "serif"}):
        write_preview(tmp_path / "b.png", [Panel(map_, map_)], overwrite=False)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 2), (60, 61)])
def test_pictures_of_any_shape_are_bounded(tmp_path: Path, shape: tuple[int, int]) -> None:
    map_ = write_map(tmp_path / "map.tif", np.ones(shape, "uint8"))
    write_preview(tmp_path / "p.png", [Panel(map_, map_)], overwrite=False)
    assert max(imread(tmp_path / "p.png").shape) < 1700


def test_names_that_the_font_lacks_are_no_warning(tmp_path: Path) -> None:
    table = ClassTable("t", {1: "森林", 4: "x" * 200}, {1: (1, 2, 3), 4: (4, 5, 6)})
    map_ = write_map(tmp_path / "map.tif", halves(), table)
    write_preview(tmp_path / "p.png", [Panel(map_, map_)], overwrite=False)


def test_a_preview_takes_no_style_from_the_map(tmp_path: Path) -> None:
    map_ = write_map(tmp_path / "map.tif", halves())
    write_preview(tmp_path / "map.png", [Panel(map_, map_)], overwrite=False)
    assert style_of(map_) == tmp_path / "map.qml"
    assert style_of(map_, [tmp_path / "map.png"]) == tmp_path / "map.qml"
    (tmp_path / "map.png").write_bytes(b"a layer of someone's")
    assert style_of(map_) is None


def test_what_is_no_picture_and_what_is_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"end it in \.png"):
        check_preview(tmp_path / "map.tif", overwrite=True)
    (tmp_path / "p.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        check_preview(tmp_path / "p.png", overwrite=False)
    check_preview(tmp_path / "p.png", overwrite=True)
    check_preview(None, overwrite=False)
