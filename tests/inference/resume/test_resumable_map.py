"""What a run leaves of a map, and what the next one makes of it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from lcmap.errors import CannotWriteError, LcmapError, LockedError, OutputExistsError
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import OutputFiles, output_files
from lcmap.inference.resume import journal, resumable_map, tile_work, work_folder
from lcmap.inference.resume.plan import Plan, tiling_facts
from lcmap.inference.resume.resumable_map import ResumableMap, check_before_work, continued_tile
from lcmap.inference.resume.tile_store import TileStore
from lcmap.inference.resume.work_folder import journal_path, work_folder_path
from lcmap.inference.tiling import Block
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.grid import Grid
from lcmap.raster.output_set import OutputSet
from lcmap.raster.windows import Window

FLAIR7 = load_nomenclature("flair7")
WINDOWS = [Window(0, 0, 8, 8), Window(0, 8, 8, 8), Window(8, 0, 8, 8), Window(8, 8, 8, 8)]
GRID = Grid(CRS.from_epsg(2154), Affine(0.8, 0, 700_000, 0, -0.8, 6_300_000), 16, 16)
FACTS: Plan = {"model": "abc", "outputs": [("codes", 1, "uint8")]}
PLAN = FACTS | tiling_facts(8, WINDOWS)
REPORT = {"pixels": 256}


class Killed(BaseException):
    """The end of a process: nothing happens after it but what the system does."""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


def files_of(output: Path, **options: Any) -> OutputFiles:
    confidence = output.with_name("c.tif")
    return output_files(MapOutputs(output, confidence, **options), FLAIR7, (), {})


def opened(output: Path, plan: Plan = PLAN, **options: Any) -> ResumableMap:
    return ResumableMap(files_of(output, **options), GRID, plan, WINDOWS)


def begun(output: Path, plan: Plan = PLAN, **options: Any) -> ResumableMap:
    return opened(output, plan, **options).__enter__()


def store(work: ResumableMap, number: int) -> None:
    arrays = {
        "codes": np.full((1, 8, 8), number + 1, np.uint8),
        "confidence": np.full((1, 8, 8), 90, np.uint8),
    }
    work.store(number, arrays, mapped=64)


def finish(work: ResumableMap) -> None:
    for number, _ in work.pending(WINDOWS):
        store(work, number)
    work.publish(REPORT)


def kill(work: ResumableMap) -> None:
    """End a run as SIGKILL does: files are closed and the locks go, no more."""
    work._leaving.pop_all()
    if work.published is None:
        work._journal.close()
        work._store.close()
    os.close(work._folder._lock)
    work._outputs._leave()


def left(work: ResumableMap) -> list[int]:
    return [number for number, _ in work.pending(WINDOWS)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def codes(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


EXPECTED = np.kron([[1, 2], [3, 4]], np.ones((8, 8), np.uint8))


def test_a_run_that_ends_leaves_the_files_alone(output: Path) -> None:
    with opened(output, qml=True) as work:
        finish(work)
    assert names(output.parent) == ["c.tif", "map.qml", "map.tif", "map.tif.aux.xml"]
    np.testing.assert_array_equal(codes(output), EXPECTED)


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
    assert again.records("tile") == [{"tile": 2, "mapped": 64}]
    assert again.pending(WINDOWS) == [(n, WINDOWS[n]) for n in (0, 1, 3)]
    assert "map.tif: continuing: 1 of 4 tiles are done" in caplog.text
    assert (again.read("codes", WINDOWS[2]) == 3).all()
    kill(again)


def test_steps_are_kept_apart(output: Path) -> None:
    work = begun(output)
    work.done("verified", 1, pixels=64)
    store(work, 0)
    work.commit()
    kill(work)
    again = begun(output)
    assert left(again) == [1, 2, 3]
    assert again.pending("ab", "verified") == [(0, "a")]
    assert again.records("verified") == [{"verified": 1, "pixels": 64}]
    kill(again)


def test_data_is_on_the_disk_before_its_record(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    flush, append = TileStore.flush, journal.Journal.append

    def watched_flush(tiles: TileStore) -> None:
        calls.append("data")
        flush(tiles)

    def watched_append(file: journal.Journal, records: Any) -> None:
        calls.append("record")
        append(file, records)

    monkeypatch.setattr(TileStore, "flush", watched_flush)
    monkeypatch.setattr(journal.Journal, "append", watched_append)
    work = begun(output)
    store(work, 0)
    work.commit()
    assert calls == ["data", "record"]

    # killed between the two: the tile was not done
    def killed(_: object) -> None:
        raise Killed

    store(work, 1)
    monkeypatch.setattr(journal.Journal, "append", lambda *_: killed(None))
    with pytest.raises(Killed):
        work.commit()
    monkeypatch.undo()
    kill(work)
    again = begun(output)
    assert left(again) == [1, 2, 3]
    kill(again)


def test_commits_come_by_time(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: now[0])
    work = begun(output)
    path = journal_path(work_folder_path(output))
    store(work, 0)
    assert path.stat().st_size == 0
    now[0] += journal.COMMIT_SECONDS
    store(work, 1)
    length = path.stat().st_size
    assert length > 0
    store(work, 2)
    assert path.stat().st_size == length
    assert left(work) == [3]
    kill(work)


def test_a_torn_record_is_cut_off(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    store(work, 1)
    work.commit()
    kill(work)
    path = journal_path(work_folder_path(output))
    path.write_bytes(path.read_bytes()[:-3])
    again = begun(output)
    assert left(again) == [1, 2, 3]
    store(again, 1)
    again.commit()
    kill(again)
    last = begun(output)
    assert left(last) == [2, 3]
    kill(last)


@pytest.mark.parametrize("name", ["codes.raw", "confidence.raw", "journal", "plan.json"])
def test_what_is_not_whole_is_not_continued(output: Path, name: str) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    (work_folder_path(output) / name).unlink()
    again = begun(output)
    assert left(again) == [0, 1, 2, 3]
    assert not again.read("codes", WINDOWS[0]).any()
    kill(again)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["codes.raw", "confidence.raw"])
def test_a_tile_whose_bits_flipped_is_made_again(
    output: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    work = begun(output)
    for number in range(3):
        store(work, number)
    work.commit()
    kill(work)
    flip(work_folder_path(output) / name, 2 * 64 + 5)
    caplog.set_level(logging.DEBUG, logger="lcmap")
    again = begun(output)
    assert left(again) == [2, 3]
    assert [record["tile"] for record in again.records("tile")] == [0, 1]
    assert "map.tif: tile 2 is damaged and made again" in caplog.text
    assert "map.tif: continuing: 2 of 4 tiles are done" in caplog.text
    store(again, 2)
    assert left(again) == [3] and len(again.records("tile")) == 3
    again.commit()
    kill(again)
    with opened(output) as last:
        assert left(last) == [3]
        finish(last)
    np.testing.assert_array_equal(codes(output), EXPECTED)


def spoil(folder: Path, how: str) -> None:
    plan, journal_file, arrays = folder / "plan.json", folder / "journal", folder / "codes.raw"
    if how.startswith("plan"):
        plan.unlink()
        if how == "plan is a folder":
            plan.mkdir()
        else:
            plan.write_text("[" * 100_000 if how == "plan is deep" else '{"model": ')
    elif how == "journal is a folder":
        journal_file.unlink()
        journal_file.mkdir()
    elif how == "journal is a link":
        journal_file.unlink()
        journal_file.symlink_to(folder.parent / "elsewhere")
    elif how == "journal is of other tiles":
        journal_file.write_bytes(journal.encode({"tile": 99, "mapped": 64, "checksum": 0}))
    elif how == "arrays are a link":
        content = arrays.read_bytes()
        arrays.unlink()
        (folder.parent / "elsewhere").write_bytes(content)
        arrays.symlink_to(folder.parent / "elsewhere")
    else:
        arrays.write_bytes(arrays.read_bytes()[:-1])


@pytest.mark.parametrize(
    "how",
    ["plan is a folder", "plan is deep", "plan is cut", "journal is a folder",
     "journal is a link", "journal is of other tiles", "arrays are a link", "arrays are cut"],
)  # fmt: skip
def test_what_is_spoilt_is_begun_again_and_said(
    output: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    spoil(work_folder_path(output), how)
    elsewhere = output.parent / "elsewhere"
    before = elsewhere.read_bytes() if elsewhere.exists() else None
    caplog.set_level(logging.INFO)
    check_before_work(files_of(output))
    with opened(output) as again:
        assert left(again) == [0, 1, 2, 3]
        finish(again)
    assert "map.tif: starting afresh, since what an earlier run left " in caplog.text
    assert (elsewhere.read_bytes() if elsewhere.exists() else None) == before
    np.testing.assert_array_equal(codes(output), EXPECTED)


def test_another_layout_starts_afresh(
    output: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tile_work, "LAYOUT", 1)
        work = begun(output)
        store(work, 0)
        work.commit()
        kill(work)
    caplog.set_level(logging.INFO)
    again = begun(output)
    assert left(again) == [0, 1, 2, 3]
    assert "starting afresh, since another version of lcmap left what is there" in caplog.text
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
    assert left(again) == [0, 1, 2, 3]
    assert "map.tif: starting afresh, since these changed: model, tile" in caplog.text
    kill(again)


def test_a_fresh_start_may_be_refused_before_anything_is_given_up(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    work.commit()
    kill(work)
    output.write_bytes(b"precious")
    with pytest.raises(OutputExistsError), opened(output, PLAN | {"model": "def"}):
        pass
    again = begun(output)
    assert left(again) == [1, 2, 3]
    kill(again)


def test_the_tile_size_is_that_of_the_run_that_is_continued(output: Path) -> None:
    assert continued_tile(output, FACTS) is None
    kill(begun(output))
    assert continued_tile(output, FACTS) == 8
    assert continued_tile(output, FACTS | {"model": "def"}) is None
    kill(begun(output, FACTS | tiling_facts(Block(16, 8), WINDOWS)))
    assert continued_tile(output, FACTS) == Block(16, 8)


def test_an_error_commits_what_is_done(output: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(output) as work:
        store(work, 0)
        raise KeyboardInterrupt
    again = begun(output)
    assert left(again) == [1, 2, 3]
    kill(again)


def test_an_error_before_anything_is_done_leaves_nothing(output: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(output):
        raise ZeroDivisionError
    assert not names(output.parent)


def test_what_is_wrong_does_not_stay(output: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(output) as work:
        store(work, 0)
        work.discard()
        raise ZeroDivisionError
    assert not names(output.parent)


def test_a_second_run_is_locked_out_and_harms_nothing(output: Path) -> None:
    work = begun(output)
    store(work, 0)
    with pytest.raises(LockedError, match=r"map\.tif: another run is making it"):
        begun(output)
    store(work, 1)
    work.commit()
    kill(work)
    again = begun(output)
    assert left(again) == [2, 3]
    kill(again)


def test_a_disk_that_is_too_small_is_refused_at_once(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_folder, "_free_bytes", lambda folder: 1000)
    windows = [Window(0, 0, 20_000, 25_000)]
    with (
        pytest.raises(CannotWriteError, match=r"map\.tif: needs 1\.0 GB in .* are free"),
        ResumableMap(files_of(output), GRID, PLAN, windows),
    ):
        pass
    assert not names(output.parent)


def test_a_full_disk_keeps_what_was_committed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with (
        pytest.raises(CannotWriteError, match=r"map\.tif: no space left"),
        opened(output) as work,
    ):
        store(work, 0)
        work.commit()
        monkeypatch.setattr(os, "pwrite", full)
        store(work, 1)
    monkeypatch.undo()
    again = begun(output)
    assert left(again) == [1, 2, 3]
    kill(again)


def test_what_goes_to_a_pipe_is_made_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(
        "lcmap.raster.destination.Stream.copy",
        lambda _, path: written.append(path.read_bytes()),
    )
    monkeypatch.setattr("lcmap.inference.output_files.check_output", lambda *_, **__: None)
    files = output_files(MapOutputs("-"), FLAIR7, (), {})
    with ResumableMap(files, GRID, PLAN, WINDOWS, tmpdir=tmp_path) as work:
        for number, window in work.pending(WINDOWS):
            work.store(number, {"codes": np.full((1, *window[2:]), number + 1, np.uint8)})
        (folder,) = tmp_path.iterdir()
        # nobody will continue it
        assert journal_path(folder).stat().st_size == 0
        work.publish(REPORT)
    assert not names(tmp_path)
    copy = tmp_path / "copy.tif"
    copy.write_bytes(*written)
    np.testing.assert_array_equal(codes(copy), EXPECTED)


FILES = ["map.qml", "map.tif.aux.xml", "c.tif", "map.tif"]
"""In the order in which they get their names."""
LOCKED = [".map.tif.lcmap-lock", ".map.tif.lcmap-work"]


def killed_while_naming(output: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """End a run after so many files got their names."""
    move, moved = resumable_map.give_names, 0

    def killed(files: Any, folder: Path, sidecars: Any) -> None:
        nonlocal moved
        for file in files:
            if moved == after:
                raise Killed
            move([file], folder, sidecars)
            moved += 1
        raise Killed

    work = begun(output, qml=True)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(resumable_map, "give_names", killed)
        finish(work)
    kill(work)


@pytest.mark.parametrize("after", range(4))
def test_a_run_killed_between_two_names_goes_on_with_the_rest(
    output: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    killed_while_naming(output, monkeypatch, after)
    assert names(output.parent) == sorted([work_folder_path(output).name, *FILES[:after]])
    made = {name: (output.parent / name).stat().st_mtime_ns for name in FILES[:after]}
    files = files_of(output, qml=True)
    check_before_work(files)  # its own files are not in its way
    with opened(output, qml=True) as work:
        finish(work)
    assert names(output.parent) == sorted(FILES)
    np.testing.assert_array_equal(codes(output), EXPECTED)
    for name, time in made.items():
        assert (output.parent / name).stat().st_mtime_ns == time


@pytest.mark.parametrize("name", ["codes.tif", "confidence.tif", "codes.qml"])
def test_a_waiting_file_whose_bits_flipped_is_made_again(
    output: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with opened(output, qml=True) as work:
        finish(work)
    expected = {path: path.read_bytes() for path in output.parent.iterdir()}
    for path in expected:
        path.unlink()
    killed_while_naming(output, monkeypatch, 0)
    waiting = work_folder_path(output) / name
    flip(waiting, waiting.stat().st_size // 2)
    with opened(output, qml=True) as work:
        finish(work)
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == expected


@pytest.mark.parametrize("after", range(5))
def test_the_next_run_of_other_files_finishes_the_set_first(
    output: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Killed with no name given it is undone; with some, the rest come; with all it was whole."""
    killed_while_naming(output, monkeypatch, after)
    alone = output_files(MapOutputs(output, cog=True, qml=False), FLAIR7, (), {})
    if after == len(FILES):
        with pytest.raises(OutputExistsError, match="exists already"):
            check_before_work(alone)
        return
    check_before_work(alone)  # what the killed run left is not in its way
    with ResumableMap(alone, GRID, PLAN | {"outputs": ["codes"]}, WINDOWS) as work:
        assert names(output.parent) == sorted([*FILES * bool(after), *LOCKED])
        for number, _ in work.pending(WINDOWS):
            work.store(number, {"codes": np.full((1, 8, 8), 9, np.uint8)})
        work.publish(REPORT)
    left = ["c.tif", "map.tif"] if after else ["map.tif"]
    assert names(output.parent) == left and (codes(output) == 9).all()


