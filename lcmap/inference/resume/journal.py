"""Records that outlive a killed process: appended to a file, each there whole or not at all."""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from lcmap.json_text import parse_json

COMMIT_SECONDS = 5.0
"""How often finished tiles are brought to the disk: the most that a killed run loses."""

Record = dict[str, Any]


def encode(record: Record) -> bytes:
    """Return a record as a line: the checksum of its JSON text, the text, a newline."""
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def decode(content: bytes) -> tuple[list[Record], int]:
    """Return the records at the beginning of a file's bytes, and how many bytes they take.

    The first line that is torn or damaged ends them: what follows was never committed.
    """
    records: list[Record] = []
    length = 0
    for line in content.splitlines(keepends=True):
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
            break
        try:
            record = parse_json(text)
        except ValueError:
            break
        if not isinstance(record, dict):
            break
        records.append(record)
        length += len(line)
    return records, length


def read_records(path: Path) -> list[Record]:
    """Return the records in a journal's file; none where there is no such file."""
    try:
        return decode(path.read_bytes())[0] if path.is_file() else []
    except OSError:
        return []


def last(records: Sequence[Record], kind: str) -> Any:
    """Return what was last recorded of a kind, None if nothing."""
    found = [record[kind] for record in records if kind in record]
    return found[-1] if found else None


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


class CommittedJournal:
    """A journal that is brought to the disk every few seconds, after the data it speaks of."""

    def __init__(self, path: Path, flush: Callable[[], None], *, durable: bool = True) -> None:
        """Open a journal; `flush` brings the data to the disk.

        What is not `durable` is held in memory: nobody will read it after this run.

        Raises:
            OSError: it cannot be read or written.
        """
        self._journal = Journal(path)
        self._flush = flush
        self._durable = durable
        self._uncommitted: list[Record] = []
        self._committed_at = time.monotonic()

    @property
    def records(self) -> list[Record]:
        """All records, committed or not."""
        return [*self._journal.records, *self._uncommitted]

    def add(self, record: Record) -> None:
        """Record something; it counts once it is committed, which is done now if it is time.

        Raises:
            OSError: it is time to commit, and that fails.
        """
        self._uncommitted.append(record)
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Bring what was recorded to the disk: first its data, then the records.

        Raises:
            OSError: no space left.
        """
        if not self._durable:
            return
        records, self._uncommitted = self._uncommitted, []
        self._flush()
        self._journal.append(records)
        self._committed_at = time.monotonic()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()
