"""The tiles that are predicted, as the network takes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from lcmap.dataset.encoding import Encoding
from lcmap.dataset.input_reader import InputReader
from lcmap.engines.calibration import SAMPLE_SIDE, SAMPLES, CalibrationSample
from lcmap.inference.left_out import LeftOut
from lcmap.inference.tiling import Tile
from lcmap.raster.windows import Window, at_pixels, mirror, padded_length


class TilePixels(NamedTuple):
    """What is read of a tile.

    `inputs` are what the graph takes, each [channels, rows, columns] of what the tile takes of it,
    those of `graph.entries` for each of the model's inputs; None where no pixel of the output
    window is valid; `valid` is bool [rows, columns] of the output window.
    """

    inputs: tuple[npt.NDArray[Any], ...] | None
    valid: npt.NDArray[np.bool_]


class Pixels(Protocol):
    """What is read of a tile, of a single image or of many."""

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Where the output window has data, bool [rows, columns]."""
        ...


AnyPixels = TypeVar("AnyPixels", bound=Pixels)
Read = TypeVar("Read", bound=Pixels, covariant=True)


class Source(Protocol[Read]):
    """What tiles are read from; `shape` is that of the map, [rows, columns]."""

    shape: tuple[int, int]

    def read(self, tile: Tile) -> Read:
        """Read one tile."""
        ...


class StoredMap(Protocol):
    """A map of which windows can be read."""

    def read(self, group: str, window: Window) -> npt.NDArray[Any]:
        """Return a window of a band group, [bands, h, w]."""
        ...


class TileSource:
    """Reads the tiles of an image and of the inputs beside it."""

    def __init__(
        self,
        shape: tuple[int, int],
        inputs: Sequence[WindowReader],
        encodings: Sequence[Encoding],
        *,
        allow_missing: bool = False,
    ) -> None:
        """Read tiles of an image of this shape [rows, columns], each input in its encoding.

        A pixel is valid where every input is that is not left out, with `allow_missing` where any
        of them is.
        """
        self.shape = shape
        self._inputs = tuple(zip(inputs, encodings, strict=True))
        self._allow_missing = allow_missing

    def read(self, tile: Tile) -> TilePixels:
        """Read one tile; only pixels inside the image are read, the rest is mirrored.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        combine = np.logical_or if self._allow_missing else np.logical_and
        valid = np.full(
            (tile.output_window.height, tile.output_window.width), not self._allow_missing
        )
        pixels: list[npt.NDArray[Any]] = []
        for place, (model_input, encoding) in enumerate(self._inputs):
            cells = tile.cells_of(place)
            inside = cells_inside(cells, self.shape, model_input.level)
            entries, where = _encoded(model_input, inside, encoding)
            if not isinstance(model_input, LeftOut):
                here = at_pixels(where, inside, model_input.level, tile.output_window)
                valid = combine(valid, here)
            if not self._allow_missing and not valid.any():
                break
            pixels.extend(mirror(values, cells) for values in entries)
        return TilePixels(tuple(pixels) if valid.any() else None, valid)


def _encoded(
    reader: WindowReader, window: Window, encoding: Encoding
) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[np.bool_]]:
    """Return a window as a graph with this encoding takes it, and where it is valid."""
    if isinstance(reader, InputReader):
        return reader.read_encoded(window, encoding)
    values, valid = reader.read(window)
    return (values,), valid


def cells_inside(cells: Window, shape: tuple[int, int], level: int) -> Window:
    """Return the part of a window of cells in which an image of this shape [rows, columns] lies."""
    whole = Window(0, 0, *shape).coarsened(level)
    return cells.clipped(whole.height, whole.width)


class WindowReader(Protocol):
    """An input that is read by windows of the image's grid, in cells of its level."""

    level: int

    def read(self, window: Window) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Return a window as the network takes it, and where valid, as `InputReader.read`."""
        ...


def calibration_samples(
    inputs: Sequence[WindowReader],
    shape: tuple[int, int],
    stride: int,
    *,
    count: int = SAMPLES,
    seed: int = 0,
    allow_missing: bool = False,
) -> Iterator[CalibrationSample]:
    """Yield windows drawn from the grid of an image of this shape [rows, columns], without repeats.

    They have pixels that are valid in every input, with `allow_missing` in any, and are mirrored to
    multiples of the stride. An input that is left out does not count.

    Raises:
        NotARasterError, UnknownLabelError: as `InputReader.read`.
    """
    side = -(-SAMPLE_SIDE // stride) * stride
    rows, columns = (range(0, length, side) for length in shape)
    combine = np.logical_or if allow_missing else np.logical_and
    order = np.random.default_rng(seed).permutation(len(rows) * len(columns))
    for number in order.tolist():
        if count == 0:
            return
        row, column = divmod(number, len(columns))
        window = Window(rows[row], columns[column], side, side).clipped(*shape)
        size = padded_length(window.height, stride), padded_length(window.width, stride)
        sample: list[npt.NDArray[np.float32]] = []
        valid = np.full(window[2:], not allow_missing)
        for model_input in inputs:
            cells = window.coarsened(model_input.level)
            values, where = model_input.read(cells)
            if not isinstance(model_input, LeftOut):
                valid = combine(valid, at_pixels(where, cells, model_input.level, window))
            whole = Window(0, 0, *size).coarsened(model_input.level)
            sample.append(mirror(values, whole)[None])
        if not valid.any():
            continue
        yield tuple(sample)
        count -= 1