def test_another_runs_files_are_in_the_way(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_while_naming(output, monkeypatch, 2)
    output.with_name("map.qml").write_text("another's")
    with pytest.raises(OutputExistsError, match=r"map\.qml: exists already"):
        check_before_work(files_of(output, qml=True))


def test_a_file_that_another_run_replaced_is_made_again(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the map would be of one run and its confidence of another."""
    killed_while_naming(output, monkeypatch, 3)
    confidence = output.with_name("c.tif")
    own = confidence.read_bytes()
    confidence.write_bytes(own[::-1])
    with opened(output, qml=True, overwrite=True) as work:
        finish(work)
    assert confidence.read_bytes() == own and names(output.parent) == sorted(FILES)


@pytest.mark.parametrize("shared", ["c.tif", "map.tif", "map.qml"])
def test_each_output_is_locked(output: Path, shared: str) -> None:
    with opened(output, qml=True), pytest.raises(LockedError, match=f"{shared}: another run"):
        OutputSet([output.with_name(shared)], overwrite=True).__enter__()
    other = output_files(MapOutputs(output.with_name("b.tif"), output.with_name(shared)), FLAIR7,
                         (), {})  # fmt: skip
    with (
        OutputSet([output.with_name(shared)], overwrite=True),
        pytest.raises(LockedError, match=f"{shared}: another run"),
    ):
        ResumableMap(other, GRID, PLAN, WINDOWS).__enter__()
    assert not names(output.parent)


def test_a_run_killed_after_the_last_name_is_complete(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = begun(output)
    finish(work)
    kill(work)
    caplog.set_level(logging.INFO)
    check_before_work(files_of(output))
    with opened(output) as again:
        assert again.published == REPORT
    assert "map.tif: is complete already" in caplog.text
    assert names(output.parent) == sorted(FILES)


def test_a_named_file_that_was_removed_is_made_again(output: Path) -> None:
    work = begun(output)
    finish(work)
    before = output.with_name("c.tif").read_bytes()
    output.with_name("c.tif").unlink()
    kill(work)
    with opened(output) as again:
        assert again.published is None
        finish(again)
    assert output.with_name("c.tif").read_bytes() == before


@pytest.fixture(params=["map.tif", "c.tif", "map.qml", "map.tif.aux.xml"])
def appeared(request: pytest.FixtureRequest, output: Path) -> Iterator[Path]:
    yield output.with_name(request.param)


def test_an_output_that_appeared_meanwhile_is_not_replaced(output: Path, appeared: Path) -> None:
    with pytest.raises(OutputExistsError), opened(output, qml=True) as work:
        appeared.write_bytes(b"precious")
        finish(work)
    assert names(output.parent) == sorted([work_folder_path(output).name, appeared.name])
    assert appeared.read_bytes() == b"precious"


@pytest.mark.parametrize("name", FILES)
def test_where_one_file_cannot_be_made_none_is_named(
    output: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    make: Callable[..., None] = resumable_map.make_file

    def full(file: Any, *given: Any) -> None:
        if Path(file.path).name == name:
            raise CannotWriteError(file.path, "no space left")
        make(file, *given)

    monkeypatch.setattr(resumable_map, "make_file", full)
    with pytest.raises(LcmapError), opened(output, qml=True) as work:
        finish(work)
    assert names(output.parent) == [work_folder_path(output).name]
