"""Random variation of training samples: what is drawn, and pure functions of arrays and of that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lcmap.dataset.reading import IGNORE
from lcmap.raster.windows import Window, at_pixels
from lcmap.training.recipe import Jitter

_BLURS = (0.3, 1.0)
"""Standard deviations, in pixels: less is not seen, more is no image of this resolution."""


AnyValue = TypeVar("AnyValue", bound=np.generic)


class Pixels(NamedTuple):
    """A crop: class indices uint8 [h, w]; of each input what the network takes, and where valid.

    `images` are float32 [C, h, w], `valid` bool [h, w]; those of an input of level k have a pixel
    for each cell of 2^k × 2^k of the crop's. `levels` () are 0 for all.
    """

    images: tuple[NDArray[np.float32], ...]
    labels: NDArray[np.uint8]
    valid: tuple[NDArray[np.bool_], ...]
    levels: tuple[int, ...] = ()

    @property
    def all_levels(self) -> tuple[int, ...]:
        """The level of each input."""
        return self.levels or (0,) * len(self.images)

    @property
    def valid_in_all(self) -> NDArray[np.bool_]:
        """Which pixels are valid in every input, bool [h, w]."""
        whole = Window(0, 0, *self.labels.shape)
        result = np.ones(self.labels.shape, bool)
        for valid, level in zip(self.valid, self.all_levels, strict=True):
            result &= at_pixels(valid, whole.coarsened(level), level, whole)
        return result

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Pixels:
        """Return the crop with all its arrays changed."""
        return Pixels(
            tuple(map(change, self.images)), change(self.labels), tuple(map(change, self.valid)),
            self.levels,
        )  # fmt: skip


class RadiometricChange(NamedTuple):
    """Gain and offset of each band, float32 [C], and the exponent of all.

    `blur` is the standard deviation of a Gaussian blur, in pixels; `noise` that of a Gaussian
    noise, which `seed` draws.
    """

    gain: NDArray[np.float32]
    offset: NDArray[np.float32]
    exponent: np.float32
    blur: float = 0.0
    noise: float = 0.0
    seed: int = 0

    def after(self, gain: NDArray[np.float32], offset: NDArray[np.float32]) -> RadiometricChange:
        """Return the change with another gain and offset by band, float32 [C], before it."""
        return self._replace(gain=gain * self.gain, offset=offset * self.gain + self.offset)


def draw_window(tile: Window, side: int, random: np.random.Generator, alignment: int = 1) -> Window:
    """Return a window of `side` pixels, or of the tile's if less, counted from its corner.

    It begins on multiples of `alignment`.
    """
    height, width = min(side, tile.height), min(side, tile.width)
    row = int(random.integers((tile.height - height) // alignment + 1)) * alignment
    col = int(random.integers((tile.width - width) // alignment + 1)) * alignment
    return Window(row, col, height, width)


def draw_radiometry(bands: int, jitter: Jitter, random: np.random.Generator) -> RadiometricChange:
    """Return how an image of so many bands changes."""
    gain = (1 + random.uniform(-1, 1) * jitter.contrast) * (
        1 + random.uniform(-1, 1, bands) * jitter.band
    )
    offset = random.uniform(-1, 1) * jitter.contrast + random.uniform(-1, 1, bands) * jitter.band
    exponent = np.float32(np.exp(random.uniform(-1, 1) * jitter.gamma))
    change = RadiometricChange(gain.astype(np.float32), offset.astype(np.float32), exponent)
    if jitter.blur and random.random() < jitter.blur:
        change = change._replace(blur=random.uniform(*_BLURS))
    if jitter.noise:
        noise, seed = random.uniform(0, jitter.noise), int(random.integers(2**32))
        change = change._replace(noise=noise, seed=seed)
    return change


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
    """Return an image [C, h, w] as the change makes it; invalid pixels stay 0."""
    if change.blur:
        blur = partial(ndimage.gaussian_filter, sigma=change.blur, axes=(-2, -1))
        image = filtered(image, valid, blur)
    image = image * change.gain[:, None, None]
    image += change.offset[:, None, None]
    if change.exponent != 1:
        # values below the 2 % quantile are negative
        image = np.sign(image) * np.abs(image) ** change.exponent
    if change.noise:
        random = np.random.default_rng(change.seed)
        image += np.float32(change.noise) * random.standard_normal(image.shape, np.float32)
    image *= valid
    return image


def filtered(
    image: NDArray[np.float32],
    valid: NDArray[np.bool_],
    linear: Callable[[NDArray[np.float32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """Return an image [C, h, w] filtered by means of its valid pixels alone; the others are 0.

    `linear` is a filter of images [C, h, w] whose weights are not negative and add up to 1.
    """
    found = linear(image)
    if not valid.all():
        share = linear(valid[None].astype(np.float32))
        found /= np.maximum(share, np.finfo(np.float32).tiny)
    return found


def zoom(pixels: Pixels, side: int) -> Pixels:
    """Return a square crop resampled to side × side: images bilinear, labels by nearest."""
    old = pixels.labels.shape[-1]
    to = {level: _Resampling(old >> level, side >> level) for level in {0, *pixels.all_levels}}
    valid = tuple(
        to[level].nearest(mask) for mask, level in zip(pixels.valid, pixels.all_levels, strict=True)
    )
    images = tuple(
        filtered(image, before, to[level].linear) * mask
        for image, before, mask, level in zip(
            pixels.images, pixels.valid, valid, pixels.all_levels, strict=True
        )
    )
    return Pixels(images, to[0].nearest(pixels.labels), valid, pixels.levels)


class _Resampling:
    """Brings squares of `old` pixels to `side`."""

    def __init__(self, old: int, side: int) -> None:
        centres = (np.arange(side) + 0.5) * old / side  # in pixels of the crop
        self._nearest = np.minimum(centres.astype(np.intp), old - 1)
        self._before = np.clip(np.floor(centres - 0.5).astype(np.intp), 0, old - 1)
        self._after = np.minimum(self._before + 1, old - 1)
        share = np.clip(centres - 0.5 - self._before, 0, 1)  # of `after`
        self._share: NDArray[np.float32] = share.astype(np.float32)

    def nearest(self, values: NDArray[AnyValue]) -> NDArray[AnyValue]:
        return values[self._nearest][:, self._nearest]

    def linear(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        before, after, share = self._before, self._after, self._share
        rest = np.float32(1) - share
        rows = image[:, before] * rest[:, None] + image[:, after] * share[:, None]
        result: NDArray[np.float32] = rows[:, :, before] * rest + rows[:, :, after] * share
        return result


def mirrored_to(pixels: Pixels, side: int) -> Pixels:
    """Return a crop filled up to side × side, mirrored, without labels in what was added."""
    height, width = pixels.labels.shape
    if height == side and width == side:
        return pixels

    def around(array: NDArray[Any], level: int) -> list[tuple[int, int]]:
        return [(0, (side >> level) - length) for length in array.shape[-2:]]

    levels = pixels.all_levels
    return Pixels(
        tuple(
            np.pad(image, [(0, 0), *around(image, level)], mode="reflect")
            for image, level in zip(pixels.images, levels, strict=True)
        ),
        np.pad(pixels.labels, around(pixels.labels, 0), constant_values=IGNORE),
        tuple(
            np.pad(valid, around(valid, level), mode="reflect")
            for valid, level in zip(pixels.valid, levels, strict=True)
        ),
        pixels.levels,
    )
