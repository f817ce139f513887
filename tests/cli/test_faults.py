"""What goes wrong around a command: disks, folders, clocks, links, inputs that are cut short.

It ends with an exit code and one line, nothing half done stands under a name, what was there before
stays, and the next run makes all outputs as if nothing had been.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from changing_inputs import CASES, found, names, run_while
from every_command import BDTOPO, FORMS, INPUTS, but_for_times, change
from support import Run, limited_files, run_lcmap

QUICK = ("prepare tiles", "late", "score")
QUICKLY_CUT = ("predict", "prepare", "score", "rasterize-ref-gpkg", "update")
FREE_KIB = (0, 4, 16, 40)
PLACE = re.compile("out/|lcmap-tmp-[a-z0-9_]{8}")
"""An output, or the run's folder of temporary files."""


class Command:
    """A command in the working folder, whose outputs are in a folder of their own."""

    def __init__(self, form: str, place: str = "out") -> None:
        prepare, line, outputs, _ = FORMS[form]
        prepare(Path.cwd())
        self.input = Path(INPUTS.get(form, "image.tif"))
        named = outputs.split(",")
        self.outputs = [Path(place, name) for name in named]
        self.words = [f"{place}/{word}" if word in named else word for word in line.split()]
        self.inputs = set(os.listdir())
        Path(place).mkdir(exist_ok=True)
        self.place = Path(place)
        self.largest = 0
        """The bytes of the largest output that is expected."""

    def run(self, *more: str) -> Run:
        return run_lcmap(*self.words, *more)

    def made(self) -> dict[str, bytes]:
        """Return the outputs that are there."""
        return {str(path): path.read_bytes() for path in self.outputs if path.exists()}

    def content(self) -> dict[str, bytes]:
        """Return what the outputs that are there hold, which a second run makes again."""
        return {str(path): but_for_times(path) for path in self.outputs if path.exists()}

    def expected(self) -> dict[str, bytes]:
        """Return the content that an undisturbed run makes, and remove it."""
        run = self.run()
        assert run.exit_code == 0, run.stderr
        made = self.content()
        assert len(made) == len(self.outputs)
        self.largest = max(path.stat().st_size for path in self.outputs)
        self.clear()
        return made

    def going_on(self) -> list[str]:
        """Return what to say to continue a run that left a checkpoint."""
        return ["--resume"] if any(self.place.glob("*.checkpoint.pt")) else []

    def clear(self) -> None:
        for path in self.place.iterdir():
            path.unlink()


def refused(run: Run, code: int, *said: str) -> None:
    """Check how a command ended: this code, and a last line that says these."""
    assert run.exit_code == code, run.stderr
    line = run.stderr.splitlines()[-1]
    assert line.startswith("lcmap: ") and "Traceback" not in run.stderr
    assert "a bug" not in line and all(text in line for text in said), line


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, which every user may read."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        monkeypatch.chdir(folder)
        yield Path(folder).resolve()
        monkeypatch.undo()


def forms(quick: Collection[str] = QUICK) -> pytest.MarkDecorator:
    marked = [pytest.param(form, marks=() if form in quick else pytest.mark.slow) for form in FORMS]
    return pytest.mark.parametrize("form", marked)


