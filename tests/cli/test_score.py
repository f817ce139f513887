"""lcmap score as a user runs it, and its output opened."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rich.console import Console
from sklearn.metrics import cohen_kappa_score, jaccard_score
from small_labels import WriteLabels, label_writer
from support import Run

from lcmap.accuracy.options import BootstrapOptions
from lcmap.accuracy.score import score
from lcmap.accuracy.tables import notes, tables
from lcmap.cli.tables import for_terminal
from lcmap.dataset.tile_index import IndexedTile, TileIndex, write_tile_index
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window

TOPO6, TOPO18 = load_nomenclature("topo6"), load_nomenclature("topo18")


def codes(seed: int, low: int = 0, high: int = 6) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(low, high + 1, (60, 80)).astype(np.uint8)


def spoiled(reference: NDArray[np.uint8], share: float, seed: int) -> NDArray[np.uint8]:
    """Return a map that is right but for a share of its pixels."""
    wrong = np.random.default_rng(seed).random(reference.shape) < share
    return np.where(wrong, codes(seed, low=1), reference)


@pytest.fixture
def write_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteLabels:
    """Write label rasters into the folder that the command runs in."""
    monkeypatch.chdir(tmp_path)
    return label_writer(tmp_path)


@pytest.fixture
def rasters(write_labels: WriteLabels) -> NDArray[np.uint8]:
    """ref.tif, a good map spot.tif and a poor one s2.tif, all saying that they are in topo6."""
    reference = codes(0)
    write_labels("ref.tif", reference, classes=TOPO6)
    write_labels("spot.tif", spoiled(reference, 0.2, 1), classes=TOPO6)
    write_labels("s2.tif", spoiled(reference, 0.4, 2), classes=TOPO6)
    return reference


def test_one_map_as_a_table(lcmap: Callable[..., Run], rasters: NDArray[np.uint8]) -> None:
    done = lcmap("score", "spot.tif", "--reference", "ref.tif", "--block", 16)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "spot"
    assert lines[1].split() == ["in", "%", "reference", "IoU", "precision", "recall", "F1"]
    scored = rasters > 0
    truth, found = rasters[scored], spoiled(rasters, 0.2, 1)[scored]
    water = next(line for line in lines if line.startswith("Water"))
    iou = jaccard_score(truth, found, labels=[2], average=None)[0]
    assert f" {100 * iou:.1f} [" in water
    kappa = next(line for line in lines if line.startswith("κ"))
    assert kappa.split()[1] == f"{100 * cohen_kappa_score(truth, found):.1f}"
    assert "20 blocks of 16 px" in done.stdout
    assert max(map(len, lines)) <= 80


def test_several_maps_side_by_side_as_in_table_2(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8]
) -> None:
    done = lcmap(
        *("score", "spot.tif", "s2.tif", "--reference", "ref.tif", "--block", 16),
        *("--name", "SPOT", "--name", "S2", "--matrix"),
    )
    assert done.exit_code == 0
    values, differences, *matrices = done.stdout.split("\n\n")
    assert values.splitlines()[1].split() == ["in", "%", "SPOT", "S2"]
    assert differences.splitlines()[0] == "Difference to SPOT"
    oa = next(line for line in differences.splitlines() if line.startswith("OA"))
    assert oa.split()[1].startswith("-")
    assert matrices[0].splitlines()[1].split() == [item.short for item in TOPO6.classes] + ["none"]
    assert matrices[1].startswith("S2: where each reference class")


def test_an_18_class_map_in_6_classes_as_in_table_3(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8], write_labels: WriteLabels
) -> None:
    write_labels("eighteen.tif", codes(3, low=1, high=18), classes=TOPO18)
    command = ("score", "spot.tif", "eighteen.tif", "--reference", "ref.tif", "--block", 16)
    done = lcmap(*command, "--crosswalk", "topo18:topo6")
    assert done.exit_code == 0
    assert "Difference to spot" in done.stdout
    assert "eighteen leaves" in done.stdout, "its cemeteries are discarded"
    refused = lcmap(*command)
    assert refused.exit_code == 65
    assert refused.stderr.count("\n") == 1
    assert "eighteen.tif: says that its classes are topo18, not topo6" in refused.stderr


def test_kept_classes_only_as_in_table_5(
    lcmap: Callable[..., Run], write_labels: WriteLabels
) -> None:
    reference = codes(0, high=17)
    oso = codes(1, low=1, high=23)
    write_labels("ref.tif", reference)
    write_labels("oso.tif", oso)
    write_labels("fusion.tif", reference)
    done = lcmap(
        *("score", "oso.tif", "fusion.tif", "--reference", "ref.tif", "--classes", "1-14"),
        *("--crosswalk", "oso23:oso-reclass", "--crosswalk", "none"),
        *("--ignore-unclassified", "--bootstrap", 0, "--json"),
    )
    assert done.exit_code == 0
    report = json.loads(done.stdout)
    assert report["only_classes"] == list(range(1, 15))
    classified = load_nomenclature("oso-reclass")
    kept = (reference >= 1) & (reference <= 14)
    discarded = np.isin(oso, [1, 2, 3, 11, 12, 18, 20, 21, 22])
    assert report["pixels"]["scored"] == (kept & ~discarded).sum()
    assert report["pixels"]["left_out_unclassified"] == (kept & discarded).sum()
    oso_scores, fusion = report["maps"]
    assert fusion["overall"]["miou"]["value"] == 1.0
    residential = oso_scores["classes"][classified.index_of(15)]
    assert residential["iou"]["value"] is None


def test_one_split_of_a_tile_index(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8], tmp_path: Path
) -> None:
    windows = {"test": Window(0, 0, 60, 30), "train": Window(0, 40, 60, 40)}
    image = tmp_path / "ref.tif"
    tiles = tuple(IndexedTile(image, image, (), w, s, 1.0, {}) for s, w in windows.items())  # type: ignore[arg-type]
    index = TileIndex(tmp_path / "t.geojson", TOPO6, (), tiles, 64, "blocks", 0, 0)
    write_tile_index(index, overwrite=False)
    for split, window in windows.items():
        done = lcmap(
            *("score", "spot.tif", "--reference", "ref.tif", "--tiles", "t.geojson"),
            *("--split", split, "--json", "-q"),
        )
        report = json.loads(done.stdout)
        assert report["split"] == split
        assert report["pixels"]["scored"] == (rasters[window.slices] > 0).sum()
    nothing = lcmap(
        *("score", "spot.tif", "--reference", "ref.tif", "--tiles", "t.geojson"),
        *("--split", "validation"),
    )
    assert nothing.exit_code == 65
    assert "no labelled pixel to score in the validation split" in nothing.stderr


def test_folders_are_maps_and_references_in_parts(
    lcmap: Callable[..., Run], write_labels: WriteLabels
) -> None:
    for zone in range(2):
        west = 700_000.0 + 500 * zone
        write_labels(f"refs/{zone}.tif", codes(zone), west=west)
        write_labels(f"model/{zone}.tif", codes(zone), west=west)
        write_labels(f"other/{zone}.tif", codes(zone + 5), west=west)
    done = lcmap(
        *("score", "model", "other/*.tif", "--reference", "refs", "--nomenclature", "topo6"),
        *("--json", "--bootstrap", 0),
    )
    report = json.loads(done.stdout)
    assert report["pixels"]["scored"] == sum((codes(zone) > 0).sum() for zone in range(2))
    model, other = report["maps"]
    assert model["overall"]["oa"]["value"] == 1.0
    assert len(other["files"]) == 2


def test_json_csv_and_files_of_them(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8], tmp_path: Path
) -> None:
    command = ("score", "spot.tif", "s2.tif", "--reference", "ref.tif", "--block", 16)
    outputs = [arg for name in ("s.json", "s.csv", "s.txt") for arg in ("-o", name)]
    done = lcmap(*command, *outputs)
    assert done.exit_code == 0
    assert (tmp_path / "s.txt").read_text() == done.stdout
    as_json, as_csv = lcmap(*command, "--json"), lcmap(*command, "--csv")
    written = json.loads((tmp_path / "s.json").read_text())
    assert len(written.pop("lcmap_digest")) == 32 and written == json.loads(as_json.stdout)
    assert (tmp_path / "s.csv").read_text() == as_csv.stdout
    found = json.loads(as_json.stdout)["maps"][1]["difference"]["overall"]["miou"]
    rows = csv.DictReader(io.StringIO(as_csv.stdout))
    key = ("s2", "spot", "", "miou")
    (row,) = (r for r in rows if (r["map"], r["minus"], r["code"], r["measure"]) == key)
    for end in ("value", "low", "high"):
        assert float(row[end]) == pytest.approx(found[end], abs=1e-6)
    (tmp_path / "s.json").write_text("of someone")
    again = lcmap(*command, "-o", "s.json")
    assert (again.exit_code, again.stdout) == (73, "")
    assert "s.json: was changed since lcmap made it; --overwrite" in again.stderr
    assert lcmap(*command, "-o", "s.json", "--overwrite").exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("s.*")) == ["s.csv", "s.json", "s.txt"]


def test_the_same_command_prints_the_same_bytes(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8]
) -> None:
    command = ("score", "spot.tif", "s2.tif", "--reference", "ref.tif", "--block", 16, "--json")
    assert lcmap(*command).stdout == lcmap(*command).stdout
    assert lcmap(*command, "--seed", 1).stdout != lcmap(*command).stdout


@pytest.mark.parametrize("redirect", ["< spot.tif", "< <(cat spot.tif)"])
def test_a_map_from_standard_input(rasters: NDArray[np.uint8], redirect: str) -> None:
    lcmap_command = f"{sys.executable} -m lcmap"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{lcmap_command} score - --reference ref.tif {redirect}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("stdin\n")


@pytest.mark.parametrize("words", ["spot.tif --reference odd.tif", "odd.tif --reference ref.tif"])
def test_complex_numbers_are_no_labels(
    lcmap: Callable[..., Run], rasters: NDArray[np.uint8], words: str
) -> None:
    with rasterio.open("ref.tif") as dataset:
        profile = dataset.profile | {"dtype": "complex64"}
    with rasterio.open("odd.tif", "w", **profile) as dataset:
        dataset.write(rasters.astype("complex64"), 1)
    done = lcmap("score", *words.split(), "--nomenclature", "topo6")
    assert (done.exit_code, done.stdout) == (65, "")
    assert done.stderr == (
        "lcmap: odd.tif: has complex64 values, which are no label codes; "
        "give a raster of class codes\n"
    )


def test_a_raster_that_is_cut_short_in_a_pipe_is_refused(rasters: NDArray[np.uint8]) -> None:
    lcmap_command = f"{sys.executable} -m lcmap"
    done = subprocess.run(
        ["bash", "-c", f"head -c 300 spot.tif | {lcmap_command} score - --reference ref.tif"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 65
    assert done.stderr.startswith("lcmap: standard input: ")
    assert done.stderr.count("\n") == 1


def test_a_terminal_gets_the_same_figures(rasters: NDArray[np.uint8]) -> None:
    report = score(["spot.tif", "s2.tif"], ["ref.tif"], bootstrap=BootstrapOptions(block=16))
    console = Console(width=80, file=io.StringIO(), force_terminal=True, color_system=None)
    console.print(for_terminal(tables(report, matrix=True), notes(report)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown, "nothing is cut"
    for item in report.maps:
        assert f"{100 * item.scores.overall[0]:.1f} [" in shown
    assert "Difference to spot" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (("gone.tif", "--reference", "ref.tif"), 66, "gone.tif: no such file"),
        (("spot.tif", "--reference", "gone.tif"), 66, "gone.tif: no such file"),
        (("text.tif", "--reference", "ref.tif"), 65, "text.tif: cannot be opened as a raster"),
        (("cut.tif", "--reference", "ref.tif"), 65, "cut.tif: "),
        (("image.tif", "--reference", "ref.tif"), 65, "image.tif: has 3 bands"),
        (("bare.tif", "--reference", "ref.tif"), 65, "bare.tif: has no coordinate reference"),
        (("utm.tif", "--reference", "ref.tif"), 65, "utm.tif: is in EPSG:32631"),
        (("away.tif", "--reference", "ref.tif"), 65, "away.tif: covers no ground of ref.tif"),
        (("odd.tif", "--reference", "ref.tif"), 65, "odd.tif: holds label codes that topo6"),
        (("spot.tif", "--reference", "odd.tif"), 65, "odd.tif: holds label codes that topo6"),
        (("spot.tif", "--reference", "empty.tif"), 65, "empty.tif: has no labelled pixel"),
        (("spot.tif", "--reference", "ref.tif", "--nomenclature", "topo7"), 2, "topo7: no built"),
        (("spot.tif", "--reference", "ref.tif", "--crosswalk", "a:b"), 2, "a:b: no built-in"),
        (("spot.tif", "--reference", "ref.tif", "--classes", "9"), 2, "9: is not a class of topo6"),
        (("spot.tif", "--reference", "ref.tif", "--tiles", "no.geojson"), 66, "no.geojson: "),
        (("spot.tif", "--reference", "ref.tif", "--json", "--csv"), 2, "--csv: standard output"),
        (("spot.tif", "--reference", "ref.tif", "-o", "s.xls"), 2, "s.xls: no form"),
        (("spot.tif", "--reference", "ref.tif", "-o", "no/s.csv"), 73, "no/s.csv: no such folder"),
        (("-", "--reference", "-"), 2, "standard input: can be one input only"),
    ],
)
def test_bad_input_is_one_line_and_its_code(
    lcmap: Callable[..., Run],
    rasters: NDArray[np.uint8],
    write_labels: WriteLabels,
    tmp_path: Path,
    arguments: tuple[str, ...],
    code: int,
    line: str,
) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    whole = (tmp_path / "spot.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    image = write_labels("image.tif", rasters)
    with rasterio.open(image) as dataset:
        profile = {**dataset.profile, "count": 3}
    with rasterio.open(image, "w", **profile) as dataset:
        dataset.write(np.stack([rasters] * 3))
    write_labels("bare.tif", rasters, crs=None)
    write_labels("utm.tif", rasters, crs="EPSG:32631")
    write_labels("away.tif", rasters, west=800_000.0)
    write_labels("odd.tif", np.full_like(rasters, 77))
    write_labels("empty.tif", np.zeros_like(rasters))
    before = sorted(tmp_path.iterdir())
    done = lcmap("score", *arguments, "-q")
    assert (done.exit_code, done.stdout) == (code, "")
    assert done.stderr.startswith(f"lcmap: {line}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before, "nothing is left behind"


def test_acronyms_of_a_nomenclature_of_the_users_own(
    lcmap: Callable[..., Run], write_labels: WriteLabels, tmp_path: Path
) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\n'
        + "".join(
            f'[[classes]]\ncode = {code}\nname = "{name}"\nshort = "{short}"\n'
            f'color = "#00000{code}"\n'
            for code, name, short in [(1, "Roof", "Roo"), (2, "Road", "Rod"), (3, "Water", "Wat")]
        ),
        encoding="utf-8",
    )
    own = load_nomenclature(tmp_path / "own.toml")
    write_labels("ref.tif", codes(0, 1, 3), classes=own)
    write_labels("map.tif", codes(1, 1, 3), classes=own)
    by_name, by_acronym = (
        lcmap("score", "map.tif", "--reference", "ref.tif", "--classes", chosen, "--json",
              "--bootstrap", 0)
        for chosen in ("Roof,Water", "Roo,wat")
    )  # fmt: skip
    assert by_acronym.exit_code == 0, by_acronym.stderr
    assert json.loads(by_acronym.stdout) == json.loads(by_name.stdout)
    assert json.loads(by_name.stdout)["only_classes"] == [1, 3]
    refused = lcmap("score", "map.tif", "--reference", "ref.tif", "--classes", "Rof")
    assert refused.exit_code == 2
    assert (
        "Rof: is not a class of own; its classes are 1 Roof (Roo), 2 Road (Rod)" in refused.stderr
    )
