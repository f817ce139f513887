"""What is written of a prediction: class codes, confidence, probabilities. Pure, by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.nomenclature import Nomenclature

Layer = Literal["codes", "confidence", "probabilities", "winning-probability"]


class Prediction(NamedTuple):
    """The prediction of a window of h × w pixels.

    `probabilities` are float32 [K, h, w], `winner` is the class index of the largest, intp [h, w],
    the first of several; `valid` is where the image has data, bool [h, w].
    """

    probabilities: npt.NDArray[np.float32]
    winner: npt.NDArray[np.intp]
    valid: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> Prediction:
        """Return the prediction with these probabilities [K, h, w] where `valid` [h, w]."""
        return cls(probabilities, probabilities.argmax(axis=0), valid)

    @property
    def winning_probability(self) -> npt.NDArray[np.float32]:
        """The probability of the winner, float32 [h, w]."""
        taken: npt.NDArray[np.float32]
        (taken,) = np.take_along_axis(self.probabilities, self.winner[None], axis=0)
        return taken


def codes(prediction: Prediction, nomenclature: Nomenclature) -> npt.NDArray[np.uint8]:
    """Return the class codes, uint8 [1, h, w], 0 without data."""
    found = nomenclature.index_to_code[prediction.winner]
    return np.where(prediction.valid, found, np.uint8(0))[None]


def confidence_percent(prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Return the winner's probability in whole percent, uint8 [1, h, w], 0 without data."""
    percent = np.rint(prediction.winning_probability * 100).astype(np.uint8)
    return np.where(prediction.valid, percent, np.uint8(0))[None]


def winning_probability(prediction: Prediction) -> npt.NDArray[np.float32]:
    """Return the winner's probability, float32 [1, h, w], NaN without data."""
    return np.where(prediction.valid, prediction.winning_probability, np.float32(np.nan))[None]


def class_probabilities(prediction: Prediction) -> npt.NDArray[np.float32]:
    """Return the probability of each class, float32 [K, h, w], NaN without data."""
    return np.where(prediction.valid, prediction.probabilities, np.float32(np.nan))


_MAKE: dict[str, Callable[[Prediction, Nomenclature], npt.NDArray[Any]]] = {
    "codes": codes,
    "confidence": lambda prediction, _: confidence_percent(prediction),
    "probabilities": lambda prediction, _: class_probabilities(prediction),
    "winning-probability": lambda prediction, _: winning_probability(prediction),
}


def arrays(
    prediction: Prediction, nomenclature: Nomenclature, wanted: Iterable[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the layers that are wanted by name, each [bands, h, w]."""
    return {layer: _MAKE[layer](prediction, nomenclature) for layer in wanted}
