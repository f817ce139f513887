"""A killed run is continued by the same command, to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from killed_runs import CANNOT_WRITE
from small_campaign import cut, picture
from small_fusion import IMAGE, OSO, S2, S2_BANDS, write_fusion_model
from small_model import BANDS, write_small_model
from small_vectors import write_layer
from support import Run, write_raster

from lcmap.inference.resume import work_folder
from lcmap.inference.resume.resumable_map import ResumableMap
from lcmap.inference.resume.tile_work import Step
from lcmap.inference.resume.work_folder import WorkFolder, work_folder_path
from lcmap.inference.tile_predictor import TilePredictor
from lcmap.nomenclature import load_nomenclature
from lcmap.nomenclature.tag import nomenclature_tag
from lcmap.raster.quantile_tags import write_quantiles
from lcmap.raster.windows import Window

__all__ = ["write_layer"]

Lcmap = Callable[..., Run]
ENGINE = " --engine onnxruntime"
"""Makes the same steps, and is ready in a third of the time."""
KILLED_RUNS = Path(__file__).parent.parent / "killed_runs.py"
OFTEN = """
from lcmap.inference.resume import journal
journal.COMMIT_SECONDS = 0.02
from lcmap.cli import main
main()
"""
WEST, NORTH = 721_104.0, 6_249_288.0


def write_image(path: Path, height: int = 60, width: int = 75) -> Path:
    coarse = np.random.default_rng(7).integers(0, 256, (4, height // 6 + 1, width // 6 + 1))
    pixels = np.kron(coarse, np.ones((1, 6, 6)))[:, :height, :width].astype(np.uint8)
    write_raster(path, pixels, names=BANDS)
    with rasterio.open(path, "r+") as dataset:
        write_quantiles(dataset, np.tile([5.0, 250.0], (4, 1)))
    return path


def write_sides(folder: Path) -> None:
    rng = np.random.default_rng(1)
    s2 = rng.integers(0, 4000, (3, 40, 45)).astype(np.int16)
    write_raster(folder / "s2.tif", s2, corner=(WEST - 120, NORTH + 140), pixel=10, names=S2_BANDS)
    oso = rng.integers(1, 24, (1, 40, 45)).astype(np.uint8)
    write_raster(folder / "oso.tif", oso, corner=(WEST - 100, NORTH + 100), pixel=10, nodata=0)


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    write_image(tmp_path / "image.tif")
    (tmp_path / "model.onnx").symlink_to(model)
    return tmp_path


def kill_at_steps(folder: Path, every: int, first: int, outputs: str, command: str) -> int:
    """Kill a command before every so many steps and finish it; return how often it was killed."""
    done = subprocess.run(
        [sys.executable, KILLED_RUNS, str(every), str(first), outputs, *command.split()],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.splitlines()[-1])


PREDICT = (
    "predict image.tif -m model.onnx -o map.tif --confidence c.tif --probabilities p.tif --tile 24"
    + ENGINE
)


def test_predict_is_continued_from_any_step(folder: Path) -> None:
    outputs = "map.tif,c.tif,p.tif,map.qml,map.tif.aux.xml"
    assert kill_at_steps(folder, 23, 2, outputs, f"{PREDICT} --qml") > 5


@pytest.mark.slow
@pytest.mark.parametrize("option", ["", " --verify", " --cog", " --no-qml --verify"])
def test_predict_is_continued_from_every_step(folder: Path, option: str) -> None:
    outputs = "map.tif,c.tif,p.tif" + ",map.qml,map.tif.aux.xml" * ("--no-qml" not in option)
    assert kill_at_steps(folder, 1, 1, outputs, PREDICT + option) > 50


@pytest.mark.slow
def test_fuse_and_reclassify_are_continued_from_every_step(tmp_path: Path) -> None:
    write_image(tmp_path / "image.tif")
    write_sides(tmp_path)
    write_fusion_model(tmp_path / "two.onnx", [IMAGE, S2])
    write_fusion_model(tmp_path / "oso.onnx", [IMAGE, OSO])
    for command in (
        "fuse image.tif s2.tif -m two.onnx -o map.tif --confidence c.tif --tile 40",
        "reclassify-oso image.tif oso.tif --oso oso23 -m oso.onnx -o map.tif --confidence c.tif"
        " --tile 40 --verify",
    ):
        outputs = "map.tif,c.tif,map.qml,map.tif.aux.xml"
        assert kill_at_steps(tmp_path, 1, 1, outputs, command + ENGINE) > 40
        for name in outputs.split(","):
            (tmp_path / name).unlink()


@pytest.mark.slow
def test_fuse_is_continued_from_any_step(tmp_path: Path) -> None:
    write_image(tmp_path / "image.tif")
    write_sides(tmp_path)
    write_fusion_model(tmp_path / "two.onnx", [IMAGE, S2])
    command = "fuse image.tif s2.tif -m two.onnx -o map.tif --confidence c.tif --tile 40"
    outputs = "map.tif,c.tif,map.qml,map.tif.aux.xml"
    assert kill_at_steps(tmp_path, 13, 5, outputs, command + ENGINE) > 1


def write_campaign(folder: Path, write_layer: Callable[..., Path]) -> str:
    """Write scenes and sheets; return all that is made of them."""
    (folder / "scenes").mkdir()
    windows = [Window(0, 0, 40, 50), Window(2, 30, 38, 45), Window(25, 10, 35, 60)]
    for i, scene in enumerate(cut(picture(60, 75), windows)):
        scene.write(folder / "scenes" / f"{i}.tif")
    sheets = [shapely.box(WEST, NORTH - 30, WEST + 30, NORTH), shapely.box(WEST, 0, WEST + 9, 1e7)]
    write_layer(folder / "sheets.gpkg", sheets, {"name": ["a", "b"]})
    rasters = [f"{name}{sheet}.tif" for sheet in ("", "-a", "-b") for name in ("map", "s")]
    names = [f"{name}.aux.xml" for name in rasters if name.startswith("map")]
    return ",".join([*rasters, *names, "map.qml"])


CAMPAIGN = (
    "predict scenes -m model.onnx -o map.tif --scenes s.tif --prefer confidence --tile 40"
    " --sheets sheets.gpkg" + ENGINE
)


@pytest.mark.slow
def test_a_campaign_in_sheets_is_continued_from_any_step(
    folder: Path, write_layer: Callable[..., Path]
) -> None:
    assert kill_at_steps(folder, 43, 3, write_campaign(folder, write_layer), CAMPAIGN) > 1


@pytest.mark.slow
def test_a_campaign_in_sheets_is_continued_from_every_step(
    folder: Path, write_layer: Callable[..., Path]
) -> None:
    assert kill_at_steps(folder, 1, 1, write_campaign(folder, write_layer), CAMPAIGN) > 50


def write_probabilities(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        logits = np.random.default_rng(seed).normal(size=(7, 60, 75))
        p = (np.exp(logits) / np.exp(logits).sum(axis=0)).astype(np.float32)
        write_raster(folder / name, p, nodata=np.nan)
        with rasterio.open(folder / name, "r+") as dataset:
            dataset.update_tags(**nomenclature_tag(load_nomenclature("flair7")))


LATE = (
    "fuse a.tif b.tif --late product -o map.tif --confidence c.tif --probabilities p.tif --qml",
    "map.tif,c.tif,p.tif,map.qml,map.tif.aux.xml",
)
CROSSWALK = (
    "reclassify-oso image.tif oso.tif --oso oso23 --crosswalk-only -o map.tif --qml -q",
    "map.tif,map.qml,map.tif.aux.xml",
)


@pytest.mark.slow
@pytest.mark.parametrize(("command", "outputs"), [LATE, CROSSWALK], ids=["late", "crosswalk"])
def test_without_a_network_it_is_continued_from_any_step(
    tmp_path: Path, command: str, outputs: str
) -> None:
    write_image(tmp_path / "image.tif")
    write_sides(tmp_path)
    write_probabilities(tmp_path, "a.tif", "b.tif")
    assert kill_at_steps(tmp_path, 4, 1, outputs, command) > 5


def start(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", OFTEN, *arguments], cwd=folder, stderr=subprocess.PIPE
    )


def kill_at_random_moments(folder: Path, seed: int, longest: float, *command: str) -> int:
    """Kill a run at random moments after it began, until one ends; return how many were killed.

    The first as soon as it began, the others later and later, so that one ends on any machine.
    """
    rng = random.Random(seed)
    plan = work_folder_path(folder / "map.tif") / "plan.json"
    killed = 0
    while True:
        process = start(folder, *command)
        while process.poll() is None and not plan.exists():
            time.sleep(0.005)
        time.sleep(rng.uniform(0, longest * killed / 4))
        process.kill()
        _, said = process.communicate()
        if process.returncode != -signal.SIGKILL:
            # what was killed with nothing but its lock left to remove was finished
            finished = process.returncode == CANNOT_WRITE and (folder / "map.tif").exists()
            assert process.returncode == 0 or finished, said.decode()
            return killed
        killed += 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "size", "longest"),
    [(1, 56, 0.3), *((i, 300, 1.0) for i in range(2, 12))],
)
def test_predict_is_continued_from_random_moments(
    tmp_path: Path, lcmap: Lcmap, model: Path, seed: int, size: int, longest: float
) -> None:
    image = write_image(tmp_path / "image.tif", size, size + 37)
    whole = [tmp_path / "whole" / name for name in ("map.tif", "c.tif", "p.tif")]
    whole[0].parent.mkdir()
    options = ("--tile", "16")
    undisturbed = lcmap("predict", image, "-m", model, "-o", whole[0], *options,
                        "--confidence", whole[1], "--probabilities", whole[2])  # fmt: skip
    assert undisturbed.exit_code == 0
    killed = kill_at_random_moments(
        tmp_path, seed, longest, "predict", "image.tif", "-m", str(model), "-o", "map.tif",
        "--confidence", "c.tif", "--probabilities", "p.tif", *options,
    )  # fmt: skip
    assert killed > 0
    for expected in whole:
        assert (tmp_path / expected.name).read_bytes() == expected.read_bytes()
    assert [path.name for path in tmp_path.glob(".*")] == [".map.tif.lcmap-made"]


def interrupted(
    lcmap: Lcmap, monkeypatch: pytest.MonkeyPatch, after: int, *arguments: object
) -> Run:
    """Run a command that Ctrl-C ends after so many tiles."""
    store, tiles = ResumableMap.store, 0

    def counted(*given: object, **facts: object) -> None:
        nonlocal tiles
        if tiles == after:
            raise KeyboardInterrupt
        store(*given, **facts)  # type: ignore[arg-type]
        tiles += 1

    with monkeypatch.context() as patch:
        patch.setattr(ResumableMap, "store", counted)
        return lcmap(*arguments)


def test_an_interrupted_run_says_how_to_continue_and_does(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "map.tif"
    command = ("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output)
    run = interrupted(lcmap, monkeypatch, 3, *command, "--tile", 16)
    kept = work_folder_path(output)
    assert run.exit_code == 130 and not output.exists()
    assert run.stderr.splitlines() == [
        f"{output}: what is done stays in {kept}; run the same command to continue, or delete it",
        "lcmap: interrupted",
    ]
    # the size of the tiles is known from the run that is continued
    run = lcmap(*command)
    assert run.exit_code == 0 and f"{output}: continuing: 3 of 20 tiles are done" in run.stderr
    assert not kept.exists()
    other = folder / "other.tif"
    assert lcmap(*command[:-1], other, "--tile", 16).exit_code == 0
    assert output.read_bytes() == other.read_bytes()


def test_tiles_that_are_not_square_are_continued_verified_and_merged(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, other = folder / "map.tif", folder / "other.tif"
    command = ("predict", write_image(folder / "image.tif", 160, 170), "-m",
               folder / "model.onnx", *ENGINE.split(), "-o", output)  # fmt: skip
    assert lcmap(*command[:-1], other, "--tile", 64).exit_code == 0
    # four squares, or two tiles of the whole width
    monkeypatch.setattr(TilePredictor, "largest_block", lambda *_: 120)
    assert interrupted(lcmap, monkeypatch, 1, *command).exit_code == 130
    with monkeypatch.context() as patch:
        patch.setattr(TilePredictor, "largest_block", lambda *_: 40)
        run = lcmap(*command)
    assert run.exit_code == 0 and "continuing: 1 of 2 tiles are done" in run.stderr
    assert output.read_bytes() == other.read_bytes()
    output.unlink()
    for shard in ("1/2", "2/2"):
        assert lcmap(*command, "--shard", shard).exit_code == 0
    assert lcmap("merge", output).exit_code == 0
    assert output.read_bytes() == other.read_bytes()
    run = lcmap(*command[:-1], folder / "verified.tif", "--verify", "-v")
    assert run.exit_code == 0 and "27200 pixels compared, 0 differ" in run.stderr


def change_keeping_its_time(path: Path) -> None:
    """Flip a bit of a file's last byte; its size and time stay."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", ["model", "image", "tile", "outputs"])
