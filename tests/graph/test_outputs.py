"""The results of a tile's graph, against those of the graph in the model file."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from small_model import small_graph

from lcmap.graph.classification import Classification, with_classification
from lcmap.graph.outputs import Result, of_size, with_results

NAMES: tuple[Result, ...] = ("winner", "winning_probability", "margin", "probabilities")
WANTED = [chosen for count in (1, 2, 3, 4) for chosen in combinations(NAMES, count)]


@pytest.fixture(params=[True, False], ids=["softmax", "sigmoid"])
def model(request: pytest.FixtureRequest) -> onnx.ModelProto:
    model = small_graph(4, 7, 1)
    if not request.param:
        last = model.graph.node[-1]
        last.op_type = "Sigmoid"
        del last.attribute[:]
    return model


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": image})


@pytest.mark.parametrize("wanted", WANTED, ids="+".join)
def test_results_are_those_of_the_probabilities(
    model: onnx.ModelProto, wanted: tuple[Result, ...]
) -> None:
    image = np.random.default_rng(0).normal(0, 1, (2, 4, 12, 10)).astype(np.float32)
    (probabilities,) = run(model, image)
    expected = {
        "winner": probabilities.argmax(axis=1).astype(np.uint8),
        "winning_probability": probabilities.max(axis=1),
        "margin": np.sort(probabilities, axis=1)[:, -1] - np.sort(probabilities, axis=1)[:, -2],
        "probabilities": probabilities,
    }
    found = run(with_results(model, wanted), image)
    assert len(np.unique(expected["winner"])) > 2
    for name, values in zip(wanted, found, strict=True):
        assert values.dtype == expected[name].dtype
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("wanted", WANTED, ids="+".join)
def test_results_of_temperatures_and_absent_classes(wanted: tuple[Result, ...]) -> None:
    """A runtime computes the graph of the model file by itself; this one is written anew."""
    image = np.random.default_rng(0).normal(0, 1, (2, 4, 12, 10)).astype(np.float32)
    classification = Classification((0.7, 1.0, 2.0, 0.5, 1.5, 3.0, 0.9), absent=(1, 4))
    plain = small_graph(4, 7, 1).SerializeToString()
    model = onnx.load_model_from_string(with_classification(plain, classification))
    (probabilities,) = run(model, image)
    second, first = np.sort(probabilities, axis=1)[:, -2:].swapaxes(0, 1)
    expected = {
        "winner": probabilities.argmax(axis=1).astype(np.uint8),
        "winning_probability": first,
        "margin": first - second,
        "probabilities": probabilities,
    }
    for name, values in zip(wanted, run(with_results(model, wanted), image), strict=True):
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-6)
    if wanted == ("winner",):
        operators = {node.op_type for node in with_results(model, wanted).graph.node}
        assert not {"Gather", "Exp", "Softmax"} & operators


def test_the_margin_of_a_tie_is_0() -> None:
    model = small_graph(4, 7, 1)
    for tensor in model.graph.initializer:
        if tensor.name == "classifier":
            kernel = np.array(numpy_helper.to_array(tensor))
            kernel[1:] = kernel[0]
            tensor.CopyFrom(numpy_helper.from_array(kernel, "classifier"))
    image = np.random.default_rng(0).normal(0, 1, (1, 4, 4, 4)).astype(np.float32)
    winner, margin = run(with_results(model, ("winner", "margin")), image)
    assert not winner.any() and not margin.any()


def test_scores_far_apart_do_not_overflow() -> None:
    model = small_graph(4, 7, 1)
    image = np.full((1, 4, 4, 4), 1e4, np.float32)
    _, probability = run(with_results(model, ("winner", "winning_probability")), image)
    assert np.isfinite(probability).all()


def test_a_map_alone_takes_no_exponentials() -> None:
    graph = with_results(small_graph(4, 7, 1), ("winner",)).graph
    assert not {"Softmax", "Exp"} & {node.op_type for node in graph.node}


def test_a_model_of_one_size() -> None:
    model = of_size(small_graph(4, 7, 1), 6, 8)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert [dimension.dim_value for dimension in shape] == [1, 4, 6, 8]
    assert run(model, np.zeros((1, 4, 6, 8), np.float32))[0].shape == (1, 7, 6, 8)
