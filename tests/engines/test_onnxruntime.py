"""A session gives the same by every way to run it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
from onnx import TensorProto, helper

from lcmap.engines.onnxruntime import BoundRun, OnnxRuntimeSession, choose_provider
from lcmap.errors import NotAModelError, UnavailableError

CUDA = "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def graph() -> bytes:
    """Return a graph of two inputs [1, 2, H, W] with their sum and the first one's winner."""
    size = [1, 2, "height", "width"]
    a, b = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name in "ab")
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("ArgMax", ["a"], ["winner"], axis=1, keepdims=0),
    ]
    outputs = [
        helper.make_tensor_value_info("sum", TensorProto.FLOAT, size),
        helper.make_tensor_value_info("winner", TensorProto.INT64, [1, "height", "width"]),
    ]
    made = helper.make_graph(nodes, "two inputs", [a, b], outputs)
    opset = helper.make_opsetid("", 20)
    return helper.make_model(made, opset_imports=[opset], ir_version=10).SerializeToString()


Entries = dict[str, npt.NDArray[np.float32]]


def inputs(number: int, side: int = 8) -> Entries:
    random = np.random.default_rng(number)
    return {name: random.random((1, 2, side, side), np.float32) for name in "ab"}


def check(results: list[npt.NDArray[np.generic]], given: Entries) -> None:
    total, winner = results
    np.testing.assert_array_equal(total, given["a"] + given["b"])
    np.testing.assert_array_equal(winner, given["a"].argmax(axis=1))


def test_bound_runs_give_what_plain_runs_give() -> None:
    plain = onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"])
    bound = BoundRun(plain, "cpu")
    for number, side in enumerate((8, 8, 5, 5, 8)):
        given = inputs(number, side)
        check(bound.run(given), given)


def test_results_of_a_bound_run_outlive_the_next() -> None:
    bound = BoundRun(
        onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"]), "cpu"
    )
    first = bound.run(inputs(0))
    bound.run(inputs(1))
    check(first, inputs(0))


def test_entries_may_be_views() -> None:
    bound = BoundRun(
        onnxruntime.InferenceSession(graph(), providers=["CPUExecutionProvider"]), "cpu"
    )
    for number in range(2):
        given = {name: values[..., ::2] for name, values in inputs(number).items()}
        check(bound.run(given), given)


@pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not CUDA, reason="no CUDA"))]
)
def test_several_threads_may_run_a_session(device: str) -> None:
    session = OnnxRuntimeSession(graph(), provider=device, threads=1)  # type: ignore[arg-type]
    given = [inputs(number) for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for results, one in zip(pool.map(session.run, given), given, strict=True):
            check(results, one)


@pytest.mark.skipif(CUDA, reason="CUDA is there")
def test_cuda_is_asked_for_and_not_there() -> None:
    assert choose_provider("auto") == "cpu"
    with pytest.raises(UnavailableError, match="finds no CUDA device"):
        choose_provider("cuda")


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(NotAModelError, match=r"land\.onnx: onnxruntime cannot load it"):
        OnnxRuntimeSession(b"no graph", subject="land.onnx")


def test_a_graph_that_fails_when_it_runs_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    image = helper.make_tensor_value_info("a", TensorProto.FLOAT, [1, 2, "height", "width"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Constant", [], ["place"], value_int=10**9),
        helper.make_node("Gather", ["a", "place"], ["out"], axis=1),
    ]
    made = helper.make_graph(nodes, "outside", [image], [out])
    opset = helper.make_opsetid("", 20)
    model = helper.make_model(made, opset_imports=[opset], ir_version=10).SerializeToString()
    session = OnnxRuntimeSession(model, subject="m.onnx")
    with pytest.raises(NotAModelError, match=r"m\.onnx: onnxruntime cannot run it"):
        session.run({"a": np.zeros((1, 2, 4, 4), np.float32)})
    assert capfd.readouterr().err == ""
