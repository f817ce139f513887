"""Tiles put together equal the network's result for the whole image at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import BANDS, whole_image, write_small_model

from lcmap.inference.predictor import Predictor
from lcmap.inference.session import Session
from lcmap.inference.source import TilePixels
from lcmap.inference.tiling import iter_tiles, mirror
from lcmap.model_file import Entry, ModelMetadata, read_model, write_model
from lcmap.nomenclature import load_nomenclature


@pytest.fixture(scope="module", params=[2, 3], ids=["depth 2", "depth 3"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    return write_small_model(path, depth=request.param)


@pytest.fixture(scope="module", params=[2, 3], ids=["depth 2", "depth 3"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the network itself, as training exports it, with the reach that it states."""
    import torch

    from lcmap.network import LandCoverNetwork, receptive_field, stride
    from lcmap.training.export import to_onnx

    torch.manual_seed(0)
    network = LandCoverNetwork([4], 7, width=4, depth=request.param)
    path = tmp_path_factory.mktemp("trained") / "model.onnx"
    metadata = ModelMetadata(
        load_nomenclature("flair7"),
        (Entry("image", "image", BANDS, "uint8", 0.8),),
        stride(request.param),
        receptive_field(request.param),
    )
    write_model(to_onnx(network, ["image"]), metadata, path)
    return path


def put_together(
    model: Path, scaled: np.ndarray, block: int, offset: int, **changes: int
) -> np.ndarray:
    metadata = read_model(model)
    predictor = Predictor(Session(model, threads=1), ["image"], 7)
    _, height, width = scaled.shape
    tiling = {"stride": metadata.stride, "receptive_field": metadata.receptive_field} | changes
    result = np.full((7, height, width), np.nan, np.float32)
    for tile in iter_tiles(height, width, block, offset=offset, **tiling):
        inside = scaled[:, *tile.seen.clipped(height, width).slices]
        valid = np.ones((tile.kept.height, tile.kept.width), bool)
        pixels = TilePixels((mirror(inside, tile.seen),), valid)
        result[:, *tile.kept.slices] = predictor.probabilities(tile, pixels)
    return result


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 200),
    st.integers(1, 200),
    st.integers(1, 120),
    st.integers(0, 120),
    st.integers(0, 99),
)
def test_tiled_equals_whole(
    model: Path, height: int, width: int, block: int, offset: int, seed: int
) -> None:
    scaled = np.random.default_rng(seed).random((4, height, width), np.float32)
    whole = whole_image(model, scaled, read_model(model).stride)
    tiled = put_together(model, scaled, block, offset)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-6)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 120), st.integers(0, 120))
def test_tiled_equals_whole_for_the_network_itself(
    trained: Path, height: int, width: int, block: int, offset: int
) -> None:
    scaled = np.random.default_rng(1).random((4, height, width), np.float32)
    whole = whole_image(trained, scaled, read_model(trained).stride)
    tiled = put_together(trained, scaled, block, offset)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=2e-6)


def test_the_comparison_sees_a_halo_that_is_too_small(model: Path) -> None:
    scaled = np.random.default_rng(0).random((4, 150, 170), np.float32)
    whole = whole_image(model, scaled, read_model(model).stride)
    tiled = put_together(model, scaled, 48, 0, receptive_field=0)
    assert np.abs(tiled - whole).max() > 1e-3


def test_the_comparison_sees_tiles_off_the_pooling_grid(model: Path) -> None:
    scaled = np.random.default_rng(0).random((4, 152, 176), np.float32)
    whole = whole_image(model, scaled, read_model(model).stride)
    # a multiple of the true stride, so that the network takes the tiles, from origins that are not
    stride = read_model(model).stride
    predictor = Predictor(Session(model, threads=1), ["image"], 7)
    (tile, *_) = iter_tiles(152, 176, 1000, stride, 40)
    shifted = np.ascontiguousarray(scaled[:, 1 : 1 + 152 - stride, 1 : 1 + 176 - stride])
    seen = tile.seen._replace(height=152 - stride, width=176 - stride)
    kept = predictor.probabilities(
        tile._replace(seen=seen, kept=seen), TilePixels((shifted,), np.ones(seen[2:], bool))
    )
    inner = np.s_[:, 45:-45, 45:-45]
    assert np.abs(kept - whole[:, 1 : 1 + seen.height, 1 : 1 + seen.width])[inner].max() > 1e-3


def test_without_a_valid_pixel_the_network_is_not_asked(model: Path) -> None:
    (tile,) = iter_tiles(8, 9, 64, 8, 40)
    pixels = TilePixels(None, np.zeros((8, 9), bool))
    result = Predictor(Session(model, threads=1), ["image"], 7).probabilities(tile, pixels)
    assert result.shape == (7, 8, 9) and not result.any()
