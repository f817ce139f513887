"""The bar as terminals show it: one line at any width, and none where there is no terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from rich.cells import cell_len
from rich.console import Console

from lcmap.cli.progress_display import progress_bar

CONTROL = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
NOTES = ("predicting", "epoch 12, mIoU 0.512 (best 0.534)", "writing winning-probability", "")
STEPS = """
import time
from lcmap.cli.console import Manner, reporting
with reporting(Manner()) as reporter, reporter.progress("predict") as progress:
    for done in range(1, 5):
        time.sleep(0.02)
        progress(done, 4, "predicting", amount=done * 1_000_000)
"""


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("note", NOTES)
def test_the_bar_is_one_line_with_its_rate_and_time_left(clock, width: int, note: str) -> None:
    console = Console(force_terminal=True, width=width, record=True, color_system=None)
    with progress_bar(console, "predict") as progress:
        clock[0] = 200.0
        progress(1, 3, note, amount=246_000_000)
    # the frames are drawn over one another
    frames = console.export_text(styles=True).split("\x1b[2K")
    last = [told for frame in frames if (told := CONTROL.sub("", frame).strip("\r\n"))][-1]
    assert cell_len(last) <= width
    assert "33 %" in last
    if width >= 60:
        assert "1.2 Mpx/s, 6 min 40 s left" in last
        assert (note or "predict")[:10] in last
        assert "━━" in last
    if width >= 80 and note == "predicting":
        assert "predict: predicting" in last


def on_a_terminal(**env: str) -> str:
    """Return what a run writes to a terminal."""
    ours, theirs = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-c", STEPS], stdin=theirs, stdout=theirs, stderr=theirs,
        env=os.environ | {"COLUMNS": "60", "TERM": "xterm-256color"} | env,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while run.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # Linux says so at the end
                break
    os.close(ours)
    assert run.wait(timeout=60) == 0
    return shown.decode()


@pytest.mark.parametrize("term", ["xterm-256color", "tmux-256color", "screen", "linux", "vt100"])
def test_a_terminal_shows_a_bar(term: str) -> None:
    assert "predicting" in on_a_terminal(TERM=term)


def test_a_dumb_terminal_gets_no_control_codes() -> None:
    assert "\x1b" not in on_a_terminal(TERM="dumb")


def test_no_color_leaves_out_colours() -> None:
    shown = on_a_terminal(NO_COLOR="1")
    assert "predicting" in shown
    coloured = re.findall(r"\x1b\[([0-9;]*)m", shown)
    assert not [c for c in coloured if re.search(r"\b(3[0-7]|9[0-7]|[34]8;)", c)]


def test_forced_colours_make_no_terminal_of_a_file() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS],
        capture_output=True, text=True, env=os.environ | {"FORCE_COLOR": "1"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")
