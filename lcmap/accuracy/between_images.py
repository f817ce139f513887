"""Whether images differ more than the blocks in them do.

Blocks of one image are alike: the same season, sensor and landscape. Where that matters, intervals
from blocks are too short for any other image, and whole images have to be drawn
(benchmarks/coverage.py).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as fisher

from lcmap.accuracy.tally import BlockKey

_AGREED, _REFERENCE = 0, 1
_RARE = 0.05


def images_differ(by_block: Mapping[BlockKey, NDArray[np.integer]]) -> bool:
    """Tell whether the overall accuracy of any map differs from image to image beyond chance.

    Takes margins [maps, 3, K] by block, whose keys begin with the number of the image. The test is
    that of the analysis of variance (Fisher 1925) on what each block adds to the error of the
    ratio that overall accuracy is; with several maps at Bonferroni's level. False where there is
    nothing to compare: a single image, or a single block in each.
    """
    numbers = np.array([key[0] for key in by_block])
    _, image, blocks = np.unique(numbers, return_inverse=True, return_counts=True)
    between, within = len(blocks) - 1, len(numbers) - len(blocks)
    if between < 1 or within < 1:
        return False
    agreed, reference = np.moveaxis(
        np.stack(list(by_block.values()))[:, :, [_AGREED, _REFERENCE]].sum(axis=-1), -1, 0
    ).astype(np.float64)  # [blocks, maps]
    beyond = agreed - reference * (agreed.sum(axis=0) / reference.sum(axis=0))
    sums = np.zeros((len(blocks), beyond.shape[1]))
    np.add.at(sums, image, beyond)
    of_images = (sums**2 / blocks[:, None]).sum(axis=0)  # the mean of all is 0
    in_images = np.maximum((beyond**2).sum(axis=0) - of_images, 0)
    largest = fisher.ppf(1 - _RARE / beyond.shape[1], between, within)
    return bool((of_images * within > largest * between * in_images).any())
