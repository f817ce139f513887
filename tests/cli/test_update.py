"""lcmap update as a user runs it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy import ndimage
from small_labels import label_writer
from small_model import BANDS
from small_years import Years, write_probabilities, write_years
from support import write_raster

from lcmap.nomenclature import load_crosswalk, load_nomenclature
from lcmap.products import update as update_module
from lcmap.products.changes import ChangeClasses
from lcmap.raster.classes import qml_style, read_class_table

Lcmap = Callable[..., Any]
FLAIR7 = load_nomenclature("flair7")


def read(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        pixels: NDArray[Any] = dataset.read(1)
    return pixels


def weighed(years: Years, margin: float, classes: Any = FLAIR7) -> NDArray[np.uint8]:
    """The definition, pixel by pixel."""
    updated = np.empty_like(years.new)
    for place in np.ndindex(*years.new.shape):
        last, new = int(years.last[place]), int(years.new[place])
        if last == 0 or new == last:
            updated[place] = new
        elif new == 0:
            updated[place] = last
        else:
            p = years.probabilities[(slice(None), *place)].astype(float)
            old, now = p[classes.index_of(last)], p[classes.index_of(new)]
            updated[place] = new if now > 2.0**margin * max(old, 1.2e-7) else last
    return updated


def without_specks(last: NDArray[Any], updated: NDArray[Any], pixels: int) -> NDArray[Any]:
    changed = (last != updated) & (last != 0) & (updated != 0)
    labels, count = ndimage.label(changed)
    sizes = ndimage.sum_labels(changed, labels, range(count + 1))
    return np.where(changed & (sizes[labels] < pixels), last, updated)


def change_codes(years: Years, updated: NDArray[Any]) -> NDArray[Any]:
    """The definition: 0 where one of the years has no class."""
    codes = ChangeClasses(FLAIR7).between(years.last, updated)
    return np.where(years.new == 0, 0, codes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, in which blocks are small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(update_module, "_SIDE", 32)
    return tmp_path


def run_update(lcmap: Lcmap, *options: object) -> Any:
    return lcmap("update", "last.tif", "new.tif", "--probabilities", "p.tif", *options)


@pytest.mark.parametrize("margin", [0.5, 1, 2, 6])
def test_a_pixel_changes_where_the_evidence_exceeds_the_margin(
    lcmap: Lcmap, folder: Path, margin: float
) -> None:
    years = write_years(folder, gaps=True)
    run = run_update(lcmap, "-o", "map.tif", "--changes", "changes.tif", *("--margin", margin))
    assert run.exit_code == 0, run.stderr
    found, expected = read(folder / "map.tif"), weighed(years, margin)
    np.testing.assert_array_equal(found, expected)
    kept = (found == years.last) & (years.last != years.new) & (years.last != 0)
    assert kept.any() and (found != years.last).any()
    codes = change_codes(years, expected)
    np.testing.assert_array_equal(read(folder / "changes.tif"), codes)


def test_it_is_the_same_by_default_as_by_the_default_margin(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    assert run_update(lcmap, "-o", "map.tif").exit_code == 0
    np.testing.assert_array_equal(read(folder / "map.tif"), weighed(years, 2))


def test_a_margin_of_0_takes_the_new_map_as_it_is(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder, gaps=True)
    # a map that was generalised is not the most probable class everywhere
    years.new[:10, :10] = 3
    label_writer(folder)("new.tif", years.new, classes=FLAIR7)
    run = run_update(lcmap, "-o", "map.tif", "--margin", 0)
    assert run.exit_code == 0, run.stderr
    assert read(folder / "map.tif").tobytes() == years.new.tobytes()


def test_pixels_that_one_year_lacks(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder, gaps=True)
    run = run_update(lcmap, "-o", "map.tif", "--changes", "changes.tif", "--margin", 1)
    assert run.exit_code == 0, run.stderr
    found, changes = read(folder / "map.tif"), read(folder / "changes.tif")
    only_last, only_new = years.new == 0, years.last == 0
    unknown = np.isnan(years.probabilities[0]) & ~only_last & ~only_new
    for part, expected in (
        (only_last & ~only_new, years.last),
        (only_new & ~only_last, years.new),
        (unknown, years.last),
    ):
        assert part.any()
        np.testing.assert_array_equal(found[part], expected[part])
    assert (found[only_last & only_new] == 0).all()
    assert (changes[only_new | only_last] == 0).all() and (changes[unknown] == 1).all()
    differing = (years.last != years.new) & ~only_last & ~only_new
    share = 100 * (unknown & differing).sum() / differing.sum()
    assert (
        f"warning: p.tif: has no probabilities at {share:.2g} % of the pixels where the maps "
        "differ, which keep last year's class\n"
    ) in run.stderr
    area = (only_last & ~only_new).sum() * 1e-4
    assert f"without a class this year: {area:.2f}" in run.stdout
    shared = ~only_last & ~only_new
    assert f"({100 * ((found != years.last) & shared).sum() / shared.sum():.2f} %)" in run.stdout


@pytest.mark.parametrize("pixels", [2, 5, 12])
def test_specks_of_change_are_taken_back(lcmap: Lcmap, folder: Path, pixels: int) -> None:
    years = write_years(folder, gaps=True)
    run = run_update(
        lcmap, "-o", "map.tif", "--changes", "changes.tif", "--margin", 1,
        "--min-change", (pixels - 0.5) * 1e-4,
    )  # fmt: skip
    assert run.exit_code == 0, run.stderr
    before = weighed(years, 1)
    expected = without_specks(years.last, before, pixels)
    assert (expected != before).any() and (expected != years.last).any()
    np.testing.assert_array_equal(read(folder / "map.tif"), expected)
    np.testing.assert_array_equal(read(folder / "changes.tif"), change_codes(years, expected))
    assert sorted(path.name for path in folder.glob("[!.]*")) == [
        "changes.qml", "changes.tif", "changes.tif.aux.xml", "last.tif", "map.qml", "map.tif",
        "map.tif.aux.xml", "new.tif", "p.tif",
    ]  # fmt: skip


@pytest.mark.parametrize("options", [[], ["--min-change", 0.0005]])
def test_it_does_not_depend_on_the_blocks(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[object]
) -> None:
    write_years(folder, gaps=True)
    files = []
    for side in (32, 512):
        monkeypatch.setattr(update_module, "_SIDE", side)
        run = run_update(lcmap, "-o", "map.tif", "--changes", "c.tif", "--overwrite", *options)
        assert run.exit_code == 0, run.stderr
        files.append([read(folder / name) for name in ("map.tif", "c.tif")])
    np.testing.assert_array_equal(files[0], files[1])


def test_the_files_say_what_they_are(lcmap: Lcmap, folder: Path) -> None:
    write_years(folder)
    run = run_update(
        lcmap, "-o", "map.tif", "--changes", "changes.tif", "--margin", 1.5, "--min-change", 0.0003
    )
    assert run.exit_code == 0, run.stderr
    for name, table in (
        ("map", FLAIR7.class_table()),
        ("changes", ChangeClasses(FLAIR7).table),
    ):
        with rasterio.open(folder / f"{name}.tif") as dataset:
            assert read_class_table(dataset) == table
            assert (dataset.dtypes, dataset.nodata) == (("uint8",), 0)
            tags = {key: text for key, text in dataset.tags().items() if "UPDATE" in key}
        assert tags == {
            "LCMAP_UPDATE_LAST": "last.tif",
            "LCMAP_UPDATE_NEW": "new.tif",
            "LCMAP_UPDATE_PROBABILITIES": "p.tif",
            "LCMAP_UPDATE_MARGIN": "1.5",
            "LCMAP_UPDATE_MIN_CHANGE": "0.0003 ha",
        }
        assert (folder / f"{name}.qml").read_text("utf-8") == qml_style(table)
        assert "Class" in (folder / f"{name}.tif.aux.xml").read_text("utf-8")


def test_what_changed_is_said(lcmap: Lcmap, folder: Path) -> None:
    last, new = np.full((50, 60), 7, np.uint8), np.full((50, 60), 7, np.uint8)
    new[:10, :20], new[20:25, :10] = 1, 4
    p = np.full((7, 50, 60), 0.01, np.float32)
    np.put_along_axis(p, (new - 1)[None].astype(int), 0.9, 0)
    p[:, 20:25, :10], p[3, 20:25, :10], p[6, 20:25, :10] = 0.01, 0.5, 0.4
    write = label_writer(folder)
    write("last.tif", last, classes=FLAIR7)
    write("new.tif", new, classes=FLAIR7)
    write_probabilities(folder / "p.tif", p, FLAIR7)
    run = run_update(lcmap, "-o", "map.tif")
    assert run.stdout.splitlines() == [
        "changed: 0.02 ha (6.67 %); the maps differ in 0.025 ha (8.33 %)",
        "  Herbaceous and crops → Building: 0.02 ha",
    ]
    assert run_update(lcmap, "-o", "map.tif", "--overwrite", "-q").stdout == ""


def test_areas_are_plain_figures(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    for name in ("last.tif", "new.tif", "p.tif"):
        with rasterio.open(folder / name, "r+") as dataset:
            dataset.transform = rasterio.Affine(400, 0, 300_000, 0, -400, 6_400_000)
    run = run_update(lcmap, "-o", "map.tif")
    assert run.exit_code == 0, run.stderr
    hectares = 16 * int((years.last != years.new).sum())
    assert f"the maps differ in {hectares:,}.00 ha".replace(",", " ") in run.stdout


def test_more_than_16_classes_make_a_change_map_of_two_bytes(lcmap: Lcmap, folder: Path) -> None:
    topo18 = load_nomenclature("topo18")
    years = write_years(folder, classes=topo18)
    run = run_update(lcmap, "-o", "map.tif", "--changes", "changes.tif", "--margin", 1)
    assert run.exit_code == 0, run.stderr
    changes = ChangeClasses(topo18)
    expected = changes.between(years.last, weighed(years, 1, topo18))
    assert expected.max() > 255
    np.testing.assert_array_equal(read(folder / "changes.tif"), expected)
    with rasterio.open(folder / "changes.tif") as dataset:
        assert dataset.dtypes == ("uint16",) and read_class_table(dataset) == changes.table
    assert (folder / "changes.qml").read_text("utf-8") == qml_style(changes.table)


def test_last_year_in_other_classes(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder, classes=load_nomenclature("topo6"))
    topo18 = load_nomenclature("topo18")
    last = topo18.index_to_code[np.random.default_rng(3).integers(0, 18, years.last.shape)]
    label_writer(folder)("last.tif", last, classes=topo18)
    run = run_update(lcmap, "-o", "map.tif")
    assert run.exit_code == 65
    assert run.stderr == (
        "lcmap: last.tif: is in topo18, new.tif in topo6; --crosswalk topo18:topo6 brings it over\n"
    )
    run = run_update(lcmap, "-o", "map.tif", "--crosswalk", "topo18:topo6")
    assert run.exit_code == 0, run.stderr
    crosswalk = load_crosswalk("topo18:topo6")
    expected = weighed(years._replace(last=crosswalk.table[last]), 2, crosswalk.target)
    np.testing.assert_array_equal(read(folder / "map.tif"), expected)
    assert (crosswalk.table[last] == 0).any()


def test_a_last_map_that_does_not_say_its_classes(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    label_writer(folder)("last.tif", years.last)
    run = run_update(lcmap, "-o", "map.tif")
    assert run.exit_code == 2
    assert "last.tif: does not say what its codes mean; name its classes, as in" in run.stderr
    run = lcmap("update", "last.tif:flair7", "new.tif", "--probabilities", "p.tif", "-o", "map.tif")
    assert run.exit_code == 0, run.stderr
    np.testing.assert_array_equal(read(folder / "map.tif"), weighed(years, 2))


def test_the_remedy_for_another_grid_works(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    wide = np.pad(years.last, 4, mode="edge")
    label_writer(folder)(
        "last.tif", wide, classes=FLAIR7, west=700_000.0 - 4, north=6_250_000.0 + 4
    )
    run = run_update(lcmap, "-o", "map.tif")
    assert run.exit_code == 65
    problem = "last.tif: is not on the grid of new.tif (68 × 83 px instead of 60 × 75); "
    assert problem in run.stderr
    remedy = run.stderr.partition(problem)[2].partition(" brings it over; then give ")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(shlex.split(remedy[0]), check=True, env=environment)
    run = lcmap("update", remedy[2].strip(), "new.tif", "--probabilities", "p.tif", "-o", "map.tif")
    assert run.exit_code == 0, run.stderr
    np.testing.assert_array_equal(read(folder / "map.tif"), weighed(years, 2))


def test_the_remedy_names_classes_as_the_user_can(lcmap: Lcmap, folder: Path) -> None:
    mine = 'name = "mine"\ntitle = "mine"\n[[classes]]\ncode = 1\nname = "A"\nshort = "A"\n'
    (folder / "classes.toml").write_text(mine + 'color = "#ff0000"\n')
    own = load_nomenclature(folder / "classes.toml")
    write = label_writer(folder)
    write("new.tif", np.ones((9, 9), np.uint8), classes=own)
    write_probabilities(folder / "p.tif", np.ones((1, 9, 9), np.float32), own)
    write("last.tif", np.ones((8, 9), np.uint8), classes=own)
    run = run_update(lcmap, "-o", "map.tif")
    assert "then give over.tif:FILE.toml, with the classes of mine in FILE.toml" in run.stderr
    write("last.tif", np.ones((8, 9), np.uint8))
    run = lcmap(
        "update", "last.tif:classes.toml", "new.tif", "--probabilities", "p.tif", "-o", "map.tif"
    )
    assert run.exit_code == 65
    assert run.stderr.endswith("then give over.tif:classes.toml\n")


def other_classes(folder: Path) -> None:
    write_probabilities(
        folder / "p.tif", np.full((6, 60, 75), 1 / 6, np.float32), load_nomenclature("topo6")
    )


def shifted(folder: Path) -> None:
    with rasterio.open(folder / "p.tif", "r+") as dataset:
        dataset.transform = dataset.transform @ rasterio.Affine.translation(0.5, 0)


def elsewhere(folder: Path) -> None:
    with rasterio.open(folder / "last.tif", "r+") as dataset:
        dataset.crs = "EPSG:32631"


def unknown_code(folder: Path) -> None:
    label_writer(folder)("new.tif", np.full((60, 75), 9, np.uint8), classes=FLAIR7)


def three_bands(folder: Path) -> None:
    write_raster(folder / "last.tif", np.ones((3, 60, 75), np.uint8), names=BANDS[:3])


def percent(folder: Path) -> None:
    write_probabilities(folder / "p.tif", np.full((7, 60, 75), 14.0, np.float32), FLAIR7)


def a_map(folder: Path) -> None:
    (folder / "p.tif").write_bytes((folder / "new.tif").read_bytes())


def missing(folder: Path) -> None:
    (folder / "p.tif").unlink()


def there(folder: Path) -> None:
    (folder / "c.tif").write_text("something")


@pytest.mark.parametrize(
    ("change", "options", "code", "said"),
    [
        (other_classes, [], 65, "p.tif: is in topo6, new.tif in flair7; give the probabilities"),
        (shifted, [], 65, "p.tif: is not on the grid of new.tif (its pixels lie elsewhere); give"),
        (elsewhere, [], 65, "last.tif: is not on the grid of new.tif (in another coordinate"),
        (unknown_code, [], 65, "new.tif: holds label codes that flair7 does not have: 9;"),
        (three_bands, [], 65, "last.tif: has 3 bands, labels have one"),
        (percent, [], 65, "p.tif: has values from 14 to 14, probabilities are between 0 and 1"),
        (a_map, [], 65, "p.tif: does not say of which classes it is"),
        (missing, [], 66, "p.tif: no such file"),
        (there, ["--changes", "c.tif"], 73, "c.tif: exists already; --overwrite to replace it"),
        (None, ["--margin", "-1"], 2, "--margin: -1 is not 0 or more"),
        (None, ["--margin", "nan"], 2, "--margin: nan is not 0 or more"),
        (None, ["--min-change", "0"], 2, "--min-change: 0 is not above 0"),
        (None, ["--changes", "map.tif"], 2, "map.tif: is named for two outputs"),
        (None, ["-o", "last.tif", "--overwrite"], 2, "last.tif: is one of the inputs"),
        (None, ["--changes", "p.tif", "--overwrite"], 2, "p.tif: is one of the inputs"),
        (None, ["--changes", "c.png"], 2, "c.png: "),
        (None, ["--crosswalk", "topo18:topo6"], 65, "last.tif: is in flair7, the crosswalk starts"),
        (None, ["--crosswalk", "flair7:none"], 2, "flair7:none: no built-in crosswalk has this"),
    ],
)  # fmt: skip
def test_what_is_refused(
    lcmap: Lcmap,
    folder: Path,
    change: Callable[[Path], None] | None,
    options: list[str],
    code: int,
    said: str,
) -> None:
    write_years(folder)
    if change:
        change(folder)
    before = sorted(os.listdir(folder))
    run = run_update(lcmap, "-o", "map.tif", *options)
    assert run.exit_code == code, run.stderr
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"lcmap: {said}"), line
    assert sorted(os.listdir(folder)) == before


def test_standard_input_is_one_input(lcmap: Lcmap, folder: Path) -> None:
    write_years(folder)
    run = lcmap("update", "last.tif", "-", "--probabilities", "-", "-o", "map.tif")
    assert run.exit_code == 2 and "standard input: can be one input only" in run.stderr


def test_it_works_in_pipes(folder: Path) -> None:
    years = write_years(folder)
    lcmap = shlex.join([sys.executable, "-m", "lcmap"])
    command = (
        f"cat last.tif | {lcmap} update - new.tif --probabilities p.tif --tmpdir . "
        f"| {lcmap} update - new.tif --probabilities p.tif --margin 0 -q > piped.tif"
    )
    run = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr.startswith("changed: ")
    np.testing.assert_array_equal(read(folder / "piped.tif"), years.new)
    assert sorted(os.listdir(folder)) == ["last.tif", "new.tif", "p.tif", "piped.tif"]


def test_nothing_in_common_is_said(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    label_writer(folder)("last.tif", np.zeros_like(years.last), classes=FLAIR7)
    run = run_update(lcmap, "-o", "map.tif")
    assert run.exit_code == 0
    assert "warning: last.tif: no pixel has a class in both maps" in run.stderr
    np.testing.assert_array_equal(read(folder / "map.tif"), years.new)


def test_an_empty_new_map_is_said(lcmap: Lcmap, folder: Path) -> None:
    years = write_years(folder)
    label_writer(folder)("new.tif", np.zeros_like(years.new), classes=FLAIR7)
    run = run_update(lcmap, "-o", "map.tif", "--changes", "changes.tif")
    assert run.exit_code == 0
    assert "warning: new.tif: no pixel has a class, so nothing was updated" in run.stderr
    np.testing.assert_array_equal(read(folder / "map.tif"), years.last)
    assert not read(folder / "changes.tif").any()
