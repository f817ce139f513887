from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_cdt

from lcmap.training.label_borders import near_another_class

LABELS = arrays(np.int64, st.tuples(st.just(2), st.integers(1, 9), st.integers(1, 9)),
                elements=st.sampled_from([0, 1, 1, 1, 6, 253, 255]))  # fmt: skip


@given(LABELS, st.integers(1, 12))
def test_it_is_scipys_chessboard_distance_to_another_class(
    labels: NDArray[np.int64], distance: int
) -> None:
    expected = np.zeros(labels.shape, bool)
    for image, near in zip(labels, expected, strict=True):
        for label in set(image.flat) - {255}:
            others = (image != label) & (image != 255)
            if others.any():
                apart = distance_transform_cdt(~others, metric="chessboard")
                near |= (image == label) & (apart <= distance)
    found = near_another_class(torch.from_numpy(labels), distance)
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_border_has_so_many_pixels_on_either_side_and_pixels_without_label_make_none() -> None:
    labels = torch.tensor([[[0, 0, 0, 0, 3, 3, 3, 3, 255, 255]]])
    assert near_another_class(labels, 2).int().tolist() == [[[0, 0, 1, 1, 1, 1, 0, 0, 0, 0]]]
