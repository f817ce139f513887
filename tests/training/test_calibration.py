"""Temperatures, against scores whose temperatures are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from lcmap.accuracy.calibration import expected_calibration_error, reliability
from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.raster.windows import Window
from lcmap.training import calibration
from lcmap.training.calibration import ScoreSample, fit_temperatures


def drawn(
    temperatures: list[float], pixels: int = 60_000
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return scores [n, K] that are too sure by a factor of their winner, and labels drawn so."""
    random = np.random.default_rng(0)
    classes = len(temperatures)
    right = random.normal(0, 1.5, (pixels, classes))
    p = softmax(right, axis=1)
    labels = (p.cumsum(axis=1) < random.random((pixels, 1))).sum(axis=1)
    return right * np.array(temperatures)[right.argmax(axis=1), None], labels


def error(scores: NDArray[np.float64], labels: NDArray[np.intp]) -> float:
    p = softmax(scores, axis=1)
    return float(expected_calibration_error(reliability(p.max(1), p.argmax(1) == labels)))


def test_one_temperature_of_all_is_found() -> None:
    scores, labels = drawn([2.5, 2.5, 2.5])
    found = fit_temperatures(scores, labels)
    assert found == pytest.approx([2.5] * 3, rel=0.05)
    assert error(scores, labels) > 0.15
    assert error(scores / found[scores.argmax(1), None], labels) < 0.01


def test_classes_that_are_alike_have_the_temperature_that_fits_best() -> None:
    scores, labels = drawn([0.6, 1.0, 2.0])
    found = fit_temperatures(scores, labels, alike=True)
    assert (found == found[0]).all()
    rows = np.arange(len(labels))

    def likelihood(temperature: float) -> float:
        return float(np.log(softmax(scores / temperature, axis=1)[rows, labels]).mean())

    assert likelihood(found[0]) > max(likelihood(found[0] * factor) for factor in (0.97, 1.03))


def test_a_weight_of_two_is_that_of_two_pixels() -> None:
    scores, labels = drawn([0.6, 1.0, 2.0], 3_000)
    twice = np.arange(len(labels)) % 3 == 0
    repeated = np.repeat(np.arange(len(labels)), 1 + twice)
    for alike in (True, False):
        weighed = fit_temperatures(scores, labels, alike=alike, weights=1.0 + twice)
        expected = fit_temperatures(scores[repeated], labels[repeated], alike=alike)
        assert weighed == pytest.approx(expected, rel=1e-4)


def test_temperatures_by_class_are_found_but_for_the_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    true = [0.6, 1.0, 2.0]
    scores, labels = drawn(true)
    pulled = fit_temperatures(scores, labels)
    monkeypatch.setattr(calibration, "PULL", 0.0)
    assert fit_temperatures(scores, labels) == pytest.approx(true, rel=0.1)
    assert true[0] < pulled[0] < pulled[1] < pulled[2] < true[2]
    assert error(scores / pulled[scores.argmax(1), None], labels) < error(scores, labels)


def test_the_fit_is_the_minimum_that_torch_finds() -> None:
    scores, labels = drawn([0.7, 1.2, 1.9], 5_000)
    found = np.log(fit_temperatures(scores, labels))
    x, y = torch.from_numpy(scores), torch.from_numpy(labels)
    winner = x.argmax(1)

    def fitted(size: int, groups: torch.Tensor, start: torch.Tensor, pull: float) -> torch.Tensor:
        t = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS([t], line_search_fn="strong_wolfe", max_iter=100)

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = torch.nn.functional.cross_entropy(x / t.exp()[groups, None], y)
            value = value + pull * ((t - start) ** 2).sum()
            value.backward()
            return value

        optimizer.step(loss)
        return t.detach()

    common = fitted(1, torch.zeros_like(winner), torch.zeros(1, dtype=torch.float64), 0.0)
    expected = fitted(3, winner, common.repeat(3), calibration.PULL)
    assert found == pytest.approx(expected.numpy(), abs=1e-3)


def test_a_class_that_never_wins_has_the_temperature_of_all() -> None:
    scores, labels = drawn([2.0, 2.0])
    scores = np.hstack([scores, np.full((len(scores), 1), -50.0)])
    found = fit_temperatures(scores, labels)
    assert found[2] == pytest.approx(found[:2].mean(), rel=0.02)


@pytest.mark.parametrize("pixels", [0, 1])
def test_hardly_any_pixel_is_no_failure(pixels: int) -> None:
    found = fit_temperatures(np.eye(3)[:pixels] * 4, np.arange(pixels))
    assert np.isfinite(found).all() and (found > 0).all()


def test_a_sample_is_bounded_and_leaves_out_what_has_no_label(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr(calibration, "MOST_PIXELS", 500)
    scores, labels = drawn([3.0, 3.0, 3.0], 64 * 64)
    p = softmax(scores, axis=1).T.reshape(3, 64, 64).astype(np.float32)
    known = labels.reshape(64, 64).astype(np.uint8)
    known[:32] = IGNORE
    p[:, :32] = [[[1.0]], [[0.0]], [[0.0]]]  # would make temperatures other ones
    path: object = tmp_path
    tile = IndexedTile(path, path, (), Window(0, 0, 64, 64), "validation", 0.5, {1: 2048})  # type: ignore[arg-type]
    sample = ScoreSample([tile], 3, seed=0)
    sample.add(p, known)
    found = sample.temperatures()
    assert 400 < found.pixels < 600
    assert found.values == pytest.approx([3.0] * 3, rel=0.35)
