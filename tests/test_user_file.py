"""Files that a user names are read only where they are regular and of a plausible size."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import Run, write_raster

from lcmap.errors import DataError, InputMissingError
from lcmap.user_file import read_small


def test_a_file_is_read_up_to_its_largest_size(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    assert read_small(path, 4) == b"1234"
    with pytest.raises(DataError, match="such a file has"):
        read_small(path, 3)
    with pytest.raises(InputMissingError, match="no such file"):
        read_small(tmp_path / "b", 4)
    with pytest.raises(InputMissingError, match="is a folder"):
        read_small(tmp_path, 4)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A FIFO that nobody writes to."""
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.mark.parametrize("end", ["pipe", "/dev/zero"])
@pytest.mark.parametrize(
    ("ending", "arguments"),
    [
        (".tif", ["predict", "{}", "-m", "{model}", "-o", "map.tif"]),
        (".onnx", ["predict", "{image}", "-m", "{}", "-o", "map.tif"]),
        (".json", ["predict", "{image}", "-m", "{model}", "--quantiles", "{}", "-o", "map.tif"]),
        (".tif", ["prepare", "{}", "-o", "stack.tif"]),
        (".toml", ["prepare", "{image}", "--labels", "{labels}", "--nomenclature", "{}",
                   "-o", "stack.tif"]),
        (".toml", ["prepare", "{image}", "--labels", "{labels}", "--crosswalk", "{}",
                   "-o", "stack.tif"]),
        (".geojson", ["score", "{labels}", "--reference", "{labels}", "--tiles", "{}"]),
        (".geojson", ["train", "{}", "-o", "model.onnx"]),
        (".toml", ["rasterize-ref", "{image}", "--rules", "{}", "--like", "{image}",
                   "-o", "labels.tif"]),
        (".gpkg", ["rasterize-ref", "{}", "--rules", "bdtopo-topo6", "--like", "{image}",
                   "-o", "labels.tif"]),
    ],
)  # fmt: skip
def test_devices_and_pipes_are_refused(
    lcmap: Callable[..., Run], tmp_path: Path, model: Path, pipe: Path, end: str, ending: str,
    arguments: list[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    link = tmp_path / f"input{ending}"
    link.symlink_to(pipe if end == "pipe" else end)
    image = write_raster(tmp_path / "image.tif", np.ones((4, 16, 16), np.uint8))
    labels = write_raster(tmp_path / "labels16.tif", np.ones((1, 16, 16), np.uint8))
    run = lcmap(*(a.format(link, model=model, image=image, labels=labels) for a in arguments))
    assert run.exit_code == 65
    assert f"input{ending}: is not a regular file" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
