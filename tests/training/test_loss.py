from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from lcmap.training.loss import class_weights, weighted_cross_entropy


def test_loss_is_pytorchs_weighted_mean_over_the_labelled_pixels() -> None:
    torch.manual_seed(0)
    scores = torch.randn(2, 4, 5, 6)
    labels = torch.randint(0, 4, (2, 5, 6))
    labels[0, :3] = 255
    weights = torch.tensor([1.0, 0.5, 7.0, 0.0])
    expected = F.cross_entropy(scores, labels, weight=weights, ignore_index=255)
    assert torch.allclose(weighted_cross_entropy(scores, labels, weights), expected)


def test_without_labels_the_loss_is_zero_and_so_is_its_gradient() -> None:
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = weighted_cross_entropy(scores, torch.full((1, 4, 4), 255), torch.ones(3))
    loss.backward()
    assert loss.item() == 0
    assert scores.grad is not None and (scores.grad == 0).all()


def test_scores_of_half_precision_are_summed_in_full() -> None:
    scores = torch.randn(1, 3, 64, 64).bfloat16()
    labels = torch.randint(0, 3, (1, 64, 64))
    found = weighted_cross_entropy(scores, labels, torch.ones(3))
    assert found.dtype == torch.float32
    assert torch.allclose(found, F.cross_entropy(scores.float(), labels))


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
