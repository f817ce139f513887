"""What a run leaves, and what the next one makes of it."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcmap.errors import CannotWriteError, LockedError, OutputExistsError
from lcmap.inference.resume import work_folder
from lcmap.inference.resume.tile_store import BandGroup
from lcmap.inference.resume.work_folder import WorkFolder, recorded, work_folder_path
from lcmap.raster.windows import Window

TILES = [Window(0, 0, 8, 8), Window(0, 8, 8, 8), Window(8, 0, 8, 8), Window(8, 8, 8, 8)]
PLANES = [BandGroup("codes", 1, "uint8")]
PLAN: dict[str, Any] = {"model": "abc", "layers": PLANES, "tile": 8}


class Killed(BaseException):
    """The end of a process: nothing after it happens, but for what the system does."""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


def nothing() -> None:
    """What is called before a new start."""


def begun(output: Path, plan: dict[str, Any] = PLAN, **options: Any) -> WorkFolder:
    work = WorkFolder(output, resumable=True)
    work.__enter__()
    work.begin(plan, TILES, PLANES, before_afresh=nothing, **options)
    return work


def store(work: WorkFolder, number: int) -> None:
    codes = np.full((1, 8, 8), number + 1, np.uint8)
    work.store(TILES[number], {"codes": codes}, {"tile": number, "mapped": 64})


def kill(work: WorkFolder) -> None:
    """End a run as SIGKILL does: files are closed and the lock goes, no more."""
    work._close()
    os.close(work._lock)


def test_a_run_that_ends_leaves_nothing(output: Path) -> None:
    with WorkFolder(output, resumable=True) as work:
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        store(work, 0)
        assert work.folder.is_dir() and work.folder.parent == output.parent
    assert not list(output.parent.iterdir())


def test_a_killed_run_is_continued_with_what_was_committed(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = begun(output)
    store(work, 2)
    work.commit()
    store(work, 3)
    kill(work)
    caplog.set_level(logging.INFO)
    again = begun(output)
    assert again.done("tile") == {2: {"tile": 2, "mapped": 64}}
    assert "map.tif: continuing: 1 of 4 tiles are done" in caplog.text
    assert (again.spool.read("codes", TILES[2]) == 3).all()
    kill(again)


def test_data_is_on_the_disk_before_its_record(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    work = begun(output)
    flush, append = work.spool.flush, work._journal.append  # type: ignore[union-attr]
    monkeypatch.setattr(work.spool, "flush", lambda: (calls.append("data"), flush()))
    monkeypatch.setattr(
        work._journal, "append", lambda records: (calls.append("record"), append(records))
    )
    store(work, 0)
    work.commit()
    assert calls == ["data", "record"]

    # killed between the two: the tile was not done
    def killed() -> None:
        raise Killed

    store(work, 1)
    monkeypatch.setattr(work.spool, "flush", killed)
    with pytest.raises(Killed):
        work.commit()
    kill(work)
    again = begun(output)
    assert set(again.done("tile")) == {0}
    kill(again)


def test_commits_come_by_time(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(work_folder.time, "monotonic", lambda: now[0])
    work = begun(output)
    journal = work.folder / "journal"
    store(work, 0)
    assert journal.stat().st_size == 0
    now[0] += work_folder.COMMIT_SECONDS
    store(work, 1)
    length = journal.stat().st_size
    assert length > 0
    store(work, 2)
    assert journal.stat().st_size == length
    assert set(work.done("tile")) == {0, 1, 2}
    kill(work)


def test_a_torn_record_is_cut_off(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    store(work, 1)
    work.commit()
    kill(work)
    journal = work.folder / "journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    again = begun(output)
    assert set(again.done("tile")) == {0}
    store(again, 1)
    again.commit()
    kill(again)
    last = begun(output)
    assert set(last.done("tile")) == {0, 1}
    kill(last)


@pytest.mark.parametrize("name", ["codes.raw", "journal", "plan.json"])
def test_what_is_not_whole_is_not_continued(output: Path, name: str) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    (work.folder / name).unlink()
    again = begun(output)
    assert not again.done("tile")
    assert not again.spool.read("codes", TILES[0]).any()
    kill(again)


def test_another_plan_starts_afresh_and_says_why(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    caplog.set_level(logging.INFO)
    again = begun(output, PLAN | {"model": "def", "tile": 16})
    assert not again.done("tile")
    assert "map.tif: starting afresh, for other model, tile" in caplog.text
    kill(again)


def test_a_new_start_may_be_refused_before_anything_is_given_up(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)

    def refuse() -> None:
        raise OutputExistsError(output, "exists already")

    with pytest.raises(OutputExistsError), WorkFolder(output, resumable=True) as other:
        other.begin(PLAN | {"tile": 16}, TILES, PLANES, before_afresh=refuse)
    again = begun(output)
    assert set(again.done("tile")) == {0}
    kill(again)


def test_the_tile_size_is_that_of_the_run_that_is_continued(output: Path) -> None:
    facts = {"model": "abc", "layers": PLANES}
    work = begun(output)
    assert work.continued_tile(facts) == 8
    assert work.continued_tile(facts | {"model": "def"}) is None
    assert work.has(PLAN) and not work.has(PLAN | {"tile": 16})
    kill(work)


def test_an_error_keeps_what_is_done_and_says_how_to_go_on(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt), WorkFolder(output, resumable=True) as work:
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        store(work, 0)
        raise KeyboardInterrupt
    folder = work_folder_path(output)
    assert f"what is done stays in {folder}" in caplog.text
    again = begun(output)
    assert set(again.done("tile")) == {0}
    kill(again)


def test_an_error_before_anything_is_done_leaves_nothing(output: Path) -> None:
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True) as work:
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        raise ZeroDivisionError
    assert not list(output.parent.iterdir())


def test_an_error_before_the_beginning_keeps_an_earlier_runs(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True):
        raise ZeroDivisionError
    again = begun(output)
    assert set(again.done("tile")) == {0}
    kill(again)


def test_what_is_wrong_does_not_stay(output: Path) -> None:
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True) as work:
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        store(work, 0)
        work.discard()
        raise ZeroDivisionError
    assert not list(output.parent.iterdir())


def test_what_cannot_be_continued_lies_in_the_temporary_folder_and_goes(
    output: Path, tmp_path: Path
) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    with (
        pytest.raises(KeyboardInterrupt),
        WorkFolder("-", resumable=False, tmpdir=spool) as work,
    ):
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        store(work, 0)
        assert work.folder.parent == spool
        raise KeyboardInterrupt
    assert not list(spool.iterdir())


def test_a_second_run_is_locked_out_and_harms_nothing(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    with pytest.raises(LockedError, match=r"map\.tif: another run is making it"):
        begun(output)
    store(work, 1)
    work.commit()
    kill(work)
    again = begun(output)
    assert set(again.done("tile")) == {0, 1}
    kill(again)


HOLD = """
import sys
from lcmap.inference.resume.work_folder import WorkFolder
with WorkFolder(sys.argv[1], resumable=True):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_kill_releases_the_lock(output: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"locked\n"
    with pytest.raises(LockedError):
        begun(output)
    holder.kill()
    holder.communicate()
    kill(begun(output))


def test_a_disk_that_is_too_small_is_refused_at_once(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_folder, "_free_bytes", lambda folder: 1000)
    tiles = [Window(0, 0, 20_000, 50_000)]
    with (
        pytest.raises(CannotWriteError, match=r"map\.tif: needs 1\.0 GB in .* 0\.0 GB are free"),
        WorkFolder(output, resumable=True) as work,
    ):
        work.begin(PLAN, tiles, PLANES, before_afresh=nothing)
    assert not list(output.parent.iterdir())


def test_a_full_disk_keeps_what_was_committed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with (
        pytest.raises(CannotWriteError, match=r"map\.tif: no space left"),
        WorkFolder(output, resumable=True) as work,
    ):
        work.begin(PLAN, TILES, PLANES, before_afresh=nothing)
        store(work, 0)
        work.commit()
        monkeypatch.setattr(os, "pwrite", full)
        store(work, 1)
    monkeypatch.undo()
    again = begun(output)
    assert set(again.done("tile")) == {0}
    kill(again)


def test_the_last_of_a_kind_is_read_without_the_lock(output: Path) -> None:
    assert recorded(output, "naming") is None
    work = begun(output)
    work.record({"naming": {"codes": "a"}})
    work.record({"naming": {"codes": "b"}})
    assert recorded(output, "naming") == work.last("naming") == {"codes": "b"}
    assert recorded(output, "report") is None
    kill(work)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError), WorkFolder(tmp_path / "no" / "a.tif", resumable=True):
        pass
