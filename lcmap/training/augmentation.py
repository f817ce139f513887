"""Random variation of training samples. Pure functions of arrays and a random generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.training.recipe import Jitter


class Pixels(NamedTuple):
    """A crop: class indices uint8 [h, w]; of each input what the network takes, and where valid.

    `images` are float32 [C, h, w], `valid` bool [h, w].
    """

    images: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.uint8]
    valid: tuple[NDArray[np.bool_], ...]

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Pixels:
        """Return the crop with all its arrays changed."""
        return Pixels(
            tuple(map(change, self.images)), change(self.labels), tuple(map(change, self.valid))
        )


def flip_and_turn(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Return a square crop in one of its eight orientations, all equally likely."""
    turns, flipped = divmod(int(random.integers(8)), 2)
    columns = slice(None, None, -1 if flipped else 1)

    def oriented(array: NDArray[Any]) -> NDArray[Any]:
        return np.rot90(array, turns, axes=(-2, -1))[..., columns]

    return pixels.each(oriented)


def vary_radiometry(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    jitter: Jitter,
    random: np.random.Generator,
) -> NDArray[np.float32]:
    """Return an image [C, h, w] with another gain, offset and gamma; invalid pixels stay 0."""
    bands = len(image)
    gain = (1 + random.uniform(-1, 1) * jitter.contrast) * (
        1 + random.uniform(-1, 1, bands) * jitter.band
    )
    offset = random.uniform(-1, 1) * jitter.contrast + random.uniform(-1, 1, bands) * jitter.band
    exponent = np.float32(np.exp(random.uniform(-1, 1) * jitter.gamma))
    image = image * gain.astype(np.float32)[:, None, None]
    image += offset.astype(np.float32)[:, None, None]
    if jitter.gamma:
        # values below the 2 % quantile are negative
        image = np.sign(image) * np.abs(image) ** exponent
    image *= valid
    return image


def zoom(pixels: Pixels, side: int) -> Pixels:
    """Return a square crop resampled to side × side: images bilinear, labels by nearest."""
    old = pixels.labels.shape[-1]
    centres = (np.arange(side) + 0.5) * old / side  # in pixels of the crop
    nearest = np.minimum(centres.astype(np.intp), old - 1)
    before = np.clip(np.floor(centres - 0.5).astype(np.intp), 0, old - 1)
    after = np.minimum(before + 1, old - 1)
    share = np.clip(centres - 0.5 - before, 0, 1).astype(np.float32)  # of `after`

    def resampled(image: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = image[:, before] * (1 - share)[:, None] + image[:, after] * share[:, None]
        result: NDArray[np.float32] = rows[:, :, before] * (1 - share) + rows[:, :, after] * share
        return result

    valid = tuple(mask[nearest][:, nearest] for mask in pixels.valid)
    images = tuple(resampled(x) * mask for x, mask in zip(pixels.images, valid, strict=True))
    return Pixels(images, pixels.labels[nearest][:, nearest], valid)
