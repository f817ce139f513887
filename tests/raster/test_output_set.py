"""The outputs of a command appear together, locked, whatever kills the run that makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lcmap.errors import CannotWriteError, LockedError
from lcmap.raster.output_lock import lock_path
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path

NAMES = ("a.txt", "b.txt", "c.txt")
SIGNALLED_OUTPUTS = Path(__file__).parent.parent / "signalled_outputs.py"

WRITE = """
import os, signal, sys
from lcmap.errors import LcmapError
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path
folder, kill_at, overwrite, text = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "True", sys.argv[4]
steps = 0
def counted(step):
    def count(*given, **named):
        global steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*given, **named)
    return count
for name in ("replace", "unlink", "fsync", "rmdir", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
paths = [os.path.join(folder, name) for name in sys.argv[5:]]
try:
    with OutputSet(paths, overwrite=overwrite) as files:
        for path in paths:
            with atomic_path(path, overwrite=overwrite, within=files) as temporary:
                temporary.write_text(text)
except LcmapError as error:
    print(error)
    os._exit(error.exit_code)
os._exit(0)
"""


def write(folder: Path, kill_at: int, overwrite: bool, text: str, *names: str) -> int:
    """Return the exit status of a run in a process forked from one that has imported all."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        sys.argv = ["write", str(folder), str(kill_at), str(overwrite), text, *names]
        exec(WRITE, {"__name__": "write"})
    finally:
        os._exit(99)


def texts(folder: Path) -> list[str]:
    return [(folder / name).read_text() if (folder / name).exists() else "" for name in NAMES]


@pytest.mark.parametrize(
    ("next_output", "overwrite"),
    [
        (NAMES[1], True),
        (NAMES[1], False),
        *(
            pytest.param(name, overwrite, marks=pytest.mark.slow)
            for name in NAMES[::2]
            for overwrite in (True, False)
        ),
    ],
)
def test_a_kill_at_any_step_leaves_no_mixed_set_and_the_next_run_the_whole(
    tmp_path: Path, overwrite: bool, next_output: str
) -> None:
    kills = 0
    mixed = 0
    while True:
        folder = tmp_path / str(kills)
        folder.mkdir()
        if overwrite:
            for name in NAMES:
                (folder / name).write_text("old")
        status = write(folder, kills + 1, overwrite, "new", *NAMES)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        mixed += len(set(texts(folder))) > 1
        assert not {"old", "new"} <= set(texts(folder)), kills
        kills += 1
        # the next run of one of them settles the set, though it fails itself
        with (
            pytest.raises(ZeroDivisionError),
            OutputSet([folder / next_output], overwrite=overwrite),
        ):
            raise ZeroDivisionError
        assert len(set(texts(folder))) == 1, kills
        assert write(folder, 0, overwrite or bool(texts(folder)[0]), "more", *NAMES) == 0
        assert texts(folder) == ["more"] * 3
        assert sorted(os.listdir(folder)) == sorted(NAMES), kills
    assert mixed >= 2 and kills > 10


def test_what_a_killed_run_left_whole_may_be_made_again(tmp_path: Path) -> None:
    kills = 0
    while write(tmp_path, kills + 1, False, "new", *NAMES) == -signal.SIGKILL:
        whole = texts(tmp_path) == ["new"] * 3 and not list(tmp_path.glob(".*.lcmap-set"))
        assert write(tmp_path, 0, False, "new", *NAMES) == (73 if whole else 0), kills
        assert sorted(os.listdir(tmp_path)) == sorted(NAMES) or whole
        for path in tmp_path.iterdir():
            if path.is_file():
                path.unlink()
        kills += 1
    assert kills > 10


def test_a_second_run_is_locked_out(tmp_path: Path) -> None:
    with OutputSet([tmp_path / "a.txt", tmp_path / "b.txt"], overwrite=True) as files:
        files.temporary(tmp_path / "a.txt").write_text("first")
        assert write(tmp_path, 0, True, "second", "b.txt") == 75
        assert write(tmp_path, 0, True, "second", "c.txt", "b.txt") == 75
        with (
            pytest.raises(LockedError, match="another run is making it"),
            OutputSet([tmp_path / "a.txt"], overwrite=True),
        ):
            pass
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "first"
    assert write(tmp_path, 0, True, "second", "a.txt") == 0


def test_a_link_and_its_target_are_one_output(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a.txt")
    with OutputSet([tmp_path / "link"], overwrite=True):
        assert write(tmp_path, 0, True, "second", "a.txt") == 75


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    with pytest.raises(ZeroDivisionError), OutputSet(paths, overwrite=True) as files:
        for path in paths:
            files.temporary(path).write_text("new")
            assert files.written(path).read_text() == "new"
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("at", range(1, 8))
def test_what_stops_the_renaming_leaves_a_set_that_the_next_run_settles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], at: int
) -> None:
    replace, replaced = os.replace, 0

    def stopping(*given: Any) -> None:
        nonlocal replaced
        replaced += 1
        if replaced == at:
            raise error
        replace(*given)

    for name in NAMES:
        (tmp_path / name).write_text("old")
    paths = [tmp_path / name for name in NAMES]
    monkeypatch.setattr(os, "replace", stopping)
    with (
        pytest.raises((KeyboardInterrupt, CannotWriteError)),
        OutputSet(paths, overwrite=True) as files,
    ):
        for path in paths:
            files.temporary(path).write_text("new")
    monkeypatch.undo()
    # a manifest, old ones go aside, new ones come: where none came, all is as it was
    left = at > 1 if error is KeyboardInterrupt else at > 5
    assert bool(list(tmp_path.glob(".*"))) == left
    assert left or texts(tmp_path) == ["old"] * 3
    with pytest.raises(ZeroDivisionError), OutputSet(paths[2:], overwrite=True):
        raise ZeroDivisionError
    assert len(set(texts(tmp_path))) == 1
    with OutputSet(paths, overwrite=True):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted(NAMES)


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from lcmap.interruption import working
from lcmap.raster.output_set import OutputSet

