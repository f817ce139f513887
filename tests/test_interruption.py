"""Signals end a command with their code and one line, whenever they come."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

WORK = """
import os, signal, sys, threading, time
import typer
from lcmap.cli import console
from lcmap.interruption import handle_signals, ignore_signals, uninterrupted
handle_signals()
number = int(sys.argv[1])
def again():
    os.kill(os.getpid(), number)
try:
    with console.reporting(console.Manner()) as reporter:
        BODY
except typer.Exit as error:
    sys.exit(error.exit_code)
finally:
    ignore_signals()
"""


def started(*command: str, ignored: int | None = None) -> subprocess.Popen[str]:
    def prepare() -> None:
        # a shell lets its background jobs, as this test may be, ignore some
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN if number == ignored else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, *command], preexec_fn=prepare, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def worked(number: int, body: str, ignored: int | None = None) -> tuple[int, str, str]:
    lines = "\n        ".join(body.strip().splitlines())
    process = started("-c", WORK.replace("BODY", lines), str(int(number)), ignored=ignored)
    stdout, stderr = process.communicate(timeout=60)
    return process.returncode, stdout, stderr


@pytest.mark.parametrize("number", [signal.SIGTERM])
@pytest.mark.parametrize("module", ["lcmap.interruption", "typer", "lcmap.cli.train"])
def test_a_signal_amid_the_imports(tmp_path: Path, number: int, module: str) -> None:
    """It comes when a module is looked for: sys.meta_path is asked first."""
    hook = f"""
import os, runpy, sys
class Sends:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {module!r} and "lcmap.interruption" in sys.modules:
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Sends)
sys.argv = ["lcmap", "--version"]
runpy.run_module("lcmap", run_name="__main__", alter_sys=True)
"""
    process = started("-c", hook)
    stdout, stderr = process.communicate(timeout=60)
    if module == "lcmap.interruption":  # it is imported before it can handle anything
        assert process.returncode == 0
    else:
        assert (process.returncode, stdout, stderr) == (130, "", "lcmap: interrupted\n")


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_has_its_code(number: int) -> None:
    body = "again()\ntime.sleep(20)"
    assert worked(number, body) == (130, "", "lcmap: interrupted\n")


@pytest.mark.parametrize(
    "body",
    {
        "twice": "try:\n    again(); time.sleep(20)\nfinally:\n    again(); time.sleep(0.1)",
        "while threads work": "threading.Thread(target=time.sleep, args=(1,)).start()\n"
        "again(); time.sleep(20)",
        "from a thread": "threading.Thread(target=again).start()\ntime.sleep(20)",
        "swallowed": "try:\n    again(); time.sleep(20)\nexcept BaseException:\n    pass\n"
        "time.sleep(2)",
        "ignored by a destructor": "class D:\n    def __del__(self): again(); time.sleep(0.1)\n"
        "D(); time.sleep(2)",
        "made an error of what is thrown away": "def halves():\n    try:\n        yield\n"
        "    finally:\n        raise ValueError('nothing to leave')\n"
        "first = halves(); next(first); again(); time.sleep(2)",
        "made an error of what is thrown away amid the work": "def halves():\n    try:\n"
        "        yield\n    finally:\n        raise ValueError('nothing to leave')\n"
        "first = halves(); next(first)\ntry:\n    again(); time.sleep(2)\nfinally:\n    del first",
        "made another error": "try:\n    again(); time.sleep(20)\nexcept KeyboardInterrupt:\n"
        "    raise ImportError('numpy._core failed')",
        "while names are given": "with uninterrupted():\n    again(); time.sleep(0.1)\n"
        "    print('done', file=sys.stderr, flush=True)\nprint('never')",
    }.items(),
    ids=lambda item: item[0],
)
def test_a_signal_amid_the_work(body: tuple[str, str]) -> None:
    name, lines = body
    began = "done\n" if name == "while names are given" else ""
    assert worked(signal.SIGTERM, lines) == (130, "", f"{began}lcmap: interrupted\n")


def test_without_a_signal_an_error_of_what_is_thrown_away_is_said() -> None:
    body = "class D:\n    def __del__(self): raise ValueError('nothing to leave')\nD()\n"
    code, _, stderr = worked(signal.SIGTERM, body)
    assert code == 0 and "ValueError: nothing to leave" in stderr


def test_the_first_of_two_signals_counts() -> None:
    body = "try:\n    again(); time.sleep(20)\nfinally:\n    os.kill(os.getpid(), signal.SIGHUP)"
    assert worked(signal.SIGTERM, body) == (130, "", "lcmap: interrupted\n")


@pytest.mark.parametrize("moment", ["before its handlers", "after its handlers", "amid it"])
def test_work_left_without_its_end_does_not_end_other_work(moment: str) -> None:
    """As a signal between a context manager and its body leaves it, until memory is collected."""
    program = f"""
