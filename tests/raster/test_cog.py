"""--cog by rio-cogeo's validator, which is not the library that writes them."""

from __future__ import annotations

from pathlib import Path

import every_command
import pytest
from support import run_lcmap


def test_maps_are_cloud_optimised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cogeo = pytest.importorskip("rio_cogeo.cogeo", reason="pip install 'lcmap[dev]'")
    monkeypatch.chdir(tmp_path)
    every_command.model(tmp_path)
    made = run_lcmap(
        "predict", "image.tif", "-m", "model.onnx", "-o", "map.tif", "--cog",
        "--confidence", "c.tif", "--probabilities", "p.tif",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    for name in ("map.tif", "c.tif", "p.tif"):
        assert cogeo.cog_validate(name, strict=True, quiet=True) == (True, [], []), name
