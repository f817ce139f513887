from __future__ import annotations

import torch
import torch.nn.functional as F

from lcmap.training.loss import weighted_cross_entropy


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
