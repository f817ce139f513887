"""Temperatures that make the confidence of a network agree with how often it is right.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks" (arXiv:1706.04599), section 4.2,
with a temperature for each class of the highest score, so that the map stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import nn

from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.graph.classification import Classification
from lcmap.nomenclature import Nomenclature
from lcmap.training.export import probabilities_of
from lcmap.training.samples import SampleSource, TrainingSet
from lcmap.training.validation import padded_images

MOST_PIXELS = 1 << 18
MOST_VALUES = 1 << 22
"""Of validation pixels, of classes times pixels: what temperatures are fitted to is drawn."""

PULL = 0.03
"""How much a squared distance 1 of the logarithm of a temperature from that of all classes counts
against the mean negative log-likelihood: tiles are few, and neighbouring pixels alike."""

ENOUGH = 1000
"""Pixels of a part: with fewer it counts less than others, since hardly anything says how it is."""

_FURTHEST = np.log(10.0)
"""Of the logarithm of a temperature from 0."""

_LEAST = 1e-30
"""Probabilities below it count as that."""


class Drawn(NamedTuple):
    """Pixels: scores [n, K], each but for a constant, and labels [n]."""

    scores: NDArray[np.floating]
    labels: NDArray[np.integer]


class Temperatures(NamedTuple):
    """What scores are divided by where each class wins, float64 [K], fitted to `pixels`."""

    values: NDArray[np.float64]
    pixels: int

    @classmethod
    def of(cls, drawn: Drawn) -> Temperatures:
        """Return those fitted to pixels, see `fit_temperatures`."""
        return cls(fit_temperatures(drawn.scores, drawn.labels), len(drawn.labels))

    @classmethod
    def across(cls, parts: Sequence[Drawn]) -> Temperatures:
        """Return one of all classes, fitted to the pixels of all parts.

        Each part counts the same, however many pixels it has, from `ENOUGH` of them.
        """
        scores, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
        sizes = np.array([len(part.labels) for part in parts])
        weights = np.repeat(1 / np.maximum(sizes, ENOUGH), sizes)
        return cls(fit_temperatures(scores, labels, alike=True, weights=weights), len(labels))

    def to_dict(self, nomenclature: Nomenclature) -> dict[str, Any]:
        """Return them as JSON values, by the class's short name."""
        named = zip(nomenclature.classes, self.values.tolist(), strict=True)
        return {
            "temperatures": {item.short: round(value, 6) for item, value in named},
            "pixels": self.pixels,
        }


class ScoreSample:
    """Pixels drawn from tiles, up to a bound, with the probabilities that a network gives them."""

    def __init__(
        self, tiles: Sequence[IndexedTile], classes: int, seed: int, parts: int = 1
    ) -> None:
        """Draw from these tiles of so many classes, where so many `parts` share the bound."""
        most = min(MOST_PIXELS, MOST_VALUES // classes) // parts
        labelled = sum(sum(tile.class_counts.values()) for tile in tiles)
        self._share = min(most / max(labelled, 1), 1.0)
        self._random = np.random.default_rng(seed)
        self._scores: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[np.uint8]] = []

    def add(self, probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        """Draw from a tile's probabilities [K, h, w] and labels [h, w], 255 for none."""
        drawn = (labels != IGNORE) & (self._random.random(labels.shape) < self._share)
        # scores but for a constant in each pixel, which makes no difference
        self._scores.append(np.log(np.maximum(probabilities[:, drawn].T, np.float32(_LEAST))))
        self._labels.append(labels[drawn])

    def drawn(self) -> Drawn:
        """Return what was drawn."""
        return Drawn(np.concatenate(self._scores), np.concatenate(self._labels))

    def temperatures(self) -> Temperatures:
        """Return the temperatures fitted to what was drawn."""
        return Temperatures.of(self.drawn())


class TileProbabilities:
    """Gives the probabilities of whole tiles."""

    def __init__(self, network: nn.Module, classification: Classification) -> None:
        """Predict with a network, on the device where it is."""
        self._network = network.eval()
        self._classification = classification

    def __call__(
        self, source: SampleSource, tile: IndexedTile
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return probabilities [K, h, w] and labels [h, w], 255 for none.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        pixels = source.read(tile)
        device = next(self._network.parameters()).device
        stride: Any = self._network.stride
        images = [
            torch.from_numpy(image)[None].to(device)
            for image in padded_images(pixels.images, stride, source.levels)
        ]
        rows, columns = source.inside(tile)
        with torch.inference_mode():
            found = probabilities_of(self._network(*images).float(), self._classification)
        return found[0, :, rows, columns].cpu().numpy(), pixels.labels[rows, columns]


def temperatures_of(
    network: nn.Module,
    source: SampleSource,
    data: TrainingSet,
    seed: int,
    absent: Sequence[int] = (),
) -> Temperatures:
    """Return the temperatures of a network, fitted to validation tiles; `absent` as elsewhere.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    sample = ScoreSample(data.validation, len(data.nomenclature), seed)
    predict = TileProbabilities(network, Classification(None, tuple(absent)))
    for tile in data.validation:
        sample.add(*predict(source, tile))
    return sample.temperatures()


def fit_temperatures(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    *,
    alike: bool = False,
    weights: NDArray[np.float64] | float = 1.0,
) -> NDArray[np.float64]:
    """Return a temperature for each class, float64 [K], from scores [n, K] and labels [n].

    Scores are divided by the temperature of their highest class. The first step finds the one
    temperature with the lowest mean negative log-likelihood, the second one for each class, pulled
    towards it (`PULL`): that of a class that never wins, or whose pixels do not tell, is it. Where
    classes are `alike`, all have that of the first step. Pixels count by their `weights`, [n], of
    which the mean makes no difference.
    """
    classes = scores.shape[1]
    if len(labels) == 0:
        return np.ones(classes)
    scores = np.asarray(scores, np.float64)
    winners = scores.argmax(axis=1)
    all_alike = np.zeros_like(winners)
    relative = np.asarray(weights / np.mean(weights), np.float64)
    common = np.repeat(_fitted(scores, labels, relative, all_alike, np.zeros(1), 0.0), classes)
    fitted = common if alike else _fitted(scores, labels, relative, winners, common, PULL)
    return np.exp(-fitted)


def confidence_of(
    scores: NDArray[np.floating], temperatures: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the probability of the class that wins, float64 [n], of scores [n, K]."""
    scaled = np.asarray(scores, np.float64) / temperatures[scores.argmax(axis=1), None]
    found: NDArray[np.float64] = softmax(scaled, axis=1).max(axis=1)
    return found


def _fitted(
    scores: NDArray[np.floating],
    labels: NDArray[np.integer],
    weights: NDArray[np.float64],
    groups: NDArray[np.intp],
    start: NDArray[np.float64],
    pull: float,
) -> NDArray[np.float64]:
    """Return the logarithm of what multiplies the scores of each group of pixels, [groups].

    `weights`, [n] or one of all, have the mean 1.
    """
    rows = np.arange(len(labels))

    def loss(logarithms: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = scores * np.exp(logarithms)[groups, None]
        likelihoods = log_softmax(scaled, axis=1)[rows, labels] * weights
        expected = (softmax(scaled, axis=1) * scaled).sum(axis=1)
        slopes = (expected - scaled[rows, labels]) * weights / len(labels)
        away = logarithms - start
        value = -float(likelihoods.mean()) + pull * float(away @ away)
        return value, np.bincount(groups, slopes, minlength=len(start)) + 2 * pull * away

    bounds = [(-_FURTHEST, _FURTHEST)] * len(start)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    fitted: NDArray[np.float64] = found.x
    return fitted
