"""Whether images differ more than their blocks do, against an analysis of variance of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif

from lcmap.accuracy.between_images import images_differ
from lcmap.accuracy.tally import BlockKey

PIXELS = 400


def blocks_of(
    random: np.random.Generator, images: int, spread: float, maps: int = 1
) -> dict[BlockKey, NDArray[np.int64]]:
    """Return blocks whose accuracy varies by 0.1, and from image to image by a spread beside."""
    found: dict[BlockKey, NDArray[np.int64]] = {}
    for image in range(images):
        shift = spread * random.normal(size=(maps, 1))
        for block in range(random.integers(4, 12)):
            rate = np.clip(0.6 + shift + 0.1 * random.normal(size=(maps, 1)), 0, 1)
            hits = random.binomial(PIXELS, rate)
            reference = np.full_like(hits, PIXELS)
            found[image, 0, block] = np.stack([hits, reference, hits], axis=1)
    return found


def test_the_verdict_is_that_of_scikit_learns_analysis_of_variance() -> None:
    random = np.random.default_rng(0)
    verdicts = set()
    for spread in np.linspace(0, 0.15, 40):
        blocks = blocks_of(random, 5, spread)
        shares = [[margins[0, 0, 0] / PIXELS] for margins in blocks.values()]
        p = f_classif(shares, [image for image, _, _ in blocks])[1][0]
        assert images_differ(blocks) == (p < 0.05)
        verdicts.add(p < 0.05)
    assert verdicts == {True, False}


@pytest.mark.parametrize("maps", [1, 4])
def test_images_that_do_not_differ_are_seldom_said_to(maps: int) -> None:
    random = np.random.default_rng(1)
    said = sum(images_differ(blocks_of(random, 5, 0, maps)) for _ in range(400))
    assert said < 400 * (0.05 + 0.033), "three standard errors above 5 %"


def test_one_map_of_several_suffices() -> None:
    random = np.random.default_rng(2)
    alike, other = blocks_of(random, 5, 0), blocks_of(random, 5, 0.3)
    keys = alike.keys() & other.keys()
    both = {key: np.concatenate([alike[key], other[key]]) for key in keys}
    assert not images_differ({key: alike[key] for key in keys})
    assert images_differ(both)


@pytest.mark.parametrize(("images", "blocks"), [(1, 8), (8, 1)])
def test_nothing_to_compare_is_no_difference(images: int, blocks: int) -> None:
    random = np.random.default_rng(3)
    found = {
        (image, 0, block): margins
        for (image, _, block), margins in blocks_of(random, images, 0.3).items()
        if block < blocks
    }
    assert len(found) > 3
    assert not images_differ(found)


def test_maps_without_an_error_do_not_differ() -> None:
    right = np.full((1, 3, 2), 50)
    assert not images_differ({(image, 0, b): right for image in range(3) for b in range(4)})


def test_images_of_equal_blocks_that_are_unlike_each_other_differ() -> None:
    found = {
        (image, 0, block): np.array([[[50 + image], [100], [100]]])
        for image in range(3)
        for block in range(4)
    }
    assert images_differ(found)
