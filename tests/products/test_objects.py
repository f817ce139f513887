"""The objects of a map, against those that SciPy finds class by class."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy import ndimage

from lcmap.products.objects import find_objects

shapes = st.tuples(st.integers(1, 14), st.integers(1, 14))


@given(codes=arrays(np.uint8, shapes, elements=st.integers(0, 2)))
def test_the_boxes_of_chosen_objects_are_scipys(codes: NDArray[np.uint8]) -> None:
    objects = find_objects(codes)
    for code in range(3):
        own = objects.boxes(objects.codes == code)
        expected = ndimage.find_objects(ndimage.label(codes == code)[0])
        assert sorted(map(str, own)) == sorted(map(str, expected))
