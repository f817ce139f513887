"""Objects that are smaller than the minimum mapping unit, dissolved into their neighbours.

One after the other, the smallest first; of two of the same area the one whose first pixel comes
first in reading order. An object takes the class with which it shares the longest border; of two
as long, the class of the lower code. It is one object then with all its neighbours of that class.
This is repeated until no object is too small, but for those that have no neighbour of any class.

Whether an object's turn has come depends on its neighbours alone: no other's turn comes before that
of one that is smaller than all of them, nor changes its borders. So many are dissolved at once,
with the same result; and so a part of a map tells what becomes of its objects, but for those that
go on beyond it and those that wait for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from lcmap.nomenclature.classes import NO_LABEL
from lcmap.products.objects import Numbers, Objects, connected, ends, find_objects, summed


@dataclass(frozen=True)
class Dissolved:
    """What became of an array of codes.

    codes: the codes now, uint8 [height, width].
    objects: the objects as they were, N in all.
    unsettled: those that ground beyond the array decides on, bool [N].
    """

    codes: NDArray[np.uint8]
    objects: Objects
    unsettled: NDArray[np.bool_]


def dissolve(
    codes: NDArray[np.uint8],
    row_areas: NDArray[np.int64],
    least: int,
    open_sides: Sequence[bool] = (False, False, False, False),
) -> Dissolved:
    """Dissolve the objects of codes, uint8 [height, width], whose area is below `least`.

    `row_areas` int64 [height] is the area of a pixel in each row. `open_sides` says of the top, the
    bottom, the left and the right of the array whether the map goes on there; what depends on the
    ground beyond is left as it is, and said to be unsettled.
    """
    objects = find_objects(codes)
    areas = objects.areas(row_areas)
    cut = objects.cut(open_sides)
    small = (areas < least) & (objects.codes != NO_LABEL)
    borders = objects.borders(small)
    if not borders.nnz:
        # without a neighbour: what is cut may have one beyond
        return Dissolved(codes, objects, small & cut)
    graph = _Graph(borders, objects.codes, np.minimum(areas, least), cut, least)
    while graph.dissolve_ready():
        pass
    unsettled = small & cut
    unsettled[graph.nodes] |= graph.unsettled()
    object_codes = objects.codes.copy()
    object_codes[graph.nodes] = graph.codes[graph.became]
    return Dissolved(objects.spread(object_codes), objects, unsettled)


class _Graph:
    """The small objects, their neighbours and the borders of both, while objects are dissolved.

    Nodes are numbered in reading order; one that is joined to others becomes the first of them. An
    edge leads from a small object to a neighbour.
    """

    def __init__(
        self,
        borders: csr_array,
        codes: NDArray[np.uint8],
        areas: NDArray[np.int64],
        cut: NDArray[np.bool_],
        least: int,
    ) -> None:
        """Begin with the borders of objects, sparse [N, N], their codes, areas and whether cut."""
        ones, others, lengths = ends(borders)
        self.nodes = np.flatnonzero(_marked(len(codes), ones, others))
        number = np.empty(len(codes), np.int32)
        number[self.nodes] = np.arange(len(self.nodes), dtype=np.int32)
        ones, others = number[ones], number[others]
        self.codes = codes[self.nodes]
        self.became = np.arange(len(self.nodes), dtype=np.int32)
        self._areas = areas[self.nodes]
        self._cut = cut[self.nodes]
        self._least = least
        self._sources = np.concatenate([ones, others])
        self._targets = np.concatenate([others, ones])
        self._lengths = np.concatenate([lengths, lengths])
        self._keep_edges()

    def dissolve_ready(self) -> bool:
        """Dissolve the objects whose turn has come; return whether there were any."""
        sources, targets = self._sources, self._targets
        order = self._areas * len(self.nodes) + np.arange(len(self.nodes))
        ready = ~self._cut
        ready[sources[order[targets] < order[sources]]] = False
        edges = np.flatnonzero(ready[sources])
        if not edges.size:
            return False
        sources, targets = sources[edges], targets[edges]
        which = np.flatnonzero(_marked(len(self.nodes), sources))
        codes = _longest(sources, self.codes[targets], self._lengths[edges], which)
        self.codes[which] = codes
        joined = np.flatnonzero(self.codes[sources] == self.codes[targets])
        self._join(sources[joined], targets[joined])
        return True

    def unsettled(self) -> NDArray[np.bool_]:
        """Return which nodes became an object that is still small: all that is left depends."""
        small: NDArray[np.bool_] = _marked(len(self.nodes), self._sources)
        small |= self._cut & (self._areas < self._least)
        return small[self.became]

    def _join(self, ones: Numbers, others: Numbers) -> None:
        """Make one object of each two that are named."""
        nodes = np.flatnonzero(_marked(len(self.nodes), ones, others))
        number = np.empty(len(self.nodes), np.int32)
        number[nodes] = np.arange(len(nodes), dtype=np.int32)
        # they come in ascending order, from `summed`
        count, parts = connected(len(nodes), number[ones], number[others])
        first = np.empty(count, np.int32)
        first[parts[::-1]] = nodes[::-1]
        areas = np.bincount(parts, self._areas[nodes], count).astype(np.int64)
        self._areas[first] = np.minimum(areas, self._least)
        self._cut[first] = np.bincount(parts, self._cut[nodes], count) > 0
        became = np.arange(len(self.nodes), dtype=np.int32)
        became[nodes] = first[parts]
        self.became = became[self.became]
        self._sources, self._targets = became[self._sources], became[self._targets]
        self._keep_edges()

    def _keep_edges(self) -> None:
        """Drop the edges inside of objects and those that lead from one that is not small."""
        small = self._areas < self._least
        keep = np.flatnonzero(small[self._sources] & (self._sources != self._targets))
        self._sources, self._targets, self._lengths = ends(
            summed(len(self.nodes), self._sources[keep], self._targets[keep], self._lengths[keep])
        )


def _longest(
    sources: Numbers, codes: NDArray[np.uint8], lengths: Numbers, which: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the code with which each source shares the longest border, the lower of two as long.

    An edge [E] is from a source to a neighbour of a code, so many pixels long; `which` [M] are the
    sources in ascending order.
    """
    number = np.empty(int(which[-1]) + 1, np.int64)
    number[which] = np.arange(len(which))
    present = np.unique(codes)
    place = np.zeros(256, np.int64)
    place[present] = np.arange(len(present))
    cells = number[sources] * len(present) + place[codes]
    shares = np.bincount(cells, lengths, len(which) * len(present))
    # the first of several that are as long
    longest: NDArray[np.uint8] = present[shares.reshape(len(which), -1).argmax(axis=1)]
    return longest


def _marked(count: int, *numbers: Numbers) -> NDArray[np.bool_]:
    """Return which of so many nodes are among the numbers."""
    found = np.zeros(count, bool)
    for some in numbers:
        found[some] = True
    return found
