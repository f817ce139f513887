"""Outputs that are no plain files yet: devices, FIFOs, links, open descriptors."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from support import write_raster

Lcmap = Callable[..., Any]

OSO = np.repeat(np.array([[1, 5], [16, 23]], "uint8"), 32, 0).repeat(32, 1)


@pytest.fixture
def crosswalk(tmp_path: Path) -> list[object]:
    """A short command that makes a map, all but its output."""
    image = np.arange(1, 64 * 64 * 4 + 1, dtype="uint16").reshape(4, 64, 64)
    stack = write_raster(tmp_path / "stack.tif", image)
    oso = write_raster(tmp_path / "oso.tif", OSO[None])
    return ["reclassify-oso", stack, oso, "--oso", "oso23", "--crosswalk-only", "-q", "-o"]


@pytest.fixture
def expected(crosswalk: list[object], lcmap: Lcmap, tmp_path: Path) -> np.ndarray:
    """The map's pixels, in a plain file."""
    plain = tmp_path / "plain.tif"
    assert lcmap(*crosswalk, plain).exit_code == 0
    return pixels(plain)


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        found: np.ndarray = dataset.read(1)
    return found


def null_device(path: Path) -> Path:
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        path.write_bytes(b"x")
    except PermissionError:
        pytest.skip("only root makes devices")
    return path


@pytest.mark.parametrize("overwrite", [["--overwrite"], []])
def test_a_device_stays_a_device(
    lcmap: Lcmap, crosswalk: list[object], tmp_path: Path, overwrite: list[str]
) -> None:
    device = null_device(tmp_path / "null")
    run = lcmap(*crosswalk, device, *overwrite)
    assert run.exit_code == 0, run.stderr
    assert stat.S_ISCHR(device.stat().st_mode)
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_every_command_writes_into_a_device(lcmap: Lcmap, tmp_path: Path) -> None:
    device = null_device(tmp_path / "null")
    image = np.random.default_rng(0).integers(1, 255, (4, 64, 64), "uint8")
    source = write_raster(tmp_path / "image.tif", image)
    run = lcmap("prepare", source, "-o", device, "-q")
    assert run.exit_code == 0, run.stderr
    report = null_device(tmp_path / "report.json")
    labels = write_raster(tmp_path / "labels.tif", image[:1] % 3 + 1)
    run = lcmap(
        *("score", labels, "--reference", labels, "--nomenclature", "topo6", "--bootstrap", 0),
        *("-o", report),
    )
    assert run.exit_code == 0, run.stderr
    assert stat.S_ISCHR(device.stat().st_mode) and stat.S_ISCHR(report.stat().st_mode)
    run = lcmap("prepare", source, "-o", device, "--tiles", tmp_path / "tiles.geojson", "-q")
    assert run.exit_code == 2 and "belong to a stack that is a file" in run.stderr


def test_a_full_device_is_said(lcmap: Lcmap, crosswalk: list[object]) -> None:
    run = lcmap(*crosswalk, "/dev/full")
    assert run.exit_code == 73 and "/dev/full: no space left" in run.stderr


def test_the_reader_of_a_fifo_gets_the_map(
    lcmap: Lcmap, crosswalk: list[object], expected: np.ndarray, tmp_path: Path
) -> None:
    fifo, got = tmp_path / "fifo", tmp_path / "got.tif"
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: got.write_bytes(fifo.read_bytes()), daemon=True)
    reader.start()
    run = lcmap(*crosswalk, fifo)
    assert run.exit_code == 0, run.stderr
    reader.join(20)
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    np.testing.assert_array_equal(pixels(got), expected)


def test_a_socket_is_refused(lcmap: Lcmap, crosswalk: list[object], tmp_path: Path) -> None:
    place = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(place))
        run = lcmap(*crosswalk, place, "--overwrite")
    assert run.exit_code == 73 and "is a socket" in run.stderr
    assert stat.S_ISSOCK(place.stat().st_mode)


def test_a_link_is_followed_and_stays(
    lcmap: Lcmap, crosswalk: list[object], expected: np.ndarray, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "old.tif").write_bytes(b"old")
    link = tmp_path / "map.tif"
    link.symlink_to(Path("disk") / "old.tif")
    run = lcmap(*crosswalk, link)
    assert run.exit_code == 73 and "exists already" in run.stderr
    assert lcmap(*crosswalk, link, "--overwrite").exit_code == 0
    assert os.readlink(link) == "disk/old.tif"
    np.testing.assert_array_equal(pixels(disk / "old.tif"), expected)
    assert sorted(os.listdir(disk)) == [".old.tif.lcmap-made", "old.tif"]


def test_a_link_that_leads_nowhere(
    lcmap: Lcmap, crosswalk: list[object], expected: np.ndarray, tmp_path: Path
) -> None:
    link = tmp_path / "map.tif"
    link.symlink_to(tmp_path / "none" / "map.tif")
    run = lcmap(*crosswalk, link, "--overwrite")
    assert run.exit_code == 73 and "no such folder" in run.stderr
    loop = tmp_path / "loop.tif"
    loop.symlink_to(loop)
    run = lcmap(*crosswalk, loop, "--overwrite")
    assert run.exit_code == 73 and "leads back to itself" in run.stderr
    link.unlink()
    link.symlink_to(tmp_path / "new.tif")
    assert lcmap(*crosswalk, link, "--overwrite").exit_code == 0
    np.testing.assert_array_equal(pixels(tmp_path / "new.tif"), expected)


@pytest.mark.parametrize("piped", [True, False])
def test_dev_stdout_is_standard_output(
    crosswalk: list[object], expected: np.ndarray, tmp_path: Path, piped: bool
) -> None:
    link, got = tmp_path / "stdout", tmp_path / "got.tif"
    link.symlink_to("/proc/self/fd/1")
    for name in ("/dev/stdout", "/dev/fd/1", link):
        command = [sys.executable, "-m", "lcmap", *map(str, crosswalk), str(name)]
        with open(got, "wb") as file:
            run = subprocess.run(
                command, stdout=subprocess.PIPE if piped else file, stderr=subprocess.PIPE
            )
        assert run.returncode == 0, run.stderr
        if piped:
            got.write_bytes(run.stdout)
        np.testing.assert_array_equal(pixels(got), expected)
    assert link.is_symlink()
