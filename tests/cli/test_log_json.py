"""--log-json: each line on standard error is one JSON object, of the members that are promised."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_command import FORMS
from support import run_lcmap, write_raster

from lcmap.cli import console, json_log
from lcmap.cli.json_log import JsonLog, JsonProgress

QUICK = ("prepare tiles", "late", "score")
ABOUT = {"time": str, "command": str, "pid": int, "event": str}
MEMBERS: dict[str, dict[str, Any]] = {
    "message": {"level": str, "message": str},
    "progress": {
        "step": str,
        "note": str,
        "done": int,
        "total": int,
        "rate": (float, type(None)),
        "unit": str,
        "left": (float, type(None)),
    },
    "end": {"exit_code": int, "seconds": float, "up_to_date": bool, "outputs": list},
    "error": {
        "exit_code": int,
        "class": str,
        "message": str,
        "subject": (str, type(None)),
        "problem": (str, type(None)),
        "remedy": (str, type(None)),
    },
}


def lines(stderr: str) -> list[dict[str, Any]]:
    """The lines, each held against what the format promises of it."""
    found = [json.loads(line) for line in stderr.splitlines()]
    for line in found:
        members = ABOUT | MEMBERS[line["event"]]
        assert set(line) - {"traceback"} == set(members), line
        for name, kind in members.items():
            assert isinstance(line[name], kind), (name, line)
        said = datetime.fromisoformat(line["time"])
        assert abs(datetime.now(UTC) - said) < timedelta(minutes=10)
    return found


@pytest.mark.parametrize(
    "form",
    [pytest.param(form, marks=[] if form in QUICK else pytest.mark.slow) for form in FORMS],
)
def test_a_run_is_lines_of_json(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare, words, outputs, _ = FORMS[form]
    prepare(tmp_path)
    run = run_lcmap(*words.split(), "--log-json")
    assert run.exit_code == 0, run.stderr
    said = lines(run.stderr)
    end = said[-1]
    assert [line for line in said if line["event"] in ("end", "error")] == [end]
    assert (end["event"], end["exit_code"], end["up_to_date"]) == ("end", 0, False)
    whole = [name for name in outputs.split(",") if not name.endswith((".qml", ".xml"))]
    assert sorted(end["outputs"]) == sorted(str(tmp_path / name) for name in whole)
    assert {line["command"] for line in said} == {words.split()[0]}
    steps: dict[tuple[str, str, int], list[int]] = {}
    for line in said:
        if line["event"] == "progress":
            assert 0 <= line["done"] <= line["total"]
            steps.setdefault((line["step"], line["note"], line["total"]), []).append(line["done"])
    assert steps and all(done == sorted(done) for done in steps.values())

    again = lines(run_lcmap(*words.split(), "--log-json").stderr)
    assert [line["event"] for line in again] == ["message", "end"]
    assert again[0]["message"] == f"{whole[0]}: up to date"
    assert again[1]["up_to_date"] and again[1]["outputs"] == end["outputs"]


@pytest.mark.parametrize(
    ("words", "code", "kind", "subject"),
    [
        ("score no.tif --reference no.tif", 66, "InputMissingError", "no.tif"),
        ("score a.tif --reference a.tif --split test", 2, "UsageError", "--split"),
        ("score a.tif --reference a.tif --csv --json", 2, "UsageError", "--csv"),
        ("prepare a.tif -o there.tif", 73, "OutputExistsError", "there.tif"),
        ("prepare broken.tif -o s.tif", 65, "NotARasterError", "broken.tif"),
    ],
)
def test_an_error_is_the_last_line(
    words: str, code: int, kind: str, subject: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_raster(Path("a.tif"), np.ones((1, 8, 8), "uint8"))
    Path("there.tif").write_text("of someone")
    Path("broken.tif").write_text("no raster")
    run = run_lcmap(*words.split(), "--log-json")
    error = lines(run.stderr)[-1]
    assert run.exit_code == code == error["exit_code"]
    assert (error["event"], error["class"], error["subject"]) == ("error", kind, subject)
    plain = run_lcmap(*words.split()).stderr.splitlines()[-1]
    assert plain == f"lcmap: {error['message']}"
    assert error["message"].startswith(f"{subject}: {error['problem']}")
    # errors are all that a quiet run says
    (quiet,) = lines(run_lcmap(*words.split(), "--log-json", "-q").stderr)
    assert quiet == error | {"time": quiet["time"]}


@pytest.mark.parametrize("words", ["score a.tif", "predict a.tif -m m.onnx --tile no", "merge-all"])
def test_wrong_words_are_a_line_too(words: str) -> None:
    run = run_lcmap(*words.split(), "--log-json")
    (error,) = lines(run.stderr)
    assert (run.exit_code, error["event"], error["exit_code"]) == (2, "error", 2)
    assert run_lcmap(*words.split()).stderr.splitlines()[-1].endswith(error["message"])


def test_warnings_details_and_tracebacks_have_their_places(capfd) -> None:
    manner = console.Manner(verbose=True, log_json=True, command="predict")
    with pytest.raises(console.typer.Exit), console.reporting(manner):
        console._logger.debug("`tile=5` of %s", "a\nb")
        console._logger.warning("look out")
        raise RuntimeError("odd")
    said = lines(capfd.readouterr().err)
    assert [line.get("level") for line in said] == ["debug", "warning", None]
    assert said[0]["message"] == "--tile 5 of a\nb"
    assert said[2]["class"] == "RuntimeError" and "Traceback" in said[2]["traceback"]
    assert (said[2]["exit_code"], said[2]["subject"]) == (1, None)


def test_progress_tells_the_first_the_last_and_some_between(monkeypatch) -> None:
    told: list[dict[str, Any]] = []
    clock = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    progress = JsonProgress(lambda **members: told.append(members))
    for done in range(1, 61):
        progress(done, 60, "reading", amount=500 * done)
    progress(1, 3, "writing")
    progress(3, 3, "writing")
    assert [(line["note"], line["done"]) for line in told[:2]] == [("reading", 1), ("reading", 11)]
    assert [(line["note"], line["done"]) for line in told[-3:]] == [
        ("reading", 60), ("writing", 1), ("writing", 3)
    ]  # fmt: skip
    assert told[1]["left"] == pytest.approx(0.5 * 49)
    assert (told[1]["rate"], told[1]["unit"]) == (1000, "px")
    assert told[-1]["rate"] is None  # what counts nothing has no rate


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    write_raster(tmp_path / "a.tif", np.arange(64, dtype="uint8").reshape(1, 8, 8))
    script = (
        "import os, signal, lcmap.imagery.prepare as p\n"
        "p.write_stack = lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM)\n"
        "import sys; sys.argv = ['lcmap', 'prepare', 'a.tif', '-o', 's.tif', '--log-json']\n"
        "from lcmap.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    error = lines(done.stderr)[-1]
    assert done.returncode == 130 == error["exit_code"]
    assert error["message"] == "interrupted" and os.listdir(tmp_path) == ["a.tif"]


def test_the_format_is_written_down() -> None:
    """Every event and member stands in the module that makes them, where readers look it up."""
    for event, members in MEMBERS.items():
        assert re.search(rf"^    {event} ", json_log.__doc__, re.MULTILINE)
        for name in members:
            assert re.search(rf"\b{name}\b", json_log.__doc__)


def test_a_full_standard_error_does_not_end_the_run(monkeypatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    JsonLog("predict", as_options=str).end([], up_to_date=True)
