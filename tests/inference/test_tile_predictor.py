"""Tiles put together equal the network's result for the whole image at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import BANDS, whole_image, write_coarse_model, write_small_model

from lcmap.engines.choice import Engine
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.graph.outputs import Result
from lcmap.inference.source import TilePixels, TileSource
from lcmap.inference.tile_predictor import TilePredictor
from lcmap.inference.tiling import Tile
from lcmap.model_file import ModelInput, ModelMetadata, load_graph, read_model, write_model
from lcmap.nomenclature import load_nomenclature
from lcmap.raster.windows import Window, mirror

LOAD = partial(OnnxRuntimeSession, threads=1)
ENGINE = Engine("onnxruntime", LOAD, LOAD)


@pytest.fixture(scope="module", params=[2, 3])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    return write_small_model(path, depth=request.param)


@pytest.fixture(
    scope="module",
    params=[{"depth": 2}, {"depth": 3}, {"depth": 2, "stem": "half", "context": 1}],
    ids=str,
)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the network itself, as training exports it, with the reach that it states."""
    import torch

    from lcmap.network import Architecture, LandCoverNetwork, receptive_field, stride
    from lcmap.training.export import to_onnx

    torch.manual_seed(0)
    architecture = Architecture(width=4, **request.param)
    network = LandCoverNetwork([4], 7, architecture)
    for block in network.context:  # at first they keep context out
        torch.nn.init.ones_(block.across[1].weight)
    path = tmp_path_factory.mktemp("trained") / "model.onnx"
    metadata = ModelMetadata(
        load_nomenclature("flair7"),
        (ModelInput("image", "image", BANDS, "uint8", 0.8),),
        stride(architecture),
        receptive_field(architecture),
    )
    write_model(to_onnx(network, ["image"]), metadata, path)
    return path


@pytest.fixture(
    scope="module",
    params=[((1,), 2), ((0, 1), 2), ((2,), 3), ((3, 1), 4)],
    ids=str,
)
def coarse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of an image and of inputs on these levels."""
    levels, depth = request.param
    path = tmp_path_factory.mktemp("coarse") / "model.onnx"
    return write_coarse_model(path, levels, depth=depth)


class InMemory:
    """An input in memory, [C, rows, columns] of its level's cells; valid where it is not 0."""

    def __init__(self, values: np.ndarray, level: int) -> None:
        self.values, self.level = values, level

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self.values.shape[1:]
        assert window.clipped(rows, columns) == window
        found = self.values[:, *window.slices]
        return found, (found != 0).any(axis=0)


def read_and_put_together(
    predictor: TilePredictor, inputs: Sequence[np.ndarray], levels: list[int], block: int,
    offset: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the probabilities of inputs, each on its level's cells, and which pixels are valid."""
    _, height, width = inputs[0].shape
    readers = list(map(InMemory, inputs, levels))
    source = TileSource((height, width), readers, [None] * len(levels))
    result = np.full((7, height, width), np.nan, np.float32)
    valid = np.zeros((height, width), bool)
    for tile in predictor.tiles(height, width, block, offset):
        prediction = predictor.predict(predictor.ready(tile, source.read(tile)))
        result[:, *tile.output_window.slices] = prediction.results["probabilities"]
        valid[tile.output_window.slices] = prediction.valid
    return result, valid


def predictor(model: Path, **options: bool) -> TilePredictor:
    results: tuple[Result, ...] = ("probabilities",)
    return TilePredictor(load_graph(model), read_model(model), results, ENGINE, **options)


def put_together(
    predictor: TilePredictor, inputs: Sequence[np.ndarray], block: int, offset: int
) -> np.ndarray:
    """Return the probabilities of inputs [C, height, width] tile by tile, [7, height, width]."""
    _, height, width = inputs[0].shape
    result = np.full((7, height, width), np.nan, np.float32)
    for tile in predictor.tiles(height, width, block, offset):
        inside = tile.input_window.clipped(height, width).slices
        valid = np.ones((tile.output_window.height, tile.output_window.width), bool)
        seen = tuple(mirror(model_input[:, *inside], tile.input_window) for model_input in inputs)
        prediction = predictor.predict(predictor.ready(tile, TilePixels(seen, valid)))
        result[:, *tile.output_window.slices] = prediction.results["probabilities"]
    return result


sizes = st.integers(1, 200)
blocks = st.integers(1, 120)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, blocks, blocks, st.integers(0, 99), st.booleans())
def test_tiled_equals_whole(
    model: Path, height: int, width: int, block: int, offset: int, seed: int, padded: bool
) -> None:
    scaled = np.random.default_rng(seed).random((4, height, width), np.float32)
    whole = whole_image(model, scaled, read_model(model).stride)
    tiled = put_together(predictor(model, padded=padded), [scaled], block, offset)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-6)


