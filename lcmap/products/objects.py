"""The objects of a map: connected pixels of one class, and the borders between them.

Pixels are connected by their sides (4-connectivity), so that the outline of an object is one ring
around it, with rings around what it encloses. All is computed on runs, the longest parts of rows
that hold one code: a map has far fewer of them than pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from lcmap.nomenclature.classes import NO_LABEL

Value = TypeVar("Value", bound=np.generic)

Numbers = NDArray[np.int32]
"""Numbers of objects or runs."""


@dataclass(frozen=True)
class Objects:
    """The objects of an array [height, width], N in all, numbered in reading order of their pixels.

    starts, lengths: the first pixel of each run in the flattened array, and its pixels; int [R].
    of_runs: the object of each run, int32 [R].
    codes: the code of each object, uint8 [N].
    contacts: the objects above and below, int32 [S] each, where one lies above another.
    contact_lengths: along how many pixels it does, int32 [S].
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    lengths: Numbers
    of_runs: Numbers
    codes: NDArray[np.uint8]
    contacts: tuple[Numbers, Numbers]
    contact_lengths: Numbers

    def __len__(self) -> int:
        """Return the number of objects, N."""
        return len(self.codes)

    def areas(self, row_areas: NDArray[Any]) -> NDArray[Any]:
        """Return the area of each object, [N], in the type of the areas of a pixel in each row."""
        runs = np.diff(self._first_runs(), append=len(self.starts))
        areas = self.lengths * np.repeat(row_areas, runs)
        # exact: sums are below 2 ** 53
        return np.bincount(self.of_runs, areas, len(self)).astype(row_areas.dtype)

    def spread(self, values: NDArray[Value]) -> NDArray[Value]:
        """Return the values [N] of objects at all their pixels, [height, width]."""
        return np.repeat(values[self.of_runs], self.lengths).reshape(self.shape)

    def cut(self, open_sides: Sequence[bool]) -> NDArray[np.bool_]:
        """Return which objects may go on beyond the array, bool [N].

        `open_sides` says of its top, bottom, left and right whether there is anything.
        """
        top, bottom, left, right = open_sides
        first = self._first_runs()
        found = np.zeros(len(self), bool)
        if top:
            found[self.of_runs[: first[1] if len(first) > 1 else None]] = True
        if bottom:
            found[self.of_runs[first[-1] :]] = True
        if left:
            found[self.of_runs[first]] = True
        if right:
            # the last run of a row comes before the first one of the next
            found[self.of_runs[first - 1]] = True
        return found

    def any_in(self, chosen: NDArray[np.bool_], rows: slice, cols: slice) -> bool:
        """Tell whether a pixel of these rows and columns is of a `chosen` object, bool [N]."""
        runs = np.flatnonzero(chosen[self.of_runs])
        row, first = np.divmod(self.starts[runs], self.shape[1])
        inside = (row >= rows.start) & (row < rows.stop)
        inside &= (first < cols.stop) & (first + self.lengths[runs] > cols.start)
        return bool(inside.any())

    def boxes(self, chosen: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
        """Return the rows and the columns that each `chosen` object, bool [N], lies within."""
        rows, first = np.divmod(self.starts, self.shape[1])
        low = np.full((2, len(self)), max(self.shape))
        high = np.zeros_like(low)
        for side, starts, stops in ((0, rows, rows + 1), (1, first, first + self.lengths)):
            np.minimum.at(low[side], self.of_runs, starts)
            np.maximum.at(high[side], self.of_runs, stops)
        ends = np.stack([low, high], axis=-1)[:, chosen].tolist()
        return [(slice(*rows), slice(*cols)) for rows, cols in zip(*ends, strict=True)]

    def borders(self, chosen: NDArray[np.bool_]) -> csr_array:
        """Return how long the borders of `chosen` objects, bool [N], are, in pixel sides.

        Sparse int32 [N, N], with an entry for each two objects, the lower number first, of which
        one at least is chosen. The ground without a class is no neighbour.
        """
        with_class = self.codes != NO_LABEL
        chosen_runs, with_class_runs = chosen[self.of_runs], with_class[self.of_runs]
        beside = chosen_runs[1:] | chosen_runs[:-1]
        beside &= with_class_runs[1:] & with_class_runs[:-1]
        beside[self._first_runs()[1:] - 1] = False
        left = np.flatnonzero(beside)
        above, below = self.contacts
        keep = np.flatnonzero(
            (chosen[above] | chosen[below]) & with_class[above] & with_class[below]
        )
        one = np.concatenate([self.of_runs[left], above[keep]])
        other = np.concatenate([self.of_runs[left + 1], below[keep]])
        lengths = np.concatenate([np.ones(len(left), np.int32), self.contact_lengths[keep]])
        return summed(len(self), np.minimum(one, other), np.maximum(one, other), lengths)

    def _first_runs(self) -> NDArray[np.int64]:
        """Return the first run of each row, int64 [height]."""
        height, width = self.shape
        return np.searchsorted(self.starts, np.arange(height) * width)


def find_objects(codes: NDArray[np.uint8]) -> Objects:
    """Return the objects of codes, uint8 [height, width]; ground without a class is one too."""
    height, width = codes.shape
    begins = np.ones((height, width), bool)
    np.not_equal(codes[:, 1:], codes[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    lengths = np.diff(starts, append=codes.size).astype(np.int32)
    run_codes = codes.ravel().take(starts)
    # between two rows: the parts along which neither goes over to another run
    parts = np.flatnonzero(begins[:-1] | begins[1:])
    part_lengths = np.diff(parts, append=codes.size - width).astype(np.int32)
    # every run of the upper row begins a part, and so does every run of the lower one
    above = np.cumsum(begins.ravel().take(parts), dtype=np.int32)
    above -= 1
    below = np.cumsum(begins.ravel()[width:].take(parts), dtype=np.int32)
    below += np.int32(np.count_nonzero(begins[0]) - 1)
    joined = run_codes.take(above) == run_codes.take(below)
    count, of_runs = connected(len(starts), above.compress(joined), below.compress(joined))
    object_codes = np.empty(count, np.uint8)
    object_codes[of_runs] = run_codes
    apart = np.flatnonzero(~joined)
    contacts = of_runs[above[apart]], of_runs[below[apart]]
    return Objects(
        codes.shape, starts, lengths, of_runs, object_codes, contacts, part_lengths[apart]
    )


def connected(count: int, ones: Numbers, others: Numbers) -> tuple[int, Numbers]:
    """Return the connected parts of a graph: how many there are, and that of each node, int32 [N].

    `ones` [E], in ascending order, and `others` are the ends of its edges. Parts are numbered in
    the order of their first nodes.
    """
    pointers = np.zeros(count + 1, np.int32)
    np.cumsum(np.bincount(ones, minlength=count), out=pointers[1:])
    edges = csr_array((np.ones(len(others)), others, pointers), shape=(count, count))
    parts, of_nodes = connected_components(edges, directed=False)
    return parts, of_nodes


def summed(count: int, ones: Numbers, others: Numbers, lengths: Numbers) -> csr_array:
    """Return the edges of a graph as a sparse array [N, N], those of the same ends added up."""
    turned = coo_array((lengths, (others, ones)), shape=(count, count))
    # so that it adds up nothing yet: turning puts all in order, which is faster than sorting
    turned.has_canonical_format = True
    edges = turned.tocsr().T.tocsr()
    edges.sum_duplicates()
    return edges


def ends(edges: csr_array) -> tuple[Numbers, Numbers, Numbers]:
    """Return the ends of the edges that `summed` returned, in ascending order, and the lengths."""
    ones = np.repeat(np.arange(edges.shape[0], dtype=np.int32), np.diff(edges.indptr))
    return ones, edges.indices, edges.data
