"""Whether images differ more than the blocks in them do.

Blocks of one image are alike: the same season, sensor and landscape. Where that matters, intervals
from blocks are too short for any other image, and whole images have to be drawn
(benchmarks/coverage.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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
    numbers, order = np.unique([key[0] for key in by_block], return_inverse=True)
    if not 1 < len(numbers) < len(by_block):
        return False
    from scipy.stats import f_oneway  # which takes long, and most reports are of one image

    margins = np.stack(list(by_block.values()))  # [blocks, maps, 3, K]
    agreed, reference = (margins[:, :, part].sum(axis=-1) for part in (_AGREED, _REFERENCE))
    beyond = agreed - reference * (agreed.sum(axis=0) / reference.sum(axis=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # blocks that are all alike
        chance = f_oneway(*(beyond[order == image] for image in range(len(numbers)))).pvalue
    return bool((chance < _RARE / len(chance)).any())
