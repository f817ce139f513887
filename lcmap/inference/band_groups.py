"""What is written of a prediction: class codes, confidence, probabilities. Pure, by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.graph.outputs import Result
from lcmap.nomenclature import Nomenclature

BandGroupName = Literal[
    "codes", "confidence", "margin", "probabilities", "scenes", "winning-probability"
]

NO_MARGIN = 255
"""A margin without data: 0 is that of two classes that are as probable."""


class BandGroup(NamedTuple):
    """Bands that belong together and are kept under one name: how many, and their data type."""

    name: BandGroupName
    bands: int
    dtype: str

    @property
    def pixel_bytes(self) -> int:
        """The bytes of a pixel in all bands."""
        return self.bands * np.dtype(self.dtype).itemsize


SCENES = BandGroup("scenes", 1, "uint16")
"""The numbers of the scenes."""

WINNING_PROBABILITY = BandGroup("winning-probability", 1, "float32")
"""Kept for a verification, and never written to a file of its own."""


class Prediction(NamedTuple):
    """The prediction of a window of h × w pixels.

    `results` are those of `graph.outputs.Result` that band groups need, without the batch's axis:
    the winner [h, w], its probability [h, w], its margin [h, w], the probabilities of all classes
    [K, h, w]; `valid` is where the image has data, bool [h, w]. `scenes`, uint16 [h, w], are the
    numbers of the scenes that a campaign is mapped from, 0 for none; None of a single image.
    """

    results: Mapping[Result, npt.NDArray[Any]]
    valid: npt.NDArray[np.bool_]
    scenes: npt.NDArray[np.uint16] | None = None

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> Prediction:
        """Return the prediction with these probabilities [K, h, w] where `valid` [h, w]."""
        second, first = np.partition(probabilities, (-2, -1), axis=0)[-2:]
        results: dict[Result, npt.NDArray[Any]] = {
            "winner": probabilities.argmax(axis=0).astype(np.uint8),
            "winning_probability": first,
            "margin": first - second,
            "probabilities": probabilities,
        }
        return cls(results, valid)


def codes(prediction: Prediction, nomenclature: Nomenclature) -> npt.NDArray[np.uint8]:
    """Return the class codes, uint8 [1, h, w], 0 without data."""
    found = nomenclature.index_to_code.take(prediction.results["winner"])
    found *= prediction.valid
    return found[None]


def confidence_percent(prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Return the winner's probability in whole percent, uint8 [1, h, w], 0 without data."""
    percent = np.rint(prediction.results["winning_probability"] * 100).astype(np.uint8)
    return np.where(prediction.valid, percent, np.uint8(0))[None]


def margin_percent(prediction: Prediction) -> npt.NDArray[np.uint8]:
    """Return how far the second class is below the winner, in whole percent, uint8 [1, h, w].

    `NO_MARGIN` without data.
    """
    percent = np.rint(prediction.results["margin"] * 100).astype(np.uint8)
    return np.where(prediction.valid, percent, np.uint8(NO_MARGIN))[None]


def winning_probability(prediction: Prediction) -> npt.NDArray[np.float32]:
    """Return the winner's probability, float32 [1, h, w], NaN without data."""
    found = prediction.results["winning_probability"]
    return np.where(prediction.valid, found, np.float32(np.nan))[None]


def class_probabilities(prediction: Prediction) -> npt.NDArray[np.float32]:
    """Return the probability of each class, float32 [K, h, w], NaN without data."""
    found = prediction.results["probabilities"]
    return np.where(prediction.valid, found, np.float32(np.nan))


def scene_numbers(prediction: Prediction) -> npt.NDArray[np.uint16]:
    """Return the numbers of the scenes, uint16 [1, h, w], 0 for none; a single image's is 1."""
    scenes = prediction.scenes
    return (prediction.valid.astype(np.uint16) if scenes is None else scenes)[None]


_MAKE: dict[str, Callable[[Prediction, Nomenclature], npt.NDArray[Any]]] = {
    "codes": codes,
    "confidence": lambda prediction, _: confidence_percent(prediction),
    "margin": lambda prediction, _: margin_percent(prediction),
    "probabilities": lambda prediction, _: class_probabilities(prediction),
    "scenes": lambda prediction, _: scene_numbers(prediction),
    "winning-probability": lambda prediction, _: winning_probability(prediction),
}

RESULT_OF: dict[str, Result] = {
    "codes": "winner",
    "confidence": "winning_probability",
    "margin": "margin",
    "probabilities": "probabilities",
    "winning-probability": "winning_probability",
}
"""The result of the network that each band group is made from, where it is made from one."""


def arrays(
    prediction: Prediction, nomenclature: Nomenclature, wanted: Iterable[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return the band groups that are wanted by name, each [bands, h, w]."""
    return {name: _MAKE[name](prediction, nomenclature) for name in wanted}


def results_of(wanted: Iterable[str]) -> list[Result]:
    """Return the results of the network that band groups are made from, each once."""
    return list(dict.fromkeys(RESULT_OF[name] for name in wanted if name in RESULT_OF))
