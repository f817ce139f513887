"""How large the tensors are that a graph takes: images, and inputs that are coarser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import onnx

from lcmap.graph.nodes import input_names
from lcmap.model_file import ModelInput


class TensorSize(NamedTuple):
    """The size of a tensor [1, channels, rows, columns], in cells of 2^`level` pixels."""

    level: int
    channels: int

    def of(self, height: int, width: int) -> tuple[int, int, int]:
        """Return the images, rows and columns for an image of this size."""
        return 1, height >> self.level, width >> self.level

    @property
    def cells_per_pixel(self) -> float:
        """How many cells there are for each pixel of the image, at most 1."""
        return 1 / (1 << 2 * self.level)


def tensor_sizes(network: onnx.ModelProto, inputs: Sequence[ModelInput]) -> dict[str, TensorSize]:
    """Return the sizes of the tensors that a network takes for a model's inputs, by their names."""
    names = input_names(network.graph)
    channels = {v.name: v.type.tensor_type.shape.dim[1].dim_value for v in network.graph.input}
    return {
        name: TensorSize(item.level, channels[name] or item.channels)
        for name, item in zip(names, inputs, strict=True)
    }


def levels_of(sizes: Mapping[str, TensorSize]) -> tuple[int, ...]:
    """Return the levels of the tensors, in order."""
    return tuple(size.level for size in sizes.values())
