from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from threaded_ranks import in_ranks
from torch import Tensor

from lcmap.training.loss import class_weights, training_loss, weighted_cross_entropy
from lcmap.training.ranks import Ranks
from lcmap.training.recipe import DEFAULT, PAPER, Loss
from lcmap.training.region_losses import lovasz_softmax, soft_dice


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


WEIGHTS = torch.tensor([1.0, 0.5, 7.0, 0.0])
EVERY_TERM = Loss(
    dice=0.5, lovasz=2.0, boundary=3.0, boundary_width=1, border=1, smoothing=0.1, robust=0.7
)
ALL = [*(Loss(**{name: value}) for name, value in vars(EVERY_TERM).items()), EVERY_TERM]
of_all_kinds = pytest.mark.parametrize("loss", ALL, ids=str)


def sample(images: int = 2) -> tuple[Tensor, Tensor]:
    """Return scores of four classes, of which training has three, and labels in patches."""
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (images, 4, 4)).repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels[0, :5] = 255
    return torch.randn(images, 4, 16, 16, requires_grad=True), labels


def test_recipes_minimise_weighted_cross_entropy_and_nothing_else() -> None:
    scores, labels = sample()
    for recipe in (DEFAULT, PAPER):
        found = training_loss(scores, labels, WEIGHTS, recipe.loss)
        assert torch.equal(found, weighted_cross_entropy(scores, labels, WEIGHTS))


def test_dice_and_lovasz_are_added_with_their_weights() -> None:
    scores, labels = sample()
    probabilities = scores.softmax(dim=1)
    found = training_loss(scores, labels, WEIGHTS, Loss(dice=0.5, lovasz=2.0))
    expected = (
        weighted_cross_entropy(scores, labels, WEIGHTS)
        + 0.5 * soft_dice(probabilities, labels)
        + 2.0 * lovasz_softmax(probabilities, labels)
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)


def test_smoothing_is_pytorchs_but_gives_nothing_to_a_class_that_training_lacks() -> None:
    scores, labels = sample()
    found = training_loss(scores, labels, (WEIGHTS > 0).float(), Loss(smoothing=0.2))
    # as if the class were not there, but it takes part in the softmax
    p = scores.log_softmax(dim=1)[:, :3]
    likely = F.cross_entropy(p, labels, ignore_index=255, reduction="none", label_smoothing=0.2)
    rest = p.logsumexp(dim=1)[labels != 255].mean()
    assert found.item() == pytest.approx((likely[labels != 255].mean() - rest).item(), rel=1e-5)
    weighted = training_loss(scores, labels, WEIGHTS, Loss(smoothing=0.2))
    smoothed = torch.tensor([0.2 / 3, 0.2 / 3, 0.2 / 3, 0]).repeat(2, 16, 16, 1)
    smoothed += 0.8 * F.one_hot(labels % 255, 4)
    each = F.cross_entropy(scores, smoothed.movedim(-1, 1), reduction="none")[labels != 255]
    of_pixels = WEIGHTS[labels[labels != 255]]
    assert weighted.item() == pytest.approx(((each * of_pixels).sum() / of_pixels.sum()).item())


@pytest.mark.parametrize("q", [1e-4, 0.7, 1.0])
def test_the_robust_loss_lies_between_cross_entropy_and_the_absolute_error(q: float) -> None:
    scores, labels = sample()
    p = scores.softmax(dim=1).gather(1, (labels % 255)[:, None])[:, 0][labels != 255]
    of_pixels = WEIGHTS[labels[labels != 255]]
    expected = {
        1e-4: F.cross_entropy(scores, labels, WEIGHTS, ignore_index=255),
        0.7: (of_pixels * (1 - p**0.7) / 0.7).sum() / of_pixels.sum(),
        1.0: (of_pixels * (1 - p)).sum() / of_pixels.sum(),
    }[q]
    found = training_loss(scores, labels, WEIGHTS, Loss(robust=q))
    assert found.item() == pytest.approx(expected.item(), rel=1e-3 if q < 0.1 else 1e-5)


