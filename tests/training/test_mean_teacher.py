"""The loss of learning from an average, and statistics adapted, against a few lines of numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lcmap.training.mean_teacher import MeanTeacher, adapt_normalisation, ramp
from lcmap.training.recipe import Consistency
from lcmap.training.unlabelled_batches import UnlabelledBatch

WEIGHTS = torch.tensor([1.0, 2.0, 0.5])


class Known(nn.Module):
    """A teacher whose scores are the images."""

    def forward(self, image: Tensor) -> Tensor:
        assert not self.training
        return image


def batch_of(seed: int = 0) -> UnlabelledBatch:
    random = torch.Generator().manual_seed(seed)
    weak = 3 * torch.randn(4, 3, 5, 5, generator=random)
    own, unknown = (torch.rand(2, 4, 5, 5, generator=random) < 0.7).unbind()
    own = own[::2].repeat_interleave(2, dim=0)
    return UnlabelledBatch((weak,), (weak,), own, unknown)


def expected(scores: Tensor, batch: UnlabelledBatch, threshold: float) -> float:
    probabilities = np.exp(batch.weak[0].numpy())
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    found = np.exp(scores.numpy()) / np.exp(scores.numpy()).sum(axis=1, keepdims=True)
    total = weight = sure = unknown = 0.0
    for crop, row, col in np.ndindex(4, 5, 5):
        source = crop if batch.own[crop, row, col] else {0: 1, 1: 0, 2: 3, 3: 2}[crop]
        if not batch.unknown[source, row, col]:
            continue
        unknown += 1
        of_pixel = probabilities[source, :, row, col]
        if of_pixel.max() < threshold:
            continue
        sure += 1
        w = float(WEIGHTS[of_pixel.argmax()])
        weight += w
        total -= w * np.log(found[crop, of_pixel.argmax(), row, col])
    return total / weight * sure / unknown


@pytest.mark.parametrize("threshold", [0.0, 0.8, 0.95])
def test_the_loss_is_that_of_what_the_teacher_is_sure_of(threshold: float) -> None:
    batch, scores = batch_of(), torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    consistency = Consistency(weight=0.5, threshold=threshold)
    loss = MeanTeacher(Known(), consistency, WEIGHTS, bfloat16=False).loss(scores, batch, 1.0)
    assert float(loss) == pytest.approx(0.5 * expected(scores, batch, threshold), rel=1e-5)


def test_what_nobody_is_sure_of_and_no_crop_at_all_are_no_loss() -> None:
    scores = torch.zeros(4, 3, 5, 5, requires_grad=True)
    teacher = MeanTeacher(Known(), Consistency(threshold=1.0), WEIGHTS, bfloat16=False)
    loss = teacher.loss(scores, batch_of(), 1.0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0 and scores.grad is not None and not scores.grad.any()
    batch = batch_of()
    none = UnlabelledBatch((batch.weak[0][:0],), (batch.strong[0][:0],), *(
        values[:0] for values in (batch.own, batch.unknown)
    ))  # fmt: skip
    assert float(teacher.loss(torch.zeros(0, 3, 5, 5), none, 1.0)) == 0


def test_the_weight_rises_to_what_is_asked_for() -> None:
    consistency = Consistency(weight=2.0, ramp_up=0.4)
    weights = [ramp(progress, consistency) for progress in np.linspace(0, 1, 11)]
    assert weights[0] == pytest.approx(2 * np.exp(-5))
    assert (np.diff(weights[:5]) > 0).all() and weights[4:] == [2.0] * 7
    assert ramp(0.0, Consistency(ramp_up=0.0)) == 1.0


class Whole:
    """A sampler of known images."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def whole(self, number: int) -> tuple[Tensor, ...]:
        return (self.images[number % len(self.images)],)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_statistics_become_those_of_a_mixture(share: float) -> None:
    network: Any = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))
    layer = network[1]
    layer.running_mean.copy_(torch.tensor([1.0, -2.0, 0.5]))
    layer.running_var.copy_(torch.tensor([1.0, 4.0, 0.25]))
    images = torch.randn(2, 4, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        values = [network[0](each).transpose(0, 1).flatten(1) for each in images]
    mean = np.mean([v.mean(dim=1).numpy() for v in values], axis=0)
    variance = np.mean([v.var(dim=1).numpy() for v in values], axis=0)
    # a mixture's variance is its mean square, less the square of its mean
    old_mean, old_variance = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
    mixed = (1 - share) * old_mean + share * mean
    squares = (1 - share) * (old_variance + old_mean**2) + share * (variance + mean**2)
    network.eval()
    adapt_normalisation(network, Whole(images), share)  # type: ignore[arg-type]
    np.testing.assert_allclose(layer.running_mean.numpy(), mixed, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_var.numpy(), squares - mixed**2, rtol=1e-3)
    assert not layer.training and layer.momentum == 0.1
