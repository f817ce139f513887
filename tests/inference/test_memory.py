"""The model of cost: peak memory by the graph, and the tiles that it allows."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lcmap.errors import UsageError
from lcmap.inference.borders import Borders, Side
from lcmap.inference.memory import LARGEST_BLOCK, largest_block, peak_bytes_per_pixel

BORDERS = Borders(Side(2, 44), Side(6, 44))


def chain(*operators: str) -> onnx.ModelProto:
    """Two float32 channels through operators, the last of which joins the first result too."""
    nodes, x = [], "image"
    for number, operator in enumerate(operators):
        nodes.append(helper.make_node(operator, [x], [f"x{number}"]))
        x = f"x{number}"
    nodes.append(helper.make_node("Add", [x, "x0"], ["probabilities"]))
    pixels = ["N", 2, "H", "W"]
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, pixels)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, pixels)],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def test_tensors_alive_together_are_added_up() -> None:
    tensor = 2 * 4  # bytes of a pixel
    one = peak_bytes_per_pixel(chain("Exp"), 2)
    # image and exponential; then exponential and sum
    assert one / tensor == pytest.approx(3 * 2)
    # exponential, sine, cosine: the first is needed to the end
    assert peak_bytes_per_pixel(chain("Exp", "Sin", "Cos"), 2) == pytest.approx(one * 1.5)
    # what is computed in place takes nothing
    assert peak_bytes_per_pixel(chain("Exp", "Sin", "Relu"), 2) == pytest.approx(one * 1.5)


@given(st.integers(800 << 20, 64 << 30), st.floats(30, 5000), st.integers(1, 40))
def test_the_largest_block_fits_and_the_next_does_not(
    memory: int, bytes_per_pixel: float, channels: int
) -> None:
    def needed(block: int) -> float:
        return (block + 44 + 44 + 8) ** 2 * (bytes_per_pixel + 16 * channels) + (600 << 20)

    block = largest_block(memory, bytes_per_pixel, channels, 8, BORDERS)
    assert block % 8 == 0 and needed(block) <= memory
    assert block == LARGEST_BLOCK or needed(block + 8 + 1) > memory


def test_too_little_memory_is_refused_with_what_would_do() -> None:
    with pytest.raises(UsageError, match=r"too little for this model; give 6\d\d MB or more"):
        largest_block(1 << 20, 1000.0, 4, 8, BORDERS)
