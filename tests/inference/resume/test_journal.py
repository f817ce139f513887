"""Records are in a journal whole or not at all."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcmap.inference.resume.journal import Journal, decode, encode, read_records

RECORDS = [{"tile": 0, "mapped": 12}, {"tile": 7, "mapped": 0}, {"naming": {"codes": "/é.tif"}}]
CONTENT = b"".join(map(encode, RECORDS))


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert journal.records == []
    journal.append(RECORDS[:2])
    journal.append(RECORDS[2:])
    journal.close()
    again = Journal(tmp_path / "journal")
    assert again.records == journal.records == RECORDS
    again.close()


@given(st.integers(0, len(CONTENT)))
def test_a_torn_end_is_no_record(length: int) -> None:
    found, whole = decode(CONTENT[:length])
    assert found == RECORDS[: len(found)]
    assert CONTENT[:whole] == b"".join(map(encode, found))
    assert length - whole < max(len(encode(record)) for record in RECORDS)


@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_damaged_record_ends_the_journal(place: int, change: int) -> None:
    content = bytearray(CONTENT)
    content[place] ^= change
    found, _ = decode(bytes(content))
    assert found == RECORDS[: len(found)] and len(found) < len(RECORDS)


@pytest.mark.parametrize("torn", [b'1234 {"tile":', bytes(4096), CONTENT[:20]])
def test_a_journal_goes_on_after_a_torn_end(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(CONTENT + torn)
    journal = Journal(path)
    assert journal.records == RECORDS
    journal.append([{"tile": 8}])
    journal.close()
    assert decode(path.read_bytes())[0] == [*RECORDS, {"tile": 8}]


@pytest.mark.parametrize("text", [b"[" * 100_000, b"[1]", b"7", b"{", b'"tile"'])
def test_what_is_no_record_ends_the_journal(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "journal"
    path.write_bytes(CONTENT + b"%08x %s\n" % (zlib.crc32(text), text) + CONTENT)
    assert read_records(path) == RECORDS


def test_what_is_no_file_has_no_records(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for name in ("fifo", "zeros", ".", "missing"):
        assert read_records(tmp_path / name) == []


@pytest.mark.parametrize("text", [b"", b"[1]", b"x", b"[" * 100_000, b"{}}"])
def test_a_line_of_right_checksum_that_is_no_record_ends_the_journal(text: bytes) -> None:
    line = b"%08x %s\n" % (zlib.crc32(text), text)
    first = encode({"tile": 1})
    assert decode(first + line + first) == ([{"tile": 1}], len(first))
