"""Records that outlive a killed process: appended to a file, each there whole or not at all."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def encode(record: Record) -> bytes:
    """Return a record as a line: the checksum of its JSON text, the text, a newline."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(content: bytes) -> tuple[list[Record], int]:
    """Return the records at the beginning of a file's bytes, and how many bytes they are.

    What follows the first line that is torn or damaged was never promised to be there.
    """
    records: list[Record] = []
    length = 0
    for line in content.splitlines(keepends=True):
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            break
        records.append(json.loads(text))
        length += len(line)
    return records, length


class Journal:
    """A file of records, open for appending; `records` are all that are in it."""

    def __init__(self, path: Path) -> None:
        """Open a journal, or begin it; a torn end is cut off, so that it can be continued.

        Raises:
            OSError: it cannot be read or written.
        """
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        self.records, length = decode(path.read_bytes())
        os.ftruncate(self._file, length)

    def append(self, records: Iterable[Record]) -> None:
        """Append records; when this returns they are on the disk.

        Raises:
            OSError: they cannot be written.
        """
        records = list(records)
        line = memoryview(b"".join(map(encode, records)))
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)
        self.records += records

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