import gc, signal
from lcmap import interruption
left = [interruption.working()]
left[0].__enter__()
left.append(left)
del left
gc.disable()

def collect(moment):
    if moment == {moment!r}:
        gc.collect()

def handle_signals(handle=interruption.handle_signals):
    collect("before its handlers")
    previous = handle()
    collect("after its handlers")
    return previous

interruption.handle_signals = handle_signals
try:
    with interruption.working():
        collect("amid it")
        signal.raise_signal(signal.SIGTERM)
except KeyboardInterrupt:
    print("interrupted")
"""
    process = started("-c", program)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (0, "interrupted\n", "")


def test_work_where_an_interruption_is_handled_is_interrupted_too() -> None:
    program = """
import signal
from lcmap.interruption import working
for _ in range(2):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        try:
            with working():
                signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            print("interrupted")
"""
    process = started("-c", program)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (0, "interrupted\n" * 2, "")


def test_a_signal_that_waits_for_another_thread_when_the_work_ends_changes_nothing() -> None:
    program = """
import signal, threading
from lcmap.interruption import uninterrupted, working
begun, ended = threading.Event(), threading.Event()

def write():
    with uninterrupted():
        begun.set()
        ended.wait()

thread = threading.Thread(target=write)
with working():
    thread.start()
    begun.wait()
    signal.raise_signal(signal.SIGTERM)
ended.set()
thread.join()
print("done")
"""
    process = started("-c", program)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (0, "done\n", "")


def test_a_signal_that_the_caller_ignores_is_ignored() -> None:
    number = signal.SIGHUP
    found = worked(number, "again()\ntime.sleep(0.1)\nreporter.result('42')", ignored=number)
    assert found == (0, "42\n", "")


def test_a_signal_when_the_result_is_said_changes_nothing() -> None:
    at_exit = "import atexit\natexit.register(again)\nreporter.result('42')"
    assert worked(signal.SIGTERM, at_exit) == (0, "42\n", "")


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_any_time_after_python_has_started(tmp_path: Path, number: int) -> None:
    """Sent over and over from the first handler on, through arguments, work and shutdown.

    The last handler that lcmap sets tells when it begins: Python has one of its own for SIGINT.
    """
    codes = []
    for delay in range(0, 1500, 50):
        process = started("-m", "lcmap", "rasterize-ref", "--help")
        handled = Path(f"/proc/{process.pid}/status")
        while not _handles(handled, SIGNALS[-1]) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delay / 1000)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode in (0, 130) and "Traceback" not in stderr
        codes.append(process.returncode)
    assert len(set(codes)) == 2


def _handles(status: Path, number: int) -> bool:
    try:
        lines = dict(line.split(":\t") for line in status.read_text().splitlines() if ":\t" in line)
        return bool(int(lines["SigCgt"], 16) >> (number - 1) & 1)
    except (OSError, KeyError, ValueError):
        return False
