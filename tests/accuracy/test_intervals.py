"""The block bootstrap against a slow one written out, and its coverage on simulated maps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import sem
from scipy.stats import t as student

from lcmap.accuracy import intervals as module
from lcmap.accuracy.confusion import margins
from lcmap.accuracy.intervals import block_bootstrap
from lcmap.accuracy.measures import OVERALL, scores

MIOU, OA, MF1 = (OVERALL.index(name) for name in ("miou", "oa", "mf1"))


def random_margins(blocks: int, maps: int, classes: int, seed: int) -> NDArray[np.int64]:
    random = np.random.default_rng(seed)
    matrices = random.poisson(3, (blocks, maps, classes, classes + 1))
    matrices[:, :, range(classes), range(classes)] += 8
    return np.stack([[margins(matrix) for matrix in block] for block in matrices])


def slow_bootstrap(
    values: NDArray[np.int64], replicates: int, seed: int
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Draw blocks one by one, add them up, score each map alone."""
    random = np.random.default_rng(seed)
    drawn, differences = [], []
    whole = scores(values.sum(axis=0))
    for _ in range(replicates):
        chosen = random.integers(len(values), size=len(values))
        per_map = []
        for m in range(values.shape[1]):
            total = np.zeros(values.shape[2:], np.int64)
            for block in chosen:
                total += values[block, m]
            found = scores(total)
            overall = found.overall.copy()
            for mean, measure in ((MIOU, 0), (MF1, 3)):
                of_classes = []
                for k in range(values.shape[-1]):
                    in_whole = whole.per_class[m, measure, k]
                    here = found.per_class[measure, k]
                    if not math.isnan(in_whole):
                        of_classes.append(in_whole if math.isnan(here) else here)
                overall[mean] = sum(of_classes) / len(of_classes)
            per_map.append(np.concatenate([found.per_class.ravel(), overall]))
        drawn.append(np.array(per_map))
        differences.append(np.array([row - per_map[0] for row in per_map]))
    return drawn, differences


