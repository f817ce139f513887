"""A database of another PROJ is refused rather than losing coordinate reference systems."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from support import write_raster

RUN = "from lcmap.cli import main; main()"
DATABASE = Path(rasterio.__file__).parent / "proj_data" / "proj.db"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_raster(tmp_path / "image.tif", np.ones((1, 8, 8), np.uint8))


def prepare(image: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, "prepare", str(image), "-o", str(image.with_name("stack.tif"))],
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("variable", ["PROJ_LIB", "PROJ_DATA"])
@pytest.mark.parametrize("kind", ["old", "missing"])
def test_a_foreign_database_is_refused_by_name(
    image: Path, tmp_path: Path, variable: str, kind: str
) -> None:
    folder = tmp_path / kind
    if kind == "old":
        folder.mkdir()
        shutil.copy(DATABASE, folder)
        with sqlite3.connect(folder / "proj.db") as database:
            database.execute(
                "update metadata set value = '0' where key = 'DATABASE.LAYOUT.VERSION.MINOR'"
            )
    done = prepare(image, **{variable: str(folder)})
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"lcmap: {variable}={folder}: its database does not resolve")
    assert "unset PROJ_DATA and PROJ_LIB" in done.stderr
    assert not image.with_name("stack.tif").exists()


def test_the_database_of_its_own_is_taken(image: Path) -> None:
    done = prepare(image, PROJ_LIB=str(DATABASE.parent))
    assert done.returncode == 0, done.stderr
    with rasterio.open(image.with_name("stack.tif")) as dataset:
        assert dataset.crs.to_epsg() == 2154
