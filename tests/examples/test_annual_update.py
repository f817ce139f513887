"""The production of a year: script, Makefile and timer, run with a stand-in and with lcmap."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main
from small_model import BANDS, write_small_model
from support import PROJECT, write_raster

from lcmap.cli import app

FOLDER = PROJECT / "examples" / "annual-update"
STAND_IN = """#!/usr/bin/env bash
# notes its words, fails where it is told to, and makes its outputs
echo "$*" >> said
if [[ -e fails-$1 ]]; then exit "$(cat "fails-$1")"; fi
while [[ $# -gt 0 ]]; do
    case $1 in -o | --changes | --confidence) touch "$2" ;; --probabilities) touch -a "$2" ;; esac
    shift
done
"""
PREDICT = "predict imagery/{0} -m model.onnx -o maps/{0}/{1}.tif --confidence "
PREDICT += "maps/{0}/confidence.tif --probabilities maps/{0}/probabilities.tif"
UPDATE = "update maps/{1}/map.tif maps/{0}/new.tif --probabilities maps/{0}/probabilities.tif "
UPDATE += "--margin 1 --min-change 0.1 --changes maps/{0}/changes.tif -o maps/{0}/map.tif"
AREAS = "areas{1} maps/{0}/map.tif -o maps/{0}/areas.csv -o maps/{0}/areas.json"


class Production:
    """A folder as a producer has it, and runs of the example in it."""

    def __init__(self, folder: Path, lcmap: str | None = None) -> None:
        self.folder = folder
        (folder / "bin").mkdir()
        (folder / "bin" / "lcmap").write_text(lcmap or STAND_IN)
        (folder / "bin" / "lcmap").chmod(0o755)
        shutil.copy(FOLDER / "annual-update.conf", folder)
        (folder / "model.onnx").touch()
        for year in ("2024", "2025", "2026"):
            (folder / "imagery" / year).mkdir(parents=True)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            words, cwd=self.folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )

    def script(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("bash", str(FOLDER / "annual-update.sh"), "annual-update.conf", *words)

    def make(self, year: str, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run("make", "-f", str(FOLDER / "annual-update.mk"), f"YEAR={year}", *words)

    def said(self) -> list[str]:
        """The command lines since the last call."""
        path = self.folder / "said"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def set(self, **values: str) -> None:
        path = self.folder / "annual-update.conf"
        text = path.read_text()
        for name, value in values.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        path.write_text(text)


@pytest.fixture
def production(tmp_path: Path) -> Production:
    return Production(tmp_path)


def run_year(production: Production, by: str, year: str) -> subprocess.CompletedProcess[str]:
    return production.script(year) if by == "script" else production.make(year)


@pytest.mark.parametrize("by", ["script", "make"])
def test_a_year_after_another(production: Production, by: str) -> None:
    assert run_year(production, by, "2024").returncode == 0
    assert production.said() == [PREDICT.format(2024, "map"), AREAS.format(2024, "")]
    done = run_year(production, by, "2025")
    assert done.returncode == 0, done.stderr
    assert production.said() == [
        PREDICT.format(2025, "new"),
        UPDATE.format(2025, 2024),
        AREAS.format(2025, " maps/2024/map.tif"),
    ]
    production.set(ZONES="communes.gpkg", REFERENCE="ref-%Y.tif", PREDICTING="--prefer newest")
    for name in ("communes.gpkg", "ref-2025.tif", "ref-2026.tif"):
        (production.folder / name).touch()
    assert run_year(production, by, "2026").returncode == 0
    assert production.said() == [
        PREDICT.format(2026, "new") + " --prefer newest",
        UPDATE.format(2026, 2025),
        AREAS.format(2026, " maps/2025/map.tif").replace(" -o", " --zones communes.gpkg -o", 1),
        "score maps/2026/map.tif --reference ref-2026.tif -o maps/2026/scores.json "
        "-o maps/2026/scores.txt",
    ]
    # a year before is not mixed with those after
    assert run_year(production, by, "2025").returncode == 0
    assert not any("2026" in line for line in production.said())


def test_make_starts_nothing_where_nothing_changed(production: Production) -> None:
    assert production.make("2026").returncode == 0
    production.said()
    assert production.make("2026").returncode == 0 and production.said() == []
    (production.folder / "imagery/2026/scene.tif").touch()
    assert production.make("2026").returncode == 0
    assert [line.split()[0] for line in production.said()] == ["predict", "areas"]


@pytest.mark.parametrize("command", ["predict", "update", "areas"])
@pytest.mark.parametrize("code", [66, 75])
def test_what_fails_ends_the_run_and_the_next_goes_on(
    production: Production, command: str, code: int
) -> None:
    production.script("2025")
    production.said()
    (production.folder / f"fails-{command}").write_text(str(code))
    assert production.script("2026").returncode == code
    assert production.said()[-1].startswith(command)
    (production.folder / f"fails-{command}").unlink()
    assert production.script("2026").returncode == 0
    assert [line.split()[0] for line in production.said()] == ["predict", "update", "areas"]


def test_a_year_without_imagery_has_nothing_to_do(production: Production) -> None:
    done = production.script("2031")
    assert (done.returncode, production.said()) == (0, [])
    assert done.stderr == "imagery/2031: not there yet, so there is nothing to do\n"
    assert not (production.folder / "maps").exists()


@pytest.mark.parametrize(
    ("settings", "words", "says"),
    [
        ({"MODEL": ""}, ["2026"], "annual-update.conf: MODEL is not set"),
        ({"MARGIN": "1\nMARGE=2"}, ["2026"], "annual-update.conf: MARGE is no setting"),
        ({}, ["26"], "26: is no year; give one as in 2026"),
        ({}, ["2026", "2027"], "usage: "),
    ],
)
def test_settings_that_are_wrong(
    production: Production, settings: dict[str, str], words: list[str], says: str
) -> None:
    production.set(**settings)
    done = production.script(*words)
    assert done.returncode == 2 and done.stderr.startswith(says) and not production.said()


def test_every_option_exists() -> None:
    group = typer.main.get_command(app)
    text = (FOLDER / "annual-update.sh").read_text().replace("\\\n", " ")
    for line in re.findall(r"^ *lcmap ([a-z-]+ .*)$", text, re.MULTILINE):
        name = line.split()[0]
        known = {o for p in group.commands[name].params for o in p.opts}
        assert set(re.findall(r"(?<= |\+)-{1,2}[a-z-]+", line)) <= known, line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_the_timer_is_one_of_systemd() -> None:
    units = [FOLDER / "annual-update.timer", FOLDER / "annual-update.service"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck")
def test_the_script_passes_shellcheck() -> None:
    done = subprocess.run(
        ["shellcheck", str(FOLDER / "annual-update.sh")], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.slow
def test_two_years_with_lcmap(tmp_path: Path) -> None:
    production = Production(tmp_path, f'#!/bin/sh\nexec {sys.executable} -m lcmap "$@"\n')
    (tmp_path / "model.onnx").unlink()
    write_small_model(tmp_path / "model.onnx")
    light = np.random.default_rng(0).integers(0, 256, (4, 96, 96)).astype("uint8")
    for year, pixels in (("2025", light), ("2026", np.roll(light, 5, axis=2))):
        write_raster(tmp_path / "imagery" / year / "scene.tif", pixels, names=BANDS)
        done = production.script(year)
        assert done.returncode == 0, done.stderr
    made = {p: p.stat().st_mtime_ns for p in (tmp_path / "maps").rglob("*")}
    done = production.script("2026")
    assert done.returncode == 0
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == [" up to date"] * 3
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "maps").rglob("*")} == made
