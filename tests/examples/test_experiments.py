"""The scripts of the paper's experiments: syntax, settings, and all of them run small."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer.main
from support import PROJECT

from lcmap.cli import app
from lcmap.dataset.tile_index import read_tile_index
from lcmap.nomenclature import load_crosswalk

EXAMPLES = PROJECT / "examples"
EXPERIMENTS = ("sensor_comparison", "stability", "fusion", "oso", "entries")
INPUTS = {
    "sensor_comparison": ("SPOT", "S2", "REFERENCE"),
    "stability": ("SPOT", "REFERENCE"),
    "fusion": ("SPOT", "S2", "REFERENCE"),
    "oso": ("SPOT", "OSO", "REFERENCE"),
    "entries": ("SPOT", "SERIES", "OSO", "REFERENCE"),
}
TABLES = {
    "sensor_comparison": ("flair7", "flair19"),
    "stability": ("scores", "flair19"),
    "fusion": ("flair7", "flair7.without", "flair19", "flair19.without"),
    "oso": ("kept", "kept-no-data", "all", "without"),
    "entries": ("flair7",),
}
SETTING = re.compile(r"^ *(TILING|TRAINING|SCORING)=\$\{\1:-(-.*)\}$", re.M)
COMMAND = {"TILING": "prepare", "TRAINING": "train", "SCORING": "score"}


def run_bash(*words: object, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run bash with these settings and none other of the experiments in its environment."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {n: v for n, v in os.environ.items() if n in ("HOME", "PYTHONPATH", "TMPDIR", "LANG")}
    return subprocess.run(
        ["bash", *map(str, words)],
        capture_output=True,
        text=True,
        env=kept | {"PATH": path} | {name: str(value) for name, value in settings.items()},
    )


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.sh")), ids=lambda path: path.stem)
def test_scripts_are_bash(script: Path) -> None:
    done = run_bash("-n", script)
    assert (done.returncode, done.stderr) == (0, "")


def test_settings_of_the_shipped_data_are_options_that_exist() -> None:
    found = SETTING.findall((EXAMPLES / "experiments.sh").read_text(encoding="utf-8"))
    assert {name for name, _ in found} == set(COMMAND)
    group = typer.main.get_command(app)
    for name, text in found:
        known = {o for p in group.commands[COMMAND[name]].params for o in p.opts}
        assert set(re.findall(r"--[a-z-]+", text)) <= known


def test_every_experiment_is_in_makefile_and_docs() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert f"for experiment in {' '.join(EXPERIMENTS)};" in makefile
    page = (PROJECT / "docs" / "experiments.md").read_text(encoding="utf-8")
    assert all(f"examples/{name}.sh" in page for name in EXPERIMENTS)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_inputs_that_are_not_set_are_named(name: str, tmp_path: Path) -> None:
    given = {variable: f"{variable}.tif" for variable in INPUTS[name][:-1]}
    done = run_bash(EXAMPLES / f"{name}.sh", OUTPUT=tmp_path / "output", **given)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{name}: REFERENCE is not set; set it beside SPOT")
    assert not (tmp_path / "output").exists()


def test_other_settings_take_another_folder(tmp_path: Path) -> None:
    (tmp_path / "settings").write_text("SPOT=other.tif\n")
    done = run_bash(
        EXAMPLES / "stability.sh", OUTPUT=tmp_path, SPOT="mine.tif", REFERENCE="bdtopo.gpkg"
    )
    assert done.returncode == 2
    assert "was made with SPOT=other.tif; set OUTPUT, or remove that folder" in done.stderr


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"SPOT": "a/x.tif b/x.tif", "S2": "s2.tif"}, "two images of SPOT have the same name"),
        ({"SPOT": "x.tif", "S2": "a.tif b.tif"}, "S2 has 2 files; give one, or one for each"),
    ],
)
def test_lists_that_do_not_fit(settings: dict[str, str], says: str, tmp_path: Path) -> None:
    done = run_bash(
        EXAMPLES / "fusion.sh", OUTPUT=tmp_path / "output", REFERENCE="r.gpkg", **settings
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("s2", "expected"), [("s.tif", "s.tif"), ("a.tif  b.tif", "b.tif")])
def test_files_go_with_their_images(s2: str, expected: str) -> None:
    shared = EXAMPLES / "experiments.sh"
    script = f'set -euo pipefail; source "{shared}"; zones; of_zone y.1 "$S2"'
    done = run_bash("-c", script, SPOT="in/x.tif in/y.1.tif", S2=s2)
    assert done.stdout.split() == ["x", "y.1", expected], done.stderr


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("experiments")


@pytest.fixture(scope="module")
def stdout(output: Path) -> dict[str, str]:
    """What all experiments print, run on one zone with the smallest network."""
    return {name: run_small(name, output) for name in EXPERIMENTS}


def run_small(name: str, output: Path) -> str:
    done = run_bash(
        EXAMPLES / f"{name}.sh",
        OUTPUT=output,
        ZONES="suburb",
        TRAINING="--width 2 --depth 2 --batch-size 1 --epochs 1",
        SCORING="--block 128 --bootstrap 20",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_end_with_their_tables(name: str, output: Path, stdout: dict[str, str]) -> None:
    files = {path.name for path in (output / name).iterdir()}
    assert any(file.endswith(".png") for file in files)
    for table in TABLES[name]:
        assert {f"{table}.txt", f"{table}.csv", f"{table}.json"} <= files
        assert (output / name / f"{table}.txt").read_text(encoding="utf-8") in stdout[name]
    assert stdout[name].count("\n== ") == len(TABLES[name])


@pytest.mark.slow
def test_all_networks_see_the_same_tiles(output: Path, stdout: dict[str, str]) -> None:
    tiles = {
        path: [(tile.window, tile.split) for tile in read_tile_index(path).tiles]
        for path in output.rglob("*.tiles.geojson")
    }
    # the split, two sensors and the fusion in two nomenclatures, and OSO
    assert len(tiles) == 8
    assert len({tuple(found) for found in tiles.values()}) == 1


@pytest.mark.slow
def test_table_3_is_of_the_map_through_the_crosswalk(output: Path, stdout: dict[str, str]) -> None:
    with rasterio.open(output / "shared" / "spot.flair19.suburb_rgbn.map.tif") as dataset:
        expected = load_crosswalk("flair19:flair7").apply(dataset.read(1))
    with rasterio.open(output / "stability" / "aligned.suburb_rgbn.map.tif") as dataset:
        assert np.array_equal(dataset.read(1), expected)
    with rasterio.open(output / "shared" / "reference.flair7.suburb_rgbn.tif") as dataset:
        reference = dataset.read(1)
    tested = np.zeros(reference.shape, bool)
    for tile in read_tile_index(output / "shared" / "split.suburb_rgbn.tiles.geojson").tiles:
        tested[tile.window.slices] = tile.split == "test"
    scored = tested & (reference > 0) & (expected > 0)
    report = json.loads((output / "stability" / "scores.json").read_text(encoding="utf-8"))
    found = report["maps"][1]["overall"]["oa"]["value"]
    assert found == pytest.approx((reference == expected)[scored].mean(), abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_second_run_keeps_what_is_there(name: str, output: Path, stdout: dict[str, str]) -> None:
    made = {path: path.stat().st_mtime_ns for path in output.rglob("*.*") if is_kept(path)}
    assert run_small(name, output) == stdout[name]
    assert {path: path.stat().st_mtime_ns for path in made} == made


def is_kept(path: Path) -> bool:
    return path.suffix in (".tif", ".onnx", ".geojson")
