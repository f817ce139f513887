"""Temporary folders go with their run, or with the next one; those of others stay."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcmap.raster.temporary_folder import temporary_folder


def in_a_process(action: Callable[[], object]) -> int:
    """Return the exit status of an action in a process of its own."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        action()
    finally:
        os._exit(0)


def make_and_die(place: Path, module: Any, step: str) -> None:
    real = getattr(module, step)

    def die(*given: Any, **named: Any) -> Any:
        if step != "mkdir":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, step, die)
    with temporary_folder(place) as folder:
        (folder / "large.tif").touch()
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("module", "step"), [(os, "mkdir"), (fcntl, "flock"), (os, "fsync")])
def test_what_a_killed_run_left_goes_with_the_next(tmp_path: Path, module: Any, step: str) -> None:
    status = in_a_process(lambda: make_and_die(tmp_path, module, step))
    assert status == -signal.SIGKILL and len(os.listdir(tmp_path)) == 1
    with temporary_folder(tmp_path) as folder:
        assert os.listdir(tmp_path) == [folder.name] and not os.listdir(folder)
    assert not os.listdir(tmp_path)


def test_what_a_run_works_in_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "lcmap-tmp-abcdefgh").symlink_to("elsewhere")
    (tmp_path / "lcmap-abcdefgh").mkdir()
    with temporary_folder(tmp_path) as folder:
        (folder / "a").touch()

        def other() -> None:
            with temporary_folder(tmp_path) as own, temporary_folder(tmp_path):
                (own / "b").touch()

        assert in_a_process(other) == 0
        with temporary_folder(tmp_path):
            pass
        assert os.listdir(folder) == ["a"]
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "lcmap-abcdefgh", "lcmap-tmp-abcdefgh"]


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    with temporary_folder(tmp_path) as first, temporary_folder(tmp_path):
        assert first.exists()
    assert not os.listdir(tmp_path)
