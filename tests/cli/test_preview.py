"""--preview of each command that writes a raster: a picture comes with it, of what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import every_command
import numpy as np
import pytest
import rasterio
from matplotlib.image import imread
from PIL import Image
from support import run_lcmap

from lcmap.raster.classes import read_class_table

SHOWN = {
    "rasterize-ref": "ref.tif",
    "prepare tiles": "stack.labels.tif",
    "predict": "map.tif",
    "campaign": "map.tif",
    "fuse": "map.tif",
    "late": "map.tif",
    "reclassify-oso": "map.tif",
    "crosswalk": "map.tif",
    "update": "map.tif",
    "generalise": "map.tif",
}
"""The map that the picture shows, of each form of command."""


def run(name: str, *more: str) -> None:
    words = every_command.FORMS[name][1].split()
    if "--preview" in words:
        place = words.index("--preview")
        del words[place : place + 2]
    made = run_lcmap(*words, *more)
    assert made.exit_code == 0, made.stderr


@pytest.mark.parametrize("name", SHOWN)
def test_the_picture_shows_the_map(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    every_command.FORMS[name][0](tmp_path)
    run(name, "--preview", "look.png")
    assert not list(tmp_path.glob(".look*"))
    with rasterio.open(SHOWN[name]) as dataset:
        table, codes = read_class_table(dataset), dataset.read(1)
        digest = dataset.tags()["LCMAP_DIGEST"]
    assert table is not None
    picture = np.round(imread("look.png")[..., :3] * 255).astype(int)
    assert max(picture.shape) < 1700
    # the most frequent class covers the most of the picture of those in the map
    shares = {code: np.count_nonzero(codes == code) / codes.size for code in table.codes}
    seen = {code: int((picture == table.colors[code]).all(axis=2).sum()) for code in table.codes}
    most = max(shares, key=lambda code: shares[code])
    assert seen[most] > 0.5 * shares[most] * 400 * 500
    assert Image.open("look.png").text["lcmap_digest"] == digest  # type: ignore[attr-defined]


def test_pictures_of_maps_that_go_to_pipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    every_command.model(tmp_path)
    for words in (
        ["predict", "image.tif", "-m", "model.onnx", "-o", "-", "--preview", "a.png"],
        ["prepare", "image.tif", "-o", "-", "--preview", "b.png"],
    ):
        made = run_lcmap(*words)
        assert made.exit_code == 0, made.stderr
        assert imread(words[-1]).shape[0] > 400


def test_shards_carry_it_to_the_merge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    every_command.model(tmp_path)
    words = ["predict", "image.tif", "-m", "model.onnx", "--tile", "24", "--preview", "p.png"]
    whole = run_lcmap(*words, "-o", "map.tif")
    assert whole.exit_code == 0, whole.stderr
    expected = Path("p.png").read_bytes()
    for name in ("map.tif", "p.png", ".map.tif.lcmap-made"):
        Path(name).unlink()
    for shard in ("1/2", "2/2"):
        assert run_lcmap(*words, "-o", "map.tif", "--shard", shard).exit_code == 0
    assert not Path("p.png").exists()
    merged = run_lcmap("merge", "map.tif")
    assert merged.exit_code == 0, merged.stderr
    assert Path("p.png").read_bytes() == expected


def change(path: str) -> Callable[[], None]:
    return lambda: Path(path).write_bytes(b"mine")


@pytest.mark.parametrize(
    "preview, before, status, said",
    [
        ("p.jpg", lambda: None, 2, "p.jpg: is not the name of a picture; end it in .png"),
        ("p.png", change("p.png"), 73, "p.png: exists already; --overwrite to replace it"),
        ("nowhere/p.png", lambda: None, 73, "nowhere/p.png: no such folder"),
        ("labels.tif", lambda: None, 2, "labels.tif: is one of the inputs"),
        ("map.tif", lambda: None, 2, "map.tif: is named for two outputs"),
    ],
)
@pytest.mark.parametrize("name", ["predict", "generalise"])
def test_what_cannot_be_a_picture_is_refused_before_any_work(
    name: str,
    preview: str,
    before: Callable[[], None],
    status: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = {
        "predict": "predict labels.tif -m model.onnx -o map.tif --preview",
        "generalise": "generalise labels.tif --mmu 0.01 -o map.tif --preview",
    }
    every_command.model(tmp_path)
    before()
    made = run_lcmap(*words[name].split(), preview)
    assert (made.exit_code, said in made.stderr) == (status, True), made.stderr
    assert not Path("map.tif").exists()


def test_quantiles_alone_have_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    every_command.image(tmp_path)
    made = run_lcmap("prepare", "--quantiles-of", "image.tif", "-o", "q.json", "--preview", "p.png")
    assert made.exit_code == 2
    assert "--preview: is about a stack" in made.stderr
