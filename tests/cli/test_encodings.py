"""Accented names and symbols, in environments that are not UTF-8."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

from lcmap.cli.encodings import PLAIN

ENVIRONMENTS = [
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict"},
]
MILDER = [
    {"LC_ALL": "C"},
    {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"},
]

TOML = """name = "été"
[[classes]]
code = 1
name = "Forêt"
short = "Fêt"
color = "#00ff00"
[[classes]]
code = 2
name = "Bâti"
short = "Bât"
color = "#ff0000"
"""


def call(folder: Path, environment: dict[str, str], *args: str) -> subprocess.CompletedProcess:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "PYTHONIO"))}
    done = subprocess.run(
        [sys.executable, "-m", "lcmap", *args],
        cwd=folder, env=kept | environment, capture_output=True,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr and b"a bug" not in done.stderr, done.stderr
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "forêt"
    folder.mkdir()
    (folder / "été.toml").write_text(TOML, encoding="utf-8")
    codes = np.random.default_rng(0).integers(1, 3, (1, 20, 20), np.uint8)
    write_raster(folder / "réf.tif", codes)
    write_raster(folder / "carte.tif", np.roll(codes, 1, axis=1))
    return folder


@pytest.mark.parametrize(
    "environment",
    [*ENVIRONMENTS, *(pytest.param(milder, marks=pytest.mark.slow) for milder in MILDER)],
    ids=lambda e: " ".join(e.values()),
)
def test_accented_names_everywhere(folder: Path, environment: dict[str, str]) -> None:
    done = call(folder, environment, "score", "carte.tif", "--reference", "réf.tif",
                "--nomenclature", "été.toml", "--classes", "Fêt", "--block", "5")  # fmt: skip
    assert done.returncode == 0, done.stderr
    encoding = environment.get("PYTHONIOENCODING", "utf-8").split(":")[0]
    if environment.get("PYTHONUTF8") == "0" or encoding == "ascii":
        assert b"Foret" in done.stdout and b"kappa  " in done.stdout and b"?" not in done.stdout
        assert done.stdout.isascii()
    else:
        assert "Forêt" in done.stdout.decode(encoding) and b"?" not in done.stdout

    done = call(folder, environment, "prepare", "réf.tif", "-o", "pré.tif")
    assert done.returncode == 0, done.stderr
    with rasterio.open(folder / "pré.tif") as made, rasterio.open(folder / "réf.tif") as source:
        np.testing.assert_array_equal(made.read(), source.read())

    done = call(folder, environment, "prepare", "manqué.tif", "-o", "x.tif")
    assert done.returncode == 66 and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("command", ["train", "predict", "score", "prepare"])
def test_help_in_ascii(folder: Path, command: str) -> None:
    done = call(folder, {"PYTHONIOENCODING": "ascii:strict"}, command, "--help")
    assert done.returncode == 0 and len(done.stdout) > 1000


def test_symbols_keep_columns_where_there_is_room() -> None:
    assert "κ          61.2".encode("ascii", PLAIN) == b"kappa      61.2"
    assert "κ 61.2 ≥ 1".encode("ascii", PLAIN) == b"kappa 61.2 >= 1"
    assert "Forêt \udce9 深".encode("ascii", PLAIN) == b"Foret ? ?"
