"""Tiles padded at the border only, against the graph that is padded all around."""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import small_graph

from lcmap.graph.halo import (
    ALL_AROUND,
    INTERIOR,
    BorderSides,
    Halo,
    HaloSide,
    TakenCells,
    padded_halo,
)
from lcmap.graph.padding import UnknownGraphError, find_halo, graph_for
from lcmap.network import Architecture, receptive_field, stride

PARTS = [{"skip": "concat"}, {"skip": "reduce"}, {"stem": "half", "clip": (0, 1)},
         {"context": 1}, {"stem": "half", "context": 2, "skip": "reduce"}]  # fmt: skip


@cache
def exported(channels: tuple[int, ...], architecture: Architecture) -> onnx.ModelProto:
    """The network itself, as training exports it, with statistics as training leaves them."""
    import torch

    from lcmap.network import LandCoverNetwork
    from lcmap.training.export import to_onnx

    torch.manual_seed(0)
    network = LandCoverNetwork(channels, 3, architecture)
    for name, value in network.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.3)
        if name.endswith("running_var"):
            value.uniform_(0.3, 2)
        if "across.1.weight" in name:  # at first they keep context out
            value.uniform_(0.5, 1)
    return onnx.load_model_from_string(to_onnx(network, [f"e{i}" for i in range(len(channels))]))


