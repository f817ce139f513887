"""A whole network in int8: what it computes, and on which pixels it is calibrated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_network import exported_network
from support import write_raster

from lcmap.dataset.input_reader import InputReader
from lcmap.dataset.raster_content import RasterContent
from lcmap.engines.calibration import CalibrationSample, quantise
from lcmap.errors import DataError
from lcmap.graph.int8 import convolutions
from lcmap.graph.padding import find_halo
from lcmap.inference.source import calibration_samples
from lcmap.raster.grid import Grid

ARCHITECTURES: list[tuple[tuple[int, ...], dict]] = [
    ((4,), {"depth": 1}),
    ((4,), {"skip": "reduce"}),
    ((4, 3, 23), {}),
    ((4,), {"stem": "half", "clip": (-1, 2)}),
]


def noise(
    channels: tuple[int, ...], side: int = 64, seed: int = 0, count: int = 1
) -> CalibrationSample:
    random = np.random.default_rng(seed)
    return tuple(random.normal(0, 1, (count, c, side, side)).astype(np.float32) for c in channels)


def run(
    model: bytes,
    images: CalibrationSample,
    outputs: list[str] | None = None,
    dump: Path | None = None,
) -> list[NDArray]:
    """Run a model; `dump` is what onnxruntime made of its graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if dump:
        options.optimized_model_filepath = str(dump)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(outputs, {f"e{i}": image for i, image in enumerate(images)})


@pytest.mark.parametrize(("channels", "options"), ARCHITECTURES)
def test_an_int8_network_maps_what_the_float32_network_maps(
    channels: tuple[int, ...], options: dict, tmp_path: Path
) -> None:
    graph = exported_network(channels, **options)
    quantised = quantise(graph, (noise(channels, seed=seed) for seed in range(1, 9)))
    model = onnx.load_model_from_string(quantised)
    onnx.checker.check_model(model, full_check=True)
    # those of the inputs and the last stay as they are
    total, in_integers = convolutions(model.graph)
    assert in_integers == total - len(channels) - 1 - ("stem" in options)
    dump = tmp_path / "as_run.onnx"
    for seed, side, count in ((20, 64, 1), (21, 40, 3)):
        images = noise(channels, side, seed, count)
        (expected,), (found,) = run(graph, images), run(quantised, images, dump=dump)
        assert found.shape == expected.shape == (count, 4, side, side)
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
        assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.97
    nodes = [node.op_type for node in onnx.load(dump).graph.node]
    assert nodes.count("QLinearConv") == in_integers
    # its tiles are cut like those of float32
    stride = 2 ** (options.get("depth", 2) + ("stem" in options))
    borders = find_halo(onnx.load_model_from_string(graph), stride)
    assert find_halo(model, stride) == borders
    # a quarter of the bytes, once weights outweigh the description of the graph
    assert len(quantised) < 0.6 * len(graph)


def test_features_are_unpooled_to_the_first_of_equal_maxima() -> None:
    model = onnx.load_model_from_string(quantise(exported_network((4,), depth=1), [noise((4,))]))
    made = {node.output[0]: node for node in model.graph.node}
    (join,) = (node for node in model.graph.node if node.op_type == "Concat")
    unpooled, skip = (made[name].input[0] for name in join.input)  # before they become float32
    product = made[unpooled]
    assert product.op_type == "Mul"
    (features,) = (made[n].input[0] for n in product.input if made[n].op_type == "Resize")
    names = [unpooled, skip, features]
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None) for name in names
    )
    found = run(model.SerializeToString(), noise((4,), seed=3), names)
    assert {values.dtype for values in found} == {np.dtype(np.uint8)}
    unpooled_, skip_, features_ = (values[0].astype(int) for values in found)
    channels, height, width = features_.shape
    cells = skip_.reshape(channels, height, 2, width, 2).swapaxes(2, 3).reshape(-1, 4)
    highest = np.sort(cells)[:, -2:]
    assert (highest[:, 0] == highest[:, 1]).sum() > 100, "ties are what this is about"
    expected = np.zeros_like(cells)
    expected[np.arange(len(cells)), cells.argmax(axis=1)] = features_.ravel()
    result = unpooled_.reshape(channels, height, 2, width, 2).swapaxes(2, 3).reshape(-1, 4)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        ([], "no window has a valid pixel"),
        ([(np.full((1, 4, 8, 8), np.nan, np.float32),)], "not finite"),
    ],
)
def test_what_says_nothing_of_the_values_is_refused(
    samples: list[CalibrationSample], said: str
) -> None:
    with pytest.raises(DataError, match=said):
        quantise(exported_network((4,), depth=1), [tuple(map(np.float32, s)) for s in samples])


@contextmanager
def opened(path: Path, image: NDArray, **profile: object) -> Iterator[InputReader]:
    """An image as a network's input, scaled so that its values stay as they are."""
    quantiles = np.array([[0.0, 1.0]] * len(image))
    with rasterio.open(write_raster(path, image, **profile)) as dataset:
        yield InputReader(dataset, Grid.of(dataset), RasterContent("image"), quantiles, str(path))


@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 700), st.integers(1, 700), st.sampled_from([2, 8, 16]), st.integers(1, 6),
    st.integers(0, 99),
)  # fmt: skip
def test_windows_are_drawn_from_all_of_the_image_once(
    tmp_path_factory: pytest.TempPathFactory,
    height: int, width: int, stride: int, count: int, seed: int,
) -> None:  # fmt: skip
    image = np.arange(1, height * width + 1, dtype=np.float32).reshape(1, height, width)
    with opened(tmp_path_factory.mktemp("image") / "image.tif", image) as model_input:

        def draw(number: int, seed: int) -> list[NDArray]:
            samples = calibration_samples(
                [model_input], (height, width), stride, count=number, seed=seed
            )
            return [pixels for (pixels,) in samples]

        windows = -(-height // 256) * -(-width // 256)
        every = draw(99, seed)
        assert len(every) == windows
        assert all(n % stride == 0 and n >= 2 * stride for one in every for n in one.shape[2:])
        assert all(one.shape[:2] == (1, 1) and one.dtype == np.float32 for one in every)
        # every pixel is in one of them, and in no other
        seen = np.concatenate([np.unique(one) for one in every])
        np.testing.assert_array_equal(np.sort(seen), image.ravel())
        for one, again in zip(draw(count, seed), every, strict=False):
            np.testing.assert_array_equal(one, again)
        assert len(draw(count, seed)) == min(count, windows)


def test_windows_without_data_are_passed_over(tmp_path: Path) -> None:
    image = np.ones((2, 300, 1000), np.uint8)
    mask = np.zeros((300, 1000), bool)
    mask[:200, 600:700] = True
    with opened(tmp_path / "image.tif", image, mask=mask) as model_input:
        (sample,) = calibration_samples([model_input, model_input], (300, 1000), 4)
        assert [pixels.shape for pixels in sample] == [(1, 2, 256, 256)] * 2
        assert sample[0].sum() == 2 * 200 * 100
    with opened(tmp_path / "empty.tif", image, mask=np.zeros_like(mask)) as nothing:
        assert list(calibration_samples([nothing], (300, 1000), 4)) == []