def inputs_of(
    metadata: ModelMetadata, height: int, width: int, seed: int
) -> tuple[list[np.ndarray], list[int]]:
    """Return random inputs above 0 of an image of this size, and their levels."""
    random = np.random.default_rng(seed)
    levels = [model_input.level for model_input in metadata.inputs]
    sizes = [(-(-height // 2**k), -(-width // 2**k)) for k in levels]
    return [
        0.1 + random.random((len(one.bands), *size), np.float32)
        for one, size in zip(metadata.inputs, sizes, strict=True)
    ], levels


@settings(max_examples=30, deadline=None)
@given(sizes, sizes, blocks, blocks, st.integers(0, 99), st.booleans())
def test_tiled_equals_whole_with_coarse_inputs(
    coarse: Path, height: int, width: int, block: int, offset: int, seed: int, padded: bool
) -> None:
    metadata = read_model(coarse)
    inputs, levels = inputs_of(metadata, height, width, seed)
    whole = whole_image(coarse, inputs[0], metadata.stride, *inputs[1:])
    tiled, valid = read_and_put_together(
        predictor(coarse, padded=padded), inputs, levels, block, offset
    )
    assert valid.all()
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-6)


def test_the_coarse_input_decides(coarse: Path) -> None:
    metadata = read_model(coarse)
    inputs, _ = inputs_of(metadata, 90, 70, 0)
    whole = whole_image(coarse, inputs[0], metadata.stride, *inputs[1:])
    for number in range(1, len(inputs)):
        other = [*inputs]
        other[number] = 1 - inputs[number]
        changed = whole_image(coarse, other[0], metadata.stride, *other[1:])
        assert np.abs(changed - whole).max() > 1e-2


def test_pixels_are_valid_where_their_cells_are(coarse: Path) -> None:
    inputs, levels = inputs_of(read_model(coarse), 75, 91, 1)
    for values in inputs[1:]:
        values[:, 2, 3:5] = 0
    _, valid = read_and_put_together(predictor(coarse), inputs, levels, 33, 5)
    expected = np.ones((75, 91), bool)
    for level in levels[1:]:
        expected[2 << level : 3 << level, 3 << level : 5 << level] = False
    np.testing.assert_array_equal(valid, expected)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(sizes, sizes, blocks, blocks)
def test_tiled_equals_whole_for_the_network_itself(
    trained: Path, height: int, width: int, block: int, offset: int
) -> None:
    scaled = np.random.default_rng(1).random((4, height, width), np.float32)
    whole = whole_image(trained, scaled, read_model(trained).stride)
    tiled = put_together(predictor(trained), [scaled], block, offset)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-6)


def test_the_comparison_sees_a_halo_that_is_too_small(model: Path) -> None:
    scaled = np.random.default_rng(0).random((4, 150, 170), np.float32)
    metadata = read_model(model)
    whole = whole_image(model, scaled, metadata.stride)
    blind = replace(metadata, receptive_field=0)
    without_halo = TilePredictor(load_graph(model), blind, ("probabilities",), ENGINE, padded=True)
    tiled = put_together(without_halo, [scaled], 48, 0)
    assert np.abs(tiled - whole).max() > 1e-3


def test_a_graph_that_cannot_be_followed_is_padded_all_around(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    graph = load_graph(model)
    pad = next(node for node in graph.graph.node if node.op_type == "Pad")
    pad.attribute[0].s = b"constant"
    metadata = read_model(model)
    results = ("probabilities",)
    cautious = TilePredictor(graph, metadata, results, ENGINE)
    padded = TilePredictor(graph, metadata, results, ENGINE, padded=True)
    assert cautious.halo == padded.halo
    scaled = np.random.default_rng(0).random((4, 90, 110), np.float32)
    expected = put_together(padded, [scaled], 1000, 0)
    found = put_together(cautious, [scaled], 24, 0)
    assert caplog.text.count("padded on every side") == 1
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_tiles_at_once_give_what_they_give_one_by_one(model: Path) -> None:
    image = np.random.default_rng(0).random((4, 130, 150), np.float32)
    one, several = predictor(model), predictor(model)
    tiles = one.tiles(130, 150, 24)

    def predict(predictor: TilePredictor, tile: Tile) -> np.ndarray:
        seen = mirror(image[:, *tile.input_window.clipped(130, 150).slices], tile.input_window)
        valid = np.ones((tile.output_window.height, tile.output_window.width), bool)
        ready = predictor.ready(tile, TilePixels((seen,), valid))
        return predictor.predict(ready).results["probabilities"]

    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(partial(predict, several), tiles))
    for tile, probabilities in zip(tiles, found, strict=True):
        np.testing.assert_array_equal(probabilities, predict(one, tile))


def test_without_a_valid_pixel_the_network_is_not_asked(model: Path) -> None:
    results: tuple[Result, ...] = ("winner", "winning_probability", "probabilities")

    def load(graph: bytes) -> NoReturn:
        raise AssertionError("a graph was loaded")

    engine = Engine("none", load, load)
    unasked = TilePredictor(load_graph(model), read_model(model), results, engine)
    (tile,) = unasked.tiles(8, 9, 64)
    ready = unasked.ready(tile, TilePixels(None, np.zeros((8, 9), bool)))
    prediction = unasked.predict(ready)
    shapes = {name: values.shape for name, values in prediction.results.items()}
    assert shapes == {
        "winner": (8, 9), "winning_probability": (8, 9), "probabilities": (7, 8, 9),
    }  # fmt: skip
    assert not any(values.any() for values in prediction.results.values())
