"""lcmap --shard and lcmap merge: several runs make one map, to the bytes of one run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from every_command import FORMS
from small_fusion import IMAGE, OSO, S2, S2_BANDS, write_fusion_model
from small_model import BANDS, write_small_model
from support import Run, write_raster

from lcmap.inference.resume.shard import Shard, shard_path
from lcmap.inference.resume.work_folder import WorkFolder, journal_path, plan_path
from lcmap.raster.making import files_up_to_date
from lcmap.raster.output_lock import lock_file
from lcmap.raster.quantile_tags import write_quantiles

Lcmap = Callable[..., Run]
KILLED_SHARDS = Path(__file__).parent.parent / "killed_shards.py"
WEST, NORTH = 721_104.0, 6_249_288.0
FILES = ("map.tif", "c.tif", "m.tif", "p.tif", "map.qml", "map.tif.aux.xml")
SHORT = "predict image.tif -m model.onnx -o map.tif --tile 24 --engine onnxruntime"
PREDICT = f"{SHORT} --confidence c.tif --margin m.tif --probabilities p.tif"


def write_image(path: Path, seed: int = 7) -> Path:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 11, 13))
    pixels = np.kron(coarse, np.ones((1, 6, 6)))[:, :60, :75].astype(np.uint8)
    write_raster(path, pixels, names=BANDS)
    with rasterio.open(path, "r+") as dataset:
        write_quantiles(dataset, np.tile([5.0, 250.0], (4, 1)))
    return path


@pytest.fixture
def folder(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_image(tmp_path / "image.tif")
    shutil.copy(model, tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(lcmap: Lcmap, *shards: str, command: str = PREDICT) -> Run:
    for shard in shards:
        run = lcmap(*command.split(), "--shard", shard)
        assert run.exit_code == 0, run.stderr
    return run


def taken(names: tuple[str, ...]) -> list[bytes]:
    """The bytes of files, which are removed, and the record of how they were made with them."""
    contents = [Path(name).read_bytes() for name in names]
    for name in (*names, ".map.tif.lcmap-made"):
        Path(name).unlink()
    return contents


def refused(run: Run, *texts: str, exit_code: int = 65) -> None:
    assert run.exit_code == exit_code, run.stderr
    (line,) = run.stderr.splitlines()
    assert all(text in line for text in texts), line
    assert not Path("map.tif").exists()


@pytest.mark.parametrize("option", ["", " --cog", " --no-qml"])
def test_shards_become_the_map_of_one_run(folder: Path, lcmap: Lcmap, option: str) -> None:
    names = FILES[:4] if option == " --no-qml" else FILES
    before = set(folder.iterdir())
    assert lcmap(*(PREDICT + option).split()).exit_code == 0
    expected = taken(names)
    run = make(lcmap, "2/3", "1/3", "3/3", command=PREDICT + option)
    assert run.stderr.startswith("wrote shard 3/3 of map.tif in ")
    assert not Path("map.tif").exists()
    merged = lcmap("merge", "map.tif")
    assert merged.exit_code == 0
    assert merged.stderr.startswith("wrote map.tif (")
    assert "p.tif (" in merged.stderr
    assert "100.0 % mapped" in merged.stderr
    assert taken(names) == expected
    assert set(folder.iterdir()) == before


@pytest.mark.slow
def test_fuse_and_reclassify_make_shards_too(
    tmp_path: Path, lcmap: Lcmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "image.tif")
    rng = np.random.default_rng(1)
    s2 = rng.integers(0, 4000, (3, 40, 45)).astype(np.int16)
    write_raster(tmp_path / "s2.tif", s2, corner=(WEST - 120, NORTH + 140), pixel=10,
                 names=S2_BANDS)  # fmt: skip
    oso = rng.integers(1, 24, (1, 40, 45)).astype(np.uint8)
    write_raster(tmp_path / "oso.tif", oso, corner=(WEST - 100, NORTH + 100), pixel=10, nodata=0)
    write_fusion_model(tmp_path / "two.onnx", [IMAGE, S2])
    write_fusion_model(tmp_path / "oso.onnx", [IMAGE, OSO])
    for command in (
        "fuse image.tif s2.tif -m two.onnx -o map.tif --tile 40",
        "reclassify-oso image.tif oso.tif --oso oso23 -m oso.onnx -o map.tif --tile 40",
    ):
        assert lcmap(*command.split()).exit_code == 0
        expected = taken(("map.tif", "map.qml", "map.tif.aux.xml"))
        make(lcmap, "1/2", "2/2", command=command)
        assert lcmap("merge", "map.tif").exit_code == 0
        assert taken(("map.tif", "map.qml", "map.tif.aux.xml")) == expected


def test_more_shards_than_tiles_are_merged(folder: Path, lcmap: Lcmap) -> None:
    command = f"{SHORT} --tile 2000"
    assert lcmap(*command.split()).exit_code == 0
    expected = taken(FILES[:1])
    said = [make(lcmap, f"{number}/5", command=command).stderr for number in range(1, 6)]
    assert sum("% mapped" in text for text in said) == 1
    assert sum(": no tile of the map falls into it; onnxruntime" in text for text in said) == 4
    assert lcmap("merge", "map.tif").exit_code == 0
    assert taken(FILES[:1]) == expected


def test_the_folder_may_be_moved_before_the_merge(
    folder: Path, lcmap: Lcmap, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "year").mkdir()
    command = PREDICT.replace(" map.tif", " year/map.tif").replace(" p.tif", " year/p.tif")
    make(lcmap, "1/2", "2/2", command=command)
    moved = tmp_path_factory.mktemp("elsewhere")
    (folder / "year").rename(moved / "year")
    run = lcmap("merge", moved / "year" / "map.tif")
    assert run.exit_code == 0, run.stderr
    # one was asked for beside the folder of the map, the other in it
    assert (moved / "c.tif").exists()
    assert (moved / "year" / "p.tif").exists()


def test_a_shard_that_is_done_is_not_done_again(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2")
    before = plan_path(shard_path("map.tif", Shard(1, 2))).stat().st_mtime_ns
    run = make(lcmap, "1/2")
    assert "map.tif, shard 1/2: is complete already" in run.stderr
    assert plan_path(shard_path("map.tif", Shard(1, 2))).stat().st_mtime_ns == before


def test_nothing_to_merge_is_no_input(folder: Path, lcmap: Lcmap) -> None:
    refused(lcmap("merge", "map.tif"), "no shards beside it", "--shard 1/20", exit_code=66)


def test_missing_shards_are_named(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "2/4")
    refused(lcmap("merge", "map.tif"), "shards 1/4, 3/4, 4/4 are missing", "--shard 1/4")
    make(lcmap, "1/4", "4/4")
    refused(lcmap("merge", "map.tif"), "shard 3/4 is missing")
    make(lcmap, "3/4")
    assert lcmap("merge", "map.tif").exit_code == 0


def test_shards_of_several_numbers_are_refused(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2", "1/3")
    refused(lcmap("merge", "map.tif"), "has shards of 2 and of 3", "lcmap-shard-*-of-N")
    shutil.rmtree(shard_path("map.tif", Shard(1, 3)))
    assert lcmap("merge", "map.tif").exit_code == 0


def write_other_model() -> Path:
    Path("model.onnx").unlink()
    return write_small_model(Path("model.onnx"), gsd=0.9)


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lambda: write_image(Path("image.tif"), seed=8), "inputs"),
        (write_other_model, "model"),
    ],
    ids=["image", "model"],
)
def test_shards_of_other_files_are_refused(
    folder: Path, lcmap: Lcmap, change: Callable[[], Path], fact: str
) -> None:
    make(lcmap, "1/3", "2/3")
    change()
    make(lcmap, "3/3", command=PREDICT + " --force")
    refused(lcmap("merge", "map.tif"), "shard 3/3 is of another run than shard 1/3", fact)
    make(lcmap, "1/3", "2/3", command=PREDICT + " --force")
    assert lcmap("merge", "map.tif").exit_code == 0


@pytest.mark.parametrize(
    ("option", "fact"),
    [
        ("--engine openvino", "engine"),
        ("--nodata 3", "nodata"),
        ("--tile 32", "tile"),
        ("--cog", "map"),
        ("--precision int8", "precision"),
    ],
)
def test_shards_of_other_options_are_refused(
    folder: Path, lcmap: Lcmap, option: str, fact: str
) -> None:
    make(lcmap, "1/3", "2/3", command=SHORT)
    make(lcmap, "3/3", command=f"{SHORT} {option}")
    refused(lcmap("merge", "map.tif"), "shard 3/3 is of another run", fact, "--shard 3/3 again")


def test_shards_of_another_version_are_refused(
    folder: Path, lcmap: Lcmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(lcmap, "1/2")
    monkeypatch.setattr("lcmap.inference.computation.__version__", "0.0.1")
    make(lcmap, "2/2")
    refused(lcmap("merge", "map.tif"), "shard 2/2 is of another run", "lcmap")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"layout": 1}', b'{"layout": 2}'])
def test_foreign_shards_are_refused(folder: Path, lcmap: Lcmap, content: bytes) -> None:
    make(lcmap, "1/2", "2/2")
    foreign = shard_path("map.tif", Shard(2, 2))
    plan_path(foreign).write_bytes(content)
    refused(lcmap("merge", "map.tif"), "shard 2/2 is of another version", str(foreign))
    make(lcmap, "2/2")
    assert lcmap("merge", "map.tif").exit_code == 0


def test_a_shard_under_another_name_is_refused(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2")
    shutil.copytree(shard_path("map.tif", Shard(1, 2)), shard_path("map.tif", Shard(2, 2)))
    refused(lcmap("merge", "map.tif"), "shard 2/2 is of another version")


def test_a_shard_of_another_map_is_refused(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2")
    make(lcmap, "2/2", command=PREDICT.replace("map.tif", "other.tif"))
    shard_path("other.tif", Shard(2, 2)).rename(shard_path("map.tif", Shard(2, 2)))
    refused(lcmap("merge", "map.tif"), "shard 2/2 is of another run than shard 1/2", "map")


def test_an_unfinished_shard_is_refused_and_can_be_continued(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2")
    journal = journal_path(shard_path("map.tif", Shard(2, 2)))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]) + lines[2][:-5])
    refused(lcmap("merge", "map.tif"), "shard 2/2 is not finished", "--shard 2/2 again")
    run = make(lcmap, "2/2")
    assert "map.tif, shard 2/2: continuing: 2 of " in run.stderr
    assert lcmap("merge", "map.tif").exit_code == 0


@pytest.mark.parametrize("damage", ["changed", "cut"])
def test_a_damaged_shard_is_refused_and_mended(folder: Path, lcmap: Lcmap, damage: str) -> None:
    assert lcmap(*PREDICT.split()).exit_code == 0
    expected = taken(FILES)
    make(lcmap, "1/2", "2/2")
    arrays = shard_path("map.tif", Shard(1, 2)) / "codes.raw"
    content = bytearray(arrays.read_bytes())
    content[100] ^= 1
    arrays.write_bytes(content if damage == "changed" else content[:-9])
    refused(lcmap("merge", "map.tif"), "shard 1/2 is damaged", "--shard 1/2 again")
    make(lcmap, "1/2")
    assert lcmap("merge", "map.tif").exit_code == 0
    assert taken(FILES) == expected


def test_a_shard_that_is_being_made_is_waited_for(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2")
    lock = lock_file(shard_path("map.tif", Shard(2, 2)) / "lock", "it")
    refused(lcmap("merge", "map.tif"), "map.tif, shard 2/2", exit_code=75)
    again = lcmap(*PREDICT.split(), "--shard", "2/2")
    assert (again.exit_code, again.stderr.count("\n")) == (75, 1)
    os.close(lock)
    assert lcmap("merge", "map.tif").exit_code == 0


def test_a_map_that_exists_is_replaced_on_demand_alone(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2")
    Path("map.tif").write_bytes(b"another")
    run = lcmap("merge", "map.tif")
    assert run.exit_code == 73
    assert "--overwrite" in run.stderr
    assert Path("map.tif").read_bytes() == b"another"
    assert lcmap("merge", "map.tif", "--overwrite").exit_code == 0
    Path(".map.tif.lcmap-made").unlink()
    run = lcmap(*PREDICT.split(), "--shard", "1/2")
    assert run.exit_code == 73  # at once, and not when all is computed


def test_what_is_up_to_date_is_not_made_again(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2")
    assert lcmap("merge", "map.tif").exit_code == 0
    before = set(folder.iterdir())
    commands = [PREDICT, *(f"{PREDICT} --shard {shard}" for shard in ("1/2", "2/2", "3/7"))]
    for command in [*commands, "merge map.tif"]:
        assert lcmap(*command.split()) == (0, "", "map.tif: up to date\n")
    assert set(folder.iterdir()) == before


def test_the_map_is_on_record_before_its_shards_go(
    folder: Path, lcmap: Lcmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    discard = WorkFolder.discard
    on_record = []

    def watched(work: WorkFolder) -> None:
        if "shard" in work.path.name:
            on_record.append(files_up_to_date("map.tif") is not None)
        discard(work)

    monkeypatch.setattr(WorkFolder, "discard", watched)
    make(lcmap, "1/2", "2/2")
    assert lcmap("merge", "map.tif").exit_code == 0
    assert on_record == [True, True]


def test_shards_of_a_changed_image_replace_the_map(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "1/2", "2/2")
    assert lcmap("merge", "map.tif").exit_code == 0
    before = Path("map.tif").read_bytes()
    write_image(Path("image.tif"), seed=8)
    run = make(lcmap, "1/2", "2/2")
    assert "map.tif: to be made again, since " in run.stderr
    assert lcmap("merge", "map.tif").exit_code == 0
    assert Path("map.tif").read_bytes() != before


@pytest.mark.parametrize(
    ("shard", "text"),
    [("0/3", "as in 3/20"), ("4/3", "as in 3/20"), ("3", "as in 3/20"), ("1/501", "500")],
)
def test_what_is_no_shard_is_refused(folder: Path, lcmap: Lcmap, shard: str, text: str) -> None:
    refused(lcmap(*PREDICT.split(), "--shard", shard), f"--shard {shard}", text, exit_code=2)


def test_shards_are_refused_where_they_cannot_be(folder: Path, lcmap: Lcmap) -> None:
    command = ("predict", "image.tif", "-m", "model.onnx", "--shard", "1/2", "-o")
    refused(lcmap(*command, "map.tif", "--verify"), "--verify", "leave out --shard", exit_code=2)
    refused(lcmap(*command, "-"), "--shard: needs", exit_code=2)
    refused(lcmap("merge", "-"), "-: is no file", exit_code=2)
    late = lcmap("fuse", "p.tif", "q.tif", "--late", "mean", "-o", "map.tif", "--shard", "1/2")
    refused(late, "--shard", "late fusion", exit_code=2)


def test_nothing_mapped_is_said_by_the_merge_alone(folder: Path, lcmap: Lcmap) -> None:
    write_raster(folder / "image.tif", np.zeros((4, 60, 75), np.uint8), names=BANDS, nodata=0)
    with rasterio.open(folder / "image.tif", "r+") as dataset:
        write_quantiles(dataset, np.tile([5.0, 250.0], (4, 1)))
    run = make(lcmap, "1/2", "2/2")
    assert "all 0" not in run.stderr
    assert "map.tif: no pixel was valid" in lcmap("merge", "map.tif").stderr


def killed(folder: Path, *arguments: object) -> int:
    done = subprocess.run(
        [sys.executable, KILLED_SHARDS, *map(str, arguments)],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.splitlines()[-1])


def test_shards_and_merge_are_continued_from_any_step(folder: Path) -> None:
    assert killed(folder, 2, 41, 3, ",".join(FILES), *PREDICT.split(), "--qml") > 5


@pytest.mark.slow
def test_shards_and_merge_are_continued_from_every_step(folder: Path) -> None:
    assert killed(folder, 3, 1, 1, ",".join(FILES), *PREDICT.split(), "--qml") > 100


def test_the_plan_of_a_shard_says_which_tiles_are_its_own(folder: Path, lcmap: Lcmap) -> None:
    make(lcmap, "2/3")
    plan = json.loads(plan_path(shard_path("map.tif", Shard(2, 3))).read_bytes())
    assert plan["shard"] == {"number": 2, "count": 3}
    assert 0 < sum(height * width for _, (_, _, height, width) in plan["tiles"]) < 60 * 75


@pytest.mark.parametrize("prefer", ["order", "confidence"])
def test_shards_of_a_campaign_become_the_map_of_one_run(
    prefer: str, lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, command, outputs, _ = FORMS["campaign"]
    prepare(tmp_path)
    command += f" --prefer {prefer}"
    names = tuple(outputs.split(","))
    before = set(tmp_path.iterdir())
    assert lcmap(*command.split()).exit_code == 0
    expected = taken(names)
    make(lcmap, "1/2", "2/2", command=command)
    os.remove("sheets.gpkg")  # which the shards have read
    shutil.rmtree("scenes")
    merged = lcmap("merge", "map.tif")
    assert merged.exit_code == 0, merged.stderr
    assert "s.tif (" in merged.stderr
    assert taken(names) == expected
    assert set(tmp_path.iterdir()) == before - {tmp_path / "sheets.gpkg", tmp_path / "scenes"}


def test_a_scene_that_joins_is_of_another_run(
    lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, command, _, _ = FORMS["campaign"]
    prepare(tmp_path)
    make(lcmap, "1/2", command=command)
    shutil.copy("scenes/b.tif", "scenes/d.tif")
    make(lcmap, "2/2", command=command)
    refused(lcmap("merge", "map.tif"), "shard 2/2", "another run than shard 1/2", "inputs")
