"""With which blocks a campaign is mapped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lcmap.graph.halo import Halo, HaloSide
from lcmap.inference.campaign import CampaignPredictor

PREDICTOR: Any = SimpleNamespace(
    tiles_at_once=1,
    nomenclature=None,
    halo=Halo(HaloSide(2, 44), HaloSide(6, 44)),
    largest_block=lambda memory, views: memory,
)


@pytest.mark.parametrize(
    ("scene", "block"),
    [(1_000_000, 1024), (4000, 1024), (256, 256), (96, 128)],
)
def test_blocks_become_as_small_as_scenes_but_for_the_halo(scene: int, block: int) -> None:
    predictor = CampaignPredictor(PREDICTOR, 4, lambda side: (1 + side / scene) ** 2)
    assert predictor.block_for(4000, 4000, 1024) == block


def test_no_block_is_larger_than_memory_allows() -> None:
    predictor = CampaignPredictor(PREDICTOR, 4, lambda side: 1.0)
    assert predictor.block_for(4000, 4000, 40) == 40
