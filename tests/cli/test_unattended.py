"""The same command again: nothing to do, or what changed is made again, and no other file goes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
import pyogrio
import pytest
import rasterio
from every_command import FORMS, INPUTS, NORTH, WEST, but_for_times, change, grid
from shapely.geometry import box
from small_model import write_small_model
from small_vectors import write_features
from support import PROJECT, Run, run_lcmap, write_raster

from lcmap.raster.making import DIGEST, MEMBER

WITH_TORCH = ("train", "int8", "fuse", "reclassify-oso")
QUICK = ("prepare tiles", "quantiles", "late", "crosswalk", "score")


class Command:
    """A command in a folder of its own, with its inputs."""

    def __init__(self, folder: Path, form: str) -> None:
        prepare, line, outputs, _ = FORMS[form]
        prepare(folder)
        self.input = Path(INPUTS.get(form, "image.tif"))
        self.words = line.split()
        self.outputs = [Path(name) for name in outputs.split(",")]
        self.made = [path for path in self.outputs if path.suffix not in (".qml", ".xml")]

    def run(self, *more: str) -> Run:
        return run_lcmap(*self.words, *more)

    def states(self) -> dict[str, tuple[bytes, int]]:
        return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in self.outputs}

    def content(self) -> dict[str, bytes]:
        return {str(path): but_for_times(path) for path in self.outputs}


@pytest.fixture
def command(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path, request.param)


def forms(quick: Collection[str]) -> pytest.MarkDecorator:
    marked = [pytest.param(form, marks=[] if form in quick else pytest.mark.slow) for form in FORMS]
    return pytest.mark.parametrize("command", marked, indirect=True)


def digest_in(path: Path) -> str | None:
    """What an output says that it was made of, read without lcmap; None where it has no place."""
    if path.suffix == ".tif":
        with rasterio.open(path) as dataset:
            return dataset.tags()[DIGEST]
    if path.suffix == ".onnx":
        return {item.key: item.value for item in onnx.load(path).metadata_props}[MEMBER]
    if path.suffix == ".png":
        return path.read_bytes().split(MEMBER.encode() + b"\0")[1][:32].decode()
    if path.suffix == ".gpkg":
        return pyogrio.read_info(path, layer=0)["layer_metadata"][MEMBER]
    if path.suffix in (".json", ".geojson"):
        values = json.loads(path.read_text())
        if "stac_version" in values:
            return values.get("properties", values)["lcmap:digest"]
        return values.get("lcmap", values)[MEMBER]
    return None


@forms(set(FORMS) - set(WITH_TORCH))
def test_the_same_again_does_nothing_and_says_so(command: Command) -> None:
    first = command.run()
    assert first.exit_code == 0, first.stderr
    before, names = command.states(), sorted(os.listdir())
    digests = {digest_in(path) for path in command.made} - {None}
    assert len(digests) == 1 and len(digests.pop()) == 32

    again = command.run()
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert again.stderr == f"{command.outputs[0]}: up to date\n"
    assert command.states() == before and sorted(os.listdir()) == names

    quiet = command.run("--quiet")
    assert (quiet.exit_code, quiet.stderr) == (0, "")
    assert command.states() == before

    os.utime(command.input)  # the same content
    assert command.run().stderr == again.stderr and command.states() == before


@forms(QUICK)
def test_what_changed_is_made_again(command: Command) -> None:
    assert command.run().exit_code == 0
    first = command.content()

    def made_again(why: str, *more: str) -> None:
        before = command.states()
        run = command.run(*more)
        assert run.exit_code == 0, run.stderr
        assert why in run.stderr
        assert all(command.states()[str(path)] != before[str(path)] for path in command.made)
        again = command.run(*(word for word in more if word != "--overwrite"))
        assert again.stderr == f"{command.outputs[0]}: up to date\n"

    made_again("", "--overwrite")
    assert command.content() == first
    made_again("to be made again, since these changed: --strict-crs", "--strict-crs")
    change(command.input)
    made_again("since these changed: --strict-crs\n")
    change(command.input)
    made_again(f"to be made again, since {command.input} changed\n")


@forms(QUICK)
def test_an_output_that_was_edited_is_left_alone(command: Command) -> None:
    assert command.run().exit_code == 0
    for path in command.made:
        content = path.read_bytes()
        path.write_bytes(content + b"edited")
        for more in ((), ("--strict-crs",)):
            run = command.run(*more)
            assert run.exit_code == 73
            expected = (
                f"lcmap: {path}: was changed since lcmap made it; --overwrite to make it again"
            )
            assert run.stderr.splitlines()[-1] == expected
            assert path.read_bytes() == content + b"edited"
        path.write_bytes(content)  # at another time: the content tells
        assert command.run().stderr.endswith("up to date\n")


@forms(QUICK)
def test_an_output_that_is_missing_is_made_again(command: Command) -> None:
    assert command.run().exit_code == 0
    first = command.content()
    for path in command.made:
        path.unlink()
        run = command.run()
        assert run.exit_code == 0, run.stderr
        assert f"to be made again, since {path} is missing\n" in run.stderr
        assert command.content() == first


@forms(QUICK)
def test_a_file_that_lcmap_did_not_make_is_refused(command: Command) -> None:
    for path in command.made:
        path.write_bytes(b"of someone")
        run = command.run()
        assert run.exit_code == 73 and f"{path}: exists already; --overwrite" in run.stderr
        assert path.read_bytes() == b"of someone"
        path.unlink()
    assert command.run().exit_code == 0
    # nor what another command made
    write_raster(Path("x.tif"), np.ones((1, 8, 8), "uint8"))
    run = run_lcmap("prepare", "x.tif", "-o", command.outputs[0])
    assert run.exit_code in (2, 73), run.stderr


def test_a_copy_of_the_folder_is_up_to_date_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    command = Command(tmp_path / "a", "prepare tiles")
    assert command.run().exit_code == 0
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "b")
    assert command.run().stderr == "stack.tif: up to date\n"


def test_a_file_that_joins_a_folder_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("scenes").mkdir()
    for name in "ab":
        write_raster(Path(f"scenes/{name}.tif"), np.arange(64, dtype="uint8").reshape(1, 8, 8))
    words = ("prepare", "--quantiles-of", "scenes", "-o", "scenes/q.json")
    assert run_lcmap(*words).exit_code == 0
    Path("scenes/notes.txt").touch()
    assert run_lcmap(*words).stderr == "scenes/q.json: up to date\n"
    write_raster(Path("scenes/c.tif"), np.arange(64, dtype="uint8").reshape(1, 8, 8))
    run = run_lcmap(*words)
    assert run.exit_code == 0 and "since scenes/c.tif joined\n" in run.stderr
    assert json.loads(Path("scenes/q.json").read_text())["images"] == 3
    Path("scenes/a.tif").unlink()
    assert "since scenes/a.tif is gone\n" in run_lcmap(*words).stderr


def test_the_scenes_of_a_campaign_and_its_sheets_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, "campaign")
    assert command.run().exit_code == 0
    first = command.content()

    def made_again(why: str) -> None:
        run = command.run()
        assert run.exit_code == 0, run.stderr
        assert f"to be made again, since {why}\n" in run.stderr
        assert command.run().stderr == "map.tif: up to date\n"

    shutil.copy("scenes/b.tif", "scenes/d.tif")
    made_again("scenes/d.tif joined")
    Path("scenes/d.tif").unlink()
    made_again("scenes/d.tif is gone")
    assert command.content() == first
    change(Path("scenes/b.tif"))
    made_again("scenes/b.tif changed")
    places = [box(WEST, NORTH - 20, WEST + 25, NORTH), box(WEST, NORTH - 30, WEST + 90, NORTH)]
    write_features(tmp_path / "sheets.gpkg", places, {"name": ["1", "2"]})
    made_again("sheets.gpkg changed")
    assert command.content()["map-1.tif"] != first["map-1.tif"]


def test_the_images_of_an_index_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FORMS["campaign"][0](tmp_path)
    words = ("predict", "index.gpkg", "-m", "model.onnx", "-o", "map.tif")

    def index(*names: str) -> None:
        locations = {"location": [f"scenes/{name}.tif" for name in names]}
        write_features(tmp_path / "index.gpkg", [box(0, 0, 1, 1)] * len(names), locations)

    index("c", "a")
    assert run_lcmap(*words).exit_code == 0
    first = Path("map.tif").read_bytes()
    assert run_lcmap(*words).stderr == "map.tif: up to date\n"
    index("a", "c")
    assert "since index.gpkg changed\n" in run_lcmap(*words).stderr
    assert Path("map.tif").read_bytes() != first
    change(Path("scenes/c.tif"))
    assert "since scenes/c.tif changed\n" in run_lcmap(*words).stderr
    Path("scenes/c.tif").unlink()
    run = run_lcmap(*words)
    assert run.exit_code == 66
    assert run.stderr.splitlines()[-1].startswith("lcmap: scenes/c.tif: no such file")


@pytest.mark.parametrize("read", ["nomenclature", "crosswalk", "rules", "model", "quantiles"])
def test_every_file_that_is_read_counts(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, "predict" if read in ("model", "quantiles") else "score")
    words, path = command.words, Path("own.toml")
    if read == "nomenclature":
        path.write_text(builtin("nomenclature/builtin/flair7.toml"))
        words[words.index("flair7")] = "own.toml"
    elif read == "crosswalk":
        path.write_text(builtin("nomenclature/crosswalks/flair19-flair7.toml"))
        words[words.index("--nomenclature") : words.index("flair7") + 1] = [
            "--crosswalk",
            "own.toml",
            "--reference-crosswalk",
            "own.toml",
        ]
    elif read == "rules":
        path.write_text(builtin("reference/rules/bdtopo-topo6.toml"))
        grid(tmp_path)
        words = FORMS["rasterize-ref"][1].replace("bdtopo-topo6", "own.toml").split()
    elif read == "model":
        path = Path("model.onnx")
    else:
        path = Path("q.json")
        assert run_lcmap("prepare", "--quantiles-of", "image.tif", "-o", path).exit_code == 0
        words += ["--quantiles", "q.json"]
    run = run_lcmap(*words)
    assert run.exit_code == 0, run.stderr
    assert run_lcmap(*words).stderr.endswith("up to date\n")
    if read == "model":
        path.unlink()
        write_small_model(path, scores={"validation": {}})
    else:
        change(path)
    run = run_lcmap(*words)
    assert run.exit_code == 0 and f"since {path} changed\n" in run.stderr


def builtin(name: str) -> str:
    return (PROJECT / "lcmap" / name).read_text()


def test_another_version_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, "quantiles")
    assert command.run().exit_code == 0
    monkeypatch.setattr("lcmap.raster.making.__version__", "9.9")
    assert "to be made again, since lcmap was 0" in command.run().stderr
    assert command.run().stderr == "q.json: up to date\n"


def test_what_goes_through_a_pipe_is_always_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    FORMS["prepare"][0](tmp_path)
    for _ in range(2):
        run = run_lcmap("prepare", "image.tif", "-o", "/dev/null")
        assert run.exit_code == 0 and "up to date" not in run.stderr
        run = run_lcmap("prepare", "-", "-o", "s.tif", input=Path("image.tif").read_bytes())
        assert "up to date" not in run.stderr
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"lcmap-made": 1}', '{"lcmap-made": 99}'])
def test_a_damaged_record_counts_as_none(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, "quantiles")
    assert command.run().exit_code == 0
    Path(".q.json.lcmap-made").write_text(damage)
    run = command.run()
    assert run.exit_code == 73 and "q.json: exists already; --overwrite" in run.stderr


def test_a_record_that_was_edited_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = Command(tmp_path, "quantiles")
    assert command.run().exit_code == 0
    place = Path(".q.json.lcmap-made")
    record = json.loads(place.read_text())
    for member in ("files", "listings"):
        edited = {name: it for name, it in record["inputs"].items() if name != member}
        place.write_text(json.dumps(record | {"inputs": edited}))
        run = command.run()
        assert run.exit_code == 73 and "q.json: exists already; --overwrite" in run.stderr


def test_the_same_words_are_told_before_anything_is_imported(tmp_path: Path) -> None:
    write_raster(tmp_path / "image.tif", np.arange(64, dtype="uint8").reshape(1, 8, 8))

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        words = ["prepare", "image.tif", "-o", "stack.tif", *more]
        return subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "lcmap", *words],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    first = run()
    assert first.returncode == 0 and "rasterio" in first.stderr
    again = run()
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr.endswith("stack.tif: up to date\n")
    assert not {"typer", "rasterio", "numpy", "rich.console"} & set(again.stderr.split())
    quiet = run("--quiet")
    assert (quiet.returncode, quiet.stdout) == (0, "") and "rasterio" not in quiet.stderr.split()


@forms(())
def test_the_digest_tells_what_decides_the_bytes(command: Command) -> None:
    assert command.run().exit_code == 0
    before = [digest_in(path) for path in command.made]
    change(command.input)
    assert command.run().exit_code == 0
    assert all(x != y for x, y in zip(before, map(digest_in, command.made), strict=True) if x)


@forms(QUICK)
def test_no_output_is_made_by_two_runs(command: Command) -> None:
    for path in command.made:
        if path.stem.endswith(("-1", "-2")):  # the lock of a map is that of its sheets too
            continue
        lock = path.with_name(f".{path.name}.lcmap-lock")
        with open(lock, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            run = command.run()
            assert run.exit_code == 75, (path, run)
            assert "another run is making it" in run.stderr
        lock.unlink()
        assert not any(path.exists() for path in command.outputs)
    assert command.run().exit_code == 0
