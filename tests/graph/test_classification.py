"""The end of a graph, with temperatures and without some classes, against its definition."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from small_model import small_graph

from lcmap.graph.classification import Classification, scores_of, with_classification
from lcmap.graph.halo import INTERIOR
from lcmap.graph.padding import find_halo, graph_for
from lcmap.model_file.limits import OPERATORS

DEPTH = 2
TEMPERATURES = (0.7, 1.0, 2.0, 0.5, 1.5, 3.0, 0.9)
PLAIN = small_graph(4, 7, DEPTH).SerializeToString()


def run(model: bytes, image: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = onnxruntime.InferenceSession(model).run(None, {"image": image})[0]
    return found


def image(side: int = 32) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(0, 1, (1, 4, side, side)).astype(np.float32)


@pytest.mark.parametrize("temperatures", [None, TEMPERATURES])
@pytest.mark.parametrize("absent", [(), (2,), (0, 5)])
def test_probabilities_are_those_of_the_definition(
    temperatures: tuple[float, ...] | None, absent: tuple[int, ...]
) -> None:
    changed = with_classification(PLAIN, Classification(temperatures, absent))
    scores = np.log(run(PLAIN, image()).astype(np.float64))
    scores[:, list(absent)] = -np.inf
    winner = scores.argmax(axis=1)
    scores /= np.array(temperatures or [1.0] * 7)[winner][:, None]
    found = run(changed, image())
    np.testing.assert_allclose(found, softmax(scores, axis=1), rtol=0, atol=1e-6)
    assert np.array_equal(found.argmax(axis=1), winner)
    assert not found[:, list(absent)].any()
    operators = {node.op_type for node in onnx.load_model_from_string(changed).graph.node}
    assert operators <= OPERATORS


def test_nothing_to_do_changes_no_byte() -> None:
    assert with_classification(PLAIN, Classification()) is PLAIN


def test_what_it_writes_is_found_again() -> None:
    plain = scores_of(onnx.load_model_from_string(PLAIN).graph)
    changed = with_classification(PLAIN, Classification(TEMPERATURES))
    found = scores_of(onnx.load_model_from_string(changed).graph)
    assert plain.inverse_temperatures is None and found.inverse_temperatures is not None
    assert (found.name, found.classes) == (plain.name, 7)


def test_tiles_inside_the_image_are_not_padded() -> None:
    stride = 2**DEPTH
    changed = with_classification(PLAIN, Classification(TEMPERATURES, (3,)))
    model = onnx.load_model_from_string(changed)
    halo = find_halo(model, stride)
    assert halo == find_halo(onnx.load_model_from_string(PLAIN), stride)
    start, stop = stride + halo.before.residue, 14 * stride + halo.after.residue
    graph = graph_for(model, stride, INTERIOR, halo).SerializeToString()
    whole = image(16 * stride)
    found = run(graph, np.ascontiguousarray(whole[:, :, start:stop, start:stop]))
    inside = slice(start + halo.before.width, stop - halo.after.width)
    expected = run(changed, whole)[:, :, inside, inside]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
