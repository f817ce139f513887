"""All outputs of a command appear together, whatever stops it, and one run at a time makes them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from every_command import FORMS

KILLED_SETS = Path(__file__).parent.parent / "killed_sets.py"


def run(
    folder: Path, form: str, what: str, every: int, other: tuple[str, str] | None = None
) -> str:
    """Run `killed_sets` with a form, or with an `other` command and outputs on its inputs."""
    prepare, command, outputs, _ = FORMS[form]
    command, outputs = other or (command, outputs)
    work = folder / "work"
    work.mkdir()
    prepare(work)
    done = subprocess.run(
        [sys.executable, KILLED_SETS, what, str(every), outputs, *command.split()],
        cwd=work, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


ANYWHERE = dict.fromkeys(FORMS, 101) | {"train": 20_011}
QUICK = ("prepare tiles", "score", "late")


@pytest.mark.parametrize("what", ["KILL", pytest.param("TERM", marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", QUICK)
def test_no_stop_leaves_a_mixed_set(tmp_path: Path, form: str, what: str) -> None:
    run(tmp_path, form, what, every=17)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "what"),
    [
        *((form, what) for form in FORMS for what in ("KILL", "TERM")),
        *((form, what) for form in QUICK for what in ("INT", "HUP")),
    ],
)
def test_no_stop_at_any_step_leaves_a_mixed_set(tmp_path: Path, form: str, what: str) -> None:
    outputs, every = FORMS[form][2:]
    parts = int(run(tmp_path, form, what, every))
    if what != "KILL":
        assert parts == 0
    elif every == 1 and "," in outputs:
        assert parts > 0  # what this tests has been there


@pytest.mark.slow
def test_no_signal_leaves_a_part_of_a_set_beside_a_stream(tmp_path: Path) -> None:
    command = "predict image.tif -m model.onnx -o - --confidence c.tif --probabilities p.tif"
    assert int(run(tmp_path, "predict", "TERM", 1, (command, "c.tif,p.tif"))) == 0


@pytest.mark.parametrize(
    ("form", "every"),
    [
        ("quantiles", 503),
        *(pytest.param(form, every, marks=pytest.mark.slow) for form, every in ANYWHERE.items()),
    ],
)
def test_a_signal_anywhere_leaves_all_or_nothing(tmp_path: Path, form: str, every: int) -> None:
    assert int(run(tmp_path, form, "anywhere", every)) == 0


@pytest.mark.parametrize(
    "form", [pytest.param(form, marks=() if form in QUICK else pytest.mark.slow) for form in FORMS]
)
def test_a_second_run_of_the_same_outputs_is_told_to_wait(tmp_path: Path, form: str) -> None:
    run(tmp_path, form, "twice", every=1)
