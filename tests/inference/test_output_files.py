"""Outputs that collide or cannot be written are refused, sidecars as rasters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lcmap.errors import OutputExistsError, UsageError
from lcmap.inference.options import MapOutputs
from lcmap.inference.output_files import OutputFiles, output_files
from lcmap.nomenclature import load_nomenclature

FLAIR7 = load_nomenclature("flair7")


def files_of(
    *paths: Path | str | None, inputs: tuple[Any, ...] = (), **options: Any
) -> OutputFiles:
    return output_files(MapOutputs(*paths, **options), FLAIR7, inputs, {})


def test_the_map_is_named_last(tmp_path: Path) -> None:
    files = files_of(tmp_path / "m.tif", tmp_path / "c.tif", tmp_path / "p.tif", qml=True)
    assert [Path(file.path).name for file in files.in_naming_order] == [
        "m.qml", "m.tif.aux.xml", "p.tif", "c.tif", "m.tif",
    ]  # fmt: skip
    files.check()


def test_an_output_that_is_an_input(tmp_path: Path) -> None:
    image, labels = tmp_path / "image.tif", tmp_path / "oso.tif"
    image.write_bytes(b"image")
    labels.write_bytes(b"labels")
    link = tmp_path / "link.tif"
    link.symlink_to(image)
    inputs = (image, f"{labels}:oso23", "-", tmp_path / "missing.tif")
    for path in (image, link, labels):
        with pytest.raises(UsageError, match=r"tif: is one of the inputs"):
            files_of(path, inputs=inputs, overwrite=True).check()
        with pytest.raises(UsageError, match=r"tif: is one of the inputs"):
            files_of(tmp_path / "m.tif", path, inputs=inputs, overwrite=True).check()


def test_a_sidecar_that_is_an_input(tmp_path: Path) -> None:
    style = tmp_path / "m.qml"
    style.write_bytes(b"an input of an odd name")
    with pytest.raises(UsageError, match=r"m\.qml: is one of the inputs"):
        files_of(tmp_path / "m.tif", inputs=(style,), qml=True, overwrite=True).check()


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    output = tmp_path / "m.tif"
    with pytest.raises(UsageError, match=r"m\.tif: is named for two outputs"):
        files_of(output, None, tmp_path / "." / "m.tif").check()
    with pytest.raises(UsageError, match=r"m\.qml: is named for two outputs"):
        files_of(output, tmp_path / "m.qml", qml=True).check()


@pytest.mark.parametrize("name", ["m.tif", "c.tif", "m.qml", "m.tif.aux.xml"])
def test_files_that_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    files = files_of(tmp_path / "m.tif", tmp_path / "c.tif", qml=True)
    with pytest.raises(OutputExistsError, match=f"{name}: exists already; `overwrite`"):
        files.check()
    (waiting,) = (f.waiting for f in files.in_naming_order if Path(f.path).name == name)
    files.check(own={waiting})
    files_of(tmp_path / "m.tif", tmp_path / "c.tif", qml=True, overwrite=True).check()


def test_a_sidecar_needs_a_file_to_be_beside() -> None:
    with pytest.raises(UsageError, match="`qml`: needs a map in a file"):
        files_of("-", qml=True).check()


def test_what_is_read_from_or_written_to_a_pipe_cannot_be_continued(tmp_path: Path) -> None:
    output = tmp_path / "m.tif"
    assert files_of(output, inputs=("a.tif",)).resumable
    assert not files_of("-", inputs=("a.tif",)).resumable
    assert not files_of(output, inputs=("a.tif", "-")).resumable
