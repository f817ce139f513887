"""The record of how outputs were made."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lcmap.errors import OutputExistsError
from lcmap.raster.input_watch import note_input
from lcmap.raster.making import (
    Making,
    Request,
    current_digest,
    current_settings,
    printed_by_same,
    record_path,
)
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import check_output


def request(
    sources: tuple[str, ...] = ("in",), *, command: str = "make", **given: object
) -> Request:
    return Request(command, sources, given, given, ("make", *sources))


def make(folder: Path, asked: Request, text: str = "made") -> Making:
    """Make the outputs a and b of the input in, unless they are up to date."""
    making = Making(asked, folder / "a", overwrite=False)
    if making.is_done():
        return making
    with making.begun():
        note_input(folder / "in")
        for name in "ab":
            check_output(folder / name, overwrite=False)
        with OutputSet([folder / "a", folder / "b"], overwrite=False) as files:
            for name in "ab":
                files.temporary(folder / name).write_text(text + name)
        making.printed.append(("done\n", True))
        making.finish(quiet=False)
    return making


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").write_text("input")
    return tmp_path


def test_all_is_done_until_something_changes(folder: Path) -> None:
    make(folder, request())
    again = Making(request(), folder / "a", overwrite=False)
    assert again.is_done() and again.printed == [("done\n", True)]
    assert again.outputs == [str(folder / "a"), str(folder / "b")]
    assert not Making(request(), folder / "a", overwrite=True).is_done()
    assert Making(request(x=1), folder / "a", overwrite=False).what_changed() == (
        "these changed: `x`"
    )
    (folder / "in").write_text("other")
    changed = Making(request(), folder / "a", overwrite=False)
    assert not changed.is_done() and changed.what_changed() == f"{folder / 'in'} changed"
    (folder / "in").unlink()
    assert changed.what_changed() == f"{folder / 'in'} is gone"


def test_what_is_not_its_own_is_not_replaced(folder: Path) -> None:
    (folder / "b").write_text("of someone")
    with pytest.raises(OutputExistsError, match="exists already"):
        make(folder, request())
    (folder / "b").unlink()
    make(folder, request())
    make(folder, request(x=1), "again")
    assert (folder / "b").read_text() == "againb"
    with pytest.raises(OutputExistsError, match="exists already"):
        make(folder, request(command="other"))
    with pytest.raises(OutputExistsError, match="exists already"):
        make(folder, request(("another",)))
    make(folder, request(("another", "in")))
    (folder / "b").write_text("edited")
    with pytest.raises(OutputExistsError, match="was changed since lcmap made it"):
        make(folder, request())


@pytest.mark.parametrize("named", [(), ("a",), ("a", "b")])
def test_a_run_that_was_killed_after_the_record_is_made_again(
    folder: Path, named: tuple[str, ...]
) -> None:
    """Its outputs are those of before, or its own, or some of each: none is taken for edited."""
    make(folder, request())
    making = Making(request(x=1), folder / "a", overwrite=False)
    waiting = folder / "waiting"
    waiting.mkdir()
    with making.begun():
        note_input(folder / "in")
        for name in "ab":
            (waiting / name).write_text(f"second{name}")
        making.note({folder / name: waiting / name for name in "ab"}, beside=[])
    for name in named:
        os.replace(waiting / name, folder / name)
    left = Making(request(x=1), folder / "a", overwrite=False)
    assert not left.is_done()
    with left.begun():
        assert left.may_replace(folder / "a") and left.may_replace(folder / "b")
    make(folder, request(x=1), "third")
    assert [(folder / name).read_text() for name in "ab"] == ["thirda", "thirdb"]
    assert Making(request(x=1), folder / "a", overwrite=False).is_done()


def test_a_record_is_for_its_folder_wherever_that_is(folder: Path) -> None:
    make(folder, request())
    record = json.loads(record_path(folder / "a").read_text())
    assert list(record["outputs"]) == ["a", "b"]
    assert list(record["inputs"]["files"]) == [str(folder / "in")]


def test_the_words_alone_tell_what_was_printed(folder: Path) -> None:
    make(folder, request())
    assert printed_by_same(["make", "in"], folder / "a") == ["done\n"]
    assert printed_by_same(["make", "in", "more"], folder / "a") is None
    assert printed_by_same(["make", "in"], folder / "b") is None
    assert printed_by_same(["make", "in"], "/dev/null") is None
    (folder / "b").unlink()
    assert printed_by_same(["make", "in"], folder / "a") is None


def test_styles_beside_may_change_and_be_gone(folder: Path) -> None:
    making = Making(request(), folder / "a", overwrite=False)
    with making.begun():
        for name in ("a", "a.qml", "a.aux.xml"):
            (folder / name).write_text(name)
        files = {folder / name: folder / name for name in ("a", "a.qml", "a.aux.xml")}
        making.note(files, beside=[folder / "a.qml", folder / "a.aux.xml"])
        making.finish(quiet=False)
    (folder / "a.qml").unlink()
    (folder / "a.aux.xml").write_text("statistics")
    again = Making(request(), folder / "a", overwrite=False)
    assert again.is_done() and again.may_replace(folder / "a.aux.xml")
    (folder / "a.qml").write_text("mine")
    with pytest.raises(OutputExistsError, match="was changed"):
        again.may_replace(folder / "a.qml")


def test_a_digest_tells_settings_and_content_not_names(folder: Path) -> None:
    assert current_digest() == {} == current_settings()

    def digest(name: str, **given: object) -> str:
        with Making(request((name,), **given), folder / "a", overwrite=False).begun():
            note_input(folder / name)
            return current_digest("d")["d"]

    (folder / "copy").write_text("input")
    (folder / "other").write_text("inpux")
    assert digest("in") == digest("copy")
    assert len({digest("in"), digest("other"), digest("in", x=1)}) == 3


def test_nothing_is_on_record_of_streams(folder: Path) -> None:
    for asked, output in ((request(), "/dev/null"), (request(("-",)), folder / "a")):
        making = Making(asked, output, overwrite=False)
        with making.begun():
            (folder / "a").write_text("made")
            making.note({folder / "a": folder / "a"}, beside=[])
            making.finish(quiet=False)
        assert not making.is_done() and making.outputs == []
    assert not list(folder.glob(".*"))
