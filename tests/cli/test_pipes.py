"""Pipes, full disks and signals, over real processes as a shell script has them."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from small_model import BANDS

ENVIRONMENT = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def write_image(path: Path, height: int, width: int) -> Path:
    rng = np.random.default_rng(3)
    profile = {
        "driver": "GTiff", "count": 4, "dtype": "uint8", "height": height, "width": width,
        "crs": "EPSG:2154", "transform": Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(rng.integers(0, 256, (4, height, width), np.uint8))
        for band, name in enumerate(BANDS, 1):
            dataset.set_band_description(band, name)
            dataset.update_tags(band, LCMAP_Q02="5.0", LCMAP_Q98="250.0")
    return path


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """A folder with a small image, a large one, the model, and an empty folder for spools."""
    write_image(tmp_path / "image.tif", 70, 90)
    (tmp_path / "model.onnx").symlink_to(model)
    (tmp_path / "spool").mkdir()
    return tmp_path


@pytest.fixture
def large(folder: Path) -> Path:
    """An image whose map is larger than what a pipe holds, and takes many tiles."""
    return write_image(folder / "large.tif", 1500, 1500)


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a script with `set -o pipefail` does, in a folder."""
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=folder, env=ENVIRONMENT, capture_output=True
    )


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_a_pipe_in_and_a_redirection_out(folder: Path) -> None:
    done = shell(
        "lcmap predict image.tif -m model.onnx -o plain.tif -q"
        " && cat image.tif | lcmap predict - -m model.onnx -o piped.tif --tmpdir spool -q"
        " && lcmap predict - -m model.onnx --tmpdir spool -q < image.tif > redirected.tif",
        folder,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"")
    plain = (folder / "plain.tif").read_bytes()
    assert (folder / "piped.tif").read_bytes() == plain
    assert (folder / "redirected.tif").read_bytes() == plain
    assert read(folder / "plain.tif").all()
    assert not list((folder / "spool").iterdir())


def test_the_whole_chain(folder: Path) -> None:
    # the reference is the map itself: each pixel scored must agree
    done = shell(
        "lcmap predict image.tif -m model.onnx -o reference.tif -q"
        " && lcmap prepare image.tif | lcmap predict - -m model.onnx"
        " | lcmap score - --reference reference.tif --json",
        folder,
    )
    assert done.returncode == 0, done.stderr
    text = json.dumps(json.loads(done.stdout))
    assert str(70 * 90) in text


def test_a_failure_up_the_pipe_fails_the_pipe(folder: Path) -> None:
    done = shell("lcmap prepare absent.tif | lcmap predict - -m model.onnx > map.tif", folder)
    assert done.returncode == 66
    lines = sorted(done.stderr.decode().splitlines())
    assert len(lines) == 2
    assert "absent.tif: no such file" in lines[0]
    assert "standard input: is empty" in lines[1]
    assert (folder / "map.tif").read_bytes() == b""


def test_a_reader_that_closes_the_pipe(folder: Path, large: Path) -> None:
    done = shell(
        "lcmap predict large.tif -m model.onnx --tmpdir spool | head -c 10 > begin;"
        " exit ${PIPESTATUS[0]}",
        folder,
    )
    assert done.returncode == 73
    assert done.stderr.decode().splitlines() == [
        "lcmap: standard output: closed by its reader; see what the next command says"
    ]
    assert (folder / "begin").stat().st_size == 10
    assert not list((folder / "spool").iterdir())


@pytest.mark.parametrize(
    ("command", "begin"),
    [
        ("lcmap predict image.tif -m model.onnx > /dev/full", "standard output: no space left"),
        ("ulimit -f 100; lcmap predict large.tif -m model.onnx -o map.tif", "map.tif: "),
        (
            "ulimit -f 100; lcmap predict large.tif -m model.onnx -o map.tif"
            " --tile 64 --confidence confidence.tif --probabilities p.tif",
            "p.tif: ",
        ),
        (
            "cat large.tif | (ulimit -f 100; lcmap predict - -m model.onnx -o map.tif"
            " --tmpdir spool)",
            "no space left",
        ),
    ],
    ids=["standard output", "map", "probabilities", "spool"],
)
def test_a_full_disk(folder: Path, large: Path, command: str, begin: str) -> None:
    before = sorted(folder.iterdir())
    done = shell(command, folder)
    assert done.returncode == 73, done.stderr
    *libtiff, line = done.stderr.decode().splitlines()
    assert line.startswith("lcmap: ") and begin in line
    # libtiff says what the system told it, past GDAL's and Python's handlers of errors
    assert all(other.startswith("_tiff") for other in libtiff)
    assert sorted(folder.iterdir()) == before
    assert not list((folder / "spool").iterdir())


def test_a_terminal_gets_no_raster(folder: Path) -> None:
    main, terminal = pty.openpty()
    try:
        done = subprocess.run(
            ["lcmap", "predict", "image.tif", "-m", "model.onnx"],
            cwd=folder, env=ENVIRONMENT, stdout=terminal, stderr=subprocess.PIPE,
        )  # fmt: skip
    finally:
        os.close(terminal)
        os.close(main)
    assert done.returncode == 2
    assert b"standard output: is a terminal and takes no raster; -o FILE" in done.stderr


def start_and_wait_for_output(folder: Path, large: Path) -> subprocess.Popen[bytes]:
    """Start a run that takes long, and return once it has begun to write."""
    process = subprocess.Popen(
        ["lcmap", "predict", large.name, "-m", "model.onnx", "-o", "map.tif", "--tile", "8",
         "--confidence", "confidence.tif"],
        cwd=folder, env=ENVIRONMENT, stderr=subprocess.PIPE,
        # a shell lets its background jobs, as this test may be, ignore the signal
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(folder.glob(".map.tif.lcmap-work/confidence.raw")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_stop_leaves_nothing_under_the_final_name(
    folder: Path, large: Path, number: int
) -> None:
    process = start_and_wait_for_output(folder, large)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    *kept, last = said.decode().splitlines()
    assert last == "lcmap: interrupted"
    # a run that had finished a tile says where it is
    assert [line.split(": ")[0] for line in kept] in ([], ["map.tif"])
    assert not (folder / "map.tif").exists()
    assert not (folder / "confidence.tif").exists()
    assert bool(kept) == (folder / ".map.tif.lcmap-work").exists()


def test_a_run_that_is_killed_leaves_nothing_under_the_final_name(
    folder: Path, large: Path
) -> None:
    process = start_and_wait_for_output(folder, large)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "map.tif").exists()
    assert not (folder / "confidence.tif").exists()
    # and what it left does not stand in the way of another run
    done = shell("lcmap predict image.tif -m model.onnx -o map.tif", folder)
    assert done.returncode == 0 and read(folder / "map.tif").all()
    assert not (folder / ".map.tif.lcmap-work").exists()


def test_a_pipe_is_spooled_in_the_temporary_folder_alone(folder: Path, large: Path) -> None:
    before = sorted(folder.iterdir())
    done = shell(
        "cat image.tif | lcmap predict - -m model.onnx -o map.tif --no-qml --tmpdir spool -q"
        " && rm map.tif && lcmap predict image.tif -m model.onnx --tmpdir spool -q > map.tif"
        " && rm map.tif",
        folder,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(folder.iterdir()) == before and not list((folder / "spool").iterdir())
