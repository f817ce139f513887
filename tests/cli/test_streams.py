"""Closed and full standard streams, names that are not UTF-8, a working folder that is gone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import write_raster

from lcmap.cli.pace import duration

LCMAP = f"{shlex.quote(sys.executable)} -m lcmap"


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, env=os.environ)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_raster(tmp_path / "image.tif", np.arange(64, dtype=np.uint8).reshape(1, 8, 8))
    return tmp_path


@pytest.mark.parametrize("closed", ["0<&-", "2>&-", "0<&- 2>&-"])
def test_closed_streams_that_are_not_needed(folder: Path, closed: str) -> None:
    done = shell(f"{LCMAP} prepare image.tif -o stack.tif {closed}", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "stack.tif").read_bytes()[:2] == b"II"


@pytest.mark.parametrize("output", ["-o stack.tif", ""])
def test_a_closed_standard_output_takes_no_result(folder: Path, output: str) -> None:
    done = shell(f"{LCMAP} prepare image.tif {output} >&-", folder)
    assert done.returncode == 73
    assert done.stderr.decode().splitlines()[-1].startswith("lcmap: standard output: ")
    assert done.stderr.count(b"Traceback") == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_standard_error_does_not_change_the_exit_code(folder: Path) -> None:
    assert shell(f"{LCMAP} prepare image.tif -o stack.tif 2>/dev/full", folder).returncode == 0
    assert shell(f"{LCMAP} prepare none.tif -o x.tif 2>/dev/full", folder).returncode == 66


def test_a_name_that_is_not_utf_8(folder: Path) -> None:
    os.rename(folder / "image.tif", os.fsencode(folder) + b"/for\xeat.tif")
    done = shell(f"{LCMAP} prepare for*t.tif -o stack.tif", folder)
    assert done.returncode == 65
    assert b"its name is not in UTF-8" in done.stderr and done.stderr.count(b"\n") == 1
    (folder / os.fsdecode(b"for\xeat.tif")).rename(folder / "image.tif")
    done = shell(f"{LCMAP} prepare image.tif -o $'n\\xea.tif'", folder)
    assert done.returncode == 65
    # as it was given, not under the name that it has until it is whole
    assert done.stderr.startswith("lcmap: n\ufffd.tif: its name is not in UTF-8".encode())


def test_a_working_folder_that_was_deleted(folder: Path) -> None:
    gone = folder / "gone"
    gone.mkdir()
    script = f"cd gone; rmdir ../gone; {LCMAP} prepare {folder}/image.tif -o stack.tif"
    done = subprocess.run(["bash", "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 66
    assert done.stderr == "lcmap: the working folder was deleted; change to one that exists\n"


def test_durations() -> None:
    found = [duration(seconds) for seconds in (0.4, 59.4, 60, 200, 3600, 14639, 100_000)]
    assert found == ["0 s", "59 s", "1 min 0 s", "3 min 20 s", "1 h 0 min", "4 h 3 min",
                     "27 h 46 min"]  # fmt: skip
