"""The arrays of a map that is being made: on disk, raw, tile by tile.

The tiles follow one another, each band of a tile as one run of bytes. So a tile is written at once,
and a strip of rows is read in one run from each tile that it crosses, however wide the image:
neither takes more memory than its own pixels, and the disk reads and writes in long runs.
"""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lcmap.inference.band_groups import BandGroup
from lcmap.raster.windows import Window

_PIECE = 1 << 24


class StoredArrays(Protocol):
    """The band groups of a map, readable by window."""

    def read(self, name: str, window: Window, bands: slice = slice(None)) -> npt.NDArray[Any]:
        """Return a window of a band group, [bands, rows, columns]."""


class TilePartition:
    """A partition of an image in rows and columns of tiles, or some of its tiles."""

    def __init__(self, tiles: Sequence[Window]) -> None:
        """Take the tiles, in any order."""
        self._tiles = {(tile.row, tile.col): tile for tile in tiles}
        self._rows = sorted({tile.row for tile in tiles})
        self._cols = sorted({tile.col for tile in tiles})

    def crossed(self, window: Window) -> Iterator[Window]:
        """Yield the tiles that a window crosses, all of which are there, row by row."""
        rows = self._rows[bisect_right(self._rows, window.row) - 1 :]
        cols = self._cols[bisect_right(self._cols, window.col) - 1 :]
        for row in rows:
            if row >= window.stop_row:
                return
            for col in cols:
                if col >= window.stop_col:
                    break
                yield self._tiles[row, col]


class TileStore:
    """Arrays by window, in files of their full size of which only what was written takes space."""

    def __init__(self, folder: Path, tiles: Sequence[Window], groups: Sequence[BandGroup]) -> None:
        """Open the files of the band groups in a folder, or create them.

        The `tiles` are a partition of the image, in rows and columns of tiles, or some of them.

        Raises:
            OSError: they cannot be created or written.
        """
        self.groups: dict[str, BandGroup] = {group.name: group for group in groups}
        self._partition = TilePartition(tiles)
        before = accumulate((tile.height * tile.width for tile in tiles), initial=0)
        *starts, self._pixels = before
        self._starts = {
            (tile.row, tile.col): start for tile, start in zip(tiles, starts, strict=True)
        }
        self._files: dict[str, int] = {}
        for group in groups:
            path = folder / f"{group.name}.raw"
            self._files[group.name] = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            os.ftruncate(self._files[group.name], self._pixels * group.pixel_bytes)

    def missing_bytes(self) -> int:
        """Return how many bytes the store will take on the disk beyond those that it takes now."""
        whole = sum(self._pixels * group.pixel_bytes for group in self.groups.values())
        taken = sum(os.fstat(file).st_blocks * 512 for file in self._files.values())
        return max(whole - taken, 0)

    def write(self, tile: Window, arrays: Mapping[str, npt.NDArray[Any]]) -> int:
        """Write a tile, of each band group an array [bands, rows, columns]; return its checksum.

        Raises:
            OSError: no space left.
        """
        pixels, checksum = self._starts[tile.row, tile.col], 0
        for name, group in self.groups.items():
            values = np.ascontiguousarray(arrays[name], group.dtype)
            if values.shape != (group.bands, tile.height, tile.width):
                raise ValueError(f"{name}: {values.shape} for a tile of {tile}")
            rest = values.data.cast("B")
            checksum = zlib.crc32(rest, checksum)
            offset = pixels * group.pixel_bytes
            while rest:
                written = os.pwrite(self._files[name], rest, offset)
                rest, offset = rest[written:], offset + written
        return checksum

    def checksum(self, tile: Window) -> int:
        """Return the checksum of a tile as it is on the disk.

        Raises:
            OSError: it cannot be read.
        """
        checksum = 0
        for name, group in self.groups.items():
            offset = self._starts[tile.row, tile.col] * group.pixel_bytes
            stop = offset + tile.height * tile.width * group.pixel_bytes
            while offset < stop:
                read = os.pread(self._files[name], min(stop - offset, _PIECE), offset)
                if not read:
                    raise EOFError(f"{name}: the tile store ends at byte {offset}")
                checksum, offset = zlib.crc32(read, checksum), offset + len(read)
        return checksum

    def read(self, name: str, window: Window, bands: slice = slice(None)) -> npt.NDArray[Any]:
        """Return a window of a band group, [bands, rows, columns], zeros where nothing was written.

        Raises:
            OSError: it cannot be read.
        """
        group = self.groups[name]
        wanted = range(group.bands)[bands]
        result = np.zeros((len(wanted), window.height, window.width), group.dtype)
        for tile in self._partition.crossed(window):
            part = tile.intersection(window)
            assert part is not None
            into = part.shifted(-window.row, -window.col).slices
            rows = np.zeros((part.height, tile.width), group.dtype)
            cols = slice(part.col - tile.col, part.stop_col - tile.col)
            for place, band in enumerate(wanted):
                self._read_rows(group, tile, band, part.row - tile.row, rows)
                result[place, *into] = rows[:, cols]
        return result

    def flush(self) -> None:
        """Return when all that was written is on the disk.

        Raises:
            OSError: it could not be written.
        """
        for file in self._files.values():
            os.fdatasync(file)

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            os.close(file)

    def _read_rows(
        self, group: BandGroup, tile: Window, band: int, first: int, rows: npt.NDArray[Any]
    ) -> None:
        """Fill whole rows of a tile's band, counted from the tile's first row."""
        pixels = self._starts[tile.row, tile.col] * group.bands
        pixels += (band * tile.height + first) * tile.width
        offset = pixels * rows.itemsize
        rest = rows.data.cast("B")
        while rest:
            read = os.preadv(self._files[group.name], [rest], offset)
            if read == 0:
                raise EOFError(f"{group.name}: the tile store ends at byte {offset}")
            rest, offset = rest[read:], offset + read