@contextmanager
def small_disk(place: Path, kib: int = 4096) -> Iterator[None]:
    """Have a file system of its own there, where root may mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(place)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("only root mounts a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, kib: int) -> Path:
    """Leave as much space as this on a disk."""
    statistics = os.statvfs(disk)
    free = statistics.f_bavail * statistics.f_frsize
    filler = disk / "filler"
    filler.write_bytes(bytes(free - kib * 1024))
    return filler


@forms()
def test_a_full_disk(here: Path, form: str) -> None:
    with small_disk(here / "disk"):
        command = Command(form, "disk")
        command.inputs.discard("disk")
        first = command.run()
        assert first.exit_code == 0, first.stderr
        old, beside = command.made(), sorted(os.listdir("disk"))
        change(command.input)
        full = 0
        for kib in FREE_KIB:
            filler = fill(command.place, kib)
            run = command.run()
            filler.unlink()
            if run.exit_code == 0:
                break
            full += 1
            refused(run, 73, "; free some, or choose another place")
            assert command.made() == old and unfinished(command) <= {".lcmap-work"}
        assert full, "nothing was too small"
        run = command.run()
        assert run.exit_code == 0, run.stderr
        assert sorted(os.listdir("disk")) == beside
        new = command.content()
        command.clear()
        assert command.expected() == new


def unfinished(command: Command) -> set[str]:
    """Return the endings of what is left of a run that did not end well."""
    left = (path for path in command.place.iterdir() if path.suffix != ".lcmap-made")
    return {path.suffix for path in left if path.name.startswith(".")}


@forms()
def test_files_may_not_grow(here: Path, form: str) -> None:
    command = Command(form)
    expected = command.expected()
    for kib in {0, command.largest // 2048}:
        with limited_files(kib):
            run = command.run()
        refused(run, 73, "; ")
        assert PLACE.search(run.stderr.splitlines()[-1])
        assert not command.made() and unfinished(command) <= {".lcmap-work"}
    assert command.run().exit_code == 0 and command.content() == expected
    assert not unfinished(command)


@contextmanager
def users(real: int, effective: int) -> Iterator[None]:
    """Be a process of root's that a real user started, with the rights of an effective one."""
    os.setresuid(real, effective, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def as_another_user(path: Path) -> Iterator[None]:
    """Be a user who may not write into a folder, or do anything with a file of mode 0.

    Root becomes another.
    """
    if os.geteuid():
        mode = path.stat().st_mode
        path.chmod(mode & 0o555)
        yield
        path.chmod(mode)
    else:
        with users(65534, 65534):
            yield


def started_by_another_user() -> AbstractContextManager[None]:
    """Be a process with the rights of root that was started by a user who has none, if root."""
    return nullcontext() if os.geteuid() else users(65534, 0)


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Forbid root too to write into a folder, where the file system can."""
    if os.geteuid() or not shutil.which("chattr"):
        pytest.skip("only root makes folders immutable")
    if subprocess.run(["chattr", "+i", folder]).returncode:
        pytest.skip("this file system makes no folder immutable")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


@forms()
def test_an_input_that_may_not_be_read(here: Path, form: str) -> None:
    command = Command(form)
    # that other user may not write into the working folder either
    command.words = [word for word in command.words if word not in ("--tmpdir", ".")]
    expected = command.expected()
    command.input.chmod(0)
    command.place.chmod(0o777)
    with as_another_user(command.input):
        run = command.run()
    refused(run, 66, f"{command.input}: may not be read; check its permissions")
    assert not os.listdir("out")
    command.input.chmod(0o600)
    with started_by_another_user():
        assert command.run().exit_code == 0
    assert command.content() == expected


@pytest.mark.parametrize(
    ("form", "named"), [("campaign", "scenes"), ("rasterize-ref", str(BDTOPO))]
)
def test_a_folder_of_inputs_that_may_not_be_listed(here: Path, form: str, named: str) -> None:
    command = Command(form)
    folder = Path("closed")
    shutil.copytree(named, folder)
    command.words = ["closed" if word == named else word for word in command.words]
    expected = command.expected()
    folder.chmod(0)
    command.place.chmod(0o777)
    with as_another_user(folder):
        run = command.run()
    refused(run, 66, "closed: may not be read; check its permissions")
    folder.chmod(0o755)
    assert command.run().exit_code == 0 and command.content() == expected


@pytest.mark.parametrize("form", ["rasterize-ref", "update"])
def test_a_folder_for_temporary_files_that_may_not_be_written(here: Path, form: str) -> None:
    command = Command(form)
    command.words[command.words.index("--tmpdir") + 1] = "closed"
    Path("closed").mkdir()
    expected = command.expected()
    command.place.chmod(0o777)
    with as_another_user(Path("closed")):
        run = command.run()
    refused(run, 73, "closed: permission denied; choose another place")
    assert not os.listdir("out")
    assert command.run().exit_code == 0 and command.content() == expected


@forms()
@pytest.mark.parametrize("forbid", [as_another_user, immutable])
def test_a_folder_that_may_not_be_written(
    here: Path, form: str, forbid: Callable[[Path], object]
) -> None:
    command = Command(form)
    # that other user may not write into the working folder either
    command.words = [word for word in command.words if word not in ("--tmpdir", ".")]
    expected = command.expected()
    with forbid(command.place):  # type: ignore[attr-defined]
        run = command.run()
    refused(run, 73, "out", "; choose another")
    assert not os.listdir("out")
    assert command.run().exit_code == 0 and command.content() == expected
    # where all is up to date nothing needs to be written
    with forbid(command.place):  # type: ignore[attr-defined]
        assert "up to date" in command.run().stderr
        change(command.input) if os.access(command.input, os.W_OK) else None
        run = command.run("--overwrite")
    refused(run, 73, "out", "; choose another")
    assert command.content() == expected


@forms()
def test_an_old_output_that_may_not_be_replaced_keeps_the_set_together(
    here: Path, form: str
) -> None:
    command = Command(form)
    assert command.run().exit_code == 0
    old = command.made()
    change(command.input)
    for path in command.outputs:
        if path.suffix in (".qml", ".xml"):  # the same again
            continue
        with immutable(path):
            run = command.run(*command.going_on())
        refused(run, 73, "; choose another")
        assert command.made() == old, path
    assert command.run(*command.going_on()).exit_code == 0 and not unfinished(command)


@forms()
def test_the_clock_goes_back(here: Path, form: str) -> None:
    command = Command(form)
    ahead = time.time() + 10 * 365 * 86400
    os.utime(command.input, (ahead, ahead))
    assert command.run().exit_code == 0
    made = command.made()
    # outputs and their record are of a time that is still to come
    for path in [*command.outputs, *command.place.glob(".*.lcmap-made")]:
        os.utime(path, (ahead, ahead))
    assert "up to date" in command.run().stderr
    # the input changes, and is older than the outputs by the clock
    change(command.input)
    os.utime(command.input, (1, 1))
    run = command.run()
    assert run.exit_code == 0 and f"since {command.input} changed\n" in run.stderr
    assert command.made().keys() == made.keys()
    assert "up to date" in command.run().stderr


@forms()
def test_an_output_that_is_an_input(here: Path, form: str) -> None:
    command = Command(form)
    content = command.input.read_bytes()
    words = [str(command.input) if word == str(command.outputs[0]) else word
             for word in command.words]  # fmt: skip
    before = names(here)
    for more in ([], ["--overwrite"]):
        run = run_lcmap(*words, *more)
        assert run.exit_code in (2, 73), run.stderr
        refused(run, run.exit_code, str(command.input))
        assert command.input.read_bytes() == content and names(here) == before
    refused(run, 2)
    link = here / command.outputs[0]
    link.symlink_to(command.input.absolute())
    run = command.run("--overwrite")
    refused(run, 2, "; ")
    assert command.input.read_bytes() == content


@forms()
def test_two_outputs_of_one_name(here: Path, form: str) -> None:
    command = Command(form)
    named = [path for path in command.outputs if str(path) in command.words]
    if len(named) < 2:
        pytest.skip("has one output")
    words = [str(named[0]) if word == str(named[1]) else word for word in command.words]
    run = run_lcmap(*words)
    refused(run, 2, "; ")
    assert not os.listdir("out")
    named[1].symlink_to(named[0].absolute())
    refused(run_lcmap(*command.words, "--overwrite"), 2, "; ")
    assert not named[0].exists()


@forms()
def test_outputs_that_are_links(here: Path, form: str) -> None:
    command = Command(form)
    expected = command.expected()
    Path("far").mkdir()
    named = [path for path in command.outputs if str(path) in command.words]
    for path in named:
        path.symlink_to(here / "far" / path.name)
        (here / "far" / path.name).write_bytes(b"old")
    refused(command.run(), 73, "exists already")
    for _ in range(2):
        run = command.run("--overwrite")
        assert run.exit_code == 0, run.stderr
        assert all(path.is_symlink() for path in named)
        assert [path for path in named if path.read_bytes() == b"old"] == []
    command.clear()
    assert command.run().exit_code == 0 and command.content() == expected
    assert not [name for name in os.listdir("far") if name.endswith((".lcmap-set", "-lock"))]


@forms()
def test_outputs_and_temporary_files_on_different_disks(
    here: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(form)
    expected = command.expected()
    with small_disk(here / "disk"):
        monkeypatch.setattr(tempfile, "tempdir", str(here / "disk"))
        named = [path for path in command.outputs if str(path) in command.words]
        elsewhere = {str(path): f"disk/{path.name}" for path in named[1:]}
        words = [elsewhere.get(word, word) for word in command.words]
        for more in ([], ["--overwrite"]):
            run = run_lcmap(*words, *more)
            assert run.exit_code == 0, run.stderr
            for path in named:
                made = but_for_times(Path(elsewhere.get(str(path), path)))
                # a tile index says where its rasters are from itself
                assert made == expected[str(path)] or path.suffix == ".geojson"
            left = {*os.listdir("disk")} - {Path(name).name for name in expected}
            assert not left, left


@pytest.mark.parametrize(
    "case",
    ["predict", "prepare", "score", pytest.param("train", marks=pytest.mark.slow), "fuse-late"],
)
def test_the_folder_of_outputs_is_deleted_meanwhile(here: Path, case: str) -> None:
    make, line, pattern, after = CASES[case]
    make(here)
    Path("out").mkdir()
    line = line.replace(" -o ", " -o out/")
    run = run_while(lambda _: shutil.rmtree("out"), after, found(here, pattern), line, run_lcmap)
    refused(run, 73, "out/", "; ")
    assert not Path("out").exists()
    refused(run_lcmap(*line.split()), 73, "no such folder", "; create it first")
    Path("out").mkdir()
    assert run_lcmap(*line.split(), "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=() if case in QUICKLY_CUT else pytest.mark.slow) for case in CASES],
)
@pytest.mark.parametrize("share", [0.5, 0.0])
def test_an_input_is_cut_short_while_it_is_read(here: Path, case: str, share: float) -> None:
    make, line, pattern, after = CASES[case]
    make(here)
    file, before = found(here, pattern), names(here)
    whole = file.read_bytes()

    def cut(path: Path) -> None:
        os.truncate(path, int(len(whole) * share))

    run = run_while(cut, after, file, line, run_lcmap)
    refused(run, 65, f"{file.name}: changed while it was read; ")
    assert names(here) == before and not run.stdout
    file.write_bytes(whole)
    if case != "predict-pipe":
        run = run_lcmap(*line.split())
        assert run.exit_code == 0, run.stderr
