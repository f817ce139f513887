"""Fixtures of all packages: the command line, and the real data beside the project."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from small_model import write_small_model
from support import PROJECT, Run, run_lcmap

# how long a test takes is not what it tests
hypothesis.settings.register_profile("lcmap", deadline=None)
hypothesis.settings.load_profile("lcmap")


TRAINING = {"cli", "training", "graph", "engines", "inference", "docs", "benchmarks", "model_file"}
"""Packages whose tests train networks."""


@pytest.fixture(scope="module", autouse=True)
def shared_traces(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Networks of one architecture are traced once; see `shared_traces.py`."""
    if request.path.parent.name not in TRAINING or request.path.stem == "test_export":
        yield
        return
    from shared_traces import sharing

    from lcmap.training import export

    of_process = tmp_path_factory.getbasetemp()
    of_run = of_process.parent if "PYTEST_XDIST_WORKER" in os.environ else of_process
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "traced", sharing(export.traced, of_run / "traces"))
        # pytest listens to each logger that does not propagate, and PyTorch explains itself at
        # length to whoever listens to this one
        patch.setattr(logging.getLogger("torch.__trace"), "propagate", True)
        yield


@pytest.fixture
def lcmap() -> Callable[..., Run]:
    """Run `lcmap ARGS...` as a user would."""
    return run_lcmap


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data beside the project; the test is skipped where it is absent."""
    folder = Path(os.environ.get("LCMAP_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set LCMAP_DATA")
    return folder.resolve()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with random weights: flair7, for uint8 images of four bands at 0.8 m."""
    return write_small_model(tmp_path_factory.mktemp("model") / "model.onnx")
