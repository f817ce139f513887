"""Series whose dates are pooled a few rows at a time."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_series import BANDS, exported_series_network

from lcmap.dataset.series import SeriesPixels
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.graph.series import split_series
from lcmap.inference import pooled_series
from lcmap.inference.pooled_series import DatePooling, PooledSeries, strips
from lcmap.network import Architecture
from lcmap.network.series import FEATURES
from lcmap.raster.windows import Window


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 400))
def test_strips_are_alike_and_hold_every_row(height: int, width: int, dates: int) -> None:
    parts = list(strips(height, width, dates))
    assert len({part.rows for part in parts}) == 1
    held = np.zeros(height, bool)
    for part in parts:
        assert 0 <= part.start < part.stop <= height
        for start in part.starts:
            assert 0 <= start <= part.stop - part.start - part.rows
            held[part.start + start : part.start + start + part.rows] = True
    assert held.all()
    assert sum(len(part.starts) for part in parts) * parts[0].rows < 2 * height + parts[0].rows


class Drawn(NamedTuple):
    """Stands for the reader of a series, and for what it holds of a window."""

    pixels: SeriesPixels
    level: int = 1
    dates: tuple[str, ...] = ("2018-01-01",) * 5

    def around(self, window: Window) -> Any:
        values, valid, days = self.pixels
        rows, columns = window.slices
        return Drawn(SeriesPixels(values[..., rows, columns], valid[:, rows, columns], days))

    def rows(self, start: int, stop: int) -> SeriesPixels:
        values, valid, days = self.pixels
        assert 0 <= start < stop <= valid.shape[1]
        return SeriesPixels(values[:, :, start:stop], valid[:, start:stop], days)


def drawn(size: tuple[int, int]) -> SeriesPixels:
    random = np.random.default_rng(0)
    valid = random.random((5, *size)) < 0.4
    values = random.normal(0, 1, (5, BANDS, *size)).astype(np.float32) * valid[:, None]
    return SeriesPixels(values, valid, random.integers(1, 366, 5).astype(np.float32))


@pytest.fixture(scope="module")
def pooling() -> DatePooling:
    model = onnx.load_model_from_string(
        exported_series_network(Architecture(width=3, depth=1, levels=(0, 0)))
    )
    found = split_series(model, ["series"]).poolings["series"]
    return DatePooling("series", found, partial(OnnxRuntimeSession, threads=1))


@pytest.mark.parametrize("window", [Window(0, 0, 40, 30), Window(3, 5, 31, 17), Window(9, 2, 1, 1)])
def test_a_window_in_strips_is_as_all_at_once(
    pooling: DatePooling, window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = drawn((40, 30))
    whole = pooling(pixels)
    assert whole.shape == (FEATURES, 40, 30)
    for at_a_time, around in ((1, 1), (500, 800), (2000, 2500), (1 << 20, 1 << 20)):
        monkeypatch.setattr(pooled_series, "_PIXELS", at_a_time)
        monkeypatch.setattr(pooled_series, "_AROUND", around)
        reader: Any = Drawn(pixels)
        features, valid = PooledSeries(reader, pooling).read(window)
        np.testing.assert_allclose(features, whole[:, *window.slices], rtol=1e-5)
        np.testing.assert_array_equal(valid, pixels.any_valid[window.slices])


def test_what_no_date_shows_has_the_features_of_nothing(pooling: DatePooling) -> None:
    pixels = drawn((6, 7))
    pixels.valid[:, 2, 3] = False
    found = pooling(pixels)[:, 2, 3]
    np.testing.assert_array_equal(found, pooling.of_nothing())
    assert found.any()
