"""Tiles of networks with a series, padded at the border only, against the whole image."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from small_series import BANDS, exported_series_network

from lcmap.graph.halo import BorderSides
from lcmap.graph.nodes import inputs_of_pixels
from lcmap.graph.padding import UnknownGraphError, find_halo, graph_for
from lcmap.network import Architecture, receptive_field, stride


def run(model: onnx.ModelProto, arrays: list[np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    (result,) = session.run(None, dict(zip(names, arrays, strict=True)))
    return result[0]


@settings(max_examples=2, phases=(Phase.explicit, Phase.reuse, Phase.generate), deadline=None)
@given(
    st.sampled_from([("full", 1, 0, 0), ("full", 2, 1, 0), ("half", 2, 2, 1), ("half", 1, 1, 0)]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_tiles_with_a_series_equal_the_whole(
    kind: tuple[str, int, int, int], dates: int, seed: int
) -> None:
    stem, depth, level, context = kind
    architecture = Architecture(
        width=3, depth=depth, stem=stem, context=context, levels=(0, level), side_skips=level > 0
    )
    model = onnx.load_model_from_string(exported_series_network(architecture))
    step = stride(architecture)
    halo = find_halo(model, step, (0, level, level))
    assert halo.before.width <= receptive_field(architecture)
    length = (-(-(halo.before.width + halo.after.width) // step) + 4) * step
    random = np.random.default_rng(seed)
    cell = 1 << level
    image = random.normal(0, 1, (1, 3, length, length)).astype(np.float32)
    cells = length // cell
    series = random.normal(0, 1, (dates, BANDS, cells, cells)).astype(np.float32)
    valid = (random.random((dates, 1, cells, cells)) < 0.6).astype(np.float32)
    days = random.integers(1, 366, (dates, 1, 1, 1)).astype(np.float32)
    whole = run(model, [image, series, valid, days])

    def spans(first: bool, last: bool) -> tuple[slice, slice, slice]:
        """What a tile sees of the image and of the series, and what it gives."""
        start = 0 if first else halo.before.residue
        stop = length if last else length - step + halo.after.residue
        taken = halo.taken[1] if halo.taken else None
        of_cells = slice(start, stop)
        if taken is not None:
            of_cells = slice(
                0 if first else taken.before,
                cells if last else (length - step) // cell + taken.after,
            )
        right = start + halo.before.width * (not first), stop - halo.after.width * (not last)
        return slice(start, stop), of_cells, slice(*right)

    for border in map(BorderSides._make, product((True, False), repeat=4)):
        rows, cell_rows, right_rows = spans(border.top, border.bottom)
        columns, cell_columns, right_columns = spans(border.left, border.right)
        of_tile = [
            image[:, :, rows, columns],
            *(x[:, :, cell_rows, cell_columns] for x in (series, valid)),
            days,
        ]
        tile = run(graph_for(model, step, border, halo), of_tile)
        np.testing.assert_allclose(
            tile, whole[:, right_rows, right_columns], rtol=0, atol=3e-6, err_msg=str(border)
        )


def small() -> onnx.ModelProto:
    architecture = Architecture(width=3, depth=1, levels=(0, 0))
    return onnx.load_model_from_string(exported_series_network(architecture))


def test_the_days_are_no_pixels() -> None:
    assert inputs_of_pixels(small().graph) == ["image", "series", "valid"]


def over_another_axis(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "another"))
    node.input[1] = "another"


def without_its_axis(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    (kept,) = (item for item in node.attribute if item.name == "keepdims")
    kept.i = 0


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceSum"])
@pytest.mark.parametrize("change", [over_another_axis, without_its_axis])
def test_what_is_computed_over_other_axes_is_refused(
    operator: str, change: Callable[[onnx.ModelProto, onnx.NodeProto], None]
) -> None:
    model = small()
    change(model, next(node for node in model.graph.node if node.op_type == operator))
    with pytest.raises(UnknownGraphError, match=operator):
        find_halo(model, 2)
