"""The tables of fine-tuning against training anew, from curves as its runs give them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare_fine_tuning import (
    Curve,
    chosen,
    halves,
    interval,
    mean,
    table_of_differences,
    table_of_means,
    values,
)
from support import EXAMPLE_DATA
from trials.grounds import prepare_zones

from lcmap.dataset.tile_index import read_tile_index
from lcmap.imagery.tiles import Tiling


def curve(base: float, tuned: dict[int, float], anew: dict[int, float]) -> Curve:
    return {"as it is": dict.fromkeys((0, *tuned), base), "tuned": tuned, "anew": anew, "joint": {}}


CURVES = {
    "0": [curve(0.3, {2: 0.5, 4: 0.6}, {2: 0.1, 4: 0.6}), curve(0.4, {2: 0.3}, {2: 0.2})],
    "4": [curve(0.8, {2: 0.9}, {2: 0.5}), curve(0.6, {2: 0.5}, {2: 0.3})],
}
"""The second zone has too few tiles for four."""


def test_every_zone_counts_alike_and_one_without_so_many_tiles_does_not() -> None:
    assert [list(mious) for mious in values(CURVES, "tuned", 4)] == [[0.6]]
    assert mean([np.array([0.2, 0.4]), np.array([0.9])]) == pytest.approx(0.6)
    rows = table_of_means(CURVES, [2, 4]).splitlines()
    assert rows[2:] == [
        "| the model as it is | 52.5 | 52.5 | 30.0 |",
        "| fine-tuned on the tiles |  | 55.0 | 60.0 |",
        "| trained anew on the tiles |  | 27.5 | 60.0 |",
    ]


def test_differences_are_of_the_zones_and_seeds_that_have_so_many_tiles() -> None:
    as_it_is, anew = table_of_differences(CURVES, [2, 4]).splitlines()[2:]
    assert as_it_is.startswith("| the model as it is | +2.5 (")
    assert as_it_is.endswith(" | +30.0 (+30.0 to +30.0) |")
    assert anew.startswith("| trained anew on the tiles | +27.5 (")
    assert anew.endswith(" | +0.0 (+0.0 to +0.0) |")


def test_an_interval_covers_zones_and_seeds() -> None:
    assert interval([np.array([1.0, 1.0]), np.array([1.0])]) == (1.0, 1.0)
    assert interval([np.array([0.0]), np.array([1.0])]) == (0.0, 1.0)
    low, high = interval([np.array([0.0, 1.0])])
    assert (low, high) == (0.0, 1.0)


def test_tiles_of_a_number_are_among_those_of_the_next(tmp_path: Path) -> None:
    files = tuple(EXAMPLE_DATA / f"suburb_{what}.tif" for what in ("rgbn", "labels"))
    path = prepare_zones({"0": files}, tmp_path, "flair19:flair7", Tiling(tile_size=32))["0"]
    pool, apart = halves(read_tile_index(path), 32)
    assert pool
    assert apart
    gaps = [
        min(window[axis] for window in apart)
        - max(tile.window[axis] + tile.window[axis + 2] for tile in pool)
        for axis in (0, 1)
    ]
    assert max(gaps) >= 32  # a column or row of tiles is of neither half
    few, more = chosen(pool, 2, seed=1), chosen(pool, 4, seed=1)
    assert [tile.split for tile in more] == ["train", "validation", "train", "train"]
    assert [tile.window for tile in few] == [tile.window for tile in more[:2]]
