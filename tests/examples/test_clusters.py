"""The examples for batch systems, with a batch system that starts each job on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from small_model import BANDS
from support import PROJECT, run_lcmap, write_raster

from lcmap.raster.quantile_tags import write_quantiles

SUBMIT = """#!/bin/sh
for script in "$@"; do :; done
# as batch systems do: the script may be gone when the job starts
if [ -f "$script" ]; then cat "$script" > job.sh; else cat > job.sh; fi
sh job.sh > job.log 2>&1 &
echo $! >> jobs
echo "$ANSWER $!"
"""
CANCEL = """#!/bin/sh
kill "$@" 2> /dev/null; exit 0
"""


@pytest.mark.parametrize(
    ("system", "submit", "cancel", "answer", "directive"),
    [
        ("slurm", "sbatch", "scancel", "Submitted batch job", "#SBATCH"),
        pytest.param("pbs", "qsub", "qdel", "", "#PBS", marks=pytest.mark.slow),
    ],
)
def test_a_batch_system_starts_the_workers(
    tmp_path: Path, model: Path, system: str, submit: str, cancel: str, answer: str, directive: str
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in ((submit, SUBMIT), (cancel, CANCEL)):
        (programs / name).write_text(text.replace("$ANSWER", answer))
        (programs / name).chmod(0o755)
    pixels = np.random.default_rng(3).integers(0, 256, (4, 90, 100)).astype(np.uint8)
    image = write_raster(tmp_path / "image.tif", pixels, names=BANDS)
    with rasterio.open(image, "r+") as dataset:
        write_quantiles(dataset, np.tile([5.0, 250.0], (4, 1)))
    shutil.copy(model, tmp_path / "model.onnx")
    command = ["predict", "image.tif", "-m", "model.onnx", "-o", "map.tif", "--no-qml"]
    done = subprocess.run(
        [sys.executable, PROJECT / "examples/batch_workers.py", system, "--workers", "1",
         "--cores", "2", "--memory", "2GB", "--", *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    alone = tmp_path / "alone" / "map.tif"
    alone.parent.mkdir()
    run = run_lcmap("predict", image, "-m", tmp_path / "model.onnx", "-o", alone, "--no-qml")
    assert run.exit_code == 0
    assert (tmp_path / "map.tif").read_bytes() == alone.read_bytes()
