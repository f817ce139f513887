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
    files_in,
    input_identities,
    matches,
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


def test_listings_tell_what_joined_and_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.tif", "B.TIF", "._a.tif", "notes.txt", "sub/c.tif"):
        (tmp_path / name).touch()
    with watched_inputs() as watch:
        found = [files_in(tmp_path, (".tif",)), files_in(tmp_path, (".tif",), below=True)]
        found.append(files_in(f"{tmp_path}/*.t*"))
    names = [[str(path.relative_to(tmp_path)) for path in paths] for paths in found]
    assert names[:2] == [["B.TIF", "a.tif"], ["B.TIF", "a.tif", "sub/c.tif"]]
    assert names[2] == ["a.tif", "notes.txt"]
    noted = json.loads(json.dumps(watch.to_dict()))
    assert matches(noted) is None
    (tmp_path / "more.md").touch()
    assert matches(noted) is None
    (tmp_path / "sub" / "d.tif").touch()
    assert matches(noted) == f"{tmp_path}/sub/d.tif joined"
    (tmp_path / "sub" / "d.tif").unlink()
    (tmp_path / "notes.txt").unlink()
    assert matches(noted) == f"{tmp_path}/notes.txt is gone"


def test_a_watch_passes_on_what_it_noted(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    with watched_inputs() as outer:
        note_input(tmp_path / "a")
        with watched_inputs() as inner:
            note_input(tmp_path / "b")
            assert len(inner.to_dict()["files"]) == 2
            digest = inner.digest(everything=True)
        assert outer.digest(everything=True) == digest != outer.digest()
    assert set(outer.to_dict()["files"]) == {str(tmp_path / name) for name in "ab"}


def test_an_output_in_the_making_is_no_input(tmp_path: Path) -> None:
    folder = tmp_path / ".map.tif.lcmap-abcd_123"
    folder.mkdir()
    (folder / "map.tif").write_text("a")
    with watched_inputs() as watch:
        note_input(folder / "map.tif")
    assert watch.to_dict()["files"] == {}
