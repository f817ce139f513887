"""The frame of the command line: help, speed of start, errors and exit codes."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from support import Run

from lcmap.cli import COMMANDS, console
from lcmap.errors import (
    CannotWriteError,
    DataError,
    InputMissingError,
    LcmapError,
    LockedError,
    UsageError,
)

HEAVY = ("torch", "onnxruntime", "onnx", "rasterio", "numpy", "xarray", "pyogrio", "shapely")


def run_command(capfd: pytest.CaptureFixture[str], action, **options: bool) -> Run:
    code = 0
    try:
        with console.reporting(console.Manner(**options)) as reporter:
            action(reporter)
    except typer.Exit as exit_:
        code = exit_.exit_code
    captured = capfd.readouterr()
    return Run(code, captured.out, captured.err)


def raising(error: BaseException):
    def action(reporter: console.Reporter) -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError, 2),
        (DataError, 65),
        (InputMissingError, 66),
        (CannotWriteError, 73),
        (LockedError, 75),
    ],
)
def test_an_error_is_one_line_and_its_code(capfd, error: type[LcmapError], code: int) -> None:
    done = run_command(capfd, raising(error("a [1].tif", "is\nbroken", "mend it")))
    assert done.exit_code == code
    assert done.stderr == "lcmap: a [1].tif: is broken; mend it\n"
    assert done.stdout == ""


def test_parameters_of_the_library_are_shown_as_options(capfd) -> None:
    error = UsageError("`engine=openvino`", "computes on CPU only", "leave out `allow_vrt`")
    done = run_command(capfd, raising(error))
    assert done.stderr == (
        "lcmap: --engine openvino: computes on CPU only; leave out --allow-vrt\n"
    )
    error = UsageError("`initial_model`", "is `odd name`", "")
    assert run_command(capfd, raising(error)).stderr == "lcmap: --init-from: is `odd name`\n"


def test_a_full_disk_anywhere_is_cannot_write(capfd) -> None:
    done = run_command(capfd, raising(OSError(errno.ENOSPC, "No space left", "x.tif")))
    assert (done.exit_code, done.stderr) == (
        73,
        "lcmap: x.tif: no space left; free some, or choose another place\n",
    )


def test_a_bug_is_one_line_and_a_traceback_with_verbose(capfd) -> None:
    done = run_command(capfd, raising(RuntimeError("odd")))
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1 and "RuntimeError: odd" in done.stderr
    assert "Traceback" in run_command(capfd, raising(RuntimeError("odd")), verbose=True).stderr


def test_interruption_is_130(capfd) -> None:
    assert run_command(capfd, raising(KeyboardInterrupt())).exit_code == 130


def test_quiet_verbose_and_plain_log_lines(capfd) -> None:
    def action(reporter: console.Reporter) -> None:
        logger = logging.getLogger("lcmap.some.module")
        logger.debug("detail")
        logger.info("news")
        logger.warning("look out")
        reporter.result("42")

    assert run_command(capfd, action).stderr == "news\nwarning: look out\n"
    assert run_command(capfd, action, verbose=True).stderr.startswith("detail\n")
    quiet = run_command(capfd, action, quiet=True)
    assert (quiet.stdout, quiet.stderr) == ("42\n", "")


def test_progress_off_a_terminal_is_a_line_now_and_then(capfd, monkeypatch) -> None:
    clock = iter(range(0, 10_000, 20))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    def action(reporter: console.Reporter) -> None:
        with reporter.progress("predicting") as progress:
            for done in range(1, 6):
                progress(done, 5, "fast", amount=done * 1_000_000)

    lines = run_command(capfd, action).stderr.splitlines()
    assert lines == [
        "predicting: 40 %, 50 kpx/s, 1 min 0 s left, fast",
        "predicting: 80 %, 50 kpx/s, 20 s left, fast",
    ]
    assert run_command(capfd, action, quiet=True).stderr == ""


@pytest.mark.parametrize("command", [(), *[(name,) for name in COMMANDS]])
def test_help_starts_without_a_heavy_import(command: tuple[str, ...]) -> None:
    script = (
        "import sys; from lcmap.cli import app\n"
        f"try: app([*{command!r}, '--help'])\n"
        f"except SystemExit as e: print([m for m in {HEAVY!r} if m in sys.modules], e.code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[] 0", done.stderr


@pytest.mark.parametrize(
    ("module", "needless"),
    [
        ("products.areas", ("scipy", "pyogrio", "pandas")),
        ("products.generalise", ("scipy.ndimage", "scipy.special", "pyogrio", "pandas")),
        ("accuracy.score", ("scipy.stats",)),
        ("inference.predict", ("pyproj",)),
    ],
)
def test_a_command_of_seconds_imports_late_what_it_may_not_need(
    module: str, needless: tuple[str, ...]
) -> None:
    script = f"import sys, lcmap.{module}\nprint([m for m in {needless!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_interpreter_ends_without_looking_at_all_that_was_imported() -> None:
    script = (
        "import atexit, gc, sys\n"
        "from lcmap.cli import main\n"
        "tracked = len(gc.get_objects())\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > tracked // 2))\n"
        "sys.argv = ['lcmap', '--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "True", done.stderr


def test_version_and_no_arguments(lcmap) -> None:
    assert lcmap("--version").stdout.startswith("lcmap 0.")
    assert lcmap().exit_code == 2
    assert lcmap("paint").exit_code == 2


def test_closed_standard_output_is_73(tmp_path: Path) -> None:
    script = (
        "from lcmap.cli import console\n"
        "import typer, sys\n"
        "try:\n"
        "  with console.reporting(console.Manner()) as s: s.result('x' * 10_000_000)\n"
        "except typer.Exit as e: sys.exit(e.exit_code)"
    )
    command = f'{sys.executable} -c "{script}" | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout == "73\n"
    assert done.stderr == "lcmap: standard output: closed by its reader\n"


def test_a_quiet_run_leaves_the_log_as_it_was(capfd) -> None:
    logger = logging.getLogger("lcmap")
    level = logger.level
    with console.reporting(console.Manner(quiet=True)):
        assert logger.level == logging.ERROR
    assert logger.level == level
