"""OpenVINO gives what onnxruntime gives, to a stated tolerance."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from small_fusion import IMAGE, OSO, S2, write_fusion_model

from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.engines.openvino import TOLERANCE, OpenVinoSession
from lcmap.errors import NotAModelError, UnavailableError
from lcmap.graph.halo import ALL_AROUND, INTERIOR, BorderSides
from lcmap.graph.outputs import Result, of_size, with_results
from lcmap.graph.padding import find_halo, graph_for

STRIDE = 4
EVERYTHING: tuple[Result, ...] = ("winner", "winning_probability", "probabilities")

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="lcmap[openvino] is not installed"
)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((IMAGE,), id="one input"),
        pytest.param((IMAGE, S2, OSO), id="three inputs", marks=pytest.mark.slow),
    ],
)
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> onnx.ModelProto:
    """The network itself, of one input and of several."""
    path = tmp_path_factory.mktemp("network") / "model.onnx"
    return onnx.load(write_fusion_model(path, request.param))


def fixed(model: onnx.ModelProto, rim: BorderSides, size: tuple[int, int]) -> bytes:
    graph = graph_for(model, STRIDE, rim, find_halo(model, STRIDE))
    return of_size(with_results(graph, EVERYTHING), *size).SerializeToString()


def pixels_for(model: onnx.ModelProto, size: tuple[int, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        value.name: random.random(
            (1, value.type.tensor_type.shape.dim[1].dim_value, *size), np.float32
        )
        for value in model.graph.input
    }


def assert_alike(graph: bytes, inputs: dict[str, np.ndarray]) -> None:
    winner, winning, probabilities = OpenVinoSession(graph, threads=2).run(inputs)
    expected_winner, expected_winning, expected = OnnxRuntimeSession(graph, provider="cpu").run(
        inputs
    )
    assert probabilities.dtype == np.float32 and winner.dtype == np.uint8
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(winning, expected_winning, rtol=0, atol=TOLERANCE)
    second, first = np.sort(expected, axis=1)[:, -2:].swapaxes(0, 1)
    sure = first - second > 2 * TOLERANCE
    assert sure.mean() > 0.5
    assert np.array_equal(winner[sure], expected_winner[sure])


@needs_openvino
@pytest.mark.parametrize(
    ("rim", "size"),
    [
        (ALL_AROUND, (48, 60)),
        (INTERIOR, (64, 68)),
        (BorderSides(True, False, False, True), (62, 66)),
    ],
    ids=["padded", "interior", "corner"],
)
def test_probabilities_and_classes_are_those_of_onnxruntime(
    network: onnx.ModelProto, rim: BorderSides, size: tuple[int, int]
) -> None:
    assert_alike(fixed(network, rim, size), pixels_for(network, size))


@needs_openvino
def test_ties_are_unpooled_to_the_same_pixel(network: onnx.ModelProto) -> None:
    size = 48, 48
    inputs = pixels_for(network, size)
    for values in inputs.values():  # steps of four pixels: most cells hold the same value
        values[:] = values[..., ::4, ::4].repeat(4, axis=2).repeat(4, axis=3)
    inputs["image"][..., 24:] = 0
    assert_alike(fixed(network, ALL_AROUND, size), inputs)


@needs_openvino
def test_results_are_not_changed_by_the_next_tile(network: onnx.ModelProto) -> None:
    session = OpenVinoSession(fixed(network, ALL_AROUND, (16, 16)))
    inputs = pixels_for(network, (16, 16))
    found = session.run(inputs)
    before = [values.copy() for values in found]
    session.run({name: values[..., ::-1] for name, values in inputs.items()})
    for now, then in zip(found, before, strict=True):
        assert np.array_equal(now, then)


@needs_openvino
def test_pixels_may_lie_in_any_order_in_memory(network: onnx.ModelProto) -> None:
    session = OpenVinoSession(fixed(network, ALL_AROUND, (16, 20)))
    inputs = pixels_for(network, (16, 20))
    turned = {name: np.asfortranarray(values) for name, values in inputs.items()}
    for found, expected in zip(session.run(turned), session.run(inputs), strict=True):
        assert np.array_equal(found, expected)


@needs_openvino
def test_a_quantised_graph_gives_the_steps_of_onnxruntime() -> None:
    random = np.random.default_rng(0)
    tensors = {
        "scale": np.float32(1 / 255), "zero": np.uint8(0),
        # as lcmap writes them: products of more bits are cut off on processors without VNNI
        "kernel": random.integers(-63, 64, (8, 4, 3, 3)).astype(np.int8),
        "kernel scale": random.uniform(0.5e-3, 2e-3, 8).astype(np.float32),
        "kernel zero": np.zeros(8, np.int8),
        "out scale": np.float32(0.01), "out zero": np.uint8(0),
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["steps"]),
            helper.make_node("DequantizeLinear", ["steps", "scale", "zero"], ["rounded"]),
            helper.make_node(
                "DequantizeLinear", ["kernel", "kernel scale", "kernel zero"], ["weights"], axis=0
            ),
            helper.make_node("Conv", ["rounded", "weights"], ["sum"], kernel_shape=[3, 3]),
            helper.make_node("Relu", ["sum"], ["positive"]),
            helper.make_node("QuantizeLinear", ["positive", "out scale", "out zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "out scale", "out zero"], ["result"]),
        ],
        "quantised",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 32, 32])],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 8, 30, 30])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    ).SerializeToString()
    inputs = {"image": random.random((1, 4, 32, 32), np.float32)}
    (found,) = OpenVinoSession(model).run(inputs)
    (expected,) = OnnxRuntimeSession(model, provider="cpu").run(inputs)
    apart = np.abs(found - expected)
    assert expected.any() and apart.max() < 1.01 * 0.01  # one step
    assert (apart < 1e-6).mean() > 0.99


@needs_openvino
def test_what_is_no_graph_is_one_line() -> None:
    with pytest.raises(NotAModelError, match=r"OpenVINO .* cannot load its graph") as caught:
        OpenVinoSession(b"no graph" * 100)
    assert "\n" not in str(caught.value)


@needs_openvino
def test_a_graph_that_fails_when_it_runs_is_one_line(network: onnx.ModelProto) -> None:
    session = OpenVinoSession(fixed(network, ALL_AROUND, (16, 16)), subject="land.onnx")
    with pytest.raises(NotAModelError, match=r"land\.onnx: OpenVINO .* cannot run it") as caught:
        session.run(pixels_for(network, (16, 20)))
    assert "\n" not in str(caught.value)


@needs_openvino
def test_importing_openvino_reports_nothing_to_anyone_and_converts_nothing() -> None:
    script = (
        "import sys\n"
        "from lcmap.engines.openvino import OpenVinoSession\n"
        "assert 'openvino' not in sys.modules\n"
        "try: OpenVinoSession(b'no graph')\n"
        "except ValueError: pass\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name in sys.modules if 'telemetry' in name or 'tensorflow' in name])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_without_openvino_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UnavailableError, match=r"pip install 'lcmap\[openvino\]'") as caught:
        OpenVinoSession(b"")
    assert caught.value.exit_code == 2