def signalled(*given, replace=os.replace):
    signal.raise_signal(signal.SIGTERM)
    replace(*given)

os.replace = signalled
paths = [Path(path) for path in sys.argv[1:]]
try:
    with working(), OutputSet(paths, overwrite=True) as files:
        for path in paths:
            files.temporary(path).write_text("new")
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_waits_until_all_have_their_names(tmp_path: Path) -> None:
    """In a process of its own, which a signal may end."""
    run = subprocess.run(
        [sys.executable, "-c", SIGNALLED, *(tmp_path / name for name in NAMES)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "interrupted\n", "")
    assert texts(tmp_path) == ["new"] * 3 and sorted(os.listdir(tmp_path)) == sorted(NAMES)


def test_the_sidecars_of_the_old_raster_go_in_one_step_with_it(tmp_path: Path) -> None:
    """Killed when the old sidecar is gone and the old raster is not: the new one comes then."""
    raster, sidecar = tmp_path / "a.tif", tmp_path / "a.tif.ovr"
    kills = 0
    while True:
        raster.write_bytes(b"II*\0old")
        sidecar.touch()
        if write(tmp_path, kills + 1, True, "II*\0new", "a.tif") == 0:
            break
        kills += 1
        with pytest.raises(ZeroDivisionError), OutputSet([raster], overwrite=True):
            raise ZeroDivisionError
        assert (raster.read_bytes() == b"II*\0old") == sidecar.exists(), kills
    assert kills > 5 and os.listdir(tmp_path) == ["a.tif"]


def test_a_manifest_from_elsewhere_moves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / ".a.txt.lcmap-abcdefgh"
    folder.mkdir()
    (tmp_path / "precious").write_text("mine")
    (folder / "belongs-to").write_text("../.a.txt.lcmap-set")
    (tmp_path / ".a.txt.lcmap-set").write_text('[["precious", "a.txt"]]')
    with atomic_path(tmp_path / "a.txt", overwrite=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.txt").read_text() == "new" and not folder.exists()


def test_the_lock_of_a_killed_run_holds_nothing(tmp_path: Path) -> None:
    lock_path(tmp_path / "a.txt").touch()
    run = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path), "0", "False", "new", "a.txt"], check=False
    )
    assert run.returncode == 0 and os.listdir(tmp_path) == ["a.txt"]


def test_a_signal_anywhere_leaves_nothing_but_whole_outputs(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, SIGNALLED_OUTPUTS, tmp_path], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    old, new = map(int, run.stdout.split())
    assert old > 100 and new > 100
