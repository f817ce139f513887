"""A file is told from another by a bounded number of its bytes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.raster.file_state import (
    FileState,
    known_state,
    read_state,
    sample_ranges,
    still_is,
    what_changed,
)

LIMIT = 1 << 16


@given(st.integers(0, 10**12), st.integers(0, 1 << 28))
def test_samples_are_spread_over_the_file_and_within_the_limit(size: int, limit: int) -> None:
    samples = sample_ranges(size, limit)
    assert sum(length for _, length in samples) <= limit
    if size <= limit:
        assert samples == [(0, size)]
        return
    if limit < 8192:
        assert samples == []
        return
    ends = [offset + length for offset, length in samples]
    assert samples[0][0] == 0 and ends[-1] == size
    assert all(end <= start for end, (start, _) in zip(ends, samples[1:], strict=False))
    gaps = [start - end for end, (start, _) in zip(ends, samples[1:], strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_a_large_file_costs_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 100 << 30)
    read, taken = os.read, 0

    def counted(file: int, length: int) -> bytes:
        nonlocal taken
        taken += length
        return read(file, length)

    monkeypatch.setattr(os, "read", counted)
    state = state_of(path)
    assert 0 < taken <= LIMIT and not state.whole


def state_of(path: Path, limit: int = LIMIT) -> FileState:
    state = read_state(path, limit)
    assert state is not None
    return state


@given(content=st.binary(min_size=1, max_size=200), place=st.integers(0, 199))
def test_every_bit_of_a_small_file_counts(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, place: int
) -> None:
    path = tmp_path_factory.mktemp("file") / "a"
    path.write_bytes(content)
    before = state_of(path)
    changed = bytearray(content)
    changed[place % len(content)] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(before.mtime_ns, before.mtime_ns))
    assert what_changed(before, path, LIMIT) == "changed"
    assert before.identity("a") != state_of(path).identity("a")


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "image.tif"
    path.write_bytes(b"abc" * 100)
    return path


def test_what_says_nothing_of_the_content_is_no_change(small: Path) -> None:
    before = state_of(small)
    small.chmod(0o600)
    os.link(small, small.with_name("second"))
    os.utime(small, ns=(1, before.mtime_ns))  # it was read
    assert os.stat(small).st_ctime_ns != before.ctime_ns
    assert what_changed(before, small, LIMIT) is None


@pytest.mark.parametrize("change", ["touched", "longer", "replaced", "link", "gone"])
def test_a_change_while_it_is_read_is_seen(small: Path, change: str) -> None:
    link = small.with_name("link.tif")
    link.symlink_to(small)
    before = state_of(link)
    other = small.with_name("other.tif")
    shutil.copy2(small, other)
    said = "changed"
    if change == "touched":
        os.utime(small, ns=(1, before.mtime_ns + 1))
    elif change == "longer":
        with open(small, "ab") as file:
            file.write(b"d")
        os.utime(small, ns=(1, before.mtime_ns))
    elif change == "replaced":
        os.replace(other, small)
        said = "was replaced"
    elif change == "link":
        link.unlink()
        link.symlink_to(other)
        said = "was replaced"
    else:
        small.unlink()
        said = "disappeared"
    assert what_changed(before, link, LIMIT) == said


def test_a_copy_is_the_same_file_unless_it_was_only_sampled(small: Path) -> None:
    copy = small.with_name("copy.tif")
    shutil.copyfile(small, copy)
    assert state_of(copy).identity("image.tif") == state_of(small).identity("image.tif")
    for path in (small, copy):
        os.truncate(path, LIMIT + 1)
    assert state_of(copy).digest == state_of(small).digest
    assert state_of(copy).identity("image.tif") != state_of(small).identity("image.tif")


def test_what_is_no_file_here_has_no_state(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    names = ["fifo", "missing", "", "nul\0"]
    assert all(read_state(os.path.join(tmp_path, name), LIMIT) is None for name in names)
    assert read_state("/vsicurl/http://example.org/a.tif", LIMIT) is None


def test_a_file_still_is_what_its_time_or_its_content_says(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 100)
    whole, sampled = known_state(path, 100), known_state(path, 50)
    assert still_is(whole, path) and still_is(sampled, path)
    os.utime(path, ns=(1, 1))
    assert still_is(whole, path)  # the same content
    assert not still_is(sampled, path)  # too large to tell
    path.write_bytes(b"y" * 100)
    assert not still_is(whole, path)
    path.write_bytes(b"x" * 99)
    os.utime(path, ns=(whole[1], whole[1]))
    assert not still_is(whole, path)
    path.unlink()
    assert not still_is(whole, path)
    with pytest.raises(FileNotFoundError):
        known_state(path, 100)
