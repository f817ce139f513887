"""The wheel and the source distribution: what they hold, and that what is installed runs."""

from __future__ import annotations

import email
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support import PROJECT

pytestmark = pytest.mark.slow

SHARED = {
    "share/bash-completion/completions/lcmap": "completions/lcmap.bash",
    "share/zsh/site-functions/_lcmap": "completions/_lcmap",
    "share/fish/vendor_completions.d/lcmap.fish": "completions/lcmap.fish",
    **{f"share/man/man1/{page.name}": f"man/{page.name}" for page in (PROJECT / "man").iterdir()},
}


def build(project: Path, target: str, folder: Path) -> Path:
    """Build a wheel or an sdist of a project with hatchling; return the file."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=project, check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROJECT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built of the source distribution, as pip does."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (project,) = folder.iterdir()
    return build(project, "wheel", folder)


def test_the_wheel_holds_the_whole_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    package = PROJECT / "lcmap"
    files = {
        path.relative_to(PROJECT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "lcmap/py.typed" in names
    assert files == {name for name in names if name.startswith("lcmap/")}
    assert not [name for name in names if name.startswith(("tests", "docs"))]


def test_the_readme_is_the_description(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    described = metadata.get_payload(decode=True)
    assert isinstance(described, bytes)
    assert described.decode() == (PROJECT / "README.md").read_text(encoding="utf-8")


def test_what_is_installed_runs_and_is_complete(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, that sees what lcmap needs, and not its sources."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in words], cwd=tmp_path, env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (own / "needed.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    place = run(python, "-c", "import lcmap; print(lcmap.__file__)").strip()
    assert Path(place).is_relative_to(tmp_path)

    lcmap, data = python.with_name("lcmap"), PROJECT / "examples" / "data"
    run(
        lcmap, "rasterize-ref", data / "reference.gpkg", "--like", data / "lagoon_rgbn.tif",
        "--rules", PROJECT / "examples" / "reference-flair7.toml", "-o", "ref.tif",
    )  # fmt: skip
    run(
        lcmap, "prepare", data / "lagoon_rgbn.tif", "--labels", "ref.tif", "--nomenclature",
        "flair7", "--tiles", "tiles.geojson", "-o", "stack.tif",
    )  # fmt: skip
    run(
        lcmap, "train", "tiles.geojson", "-o", "model.onnx", "--epochs", "1", "--width", "4",
        "--depth", "1",
    )  # fmt: skip
    run(lcmap, "predict", "stack.tif", "-m", "model.onnx", "-o", "map.tif", "--verify")
    assert "mIoU" in run(lcmap, "score", "map.tif", "--reference", "ref.tif")
    for name, source in SHARED.items():
        assert (tmp_path / "env" / name).read_bytes() == (PROJECT / source).read_bytes()
