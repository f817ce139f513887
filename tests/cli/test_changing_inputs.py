"""A file that changes while a command reads it: exit code 65, and nothing is written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from changing_inputs import CASES, PREDICT, READ, found, names, of_a_model, run_while
from support import Run

from lcmap.inference.resume import journal
from lcmap.inference.resume.tile_store import TileStore

Lcmap = Callable[..., Run]
WEST, NORTH = 721_104.0, 6_249_288.0


def overwritten(path: Path) -> None:
    """Change bytes of a file in place, as a program does that writes it anew."""
    with open(path, "r+b") as file:
        file.seek(-8, os.SEEK_END)
        last = file.read()
        file.seek(-8, os.SEEK_END)
        file.write(bytes(byte ^ 1 for byte in last))


def overwritten_keeping_its_time(path: Path) -> None:
    status = path.stat()
    overwritten(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(path: Path) -> None:
    """Put another file of the same size and time in its place, as rsync does."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    overwritten_keeping_its_time(other)
    os.replace(other, path)


def removed(path: Path) -> None:
    path.unlink()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_is_overwritten_is_refused(lcmap: Lcmap, here: Path, case: str) -> None:
    make, command, pattern, after = CASES[case]
    make(here)
    file, before = found(here, pattern), names(here)
    run = run_while(overwritten, after, file, command, lcmap)
    assert run.exit_code == 65, run.stderr
    said = run.stderr.splitlines()[-1]
    assert f"{file.name}: changed while it was read; " in said
    assert names(here) == before and not run.stdout


@pytest.mark.parametrize("change", [overwritten_keeping_its_time, replaced, removed])
@pytest.mark.parametrize("case", ["predict", "prepare", "score", "rasterize-ref-gpkg"])
def test_however_it_changes(
    lcmap: Lcmap, here: Path, case: str, change: Callable[[Path], None]
) -> None:
    make, command, pattern, after = CASES[case]
    make(here)
    file = found(here, pattern)
    run = run_while(change, after, file, command, lcmap)
    assert run.exit_code == 65, run.stderr
    how = {removed: "disappeared", replaced: "was replaced"}.get(change, "changed")
    assert f"{file.name}: {how} while it was read; " in run.stderr
    assert not names(here) & {"out.tif", "c.tif", "t.geojson", "s.csv"}


def read_or_linked(path: Path) -> None:
    path.read_bytes()
    os.utime(path, ns=(1, path.stat().st_mtime_ns))
    os.link(path, path.with_name("second"))
    path.chmod(0o600)


@pytest.mark.parametrize("case", ["predict", "prepare", "score"])
def test_what_leaves_the_content_alone_is_no_change(lcmap: Lcmap, here: Path, case: str) -> None:
    make, command, pattern, after = CASES[case]
    make(here)
    run = run_while(read_or_linked, after, found(here, pattern), command, lcmap)
    assert run.exit_code == 0, run.stderr


def test_a_file_that_cannot_be_read_any_more_changed(lcmap: Lcmap, here: Path) -> None:
    """The cause is said, not what GDAL makes of half a file."""
    of_a_model(here)
    file = here / "image.tif"
    run = run_while(lambda path: os.truncate(path, 500), READ, file, PREDICT, lcmap)
    assert run.exit_code == 65
    assert run.stderr.splitlines()[-1].startswith("lcmap: image.tif: changed while it was read")
    assert not (here / ".out.tif.lcmap-work").exists()


def test_no_tile_of_a_file_that_changed_is_kept(
    lcmap: Lcmap, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen at the next commit, not hours later, and what was computed is gone."""
    of_a_model(here)
    monkeypatch.setattr(journal, "COMMIT_SECONDS", 0.0)
    write, written = TileStore.write, 0

    def counted(*given: Any) -> None:
        nonlocal written
        written += 1
        write(*given)

    monkeypatch.setattr(TileStore, "write", counted)
    run = run_while(overwritten, READ, here / "image.tif", PREDICT, lcmap)
    assert run.exit_code == 65 and written < 12
    assert not (here / ".out.tif.lcmap-work").exists()


def test_what_was_done_stays_while_the_disk_of_an_input_is_away(
    lcmap: Lcmap, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a_model(here)
    monkeypatch.setattr(journal, "COMMIT_SECONDS", 0.0)
    away, file = here / "away", here / "image.tif"
    run = run_while(
        lambda path: path.rename(away), "lcmap.inference.resume.journal:Journal.append", file,
        PREDICT, lcmap,
    )  # fmt: skip
    assert run.exit_code == 65 and "image.tif: disappeared while it was read" in run.stderr
    assert "run the same command to continue" in run.stderr
    away.rename(file)
    run = lcmap(*PREDICT.split())
    assert run.exit_code == 0 and "continuing: 1 of 12 tiles are done" in run.stderr