def test_a_wrong_label_pulls_less_on_a_robust_loss_the_surer_the_network_is() -> None:
    pulls = {}
    for surety in (2.0, 8.0):
        scores = torch.tensor([[[[surety]], [[0.0]]]], requires_grad=True)
        found = training_loss(scores, torch.ones(1, 1, 1).long(), torch.ones(2), Loss(robust=0.7))
        (pulled,) = torch.autograd.grad(found, scores)
        pulls[surety] = pulled.abs().max().item()
    assert pulls[8.0] < 0.1 * pulls[2.0]


ROW = torch.tensor([[[0] * 8 + [1] * 8]])
"""A border between the 8th and the 9th pixel."""


def weight_of_pixels(loss: Loss, labels: Tensor = ROW) -> Tensor:
    """Return how much each pixel of a row counts, by what its score pulls."""
    scores = torch.zeros(1, 2, 1, 16, requires_grad=True)
    (pulls,) = torch.autograd.grad(training_loss(scores, labels, torch.ones(2), loss), scores)
    return pulls[0, 0, 0].abs()


def test_pixels_near_a_boundary_count_more() -> None:
    found = weight_of_pixels(Loss(boundary=4.0, boundary_width=2))
    expected = torch.tensor([1.0] * 6 + [5.0] * 4 + [1.0] * 6)
    torch.testing.assert_close(found / found.sum(), expected / expected.sum())


def test_a_band_along_borders_is_ignored_and_the_weight_counts_beyond_it() -> None:
    band = weight_of_pixels(Loss(border=1))
    assert (band > 0).tolist() == [True] * 7 + [False] * 2 + [True] * 7
    both = weight_of_pixels(Loss(border=1, boundary=4.0, boundary_width=2))
    expected = torch.tensor([1.0] * 5 + [5.0, 5.0, 0.0])
    expected = torch.cat((expected, expected.flip(0)))
    torch.testing.assert_close(both / both.sum(), expected / expected.sum())


@of_all_kinds
def test_pixels_without_label_count_in_no_term(loss: Loss) -> None:
    scores, labels = sample()
    found = training_loss(scores, labels, WEIGHTS, loss)
    (pulls,) = torch.autograd.grad(found, scores)
    assert found > 0 and pulls.any()
    assert not pulls.movedim(1, -1)[labels == 255].any()


@of_all_kinds
@pytest.mark.parametrize("images", [0, 2])
def test_without_labels_no_term_counts(loss: Loss, images: int) -> None:
    scores = torch.randn(images, 4, 8, 8, requires_grad=True)
    found = training_loss(scores, torch.full((images, 8, 8), 255), WEIGHTS, loss)
    (pulls,) = torch.autograd.grad(found, scores)
    assert found.item() == 0 and not pulls.any()


@of_all_kinds
def test_scores_of_half_precision_cost_what_they_do_in_full(loss: Loss) -> None:
    scores, labels = sample()
    halves = scores.detach().bfloat16()
    found = training_loss(halves, labels, WEIGHTS, loss)
    assert found.dtype == torch.float32
    assert torch.equal(found, training_loss(halves.float(), labels, WEIGHTS, loss))


@of_all_kinds
def test_several_ranks_have_parts_of_what_one_has(loss: Loss) -> None:
    scores, labels = sample(images=5)
    shares = [2, 3, 0]
    whole = training_loss(scores, labels, WEIGHTS, loss)
    (expected,) = torch.autograd.grad(whole, scores)

    def compute(ranks: Ranks) -> tuple[Tensor, Tensor]:
        mine = scores.detach().split(shares)[ranks.launch.rank].clone().requires_grad_()
        of_mine = labels.split(shares)[ranks.launch.rank]
        part = training_loss(mine, of_mine, WEIGHTS, loss, ranks)
        return part.detach(), torch.autograd.grad(part, mine)[0]

    parts, pulls = zip(*in_ranks(len(shares), compute), strict=True)
    assert torch.stack(parts).sum().item() == pytest.approx(whole.item(), rel=1e-5)
    torch.testing.assert_close(torch.cat(pulls), expected)


@pytest.mark.parametrize("values", [{"dice": -1.0}, {"border": -1}, {"robust": 1.5}])
def test_a_loss_that_cannot_be_is_refused(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=f"{name} of the loss is"):
        Loss(**values)  # type: ignore[arg-type]


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