@pytest.mark.parametrize("at_once", [1, 100, 1 << 22])
def test_agrees_with_the_bootstrap_written_out(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WEIGHTS_AT_ONCE", at_once)
    values = random_margins(7, 2, 3, seed=1)
    values[2:, :, :, 2] = 0  # many a draw lacks the third class
    found = block_bootstrap(values, replicates=40, seed=5, level=90)
    whole = [scores(values[:, m].sum(axis=0)) for m in range(2)]
    at = np.array([np.concatenate([each.per_class.ravel(), each.overall]) for each in whole])
    blocks = np.array([7, 7, 2] * 4 + [7] * 4)
    # the 95 % points of Student's distribution with 6 and 1 degrees of freedom, from a table
    points = np.array([{7: 1.94318, 2: 6.31375}[n] for n in blocks])
    slow = slow_bootstrap(values, 40, seed=5)
    for interval, centre, draws in zip(found, (at, at - at[0]), slow, strict=True):
        half = points * np.nanstd(draws, axis=0, ddof=1) * np.sqrt(blocks / (blocks - 1))
        below, above = (0, 1) if centre is at else (-1, 1)
        kappa = np.arange(16) == 14
        least, most = below - kappa, above + kappa * (centre is not at)
        for end, side in zip(interval, (-1, 1), strict=True):
            flat = np.concatenate([end.per_class.reshape(2, -1), end.overall], axis=1)
            expected = np.clip(centre + side * half, least, most)
            np.testing.assert_allclose(flat, expected, atol=1e-4)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = random_margins(30, 1, 3, seed=2)
    first, again, other = (
        block_bootstrap(values, replicates=50, seed=seed, level=95).values.low.overall
        for seed in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_a_map_compared_with_itself_differs_by_exactly_nothing() -> None:
    values = random_margins(20, 1, 3, seed=3).repeat(2, axis=1)
    ends = block_bootstrap(values, replicates=50, seed=0, level=95).differences
    assert not ends.low.overall.any() and not ends.high.overall.any()


def test_pairing_makes_the_interval_of_a_difference_narrow() -> None:
    """Two maps that share their errors: each is uncertain, their difference is not."""
    random = np.random.default_rng(0)
    hits = random.integers(0, 101, 100)
    matrices = np.zeros((100, 2, 1, 2), np.int64)
    matrices[:, 0, 0] = np.stack([hits, 100 - hits], axis=1)
    matrices[:, 1, 0] = np.stack([np.maximum(hits - 5, 0), 100 - np.maximum(hits - 5, 0)], axis=1)
    values = np.stack([[margins(m) for m in block] for block in matrices])
    found = block_bootstrap(values, replicates=400, seed=0, level=95)
    own = (found.values.high.overall - found.values.low.overall)[1, OA]
    difference = (found.differences.high.overall - found.differences.low.overall)[1, OA]
    assert difference < own / 10
    assert found.differences.high.overall[1, OA] < 0, "the second map is worse for certain"


def test_a_class_that_the_reference_lacks_has_no_interval() -> None:
    values = random_margins(10, 2, 3, seed=4)
    values[:, :, 1:, 2] = 0
    values[:, :, 0, 2] = 0
    ends = block_bootstrap(values, replicates=20, seed=0, level=95).values
    assert np.isnan(ends.low.per_class[..., 2]).all()
    assert np.isfinite(ends.low.per_class[..., :2]).all()


@pytest.mark.parametrize(("holding", "known"), [(1, False), (2, True)])
def test_a_class_has_an_interval_if_two_blocks_hold_it(holding: int, known: bool) -> None:
    values = random_margins(4, 1, 2, seed=5)
    values[holding:, :, :, 1] = 0
    ends = block_bootstrap(values, replicates=200, seed=0, level=95).values
    assert np.isfinite(ends.low.per_class[0, 0, 1]) == known
    assert np.isfinite(ends.low.overall).all()


def test_a_hard_class_that_draws_lack_does_not_lift_their_mean() -> None:
    """One class is always right, the other never: mIoU is 50 % in every draw."""
    values = np.zeros((12, 1, 3, 2), np.int64)
    values[:, 0, :, 0] = 100
    values[0, 0, 1, 1] = 100
    ends = block_bootstrap(values, replicates=200, seed=0, level=95).values
    assert ends.low.overall[0, MIOU] == ends.high.overall[0, MIOU] == 0.5


def one_class(hits: list[int]) -> NDArray[np.int64]:
    """Five equal blocks of 100 px, and how many of them each map has right."""
    values = np.zeros((5, len(hits), 3, 1), np.int64)
    values[:, :, 0, 0] = values[:, :, 2, 0] = hits
    values[:, :, 1, 0] = 100
    return values


def test_runs_of_a_method_alone_have_students_interval_of_their_mean() -> None:
    hits = [60, 66, 69]
    values = one_class(hits)
    ends = block_bootstrap(values, replicates=30, seed=0, level=95, methods=[[0, 1, 2]]).values
    shares = np.array(hits) / 100
    expected = student.interval(0.95, 2, shares.mean(), sem(shares))
    found = ends.low.overall[0, OA], ends.high.overall[0, OA]
    assert found == pytest.approx(expected)


def test_squared_half_widths_of_ground_and_of_runs_add_up() -> None:
    of_blocks, of_runs = np.array([[41], [55], [52], [64], [70]]), np.array([-3, 0, 6])
    options = {"replicates": 60, "seed": 2, "level": 90}
    values = one_class([0, 0, 0])
    values[:, :, 0, 0] = values[:, :, 2, 0] = of_blocks + of_runs
    found = block_bootstrap(values, methods=[[0, 1, 2]], **options).values
    alone = one_class([0])
    alone[:, :, 0, 0] = alone[:, :, 2, 0] = of_blocks + 1
    ground = block_bootstrap(alone, **options).values
    half = [(ends.high.overall - ends.low.overall)[0, OA] / 2 for ends in (found, ground)]
    shares = of_runs / 100
    runs = student.ppf(0.95, 2) * sem(shares)
    assert half[0] ** 2 == pytest.approx(half[1] ** 2 + runs**2)


def test_runs_of_two_methods_are_paired_where_there_are_as_many() -> None:
    values = one_class([60, 70, 80, 65, 75, 85])
    of_level = {"replicates": 9, "seed": 0, "level": 95}
    paired = block_bootstrap(values, methods=[[0, 1, 2], [3, 4, 5]], **of_level).differences  # type: ignore[arg-type]
    assert paired.low.overall[1, OA] == pytest.approx(0.05)
    assert paired.high.overall[1, OA] == pytest.approx(0.05)
    loose = block_bootstrap(values, methods=[[0, 1, 2], [3, 4]], **of_level).differences  # type: ignore[arg-type]
    assert loose.high.overall[1, OA] - loose.low.overall[1, OA] > 0.1


@pytest.mark.parametrize("blocks", [0, 1])
def test_fewer_than_two_blocks_have_no_interval(blocks: int) -> None:
    ends = block_bootstrap(random_margins(2, 1, 2, 0)[:blocks], replicates=9, seed=0, level=95)
    assert all(np.isnan(part).all() for interval in ends for end in interval for part in end)


@pytest.mark.slow
@pytest.mark.parametrize("correlated", [False, True])
def test_intervals_cover_the_truth_as_often_as_they_say(correlated: bool) -> None:
    """Maps whose error rate varies from block to block, of a truth known by construction.

    400 maps of 100 blocks; the 90 % interval of OA must hold the true OA in 90 % of them, up to
    three standard errors of that share (1.5 %) and the bootstrap's own small-sample lack. The
    same with each pixel as its own block fails where errors are correlated: that is why there
    are blocks.
    """
    random = np.random.default_rng(1)
    truth, level, maps, blocks, size = 0.8, 90, 400, 100, 64
    held = naive = 0
    for _ in range(maps):
        rate = random.beta(8, 2, blocks) if correlated else np.full(blocks, truth)
        hits = random.binomial(size, rate)
        matrices = np.stack([hits, size - hits], axis=1)[:, None, None, :]
        values = np.stack([[margins(m) for m in block] for block in matrices])
        ends = block_bootstrap(values, replicates=300, seed=0, level=level).values
        held += ends.low.overall[0, OA] <= truth <= ends.high.overall[0, OA]
        mean = hits.sum() / (blocks * size)
        half = 1.645 * math.sqrt(mean * (1 - mean) / (blocks * size))
        naive += abs(mean - truth) <= half
    assert abs(held / maps - level / 100) < 0.045 + 0.01
    assert (naive / maps < 0.6) == correlated


@pytest.mark.slow
@pytest.mark.parametrize("between_runs", [0.2, 0.8, 0.95])
def test_intervals_of_two_runs_cover_the_truth_as_often_as_they_say(between_runs: float) -> None:
    """Two runs of known mean accuracy; a share of its variance is between runs, or on the ground.

    With the degrees of freedom of Satterthwaite (1946), some 0.88 held the truth at 0.95.
    """
    random = np.random.default_rng(3)
    truth, blocks, size, times = 0.6, 12, 10_000, 800
    held = 0
    for _ in range(times):
        rate = truth + 0.01 * (
            math.sqrt(2 * between_runs) * random.normal(size=2)
            + math.sqrt((1 - between_runs) * blocks) * random.normal(size=(blocks, 1))
        )
        values = np.zeros((blocks, 2, 3, 1))
        values[:, :, 0, 0] = values[:, :, 2, 0] = size * rate
        values[:, :, 1, 0] = size
        ends = block_bootstrap(values, replicates=150, seed=0, level=95, methods=[[0, 1]]).values
        held += ends.low.overall[0, OA] <= truth <= ends.high.overall[0, OA]
    assert held / times > 0.95 - 3 * math.sqrt(0.05 * 0.95 / times)
