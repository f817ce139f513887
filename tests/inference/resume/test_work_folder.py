"""What a run leaves of its folder, and when."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from lcmap.errors import CannotWriteError, LockedError
from lcmap.inference.resume import work_folder
from lcmap.inference.resume.work_folder import (
    WorkFolder,
    journal_path,
    plan_path,
    work_folder_path,
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "map.tif"


def fill(folder: WorkFolder, *, records: bytes = b"record") -> None:
    plan_path(folder.path).write_text("{}")
    journal_path(folder.path).write_bytes(records)
    (folder.path / "codes.raw").write_bytes(b"codes")
    (folder.path / ".codes.tif.abc").mkdir()


def test_the_folder_is_beside_the_output(output: Path) -> None:
    assert work_folder_path(output) == output.parent / ".map.tif.lcmap-work"


def test_a_run_that_ends_leaves_nothing(output: Path) -> None:
    with WorkFolder(output, resumable=True) as folder:
        assert folder.path == work_folder_path(output) and folder.path.is_dir()
        fill(folder)
    assert not list(output.parent.iterdir())


def test_an_error_keeps_what_is_done_and_says_how_to_continue(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(KeyboardInterrupt), WorkFolder(output, resumable=True) as folder:
        fill(folder)
        raise KeyboardInterrupt
    assert f"what is done stays in {folder.path}; run the same command" in caplog.text
    assert (folder.path / "codes.raw").exists()
    # and again, by a run that did not come to it
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True):
        raise ZeroDivisionError
    assert (folder.path / "codes.raw").exists()


@pytest.mark.parametrize("records", [b"", None])
def test_an_error_before_anything_is_done_leaves_nothing(
    output: Path, records: bytes | None
) -> None:
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True) as folder:
        if records is not None:
            fill(folder, records=records)
        raise ZeroDivisionError
    assert not list(output.parent.iterdir())


def test_what_is_wrong_does_not_stay(output: Path) -> None:
    with pytest.raises(ZeroDivisionError), WorkFolder(output, resumable=True) as folder:
        fill(folder)
        folder.discard()
        raise ZeroDivisionError
    assert not list(output.parent.iterdir())


def test_what_cannot_be_continued_is_in_the_temporary_folder_and_goes(tmp_path: Path) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        WorkFolder("-", resumable=False, tmpdir=tmp_path) as folder,
    ):
        fill(folder)
        assert folder.path.parent == tmp_path
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_clearing_removes_the_plan_last(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    remove = work_folder.remove

    def watched(path: Path) -> None:
        removed.append(path.name)
        remove(path)

    monkeypatch.setattr(work_folder, "remove", watched)
    with WorkFolder(output, resumable=True) as folder:
        fill(folder)
        folder.clear()
        assert [path.name for path in folder.path.iterdir()] == ["lock"]
        assert removed[-2:] == ["journal", "plan.json"]


def test_a_second_run_is_locked_out_and_harms_nothing(output: Path) -> None:
    with WorkFolder(output, resumable=True) as folder:
        fill(folder)
        with pytest.raises(LockedError), WorkFolder(output, resumable=True):
            pass
        assert (folder.path / "codes.raw").exists()


def test_a_disk_that_is_too_small_is_refused(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_folder, "_free_bytes", lambda folder: 2_500_000_000)
    with WorkFolder(output, resumable=True) as folder:
        folder.check_space(2_500_000_000)
        with pytest.raises(CannotWriteError, match=r"needs 2\.6 GB in .* 2\.5 GB are free"):
            folder.check_space(2_600_000_000)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError), WorkFolder(tmp_path / "no" / "a.tif", resumable=True):
        pass


@pytest.mark.parametrize("kind", ["file", "dangling link", "link elsewhere", "lock"])
def test_what_cannot_be_a_work_folder_is_refused_and_left_alone(output: Path, kind: str) -> None:
    path, elsewhere = work_folder_path(output), output.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    said = {"file": "is not a folder", "lock": "is not a file"}.get(kind, "is a link")
    if kind == "file":
        path.write_bytes(b"precious")
    elif kind == "lock":
        path.mkdir()
        (path / "lock").symlink_to(elsewhere / "lock")
    else:
        path.symlink_to(elsewhere if kind == "link elsewhere" else output.parent / "missing")
    before = sorted(output.parent.rglob("*"))
    with pytest.raises(CannotWriteError, match=rf"map\.tif: .*{said}; remove it"):
        WorkFolder(output, resumable=True).__enter__()
    assert sorted(output.parent.rglob("*")) == before
    assert kind != "file" or path.read_bytes() == b"precious"


def test_links_in_it_are_removed_and_not_followed(output: Path) -> None:
    elsewhere = output.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_bytes(b"precious")
    with WorkFolder(output, resumable=True) as folder:
        (folder.path / "codes.raw").symlink_to(elsewhere / "precious")
        (folder.path / "folder").symlink_to(elsewhere)
        folder.clear()
        assert folder.is_empty()
    assert (elsewhere / "precious").read_bytes() == b"precious"


def test_a_work_folder_that_may_not_be_written_is_refused(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work_folder_path(output).mkdir()
    monkeypatch.setattr(work_folder, "permitted", lambda *_: False)
    with pytest.raises(CannotWriteError, match="may not be written; change its permissions"):
        WorkFolder(output, resumable=True).__enter__()
