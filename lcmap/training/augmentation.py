"""Random variation of training samples: what is drawn, and pure functions of arrays and of that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lcmap.raster.windows import Window
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


class RadiometricChange(NamedTuple):
    """Gain and offset of each band, float32 [C], and the exponent of all."""

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    exponent: np.float32


class Variation(NamedTuple):
    """All that is random in a sample.

    side: of the square that becomes one of the wanted size.
    window: what is cut from the tile, counted from its corner.
    orientation: 0 … 7.
    radiometry: how each input changes, None where it does not.
    dropped: whether the sample goes without each of the side inputs.
    """

    side: int
    window: Window
    orientation: int
    radiometry: tuple[RadiometricChange | None, ...]
    dropped: tuple[bool, ...]


def draw_window(tile: Window, side: int, random: np.random.Generator) -> Window:
    """Return a window of `side` pixels, or of the tile's if less, counted from its corner."""
    height, width = min(side, tile.height), min(side, tile.width)
    row = int(random.integers(tile.height - height + 1))
    col = int(random.integers(tile.width - width + 1))
    return Window(row, col, height, width)


def draw_radiometry(bands: int, jitter: Jitter, random: np.random.Generator) -> RadiometricChange:
    """Return how an image of so many bands changes."""
    gain = (1 + random.uniform(-1, 1) * jitter.contrast) * (
        1 + random.uniform(-1, 1, bands) * jitter.band
    )
    offset = random.uniform(-1, 1) * jitter.contrast + random.uniform(-1, 1, bands) * jitter.band
    exponent = np.float32(np.exp(random.uniform(-1, 1) * jitter.gamma))
    return RadiometricChange(gain.astype(np.float32), offset.astype(np.float32), exponent)


def flip_and_turn(pixels: Pixels, orientation: int) -> Pixels:
    """Return a square crop in one of its eight orientations, 0 … 7; 0 is as it is."""
    turns, flipped = divmod(orientation, 2)
    columns = slice(None, None, -1 if flipped else 1)

    def oriented(array: NDArray[Any]) -> NDArray[Any]:
        return np.rot90(array, turns, axes=(-2, -1))[..., columns]

    return pixels.each(oriented)


def vary_radiometry(
    image: NDArray[np.float32], valid: NDArray[np.bool_], change: RadiometricChange
) -> NDArray[np.float32]:
    """Return an image [C, h, w] with another gain, offset and gamma; invalid pixels stay 0."""
    image = image * change.gain[:, None, None]
    image += change.offset[:, None, None]
    if change.exponent != 1:
        # values below the 2 % quantile are negative
        image = np.sign(image) * np.abs(image) ** change.exponent
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
