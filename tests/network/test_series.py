"""Features of a series, against attention written out pixel by pixel, and what must not matter."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_series import BANDS, dates_of, exported_encoder, trained_encoder
from torch import Tensor

from lcmap.network import Architecture, LandCoverNetwork, receptive_field
from lcmap.network.series import FEATURES, HARMONICS, HEADS, OF_DATE, SeriesEncoder

cases = given(st.integers(1, 2), st.integers(1, 5), st.integers(0, 99))


def by_pixels(encoder: SeriesEncoder, series: Tensor, valid: Tensor, days: Tensor) -> Tensor:
    """What the encoder is to find in [T, C, h, w], in loops and without its own functions."""

    def block(part: torch.nn.Sequential, x: Tensor) -> Tensor:
        convolution, norm, _ = part
        x = convolution.weight[:, :, 0, 0] @ x
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        return torch.relu((x - norm.running_mean) * scale + norm.bias)

    _, _, h, w = series.shape
    found = torch.empty(FEATURES, h, w, dtype=series.dtype)
    for row in range(h):
        for column in range(w):
            clear = [t for t in range(len(series)) if valid[t, row, column]]
            if not clear:
                found[:, row, column] = encoder.nothing[0, :, 0, 0]
                continue
            features, of_heads = [], []
            for t in clear:
                x = series[t, :, row, column]
                for part in encoder.of_date:
                    x = block(part, x)
                angles = [2 * math.pi * (k + 1) * days[t] / 365.25 for k in range(HARMONICS)]
                circle = [*map(math.sin, angles), *map(math.cos, angles)]
                of_day = encoder.score_of_day.weight[:, :, 0, 0] @ torch.tensor(circle).to(x)
                features.append(x)
                of_heads.append(encoder.score.weight[:, :, 0, 0] @ x + of_day)
            weights = torch.softmax(torch.stack(of_heads), dim=0)  # [dates, HEADS]
            chosen = torch.stack([
                sum(weights[t, c % HEADS] * features[t][c] for t in range(len(clear)))
                for c in range(OF_DATE)
            ])  # fmt: skip
            found[:, row, column] = block(encoder.joint, chosen)
    return found


@cases
@settings(max_examples=15, deadline=None)
def test_it_is_attention_over_the_valid_dates_of_each_pixel(n: int, t: int, seed: int) -> None:
    encoder = trained_encoder().double()
    series, valid, days = (x.double() for x in dates_of(n, t, (3, 2), seed))
    found = encoder(series, valid, days)
    for i in range(n):
        expected = by_pixels(encoder, series[i], valid[i], days[i])
        torch.testing.assert_close(found[i], expected, rtol=1e-5, atol=1e-5)  # harmonics: float32


@cases
@settings(max_examples=15, deadline=None)
def test_what_is_not_valid_has_no_influence(n: int, t: int, seed: int) -> None:
    encoder = trained_encoder()
    series, valid, days = dates_of(n, t, (5, 4), seed)
    other = torch.where(valid[:, :, None] > 0, series, torch.randn_like(series) * 1e30)
    assert torch.equal(encoder(other, valid, days), encoder(series, valid, days))
    # dates without a valid pixel may as well be left out, or be of another day
    _, never, on = dates_of(n, 2, (5, 4), seed + 1, clear=0.0)
    more = torch.cat((series, torch.randn(n, 2, *series.shape[2:])), dim=1)
    found = encoder(more, torch.cat((valid, never), dim=1), torch.cat((days, on), dim=1))
    torch.testing.assert_close(found, encoder(series, valid, days))


@cases
@settings(max_examples=15, deadline=None)
def test_the_order_of_dates_changes_nothing(n: int, t: int, seed: int) -> None:
    encoder = trained_encoder()
    given_dates = dates_of(n, t, (4, 6), seed)
    order = torch.randperm(t)
    found = encoder(*(x[:, order] for x in given_dates))
    torch.testing.assert_close(found, encoder(*given_dates))


def test_a_date_given_twice_counts_as_once() -> None:
    encoder = trained_encoder()
    once = dates_of(1, 1, (4, 4), 0, clear=1.0)
    twice = (torch.cat((x, x), dim=1) for x in once)
    torch.testing.assert_close(encoder(*twice), encoder(*once))


def test_the_day_matters_and_goes_round_with_the_year() -> None:
    encoder = trained_encoder()
    series, valid, days = dates_of(1, 3, (4, 4), 0, clear=1.0)
    found = encoder(series, valid, days)
    assert not torch.allclose(encoder(series, valid, days + 60), found, atol=1e-3)
    torch.testing.assert_close(encoder(series, valid, days + 365.25), found, rtol=0, atol=1e-4)


def test_gradients_reach_all_weights_and_no_masked_value() -> None:
    torch.manual_seed(0)
    encoder = SeriesEncoder(BANDS)
    series, valid, days = dates_of(2, 4, (6, 6), 1, clear=0.4)
    series.requires_grad_()
    encoder(series, valid, days).square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0 or name == "nothing", name
    assert series.grad is not None
    masked = (valid[:, :, None] == 0).expand_as(series)
    assert (series.grad[masked] == 0).all()


def test_a_series_without_bands_is_refused() -> None:
    with pytest.raises(ValueError, match="bands must be at least 1"):
        SeriesEncoder(0)


@pytest.mark.parametrize("dates", [1, 3, 12, 30])
def test_engines_find_what_pytorch_finds_for_any_number_of_dates(dates: int) -> None:
    encoder, graph = trained_encoder(), exported_encoder()
    series, valid, days = (x[0] for x in dates_of(1, dates, (7, 9), dates))
    expected = encoder(series, valid[:, None], days[:, None, None, None]).numpy()
    np.testing.assert_allclose(
        encoder(series[None], valid[None], days[None]).numpy(), expected, rtol=1e-5, atol=1e-5
    )
    given_dates = {
        "series": series.numpy(),
        "valid": valid[:, None].numpy(),
        "days": days[:, None, None, None].numpy(),
    }
    (found,) = onnxruntime.InferenceSession(graph).run(None, given_dates)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    np.testing.assert_allclose(compiled(given_dates)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stem, level", [("full", 1), ("half", 1), ("half", 2)])
def test_a_network_sees_no_further_in_a_series_than_in_its_image(stem: str, level: int) -> None:
    architecture = Architecture(width=2, depth=2, stem=stem, levels=(0, level))
    reach = receptive_field(replace(architecture, levels=()))
    torch.manual_seed(0)
    encoder = trained_encoder().double()
    network = LandCoverNetwork([3, FEATURES], 4, architecture).double().eval()
    side = 4 * network.stride * (1 + reach // (4 * network.stride)) * 2
    half, cell = side // 2, 1 << level
    image = torch.randn(1, 3, side, side, dtype=torch.float64)
    series, valid, days = (x.double() for x in dates_of(1, 2, (side // cell,) * 2, 0, clear=0.8))
    scores = network(image, encoder(series, valid, days))
    series[..., : half // cell] = torch.randn_like(series[..., : half // cell])
    changed = (network(image, encoder(series, valid, days)) != scores).any(dim=1)[0].any(dim=0)
    assert changed[: half + 1].any()
    beyond = half + -(-reach // network.stride) * network.stride
    assert not changed[beyond:].any()
