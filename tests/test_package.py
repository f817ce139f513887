"""The package as it is installed: its wheel, its types, `python -m lcmap`."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import PROJECT

import lcmap


def test_python_m_lcmap_is_lcmap() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lcmap", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f"lcmap {lcmap.__version__}\n"), done.stderr
    usage = subprocess.run([sys.executable, "-m", "lcmap", "score"], capture_output=True, text=True)
    assert usage.returncode == 2
    assert "Usage: lcmap score" in usage.stderr


def test_the_wheel_holds_the_types_and_the_data_of_the_package(tmp_path: Path) -> None:
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    (path,) = wheels.WheelBuilder(str(PROJECT)).build(directory=str(tmp_path))
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
    assert "lcmap/py.typed" in names
    package = PROJECT / "lcmap"
    expected = {
        str(file.relative_to(PROJECT))
        for pattern in ("*.py", "*.toml")
        for file in package.rglob(pattern)
    }
    assert expected <= names
    assert any(name.endswith("share/man/man1/lcmap-score.1") for name in names)
