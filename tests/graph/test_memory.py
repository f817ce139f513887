"""The model of cost: peak memory by the graph, and the tiles that it allows."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from lcmap.errors import UsageError
from lcmap.graph.halo import Halo, HaloSide
from lcmap.graph.memory import PixelBytes, largest_block, peak_tensor_bytes

BORDERS = Halo(HaloSide(2, 44), HaloSide(6, 44))


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
    one = peak_tensor_bytes(chain("Exp"), 2)
    # image and exponential; then exponential and sum
    assert one / tensor == pytest.approx(2)
    # exponential, sine, cosine: the first is needed to the end
    assert peak_tensor_bytes(chain("Exp", "Sin", "Cos"), 2) == pytest.approx(one * 1.5)
    # what is computed in place takes nothing
    assert peak_tensor_bytes(chain("Exp", "Sin", "Relu"), 2) == pytest.approx(one * 1.5)


def test_what_integer_kernels_do_inside_takes_nothing() -> None:
    size = ["N", 2, "H", "W"]
    constants = {
        "scale": np.float32(0.1),
        "zero": np.uint8(0),
        "weights": np.ones((2, 2, 1, 1), np.uint8),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "scale", "zero"], ["kernel"]),
        helper.make_node("Conv", ["x", "kernel"], ["sum"]),
        helper.make_node("QuantizeLinear", ["sum", "scale", "zero"], ["result"]),
    ]
    graph = helper.make_graph(
        nodes, "integers",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, size)],
        [helper.make_tensor_value_info("result", TensorProto.UINT8, size)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    # the image in float and in integers
    assert peak_tensor_bytes(model, 2) == pytest.approx(2 * (4 + 1))
    del graph.node[:]
    graph.node.extend([*nodes[:4], helper.make_node("Relu", ["sum"], ["result"])])
    graph.output[0].CopyFrom(helper.make_tensor_value_info("result", TensorProto.FLOAT, size))
    floats = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    # before and after the convolution in float
    assert peak_tensor_bytes(floats, 2) == pytest.approx(2 * (4 + 4), rel=1e-3)


@given(
    st.integers(800 << 20, 64 << 30),
    st.builds(PixelBytes, st.floats(30, 5000), st.floats(1, 160), st.integers(1, 80)),
    st.integers(1, 3),
)
def test_the_largest_block_fits_and_the_next_does_not(
    memory: int, pixel: PixelBytes, at_once: int
) -> None:
    def needed(block: int) -> float:
        tile = (
            at_once * pixel.computed
            + (at_once + 3) * pixel.read  # two read ahead, one being read
            + 4 * pixel.found  # three waiting to be written, one as it is written
        )
        return (block + 44 + 44 + 8) ** 2 * tile + (560 << 20)

    block = largest_block(memory, pixel, 8, BORDERS, at_most=3072, tiles_at_once=at_once)
    assert block % 8 == 0 and needed(block) <= memory
    assert block == 3072 or needed(block + 8 + 1) > memory


def test_too_little_memory_is_refused_with_what_would_do() -> None:
    with pytest.raises(UsageError, match=r"too little for this model; give 5\d\d MB or more"):
        largest_block(1 << 20, PixelBytes(1000, 4, 1), 8, BORDERS, at_most=3072)