def test_another_result_is_started_afresh(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    output, image, model = folder / "map.tif", folder / "image.tif", folder / "model.onnx"
    command = ["predict", image, "-m", model, "-o", output, "--tile", 16]
    interrupted(lcmap, monkeypatch, 3, *command)
    if change == "model":
        command[3] = write_small_model(folder / "model2.onnx", depth=1)
    elif change == "image":
        change_keeping_its_time(image)
    elif change == "tile":
        command[-1] = 24
    else:
        command += ["--confidence", folder / "c.tif"]
    run = lcmap(*command)
    said = {"image": "inputs"}.get(change, change)
    assert run.exit_code == 0
    assert f"{output}: starting afresh, since these changed: {said}" in run.stderr
    assert "continuing" not in run.stderr
    assert not work_folder_path(output).exists()


def test_a_copy_of_the_image_is_continued(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a folder is restored: other inodes and times, the same bytes."""
    output, image = folder / "map.tif", folder / "image.tif"
    command = ("predict", image, "-m", folder / "model.onnx", "-o", output, "--tile", 16)
    interrupted(lcmap, monkeypatch, 3, *command)
    content = image.read_bytes()
    image.unlink()
    image.write_bytes(content)
    run = lcmap(*command)
    assert run.exit_code == 0 and "continuing: 3 of 20 tiles are done" in run.stderr


@pytest.mark.parametrize("change", ["image", "inner", "sidecar"])
def test_a_file_that_a_vrt_of_a_vrt_reads_counts(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    image, output = folder / "image.tif", folder / "map.tif"
    rasterio.shutil.copy(image, folder / "inner.vrt", driver="VRT")
    inner = (folder / "inner.vrt").read_text()
    (folder / "outer.vrt").write_text(inner.replace("image.tif", "inner.vrt"))
    valid = np.full((1, 60, 75), 255, np.uint8)
    write_raster(folder / "image.tif.msk", valid)
    command = ("predict", folder / "outer.vrt", "--allow-vrt", "-m", folder / "model.onnx",
               "-o", output, "--tile", 16)  # fmt: skip
    interrupted(lcmap, monkeypatch, 3, *command)
    if change == "inner":
        (folder / "inner.vrt").write_text(inner + " ")
    else:
        change_keeping_its_time(image if change == "image" else folder / "image.tif.msk")
    run = lcmap(*command)
    assert run.exit_code == 0, run.stderr
    assert f"{output}: starting afresh, since these changed: inputs" in run.stderr


def test_a_side_input_counts(lcmap: Lcmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_image(tmp_path / "image.tif")
    write_sides(tmp_path)
    write_fusion_model(tmp_path / "two.onnx", [IMAGE, S2])
    command = ("fuse", tmp_path / "image.tif", tmp_path / "s2.tif", "-m", tmp_path / "two.onnx",
               "-o", tmp_path / "map.tif", "--tile", 40)  # fmt: skip
    interrupted(lcmap, monkeypatch, 1, *command)
    change_keeping_its_time(tmp_path / "s2.tif")
    run = lcmap(*command)
    assert run.exit_code == 0 and "since these changed: inputs" in run.stderr


@pytest.mark.parametrize(
    ("name", "flips"), [("codes.raw", 1), ("confidence.raw", 1), ("journal", 3), ("plan.json", 3)]
)
def test_bits_that_flipped_in_the_work_folder_are_in_no_map(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, flips: int
) -> None:
    def command(output: Path) -> tuple[object, ...]:
        return ("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output,
                "--confidence", output.with_suffix(".c.tif"), "--tile", 16)  # fmt: skip

    assert lcmap(*command(folder / "whole.tif")).exit_code == 0
    output = folder / "map.tif"
    for place in random.Random(3).sample(range(1000), flips):
        interrupted(lcmap, monkeypatch, 12, *command(output))
        damaged = work_folder_path(output) / name
        content = bytearray(damaged.read_bytes())
        content[place % len(content)] ^= 1 << place % 8
        damaged.write_bytes(content)
        run = lcmap(*command(output), "-v")
        assert run.exit_code == 0, run.stderr
        if name.endswith(".raw"):
            assert run.stderr.count("is damaged and made again") == 1
            assert "continuing: 11 of 20 tiles are done" in run.stderr
        for path in (output, output.with_suffix(".c.tif")):
            whole = folder / path.name.replace("map", "whole")
            assert path.read_bytes() == whole.read_bytes()
            path.unlink()


@pytest.mark.parametrize("kind", ["file", "dangling link", "link elsewhere"])
def test_what_cannot_be_a_work_folder_is_said_in_one_line(
    lcmap: Lcmap, folder: Path, kind: str
) -> None:
    output = folder / "map.tif"
    path = work_folder_path(output)
    if kind == "file":
        path.write_bytes(b"precious")
    else:
        path.symlink_to(folder if kind == "link elsewhere" else folder / "missing")
    run = lcmap("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output)
    assert run.exit_code == 73 and run.stderr.count("\n") == 1
    assert f"{output}: its work folder {path} is " in run.stderr and "; remove it" in run.stderr
    assert not output.exists()


def test_what_was_there_stays_until_the_new_map_replaces_it(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = folder / "map.tif"
    output.write_bytes(b"old")
    command = ("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output,
               "--tile", 16, "--overwrite")  # fmt: skip
    assert interrupted(lcmap, monkeypatch, 3, *command).exit_code == 130
    assert output.read_bytes() == b"old"
    assert lcmap(*command[:-1]).exit_code == 73
    assert output.read_bytes() == b"old" and work_folder_path(output).exists()
    run = lcmap(*command)
    assert run.exit_code == 0 and "continuing: 3 of 20" in run.stderr
    assert output.read_bytes() != b"old"


def test_a_second_run_on_the_same_output_is_told_to_wait(lcmap: Lcmap, folder: Path) -> None:
    output = folder / "map.tif"
    command = ("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output)
    with WorkFolder(output, resumable=True):
        run = lcmap(*command)
    assert run.exit_code == 75
    assert run.stderr == f"lcmap: {output}: another run is making it; " \
                         "wait until it ends, or name another output\n"  # fmt: skip
    assert lcmap(*command).exit_code == 0


def test_a_disk_that_is_too_small_is_refused_before_the_work(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_folder, "_free_bytes", lambda folder: 100)
    output = folder / "map.tif"
    run = lcmap("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o", output)
    assert run.exit_code == 73 and run.stderr.count("\n") == 1
    assert f"{output}: needs " in run.stderr and f" MB in {folder} while it is made" in run.stderr
    assert not work_folder_path(output).exists()


def test_a_continued_verification_counts_every_pixel(
    lcmap: Lcmap, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, verified = ResumableMap.done, 0

    def counted(work: ResumableMap, step: Step, number: int, **facts: float) -> None:
        nonlocal verified
        done(work, step, number, **facts)
        verified += step == "verified"
        if verified == 2:
            raise KeyboardInterrupt

    command = ("predict", folder / "image.tif", "-m", folder / "model.onnx",
               "-o", folder / "map.tif", "--tile", 16, "--verify")  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(ResumableMap, "done", counted)
        assert lcmap(*command).exit_code == 130
    run = lcmap(*command)
    assert run.exit_code == 0 and "continuing: 20 of 20" in run.stderr
    assert f"verified: {60 * 75} pixels compared, " in run.stderr


def test_outputs_on_another_disk(lcmap: Lcmap, folder: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == folder.stat().st_dev:
        pytest.skip("no second disk")
    confidence = other / f"lcmap-test-{os.getpid()}.tif"
    try:
        command = ("predict", folder / "image.tif", "-m", folder / "model.onnx", "-o")
        run = lcmap(*command, folder / "map.tif", "--confidence", confidence)
        assert run.exit_code == 0, run.stderr
        run = lcmap(*command, folder / "b.tif", "--confidence", folder / "c.tif")
        assert confidence.read_bytes() == (folder / "c.tif").read_bytes()
    finally:
        confidence.unlink(missing_ok=True)
