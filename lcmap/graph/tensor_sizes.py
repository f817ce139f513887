"""How large the tensors are that a graph takes: images, coarser inputs and series of dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lcmap.dataset.encoding import Dates, Encoding
from lcmap.model_file import ModelInput
from lcmap.model_file.graph import input_tensors


class TensorSize(NamedTuple):
    """The size of a tensor [images, channels, rows, columns].

    Rows and columns are cells of 2^`level` pixels of the image; without a level there is one of
    each, whatever the image's size.
    """

    level: int | None
    channels: int
    images: int = 1

    def of(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the images, rows and columns for an image of this size."""
        if self.level is None:
            return self.images, 1, 1
        return self.images, height >> self.level, width >> self.level

    @property
    def values_per_pixel(self) -> float:
        """How many numbers there are for each pixel of the image."""
        return 0.0 if self.level is None else self.images * self.channels / 4**self.level


def tensor_sizes(
    inputs: Sequence[ModelInput], encodings: Sequence[Encoding]
) -> dict[str, TensorSize]:
    """Return the sizes of the tensors that a model's graph takes, by their names.

    Where its encoding does not say it, a series has one date.
    """
    sizes = {}
    for item, encoding in zip(inputs, encodings, strict=True):
        first, *others = input_tensors(item.name, is_series=item.kind == "series")
        dates = encoding.count if isinstance(encoding, Dates) else 1
        sizes[first] = TensorSize(item.level, item.channels, dates)
        if others:
            valid, days = others
            sizes[valid] = TensorSize(item.level, 1, dates)
            sizes[days] = TensorSize(None, 1, dates)
    return sizes


def levels_of(sizes: Mapping[str, TensorSize]) -> tuple[int, ...]:
    """Return the levels of those tensors that have pixels, in order."""
    return tuple(size.level for size in sizes.values() if size.level is not None)
