"""How good a network is on validation tiles: while it is trained, and once it is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor

from lcmap.accuracy.calibration import BINS, expected_calibration_error, reliability
from lcmap.accuracy.confusion import cells, count, margins
from lcmap.accuracy.measures import PER_CLASS, Scores, scores
from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile
from lcmap.engines.onnxruntime import OnnxRuntimeSession
from lcmap.model_file import Precision
from lcmap.nomenclature import Nomenclature
from lcmap.training.augmentation import Pixels
from lcmap.training.batches import channels_last
from lcmap.training.precision import autocast
from lcmap.training.samples import SampleSource, TrainingSet

Winners = Callable[[Sequence[Sequence[NDArray[np.float32]]]], NDArray[np.uint8]]
"""Gives the most probable classes [N, H, W] of N images [C, H, W] for each input."""

Each = Callable[[NDArray[np.float32], NDArray[np.uint8]], None]
"""Takes the probabilities [K, h, w] and the labels [h, w], 255 for none, of a tile."""


class Measured(NamedTuple):
    """What a model does on the validation tiles: its scores, and the counts of bins of confidence.

    reliability: float64 [3, bins], see `accuracy.calibration`.
    """

    scores: Scores
    reliability: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """The expected calibration error."""
        return float(expected_calibration_error(self.reliability))

    def values(self, nomenclature: Nomenclature) -> dict[str, float]:
        """Return them as a model's metadata holds them."""
        return validation_values(self.scores, nomenclature) | {"ece": self.ece}


def validate(
    network: torch.nn.Module,
    source: SampleSource,
    tiles: Sequence[IndexedTile],
    *,
    classes: int,
    stride: int,
    batch_size: int,
    device: torch.device,
    bfloat16: bool,
) -> NDArray[np.int64]:
    """Return how often a network takes each class for each, see `count_winners`.

    Its mode is left as it was.

    Raises:
        NotARasterError: pixels cannot be read.
    """

    def winners(images: Sequence[Sequence[NDArray[np.float32]]]) -> NDArray[np.uint8]:
        tensors = [channels_last(of_input).to(device) for of_input in images]
        with autocast(device, bfloat16):
            classes: Tensor = network(*tensors).argmax(dim=1)
        return classes.to("cpu", torch.uint8).numpy()

    was_training = network.training
    network.eval()
    with torch.inference_mode():
        found = count_winners(
            winners, source, tiles, classes=classes, stride=stride, batch_size=batch_size
        )
    network.train(was_training)
    return found


def validate_model(
    graph: bytes,
    source: SampleSource,
    data: TrainingSet,
    *,
    stride: int,
    after_tile: Callable[[], None] = lambda: None,
    each: Each | None = None,
) -> Measured:
    """Return what an exported model does on the validation tiles, as onnxruntime computes it.

    Whatever the device trains in, a float32 model is measured in float32 and one in int8 in int8.
    `each` is given what it says of every tile; `after_tile` is called after that.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    session = OnnxRuntimeSession(graph)
    names = [model_input.name for model_input in data.inputs]
    classes = len(data.nomenclature)
    counts = np.zeros((classes, classes + 1), np.int64)
    bins = np.zeros((3, BINS))
    for tile in data.validation:
        pixels = source.read(tile)
        height, width = pixels.labels.shape
        images = (image[None] for image in padded_images(pixels.images, stride, source.levels))
        (found,) = session.run(dict(zip(names, images, strict=True)))
        probabilities = found[0, :, :height, :width]
        winner = probabilities.argmax(axis=0).astype(np.uint8)
        counts += _confusion(pixels.labels, winner, classes)
        known = pixels.labels != IGNORE
        agreed = winner[known] == pixels.labels[known]
        bins += reliability(probabilities.max(axis=0)[known], agreed)
        if each is not None:
            each(probabilities, pixels.labels)
        after_tile()
    return Measured(scores(margins(counts)), bins)


def measured_by(precision: Precision) -> dict[str, str]:
    """Return what computed the scores of `validate_model`, for the metadata of a model."""
    return {"scores_computed_by": f"onnxruntime {onnxruntime.__version__} on cpu in {precision}"}


def validation_values(found: Scores, nomenclature: Nomenclature) -> dict[str, float]:
    """Return scores as a model's metadata holds them: miou, oa, and the IoU of each class."""
    miou, oa, *_ = found.overall.tolist()
    ious = found.per_class[PER_CLASS.index("iou")].tolist()
    return {"miou": miou, "oa": oa} | {
        f"iou {land_cover.short}": iou
        for land_cover, iou in zip(nomenclature.classes, ious, strict=True)
    }


def count_winners(
    winners: Winners,
    source: SampleSource,
    tiles: Sequence[IndexedTile],
    *,
    classes: int,
    stride: int,
    batch_size: int,
) -> NDArray[np.int64]:
    """Return the confusion of the labelled pixels of all tiles together, int64 [K, K+1].

    Rows are the labels, columns the winners; the last is 0. Each tile is seen by itself, mirrored
    right and below to whole multiples of the stride.

    Raises:
        NotARasterError: pixels cannot be read.
    """
    counts = np.zeros((classes, classes + 1), np.int64)
    for batch in _batches_of_one_shape(source, tiles, batch_size):
        padded = (padded_images(pixels.images, stride, source.levels) for pixels in batch)
        images = list(zip(*padded, strict=True))
        for pixels, winner in zip(batch, winners(images), strict=True):
            height, width = pixels.labels.shape
            counts += _confusion(pixels.labels, winner[:height, :width], classes)
    return counts


def _confusion(
    labels: NDArray[np.uint8], winner: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Return how often each class wins for each label, int64 [K, K+1]; labels are 255 for none."""
    reference = np.where(labels == IGNORE, np.uint8(classes), labels)
    return count(cells(reference, winner, classes), classes)[:classes, : classes + 1]


def padded_images(
    images: Sequence[NDArray[np.float32]], stride: int, levels: Sequence[int]
) -> tuple[NDArray[np.float32], ...]:
    """Return what `padded_image` does of each input, [C, h, w] on the cells of its level."""
    return tuple(
        padded_image(image, stride >> level) for image, level in zip(images, levels, strict=True)
    )


def padded_image(image: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    """Return an image [C, h, w] mirrored right and below to multiples of the stride, at least 2."""
    heights = [(0, max(-(-n // stride), 2) * stride - n) for n in image.shape[1:]]
    return np.pad(image, ((0, 0), *heights), mode="reflect")


def _batches_of_one_shape(
    source: SampleSource, tiles: Sequence[IndexedTile], size: int
) -> Iterator[list[Pixels]]:
    by_shape: dict[tuple[int, int], list[IndexedTile]] = {}
    for tile in tiles:
        window = source.window(tile)
        by_shape.setdefault((window.height, window.width), []).append(tile)
    for alike in by_shape.values():
        for start in range(0, len(alike), size):
            yield [source.read(tile) for tile in alike[start : start + size]]
