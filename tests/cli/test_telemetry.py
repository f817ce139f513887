"""Nothing is left in the home folder by the libraries that lcmap stands on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BEFORE = Path(__file__).parents[1] / "data" / "written_before"


def test_a_prediction_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [
            sys.executable, "-c", "from lcmap.cli import main; main()",
            "predict", BEFORE / "stack.tif", "-m", BEFORE / "image.onnx", "-o", tmp_path / "m.tif",
        ],
        env=variables | {"HOME": str(home)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
