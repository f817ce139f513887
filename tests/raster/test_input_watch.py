"""What a run has read is looked at again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
from support import write_raster

from lcmap.errors import InputChangedError, NotARasterError
from lcmap.raster.input_watch import (
    current_watch,
    input_identities,
    note_input,
    unchanged_inputs,
    watched_inputs,
)
from lcmap.raster.opening import files_of, open_raster


def test_all_files_of_a_vrt_of_a_vrt_are_found(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    write_raster(tmp_path / "a.tif.msk", np.ones((1, 4, 4), np.uint8))
    rasterio.shutil.copy(image, tmp_path / "inner.vrt", driver="VRT")
    inner = (tmp_path / "inner.vrt").read_text()
    (tmp_path / "outer.vrt").write_text(inner.replace("a.tif", "inner.vrt"))
    with open_raster(tmp_path / "outer.vrt", allow_vrt=True) as dataset:
        names = {Path(name).name for name in files_of(dataset)}
    assert names == {"outer.vrt", "inner.vrt", "a.tif", "a.tif.msk"}


def test_a_vrt_that_names_itself_ends(tmp_path: Path) -> None:
    image = write_raster(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    rasterio.shutil.copy(image, tmp_path / "loop.vrt", driver="VRT")
    text = (tmp_path / "loop.vrt").read_text()
    (tmp_path / "loop.vrt").write_text(text.replace("a.tif", "loop.vrt"))
    with open_raster(tmp_path / "loop.vrt", allow_vrt=True) as dataset:
        assert [Path(name).name for name in files_of(dataset)] == ["loop.vrt"]


def test_a_change_is_the_error_of_what_failed_through_it(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with pytest.raises(InputChangedError, match="map: changed while it was read"), watched_inputs():
        note_input(path, name="map")
        path.write_bytes(b"abcd")
        raise NotARasterError(path, "cannot be read")
    with pytest.raises(NotARasterError), watched_inputs():
        note_input(path)
        raise NotARasterError(path, "cannot be read")


def test_the_check_is_at_the_end_and_of_this_watch_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    note_input(path)  # no watch has begun
    with unchanged_inputs(), pytest.raises(InputChangedError), unchanged_inputs() as watch:
        note_input(path)
        assert current_watch() is watch
        path.unlink()


def test_identities_are_json_and_tell_content_not_place(tmp_path: Path) -> None:
    paths = [tmp_path / "one" / "a", tmp_path / "two" / "a"]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"abc")
    url = "/vsicurl/http://example.org/a.tif"
    one, two, remote = input_identities([*paths, url])
    assert one == two and remote == [url]
    assert json.loads(json.dumps(one)) == one
    with watched_inputs():
        assert input_identities(paths) == [one, two]
        note = current_watch().digest()
    paths[1].write_bytes(b"abd")
    assert input_identities(paths)[1] != one
    with watched_inputs():
        note_input(*paths)
        assert current_watch().digest() != note


def test_many_large_files_cost_no_more_than_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        (tmp_path / str(i)).touch()
        os.truncate(tmp_path / str(i), 1 << 34)
    read, taken = os.read, 0

    def counted(file: int, length: int) -> bytes:
        nonlocal taken
        taken += length
        return read(file, length)

    monkeypatch.setattr(os, "read", counted)
    input_identities(tmp_path.iterdir())
    assert taken <= 1 << 27
