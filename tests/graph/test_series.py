"""Networks of a series in two: what pools its dates, and what sees the rest, tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from small_series import BANDS, exported_series_network

from lcmap.engines.calibration import quantise
from lcmap.graph.halo import BorderSides
from lcmap.graph.nodes import UnknownGraphError
from lcmap.graph.padding import find_halo, graph_for
from lcmap.graph.series import split_series
from lcmap.network import Architecture, receptive_field, stride
from lcmap.network.series import FEATURES


def run(model: onnx.ModelProto, arrays: list[np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    (result,) = session.run(None, dict(zip(names, arrays, strict=True)))
    return result[0]


def network(architecture: Architecture) -> onnx.ModelProto:
    return onnx.load_model_from_string(exported_series_network(architecture))


class Dates(NamedTuple):
    """Values [T, BANDS, h, w], where valid [T, 1, h, w], and days [T, 1, 1, 1]."""

    series: np.ndarray
    valid: np.ndarray
    days: np.ndarray

    @classmethod
    def drawn(cls, dates: int, cells: int, seed: int) -> Dates:
        random = np.random.default_rng(seed)
        return cls(
            random.normal(0, 1, (dates, BANDS, cells, cells)).astype(np.float32),
            (random.random((dates, 1, cells, cells)) < 0.6).astype(np.float32),
            random.integers(1, 366, (dates, 1, 1, 1)).astype(np.float32),
        )

    def pooled(self, pooling: onnx.ModelProto) -> np.ndarray:
        """Return the features [1, FEATURES, h, w], of pixels that go in one row, shuffled."""
        *_, rows, columns = self.series.shape
        order = np.random.default_rng(0).permutation(rows * columns)
        rowed = [x.reshape(*x.shape[:2], 1, -1)[..., order] for x in (self.series, self.valid)]
        found = run(pooling, [*rowed, self.days])  # [FEATURES, 1, h · w]
        features = np.empty_like(found)
        features[..., order] = found
        return features.reshape(1, FEATURES, rows, columns)


@settings(max_examples=2, phases=(Phase.explicit, Phase.reuse, Phase.generate), deadline=None)
@given(
    st.sampled_from([("full", 1, 0, 0), ("full", 2, 1, 0), ("half", 2, 2, 1), ("half", 1, 1, 0)]),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_tiles_with_pooled_dates_equal_the_whole(
    kind: tuple[str, int, int, int], dates: int, seed: int
) -> None:
    stem, depth, level, context = kind
    architecture = Architecture(
        width=3, depth=depth, stem=stem, context=context, levels=(0, level), side_skips=level > 0
    )
    model = network(architecture)
    rest, poolings = split_series(model, ["series"])
    step = stride(architecture)
    halo = find_halo(rest, step, (0, level))
    assert halo.before.width <= receptive_field(architecture)
    length = (-(-(halo.before.width + halo.after.width) // step) + 4) * step
    cell = 1 << level
    random = np.random.default_rng(seed)
    image = random.normal(0, 1, (1, 3, length, length)).astype(np.float32)
    cells = length // cell
    given = Dates.drawn(dates, cells, seed)
    whole = run(model, [image, *given])
    features = given.pooled(poolings["series"].graph)

    def spans(first: bool, last: bool) -> tuple[slice, slice, slice]:
        """What a tile sees of the image and of the features, and what it gives."""
        start = 0 if first else halo.before.residue
        stop = length if last else length - step + halo.after.residue
        of_cells = slice(start, stop)
        if halo.taken:
            taken = halo.taken[1]
            of_cells = slice(
                0 if first else taken.before,
                cells if last else (length - step) // cell + taken.after,
            )
        right = start + halo.before.width * (not first), stop - halo.after.width * (not last)
        return slice(start, stop), of_cells, slice(*right)

    for border in map(BorderSides._make, product((True, False), repeat=4)):
        rows, cell_rows, right_rows = spans(border.top, border.bottom)
        columns, cell_columns, right_columns = spans(border.left, border.right)
        tile = run(
            graph_for(rest, step, border, halo),
            [image[:, :, rows, columns], features[:, :, cell_rows, cell_columns]],
        )
        np.testing.assert_allclose(
            tile, whole[:, right_rows, right_columns], rtol=0, atol=3e-6, err_msg=str(border)
        )


def small() -> onnx.ModelProto:
    return network(Architecture(width=3, depth=1, levels=(0, 0)))


def test_a_network_without_series_stays_as_it_is() -> None:
    model = small()
    assert split_series(model, []) == (model, {})


def test_the_rest_takes_features_in_the_place_of_the_series() -> None:
    rest, poolings = split_series(small(), ["series"])
    names = [value.name for value in rest.graph.input]
    batch, channels, *_ = rest.graph.input[1].type.tensor_type.shape.dim
    assert names == ["image", "series"]
    assert (batch.dim_value, channels.dim_value) == (1, FEATURES)
    assert poolings["series"].features == FEATURES
    onnx.checker.check_model(rest)
    weights = {tensor.name for tensor in rest.graph.initializer}
    used = {name for node in rest.graph.node for name in node.input}
    assert weights <= used


def test_a_model_in_integers_gives_what_its_parts_give() -> None:
    drawn = [Dates.drawn(3, 8, seed) for seed in range(3)]
    images = np.random.default_rng(0).normal(0, 1, (3, 1, 3, 8, 8)).astype(np.float32)
    samples = [(image, *dates) for image, dates in zip(images, drawn, strict=True)]
    model = onnx.load_model_from_string(quantise(small().SerializeToString(), samples))
    rest, poolings = split_series(model, ["series"])
    for image, dates in zip(images, drawn, strict=True):
        features = dates.pooled(poolings["series"].graph)
        found, whole = run(rest, [image, features]), run(model, [image, *dates])
        # a value between two steps may be rounded to either
        assert (abs(found - whole) < 1e-5).mean() > 0.9
        assert abs(found - whole).max() < 0.1


def over_another_axis(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "another"))
    node.input[1] = "another"


def without_its_axis(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    (kept,) = (item for item in node.attribute if item.name == "keepdims")
    kept.i = 0


@pytest.mark.parametrize("operator", ["ReduceMax", "ReduceSum"])
@pytest.mark.parametrize("change", [over_another_axis, without_its_axis])
def test_dates_that_are_pooled_in_another_way_are_refused(
    operator: str, change: Callable[[onnx.ModelProto, onnx.NodeProto], None]
) -> None:
    model = small()
    change(model, next(node for node in model.graph.node if node.op_type == operator))
    with pytest.raises(UnknownGraphError, match="series is not pooled before all else"):
        split_series(model, ["series"])


@pytest.mark.parametrize("shape", ["padded", "of all bands, without padding"])
def test_pixels_that_see_their_neighbours_before_they_are_pooled_are_refused(shape: str) -> None:
    model = small()
    groups = BANDS if shape == "padded" else 1
    first = next(i for i, node in enumerate(model.graph.node) if "series" in node.input)
    model.graph.node[first].input[0] = "blurred"
    weights = np.full((BANDS, BANDS // groups, 3, 3), 1 / 9, np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "kernel"))
    padding = [1, 1, 1, 1] if shape == "padded" else [0, 0, 0, 0]
    blur = helper.make_node("Conv", ["series", "kernel"], ["blurred"], group=groups, pads=padding)
    model.graph.node.insert(first, blur)
    with pytest.raises(UnknownGraphError, match="series is not pooled"):
        split_series(model, ["series"])
