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
from lcmap.raster.windows import Window, mirror, padded_length


class TilePixels(NamedTuple):
    """What is read of a tile.

    `inputs` are what the graph takes, each [channels, rows, columns] of the input window, those of
    `graph.entries` for each of the model's inputs; None where no pixel of the output window is
    valid; `valid` is bool [rows, columns] of the output window.
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
        inputs: Sequence[InputReader | LeftOut],
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
        inside = tile.input_window.clipped(*self.shape)
        output = tile.output_window.shifted(-inside.row, -inside.col).slices
        combine = np.logical_or if self._allow_missing else np.logical_and
        valid = np.full(
            (tile.output_window.height, tile.output_window.width), not self._allow_missing
        )
        pixels: list[npt.NDArray[Any]] = []
        for model_input, encoding in self._inputs:
            entries, where = model_input.read_encoded(inside, encoding)
            if not isinstance(model_input, LeftOut):
                valid = combine(valid, where[output])
            if not self._allow_missing and not valid.any():
                break
            pixels.extend(mirror(values, tile.input_window) for values in entries)
        return TilePixels(tuple(pixels) if valid.any() else None, valid)


class WindowReader(Protocol):
    """An input that is read by windows of the image's grid."""

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
) -> Iterator[CalibrationSample]:
    """Yield windows drawn from the grid of an image of this shape [rows, columns], without repeats.

    They have valid pixels in every input and are mirrored to multiples of the stride.

    Raises:
        NotARasterError, UnknownLabelError: as `InputReader.read`.
    """
    side = -(-SAMPLE_SIDE // stride) * stride
    rows, columns = (range(0, length, side) for length in shape)
    order = np.random.default_rng(seed).permutation(len(rows) * len(columns))
    for number in order.tolist():
        if count == 0:
            return
        row, column = divmod(number, len(columns))
        window = Window(rows[row], columns[column], side, side).clipped(*shape)
        values, valid = zip(*(model_input.read(window) for model_input in inputs), strict=True)
        if not np.logical_and.reduce(valid).any():
            continue
        size = padded_length(window.height, stride), padded_length(window.width, stride)
        yield tuple(mirror(pixels, Window(0, 0, *size))[None] for pixels in values)
        count -= 1
