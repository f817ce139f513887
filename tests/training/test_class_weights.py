from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lcmap.training.class_weights import class_weights
from sklearn.utils.class_weight import compute_class_weight

COUNTS = st.lists(st.integers(1, 1000), min_size=2, max_size=6)


@given(COUNTS)
def test_paper_weights_are_scikit_learns_balanced_ones_up_to_a_factor(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    balanced = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    found = class_weights(np.array(counts) / sum(counts), "paper")
    np.testing.assert_allclose(found / found[0], balanced / balanced[0])


def test_paper_weights_as_printed() -> None:
    # 1 / (0.5 · (0.25 + 0.0625 + 0.0625)) = 1 / 0.1875
    found = class_weights(np.array([0.5, 0.25, 0.25, 0.0]), "paper")
    np.testing.assert_allclose(found, [1 / 0.1875, 1 / 0.09375, 1 / 0.09375, 0])


def test_square_root_weights_lie_between_none_and_the_papers() -> None:
    shares = np.array([0.64, 0.32, 0.04, 0.0])
    np.testing.assert_allclose(class_weights(shares, "square root")[:3], [1.25, 0.32**-0.5, 5])
    assert class_weights(shares, "none").tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", ["paper", "square root", "none"])
def test_absent_classes_weigh_nothing(kind: str) -> None:
    assert class_weights(np.array([0.0, 1.0]), kind)[0] == 0  # type: ignore[arg-type]
