"""Tasks of tiles: every tile is taken once, tasks fit the pace and shrink towards the end."""

from __future__ import annotations

import heapq
import random

from hypothesis import given
from hypothesis import strategies as st

from lcmap.graph.halo import Halo, HaloSide
from lcmap.inference.cluster_queue import (
    MOST_TASK_BYTES,
    TASKS_A_SECOND,
    Pace,
    TileQueue,
    task_length,
)
from lcmap.inference.tiling import tiles_of

HALO = Halo(HaloSide(2, 44), HaloSide(6, 44))
PENDING = list(enumerate(tiles_of(1000, 900, 64, 8, HALO)))

counts = st.integers(0, 10**6)
paces = st.builds(
    Pace, st.integers(0, 4000), st.floats(0, 100), st.integers(1, 1 << 30)
)  # fmt: skip


def kind(tile: object) -> tuple[object, ...]:
    return tile.border, tile.input_window.height, tile.input_window.width  # type: ignore[attr-defined]


@given(counts, paces)
def test_a_task_keeps_its_bounds(waiting: int, pace: Pace) -> None:
    length = task_length(waiting, pace)
    assert length >= 1
    if length > 1:
        assert pace.lanes / (length * pace.tile_seconds) >= TASKS_A_SECOND
        shortest = pace.lanes / (pace.tile_seconds * TASKS_A_SECOND) / 4
        assert length <= max(waiting / (3 * pace.lanes), shortest)
        assert length * pace.tile_bytes <= MOST_TASK_BYTES


def test_tasks_of_the_example() -> None:
    pace = Pace(2000, 2.0, 1)
    assert [task_length(n, pace) for n in (10**6, 120_000, 6000, 10)] == [40, 20, 10, 10]
    assert task_length(10**6, pace._replace(tile_bytes=MOST_TASK_BYTES // 4)) == 4
    assert task_length(10**6, pace._replace(tile_seconds=0.0)) == 1


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 2**32).map(random.Random))
def test_every_tile_is_taken_once_in_tasks_of_one_kind(
    workers: int, count: int, draw: random.Random
) -> None:
    queue = TileQueue(PENDING)
    taken: list[int] = []
    while queue:
        before = len(queue)
        task = queue.take(f"worker {draw.randrange(workers)}", count)
        assert 1 <= len(task) <= count
        assert len(queue) == before - len(task)
        assert len({kind(tile) for _, tile in task}) == 1
        if draw.random() < 0.1:
            queue.put_back(task)
        elif draw.random() < 0.1:
            queue.put_back_alone(task)
            lost = queue.take("another", count)
            assert len(lost) == 1
            queue.put_back(lost)
        else:
            taken += [number for number, _ in task]
    assert queue.take("worker 0", count) == []
    assert sorted(taken) == list(range(len(PENDING)))


def test_a_worker_keeps_to_a_kind() -> None:
    queue = TileQueue(PENDING)
    last: dict[str, object] = {}
    changes = 0
    for turn in range(len(PENDING)):
        worker = "ab"[turn % 2]
        ((_, tile),) = queue.take(worker, 1)
        changes += kind(tile) != last.get(worker)
        last[worker] = kind(tile)
    kinds = len({kind(tile) for _, tile in PENDING})
    assert kinds <= changes <= kinds + 2  # taken in turns by order, it would be twice as many


@given(st.integers(1, 30), st.integers(1, 400), st.integers(0, 2**32).map(random.Random))
def test_workers_of_any_speed_end_together(workers: int, tiles: int, draw: random.Random) -> None:
    """Lanes that take tasks as they become free end within what one task of theirs takes."""
    speeds = [draw.uniform(0.2, 1.0) for _ in range(workers)]
    mean = workers / sum(speeds)
    waiting, free = tiles, [(0.0, lane) for lane in range(workers)]
    heapq.heapify(free)
    ends, longest = [0.0] * workers, 0.0
    while waiting:
        now, lane = heapq.heappop(free)
        length = min(task_length(waiting, Pace(workers, mean, 1)), waiting)
        waiting -= length
        ends[lane] = now + length / speeds[lane]
        longest = max(longest, length / speeds[lane])
        heapq.heappush(free, (ends[lane], lane))
    assert max(ends) <= tiles / sum(speeds) + longest
