"""The fast form of unpooling, against PyTorch and against the form in the model file."""

from __future__ import annotations

import importlib.util
from functools import cache
from itertools import product

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from small_model import small_graph

from lcmap.engines.calibration import quantise
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import OpenVinoSession
from lcmap.graph import padding
from lcmap.graph.halo import INTERIOR, BorderSides
from lcmap.graph.nodes import needed
from lcmap.graph.outputs import of_size
from lcmap.graph.padding import find_halo, graph_for
from lcmap.graph.unpooling import with_fast_unpooling
from lcmap.network import Architecture, LandCoverNetwork, stride
from lcmap.training.export import to_onnx

HAS_OPENVINO = importlib.util.find_spec("openvino") is not None
CHANNELS, HEIGHT, WIDTH = 2, 8, 12


@cache
def exported(channels: tuple[int, ...], architecture: Architecture) -> onnx.ModelProto:
    torch.manual_seed(0)
    network = LandCoverNetwork(channels, 3, architecture)
    return onnx.load_model_from_string(to_onnx(network, [f"e{i}" for i in range(len(channels))]))


def unpooling(kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """What the exported network computes from `low` and `skip` to `result`, and nothing else."""
    model = onnx.ModelProto()
    model.CopyFrom(exported((4,), Architecture(width=CHANNELS, depth=1)))
    graph = model.graph
    made = {node.output[0]: node for node in graph.node}
    join = next(node for node in graph.node if node.op_type == "Concat")
    result, skip = join.input
    enlarged = next(name for name in made[result].input if made[name].op_type == "Resize")
    low = made[enlarged].input[0]
    if kind == TensorProto.UINT8:  # as graph.int8 writes it
        numbers = next(node for node in graph.node if node.op_type == "ConvTranspose")
        for cast in (node for node in graph.node if node.op_type == "Cast"):
            cast.attribute[0].i = kind
        (small,) = numbers.output
        numbers.output[0] = "numbers in float32"
        graph.node.insert(
            list(graph.node).index(numbers) + 1,
            helper.make_node("Cast", ["numbers in float32"], [small], to=kind),
        )
    ends = {low, skip}
    kept = [node for node in graph.node if not ends & set(node.output)]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.output.append(helper.make_tensor_value_info(result, kind, None))
    kept = list(needed(graph))
    del graph.node[:]
    graph.node.extend(kept)
    for name, cell in ((low, 2), (skip, 1)):
        size = [1, CHANNELS, HEIGHT // cell, WIDTH // cell]
        graph.input.append(helper.make_tensor_value_info(name, kind, size))
    return model


@cache
def sessions(kind: int) -> tuple[list[str], list[OnnxRuntimeSession | OpenVinoSession]]:
    """Every engine's session of the fast form, and the names of its inputs, `low` first."""
    model = with_fast_unpooling(unpooling(kind))
    graph = model.SerializeToString()
    loaded: list[OnnxRuntimeSession | OpenVinoSession] = [OnnxRuntimeSession(graph)]
    if HAS_OPENVINO:
        loaded.append(OpenVinoSession(graph))
        if kind == TensorProto.FLOAT:
            loaded.append(OpenVinoSession(graph, arithmetic="bfloat16"))
    return [value.name for value in model.graph.input], loaded


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([TensorProto.FLOAT, TensorProto.UINT8]),
    st.lists(st.sampled_from([0.0, 1.0, 2.0, 127.0, 128.0]), min_size=1, max_size=4),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_every_engine_unpools_as_pytorch(
    kind: int, values: list[float], negative: bool, seed: int
) -> None:
    """Few values, so that most cells hold ties; one alone is a constant area. bfloat16 has them."""
    random = np.random.default_rng(seed)
    skip = random.choice(values, (1, CHANNELS, HEIGHT, WIDTH))
    if negative and kind == TensorProto.FLOAT:
        skip *= random.choice([-1, 1], skip.shape)
    low = random.integers(1, 100, (1, CHANNELS, HEIGHT // 2, WIDTH // 2))
    _, places = F.max_pool2d(torch.from_numpy(skip), 2, return_indices=True)
    expected = F.max_unpool2d(torch.from_numpy(low).double(), places, [2, 2]).numpy()
    names, loaded = sessions(kind)
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    inputs = dict(zip(names, (low.astype(dtype), skip.astype(dtype)), strict=True))
    for session in loaded:
        (found,) = session.run(inputs)
        assert np.array_equal(found, expected), session


def kernels(model: onnx.ModelProto) -> list[list[int]]:
    nodes = (node for node in model.graph.node if node.op_type == "MaxPool")
    return [list(i.ints) for node in nodes for i in node.attribute if i.name == "kernel_shape"]


@pytest.mark.parametrize(
    ("channels", "parts"),
    [((4,), {}), ((4,), {"skip": "reduce"}), ((1, 2), {"stem": "half", "clip": (0, 1)})],
)
def test_every_unpooling_that_lcmap_exports_is_found(
    channels: tuple[int, ...], parts: dict
) -> None:
    model = exported(channels, Architecture(width=CHANNELS, depth=2, **parts))
    fast = with_fast_unpooling(model)
    pooled = sum(kernel == [2, 2] for kernel in kernels(model))
    assert sum(kernel == [1, 1] for kernel in kernels(fast)) == 2
    # those of the masks are gone
    assert sum(kernel == [2, 2] for kernel in kernels(fast)) == pooled - 2


def test_another_unpooling_stays_as_it_is() -> None:
    model = small_graph(4, 7, 2)
    assert list(with_fast_unpooling(model).graph.node) == list(model.graph.node)


def test_other_numbers_of_pixels_are_not_taken_for_it() -> None:
    model = unpooling()
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.ravel().tolist() == [4, 3, 2, 1]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values[..., ::-1].copy(), tensor.name))
    assert kernels(with_fast_unpooling(model)) == [[2, 2], [2, 2]]


def assert_same_at_every_border(model: onnx.ModelProto, step: int, side: int) -> None:
    """Check the graphs of all borders against those without the fast form.

    OpenVINO, which takes long to load one, runs those of interior tiles and of a corner.
    """
    halo = find_halo(model, step)
    random = np.random.default_rng(0)
    for border in map(BorderSides._make, product((True, False), repeat=4)):
        if border == (True,) * 4:
            continue
        fast = graph_for(model, step, border, halo)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(padding, "with_fast_unpooling", lambda model: model)
            plain = graph_for(model, step, border, halo)
        assert len(fast.graph.node) > len(plain.graph.node)
        rows, columns = (
            side + (not last) * halo.after.residue - (not first) * halo.before.residue
            for first, last in ((border.top, border.bottom), (border.left, border.right))
        )
        inputs = {}
        for value in model.graph.input:
            size = 1, value.type.tensor_type.shape.dim[1].dim_value, rows, columns
            # steps of several pixels, so that there are ties beside the zeros of ReLU
            inputs[value.name] = random.integers(-3, 4, size).astype(np.float32)
        also = HAS_OPENVINO and border in (INTERIOR, (True, False, False, True))
        for load in (OnnxRuntimeSession, OpenVinoSession)[: 1 + also]:
            found, expected = (
                load(of_size(graph, rows, columns).SerializeToString()).run(inputs)[0]
                for graph in (fast, plain)
            )
            assert np.array_equal(found, expected), (border, load)


@pytest.mark.parametrize("parts", [{}, {"stem": "half", "context": 1}], ids=str)
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_graphs_of_every_border_give_the_same_bits(precision: str, parts: dict) -> None:
    architecture = Architecture(width=CHANNELS, depth=2, **parts)
    model = exported((4,), architecture)
    if precision == "int8":
        sample = np.random.default_rng(0).integers(-3, 4, (1, 4, 64, 64)).astype(np.float32)
        model = onnx.load_model_from_string(quantise(model.SerializeToString(), [(sample,)]))
    # interior graphs crop what the network sees around a block, context further than levels
    strides = 12 if not parts else 28
    assert_same_at_every_border(model, stride(architecture), strides * stride(architecture))
