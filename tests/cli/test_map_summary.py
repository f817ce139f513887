"""What commands that make a map say at their end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from small_model import BANDS
from support import write_raster

LINE = re.compile(
    r"wrote (?P<files>.+) in (?P<seconds>[\d.]+) s: (?P<pixels>[\d.]+) megapixels, "
    r"(?P<mapped>[\d.]+) % mapped, (?P<rest>[\d.]+) % without (?P<what>data|a class); "
    r"(?P<by>.+?)(?:, (?P<rate>[\d.e-]+) megapixels/s)?"
)


def summary(stderr: str) -> re.Match[str]:
    found = LINE.fullmatch(stderr.splitlines()[-1])
    assert found, stderr
    return found


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(1).integers(1, 255, (4, 80, 100), np.uint8)
    pixels[:, :, :25] = 0
    return write_raster(tmp_path / "image.tif", pixels, names=BANDS, nodata=0)


def test_predict_says_what_it_wrote(lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    output, confidence = tmp_path / "map.tif", tmp_path / "c.tif"
    run = lcmap("predict", image, "-m", model, "-o", output, "--confidence", confidence)
    found = summary(run.stderr)
    sizes = [f"{file} ({os.path.getsize(file) / 1024:.3g} KiB)" for file in (output, confidence)]
    assert found["files"] == ", ".join(sizes)
    assert (found["pixels"], found["mapped"], found["rest"]) == ("0.008", "75.0", "25.0")
    assert re.fullmatch(r"(onnxruntime|openvino) [\d.-]+ on cpu in float32", found["by"])
    assert found["rate"] is not None


def test_quiet_says_nothing_and_a_pipe_has_no_size(lcmap, image: Path, model: Path) -> None:
    assert lcmap("predict", image, "-m", model, "-q").stderr == ""
    assert summary(lcmap("predict", image, "-m", model).stderr)["files"] == "standard output"


def test_late_fusion_says_its_rule(lcmap, image: Path, model: Path, tmp_path: Path) -> None:
    for name in "ab":
        lcmap("predict", image, "-m", model, "-o", tmp_path / f"{name}.tif",
              "--probabilities", tmp_path / f"{name}.p.tif")  # fmt: skip
    run = lcmap("fuse", tmp_path / "a.p.tif", tmp_path / "b.p.tif", "--late", "mean",
                "-o", tmp_path / "map.tif")  # fmt: skip
    found = summary(run.stderr)
    assert (found["by"], found["mapped"]) == ("late fusion by mean", "75.0")


def test_a_crosswalk_alone_says_which(lcmap, image: Path, tmp_path: Path) -> None:
    oso = write_raster(tmp_path / "oso.tif", np.full((1, 80, 100), 5, np.uint8))
    run = lcmap("reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only",
                "-o", tmp_path / "map.tif")  # fmt: skip
    found = summary(run.stderr)
    assert (found["by"], found["what"]) == ("crosswalk oso23:oso-reclass", "a class")


@pytest.mark.parametrize("size", ["10X", "-1", "2 GO", "much", "1,5G"])
def test_a_size_of_no_known_form_says_the_forms(lcmap, image, model, size: str) -> None:
    run = lcmap("predict", image, "-m", model, "--memory", size)
    assert run.exit_code == 2
    assert "is not a size; write a number and K, M, G or T, as in 800M, 4G" in run.stderr
