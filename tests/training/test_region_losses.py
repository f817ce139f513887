from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score
from threaded_ranks import in_ranks
from torch import Tensor

from lcmap.training.ranks import Ranks
from lcmap.training.region_losses import lovasz_softmax, soft_dice

LOSSES = pytest.mark.parametrize("loss", [soft_dice, lovasz_softmax])


def sample(seed: int, images: int = 3, side: int = 6) -> tuple[Tensor, Tensor]:
    """Return probabilities of four classes, of which one never occurs, and labels with gaps."""
    torch.manual_seed(seed)
    labels = torch.randint(0, 3, (images, side, side))
    labels[torch.rand(labels.shape) < 0.3] = 255
    return torch.softmax(2 * torch.randn(images, 4, side, side), dim=1), labels


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss, of)
    return found


def dice_as_defined(probabilities: Tensor, labels: Tensor) -> Tensor:
    labelled = labels != 255
    found = []
    for c in sorted(set(labels[labelled].tolist())):
        p, y = probabilities[:, c][labelled], (labels[labelled] == c).float()
        found.append(2 * (p * y).sum() / (p.sum() + y.sum()))
    return 1 - sum(found) / len(found)


def lovasz_as_defined(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Definition 1 and equation 9 of Berman et al. 2018, pixel by pixel."""
    of_images = []
    for p, y in zip(probabilities.flatten(2), labels.flatten(1), strict=True):
        p, y = p[:, y != 255], y[y != 255]
        of_classes = []
        for c in sorted(set(y.tolist())):
            errors = torch.where(y == c, 1 - p[c], p[c])
            wrong, total, before = np.zeros(len(y), bool), torch.zeros(()), 0.0
            for pixel in errors.detach().argsort(descending=True).tolist():
                wrong[pixel] = True
                truth = (y == c).numpy()
                # the set that is predicted where these pixels, and no others, are wrong
                predicted = truth ^ wrong
                after = 1 - (truth & predicted).sum() / (truth | predicted).sum()
                total = total + errors[pixel] * (after - before)
                before = after
            of_classes.append(total)
        if of_classes:
            of_images.append(sum(of_classes) / len(of_classes))
    return sum(of_images) / len(of_images)  # type: ignore[return-value]


@given(st.integers(0, 1000))
def test_dice_of_a_map_is_scikit_learns_mean_f1_of_the_classes_present(seed: int) -> None:
    probabilities, labels = sample(seed)
    winners = probabilities.argmax(dim=1)
    certain = torch.nn.functional.one_hot(winners, 4).movedim(-1, 1).float()
    y, x = labels[labels != 255].numpy(), winners[labels != 255].numpy()
    expected = f1_score(y, x, labels=np.unique(y), average="macro", zero_division=0)
    assert soft_dice(certain, labels).item() == pytest.approx(1 - expected, abs=1e-6)


def test_dice_and_its_gradient_are_as_defined() -> None:
    probabilities, labels = sample(0)
    probabilities.requires_grad_()
    loss, expected = soft_dice(probabilities, labels), dice_as_defined(probabilities, labels)
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
    torch.testing.assert_close(gradient(loss, probabilities), gradient(expected, probabilities))


@given(st.integers(0, 1000))
def test_lovasz_is_as_defined_but_for_errors_that_agree_to_a_1024th(seed: int) -> None:
    probabilities, labels = sample(seed)
    exact = lovasz_as_defined(probabilities, labels).item()
    assert exact - 1 / 1024 <= lovasz_softmax(probabilities, labels).item() <= exact + 1e-6
    rounded = (1 + (probabilities * 1021).floor()) / 1024
    found = lovasz_softmax(rounded, labels).item()
    assert found == pytest.approx(lovasz_as_defined(rounded, labels).item(), abs=1e-6)


def test_where_errors_differ_the_gradient_of_lovasz_is_as_defined() -> None:
    torch.manual_seed(0)
    # 24 pixels of 2 classes: all errors of a class differ by a 1024th or more
    apart = torch.randperm(50)[:24].reshape(2, 1, 3, 4) / 51 + 0.005
    probabilities = torch.cat((apart, 1 - apart), dim=1).requires_grad_()
    labels = torch.randint(0, 2, (2, 3, 4))
    labels[0, 0] = 255
    found = gradient(lovasz_softmax(probabilities, labels), probabilities)
    expected = gradient(lovasz_as_defined(probabilities, labels), probabilities)
    torch.testing.assert_close(found, expected)


@LOSSES
def test_a_perfect_map_costs_nothing_and_one_all_wrong_costs_one(loss) -> None:  # type: ignore[no-untyped-def]
    labels = torch.tensor([[[0, 0, 1], [1, 1, 255]]])
    right = torch.tensor([[[[1.0, 1, 0], [0, 0, 0]], [[0, 0, 1], [1, 1, 1]]]])
    assert loss(right, labels).item() == pytest.approx(0, abs=1e-6)
    assert loss(1 - right, labels).item() == pytest.approx(1, abs=1e-6)


@LOSSES
def test_without_labels_a_loss_and_its_gradient_are_zero(loss) -> None:  # type: ignore[no-untyped-def]
    for images in (0, 2):
        probabilities = torch.rand(images, 3, 4, 4, requires_grad=True)
        found = loss(probabilities, torch.full((images, 4, 4), 255))
        assert found.item() == 0
        assert not gradient(found, probabilities).any()


@LOSSES
@pytest.mark.parametrize("shares", [[2, 3], [5, 0], [1, 2, 2]])
def test_several_ranks_have_parts_of_what_one_has(loss, shares: list[int]) -> None:  # type: ignore[no-untyped-def]
    probabilities, labels = sample(1, images=5)
    labels[2] = 255
    probabilities.requires_grad_()
    whole = loss(probabilities, labels)
    parts = torch.split(probabilities.detach(), shares)

    def compute(ranks: Ranks) -> tuple[Tensor, Tensor]:
        mine = parts[ranks.launch.rank].clone().requires_grad_()
        part = loss(mine, labels.split(shares)[ranks.launch.rank], ranks)
        return part.detach(), gradient(part, mine)

    found, gradients = zip(*in_ranks(len(shares), compute), strict=True)
    assert math.fsum(found) == pytest.approx(whole.item(), rel=1e-5)
    torch.testing.assert_close(torch.cat(gradients), gradient(whole, probabilities))