def run(model: onnx.ModelProto, images: list[np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    (result,) = session.run(None, {n: x[None] for n, x in zip(names, images, strict=True)})
    return result[0]


def assert_right_beside_every_rim(
    model: onnx.ModelProto,
    channels: tuple[int, ...],
    step: int,
    cells: tuple[int, int],
    seed: int,
    levels: tuple[int, ...] = (),
) -> None:
    """Check, for each of the 16 rims, a tile of an image a few cells longer than what it loses."""
    levels = levels or (0,) * len(channels)
    halo = find_halo(model, step, levels)
    lost = halo.before.width + halo.after.width
    height, width = ((-(-lost // step) + 3 + n) * step for n in cells)
    random = np.random.default_rng(seed)
    images = [
        random.normal(0, 1, (c, height >> level, width >> level)).astype(np.float32)
        for c, level in zip(channels, levels, strict=True)
    ]
    whole = run(model, images)
    of_image = TakenCells(0, halo.before.residue, halo.after.residue)
    taken = halo.taken or (of_image,) * len(channels)

    def spans(length: int, first: bool, last: bool) -> tuple[list[slice], slice]:
        """What a tile sees of each input and what it gives along an axis."""
        seen = [
            slice(
                0 if first else of.before,
                length >> of.level if last else (length - step >> of.level) + of.after,
            )
            for of in taken
        ]
        start = 0 if first else halo.before.residue
        stop = length if last else length - step + halo.after.residue
        right = start + halo.before.width * (not first), stop - halo.after.width * (not last)
        return seen, slice(*right)

    for border in map(BorderSides._make, product((True, False), repeat=4)):
        rows, right_rows = spans(height, border.top, border.bottom)
        columns, right_columns = spans(width, border.left, border.right)
        seen = [x[:, row, col] for x, row, col in zip(images, rows, columns, strict=True)]
        tile = run(graph_for(model, step, border, halo), seen)
        np.testing.assert_allclose(
            tile, whole[:, right_rows, right_columns], rtol=0, atol=2e-6, err_msg=str(border)
        )


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from([(4,), (1, 2), (2, 1, 3)]),
    st.builds(
        lambda parts, depth, width: Architecture(depth=depth, width=width, **parts),
        st.sampled_from(PARTS),
        st.integers(1, 3),
        st.integers(1, 3),
    ),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(0, 99),
)
def test_tiles_of_any_architecture_equal_the_whole(
    channels: tuple[int, ...], architecture: Architecture, cells: tuple[int, int], seed: int
) -> None:
    model = exported(channels, architecture)
    assert_right_beside_every_rim(model, channels, stride(architecture), cells, seed)


@pytest.mark.slow
@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("channels", [(4,), (1, 2), (2, 1, 3)])
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
def test_tiles_of_every_architecture_equal_the_whole(
    channels: tuple[int, ...], depth: int, parts: dict
) -> None:
    architecture = Architecture(width=3, depth=depth, **parts)
    model = exported(channels, architecture)
    assert_right_beside_every_rim(model, channels, stride(architecture), (1, 0), depth)


@pytest.mark.parametrize("parts", PARTS[2:], ids=str)
def test_tiles_of_every_part_equal_the_whole(parts: dict) -> None:
    architecture = Architecture(width=2, depth=2, **parts)
    model = exported((1, 2), architecture)
    assert_right_beside_every_rim(model, (1, 2), stride(architecture), (1, 0), 0)


@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_kernels_that_are_not_declared_are_those_of_the_weights(parts: dict) -> None:
    architecture = Architecture(width=2, depth=2, **parts)
    model = exported((4,), architecture)
    silent = onnx.ModelProto()
    silent.CopyFrom(model)
    undeclared = [node for node in silent.graph.node if node.op_type in ("Conv", "ConvTranspose")]
    for node in undeclared:
        (declared,) = (item for item in node.attribute if item.name == "kernel_shape")
        node.attribute.remove(declared)
    halo = find_halo(silent, stride(architecture))
    assert halo == find_halo(model, stride(architecture))
    assert_right_beside_every_rim(silent, (4,), stride(architecture), (0, 0), 0)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_graph_with_another_unpooling_is_followed_too(depth: int) -> None:
    model = small_graph(4, 7, depth)
    assert_right_beside_every_rim(model, (4,), 2**depth, (0, 1), 0)


@pytest.mark.parametrize("parts", PARTS, ids=str)
@pytest.mark.parametrize("depth", [2, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3))])
def test_no_more_is_lost_than_the_receptive_field(depth: int, parts: dict) -> None:
    architecture = Architecture(width=2, depth=depth, **parts)
    halo = find_halo(exported((4,), architecture), stride(architecture))
    for side in (halo.before, halo.after):
        assert side.width <= receptive_field(architecture) < side.width + stride(architecture)


@pytest.mark.parametrize("levels", [(0, 1), (0, 2), (0, 2, 1), (0, 0, 2)], ids=str)
def test_tiles_with_coarse_inputs_equal_the_whole(levels: tuple[int, ...]) -> None:
    channels = (4, *(2 for _ in levels[1:]))
    model = small_graph(4, 7, 3, [(2, level) for level in levels[1:]])
    assert_right_beside_every_rim(model, channels, 8, (0, 1), 0, levels)
    alone = find_halo(small_graph(4, 7, 3), 8)
    assert find_halo(model, 8, levels)[:2] == alone[:2]  # nothing is lost for the other inputs


COARSE = [
    Architecture(width=2, depth=3, levels=(0, 1)),
    Architecture(width=2, depth=3, levels=(0, 2)),
    Architecture(width=2, depth=3, levels=(0, 1), side_skips=True),
    Architecture(width=2, depth=3, stem="half", levels=(0, 2), context=1, side_skips=True),
    Architecture(width=2, depth=3, stem="half", levels=(0, 1), skip="reduce", side_skips=True),
    Architecture(width=2, depth=3, stem="half", levels=(0, 3, 0)),
    Architecture(width=2, depth=3, stem="half", levels=(0, 3, 2), side_skips=True),
]


@pytest.mark.slow
@pytest.mark.parametrize("architecture", COARSE, ids=str)
def test_tiles_of_networks_with_coarse_inputs_equal_the_whole(architecture: Architecture) -> None:
    channels = (2, *(1 for _ in architecture.levels[1:]))
    model = exported(channels, architecture)
    step = stride(architecture)
    assert_right_beside_every_rim(model, channels, step, (1, 0), 0, architecture.levels)
    for of in find_halo(model, step, architecture.levels).taken:
        assert of.before >= 0 and of.after << of.level < step


def test_known_cells_of_depth_three() -> None:
    halo = find_halo(small_graph(1, 2, 3, [(1, 2)]), 8, (0, 2))
    assert halo.taken == (TakenCells(0, *(side.residue for side in halo[:2])),
                          TakenCells(2, 1, 1))  # fmt: skip
    assert padded_halo(8, 44, (0, 2)).taken == (TakenCells(0, 0, 0), TakenCells(2, 0, 0))


def test_a_coarse_input_that_is_seen_further_than_the_image_is_refused() -> None:
    model = small_graph(1, 2, 2, [(1, 1)])
    for node in model.graph.node:  # a convolution of 9 × 9 with its padding, on the coarse input
        if node.output[0] == "side1_level1_padded":
            node.input[1] = "wide rim"
        if node.output[0] == "side1_level1_sum":
            node.input[1] = "wide kernel"
    arrays = {"wide rim": np.array([0, 0, 40, 40, 0, 0, 40, 40]),
              "wide kernel": np.ones((4, 1, 81, 81), np.float32)}  # fmt: skip
    model.graph.initializer.extend(onnx.numpy_helper.from_array(x, n) for n, x in arrays.items())
    with pytest.raises(UnknownGraphError, match="further in one input than in another"):
        find_halo(model, 4, (0, 1))


def test_known_borders_of_depth_three() -> None:
    halo = find_halo(exported((4,), Architecture(width=2, depth=3)), 8)
    assert halo == Halo(before=HaloSide(2, 44), after=HaloSide(6, 44))
    assert padded_halo(8, 44) == Halo(before=HaloSide(0, 48), after=HaloSide(0, 48))


def test_what_the_refinement_takes_of_an_image_is_cropped_before_it_computes() -> None:
    architecture = Architecture(width=2, depth=2, **PARTS[-1])
    model = exported((4,), architecture)
    (image,) = (value.name for value in model.graph.input)
    interior = graph_for(model, stride(architecture), INTERIOR, find_halo(model, 8))
    takes = [node.op_type for node in interior.graph.node if image in node.input]
    assert sorted(takes) == ["Slice", "SpaceToDepth"]


def test_an_interior_tile_is_not_padded() -> None:
    model = exported((4,), Architecture(width=2, depth=2))
    assert any(node.op_type == "Pad" for node in model.graph.node)
    interior = graph_for(model, 4, INTERIOR, find_halo(model, 4))
    assert not any(node.op_type == "Pad" for node in interior.graph.node)
    assert graph_for(model, 4, ALL_AROUND, find_halo(model, 4)) is model


def changed(model: onnx.ModelProto, operator: str, attribute: str, value: object) -> None:
    node = next(node for node in model.graph.node if node.op_type == operator)
    for item in [item for item in node.attribute if item.name == attribute]:
        node.attribute.remove(item)
    node.attribute.append(onnx.helper.make_attribute(attribute, value))


@pytest.mark.parametrize(
    "operator, attribute, value",
    [
        ("Pad", "mode", "constant"),
        ("Conv", "strides", [2, 2]),
        ("Conv", "pads", [1, 1, 1, 1]),
        ("Conv", "dilations", [2, 2]),
        ("MaxPool", "kernel_shape", [3, 3]),
        ("Resize", "mode", "linear"),
        ("Concat", "axis", 2),
    ],
)
def test_what_cannot_be_followed_is_refused(operator: str, attribute: str, value: object) -> None:
    model = small_graph(4, 7, 2)
    changed(model, operator, attribute, value)
    with pytest.raises(UnknownGraphError):
        find_halo(model, 4)


def test_an_unknown_operator_is_refused(tmp_path: Path) -> None:
    model = small_graph(4, 7, 2)
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "GlobalMaxPool"
    with pytest.raises(UnknownGraphError, match="GlobalMaxPool"):
        find_halo(model, 4)
