"""What a map of a country costs: hours by number of machines, with stragglers and failures.

    python benchmarks/country.py MODEL.onnx [--plot FIGURE.svg]
    python benchmarks/country.py --rate 0.6 --start 8 --publish-rate 40 --bytes-in 6 \\
        --bytes-out 0.1 --memory 1200 [--plot FIGURE.svg]

The first measures what it needs on this machine, on a mosaic of the real zones beside the project:
pixels a second, the seconds of a start, how fast shards become a map, bytes of an image and of its
map, peak memory; the shortest times of --rounds count. The second takes them as given; single
options replace what is measured. A machine is one like this.

The area is mapped as --maps maps of equal size, each made by all machines and published by one, all
at the same time. Two ways are simulated, event by event, for each number of machines: shards in a
job array (--shard), --shards-a-machine of them for each machine, a killed one continued by another
machine; and --scheduler, by the rule by which lcmap gives tiles to workers. Tiles take lognormally
long, --slow of the machines are half as fast, and machines fail after --mtbf hours on average and
are back after --repair hours. Printed are medians of --runs simulations.
"""

from __future__ import annotations

import argparse
import heapq
import math
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np

from lcmap.inference.cluster_queue import Pace, task_length

SLOWNESS = 2.0
IN_HAND = 3
"""Tasks that a worker has at once, of which two are under way."""
LOST_SECONDS = 2.5
"""Work that a killed shard loses: half of the time between two commits."""
MACHINES = (1, 10, 100, 1000)
SIZE = 4096


@dataclass(frozen=True)
class Setting:
    """Machines and their work, in tiles and seconds; `tile_seconds` on a machine that is not slow.

    A machine takes `start` seconds before its first tile. `task_seconds` are the scheduler's for a
    task, `stored_seconds` those of the process that stores for a tile.
    """

    machines: int
    tiles: int
    tile_seconds: float
    spread: float = 0.5
    slow: float = 0.05
    mtbf: float = math.inf
    repair: float = 1800.0
    start: float = 10.0
    task_seconds: float = 0.003
    stored_seconds: float = 0.002
    shards_a_machine: int = 4


@dataclass
class Outcome:
    """Seconds until the last tile is stored; tiles that were computed and stored, and failures.

    `lost` are the tiles, or parts of them, that were computed in vain. `waits` are the times, from
    and to, in which a machine that was there had no task.
    """

    seconds: float = 0.0
    tiles: int = 0
    lost: float = 0.0
    failures: int = 0
    waits: list[tuple[float, float]] = field(default_factory=list)

    def overhead(self, machines: int) -> float:
        """Return the time that machines wait in the middle half, as a share of their other time."""
        first, last = self.seconds / 4, self.seconds * 3 / 4
        waited = sum(max(min(stop, last) - max(start, first), 0.0) for start, stop in self.waits)
        return waited / (machines * (last - first) - waited)


@dataclass
class Machine:
    """A machine of the simulation: its speed, and the tasks that it has, of so many tiles."""

    speed: float
    tasks: deque[int] = field(default_factory=deque)
    coming: int = 0
    alive: bool = False
    life: int = 0
    busy_since: float = 0.0
    busy_until: float = 0.0
    idle_since: float | None = None


def speeds(setting: Setting, rng: np.random.Generator) -> list[float]:
    """Return the speed of each machine; the share that is slow is exact."""
    slow = round(setting.slow * setting.machines)
    drawn = [1 / SLOWNESS] * slow + [1.0] * (setting.machines - slow)
    return [float(speed) for speed in rng.permutation(drawn)]


def tile_lengths(setting: Setting, number: int, rng: np.random.Generator) -> float:
    """Return the seconds of so many tiles together, lognormal about the mean."""
    if not setting.spread:
        return number * setting.tile_seconds
    if number > 1000:  # the central limit
        deviation = math.sqrt(number * math.expm1(setting.spread**2))
        return float(max(number + deviation * rng.standard_normal(), 1)) * setting.tile_seconds
    lengths = rng.lognormal(-(setting.spread**2) / 2, setting.spread, number)
    return float(lengths.sum()) * setting.tile_seconds


class ClusterRun:
    """--scheduler, event by event: a machine that ends a task gets the next."""

    def __init__(self, setting: Setting, seed: int) -> None:
        """Begin with all machines starting."""
        self._setting = setting
        self._rng = np.random.default_rng(seed)
        self._machines = [Machine(speed) for speed in speeds(setting, self._rng)]
        self._waiting, self._alone = setting.tiles, 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[int, ...]]] = []
        self._order = count()
        self._scheduler_free = self._storing_free = 0.0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Return how it ended."""
        for number in range(len(self._machines)):
            self._at(self._setting.start, self._join, number)
        while self._outcome.tiles < self._setting.tiles:
            now, _, happen, given = heapq.heappop(self._events)
            happen(now, *given)
        self._outcome.seconds = self._storing_free
        for machine in self._machines:
            self._had_none(self._storing_free, machine)
        return self._outcome

    def _had_none(self, now: float, machine: Machine) -> None:
        """Note until when a machine had no task, if it had none."""
        if machine.idle_since is not None:
            self._outcome.waits.append((machine.idle_since, now))
            machine.idle_since = None

    def _at(self, when: float, happen: Callable[..., None], *given: int) -> None:
        heapq.heappush(self._events, (when, next(self._order), happen, given))

    def _join(self, now: float, number: int) -> None:
        machine = self._machines[number]
        machine.alive = True
        machine.life += 1
        machine.idle_since = now
        if self._setting.mtbf < math.inf:
            self._at(now + self._rng.exponential(self._setting.mtbf), self._fail, number)
        self._fill(now, number)

    def _fill(self, now: float, number: int) -> None:
        """Give a machine a task, which passes the scheduler; another when that has arrived."""
        machine = self._machines[number]
        has_room = machine.alive and not machine.coming and len(machine.tasks) < IN_HAND
        if has_room and self._waiting + self._alone:
            if self._alone:
                self._alone -= 1
                tiles = 1
            else:
                under_way = IN_HAND - 1
                pace = Pace(under_way * len(self._machines),
                            under_way * self._setting.tile_seconds, 1)  # fmt: skip
                tiles = min(task_length(self._waiting, pace), self._waiting)
                self._waiting -= tiles
            machine.coming += 1
            self._scheduler_free = max(now, self._scheduler_free) + self._setting.task_seconds
            self._at(self._scheduler_free, self._arrive, number, machine.life, tiles)

    def _arrive(self, now: float, number: int, life: int, tiles: int) -> None:
        machine = self._machines[number]
        if life != machine.life or not machine.alive:  # it failed meanwhile
            self._again(now, tiles)
            return
        machine.coming -= 1
        machine.tasks.append(tiles)
        if len(machine.tasks) == 1:
            self._begin(now, number)
        self._fill(now, number)

    def _begin(self, now: float, number: int) -> None:
        machine = self._machines[number]
        taken = tile_lengths(self._setting, machine.tasks[0], self._rng) / machine.speed
        machine.busy_since, machine.busy_until = now, now + taken
        self._had_none(now, machine)
        self._at(now + taken, self._end, number, machine.life)

    def _end(self, now: float, number: int, life: int) -> None:
        machine = self._machines[number]
        if life != machine.life or not machine.alive:
            return
        tiles = machine.tasks.popleft()
        stored = tiles * self._setting.stored_seconds
        self._storing_free = max(now, self._storing_free) + stored
        self._outcome.tiles += tiles
        self._at(self._storing_free, self._fill, number)
        if machine.tasks:
            self._begin(now, number)
        else:
            machine.idle_since = now

    def _fail(self, now: float, number: int) -> None:
        machine = self._machines[number]
        machine.alive = False
        self._had_none(now, machine)
        self._outcome.failures += 1
        if machine.tasks:
            share = (now - machine.busy_since) / (machine.busy_until - machine.busy_since)
            self._outcome.lost += machine.tasks[0] * share
        lost, machine.coming = sum(machine.tasks), 0
        machine.tasks.clear()
        self._at(now + self._setting.repair + self._setting.start, self._join, number)
        self._again(now, lost)

    def _again(self, now: float, tiles: int) -> None:
        """Let tiles of a machine that failed wait, each alone, and give them to those with room."""
        self._alone += tiles
        if self._waiting == 0:
            for number in range(len(self._machines)):
                self._fill(now, number)


class ShardsRun:
    """--shard in a job array, event by event: a machine takes the next shard that waits."""

    def __init__(self, setting: Setting, seed: int) -> None:
        """Begin with all shards waiting."""
        self._setting = setting
        self._rng = np.random.default_rng(seed)
        self._speeds = speeds(setting, self._rng)
        shards = min(setting.shards_a_machine * setting.machines, setting.tiles)
        self._tiles = [
            setting.tiles // shards + (i < setting.tiles % shards) for i in range(shards)
        ]
        self._left = [tile_lengths(setting, tiles, self._rng) for tiles in self._tiles]
        self._waiting = deque(range(shards))
        self._idle: deque[int] = deque(range(setting.machines))
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Return how it ended."""
        events: list[tuple[float, int, int]] = []  # when, machine, shard or -1: it is back
        now, done = 0.0, 0
        while done < len(self._tiles):
            while self._idle and self._waiting:
                machine, shard = self._idle.popleft(), self._waiting.popleft()
                ready = now + self._setting.start
                end = ready + self._left[shard] / self._speeds[machine]
                failed = now + self._rng.exponential(self._setting.mtbf)
                if self._setting.mtbf < math.inf and failed < end:
                    self._fails(shard, (failed - ready) * self._speeds[machine])
                    heapq.heappush(events, (failed, machine, shard))
                    heapq.heappush(events, (failed + self._setting.repair, machine, -1))
                else:
                    self._left[shard] = 0.0
                    heapq.heappush(events, (end, machine, shard))
            now, machine, shard = heapq.heappop(events)
            if shard < 0:
                self._idle.append(machine)
            elif self._left[shard]:
                self._waiting.append(shard)
            else:
                done += 1
                self._outcome.tiles += self._tiles[shard]
                self._idle.append(machine)
        self._outcome.seconds = now
        return self._outcome

    def _fails(self, shard: int, computed: float) -> None:
        kept = min(max(computed - LOST_SECONDS, 0.0), self._left[shard])
        self._outcome.failures += 1
        self._outcome.lost += max(computed - kept, 0.0) / self._setting.tile_seconds
        self._left[shard] -= kept


@dataclass(frozen=True)
class Figures:
    """What a machine does: pixels a second, seconds, bytes a pixel, bytes of memory."""

    rate: float
    start: float
    publish_rate: float
    bytes_in: float
    bytes_out: float
    memory: float


def timed(*arguments: object) -> float:
    """Return the seconds of an lcmap command in a process of its own."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "lcmap", *map(str, arguments), "-q"], check=True)
    return time.perf_counter() - start


def measured(model: Path, rounds: int) -> Figures:
    """Measure this machine: the shortest times of several rounds, which others disturbed least."""
    from bench_predict import write_mosaic

    pixels = SIZE**2
    with tempfile.TemporaryDirectory() as name:
        small, image, output = (Path(name) / file for file in ("s.tif", "image.tif", "map.tif"))
        write_mosaic(small, 256)
        write_mosaic(image, SIZE)
        again = ("-m", model, "-o", output, "--overwrite")
        taken: dict[tuple[Path, str], list[float]] = defaultdict(list)
        for _ in range(rounds):
            for each in (small, image):
                taken[each, "whole"].append(timed("predict", each, *again))
                bytes_out = output.stat().st_size
                timed("predict", each, *again, "--shard", "1/1")
                taken[each, "merge"].append(timed("merge", output, "--overwrite"))
        shortest = {what: min(seconds) for what, seconds in taken.items()}
        start = shortest[small, "whole"]
        publishing = shortest[image, "merge"] - shortest[small, "merge"]
        computing = shortest[image, "whole"] - start - publishing
        if min(publishing, computing) <= 0:
            sys.exit("the machine is too busy to measure; give more --rounds")
        return Figures(
            rate=pixels / computing,
            start=start,
            publish_rate=pixels / publishing,
            bytes_in=image.stat().st_size / pixels,
            bytes_out=bytes_out / pixels,
            memory=resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        )


def figures_of(arguments: argparse.Namespace) -> Figures:
    """Return what is given, and the rest as it is measured."""
    names = Figures.__dataclass_fields__
    given = {name: getattr(arguments, name) for name in names}
    units = {"rate": 1e6, "publish_rate": 1e6, "memory": 2**20}
    known = {k: v * units.get(k, 1) for k, v in given.items() if v is not None}
    if len(known) == len(names):
        return Figures(**known)
    if arguments.model is None:
        missing = ", ".join(f"--{k.replace('_', '-')}" for k in names if k not in known)
        sys.exit(f"name a model, or give {missing}")
    return replace(measured(arguments.model, arguments.rounds), **known)


def median(run: Callable[[Setting, int], Outcome], setting: Setting, runs: int) -> Outcome:
    """Return the simulation whose time is the median of several."""
    return sorted((run(setting, seed) for seed in range(runs)), key=lambda o: o.seconds)[runs // 2]


def by_cluster(setting: Setting, seed: int) -> Outcome:
    """Simulate --scheduler."""
    return ClusterRun(setting, seed).run()


def by_shards(setting: Setting, seed: int) -> Outcome:
    """Simulate --shard."""
    return ShardsRun(setting, seed).run()


def setting_of(arguments: argparse.Namespace, figures: Figures, machines: int) -> Setting:
    """Return the simulation of so many machines."""
    area = arguments.tile**2
    return Setting(
        machines=machines,
        tiles=round(arguments.pixels / area),
        tile_seconds=area / figures.rate,
        spread=arguments.spread,
        slow=arguments.slow,
        mtbf=arguments.mtbf * 3600,
        repair=arguments.repair * 3600,
        start=figures.start,
        task_seconds=arguments.task_ms / 1e3,
        stored_seconds=area / (arguments.store_rate * 1e6 * arguments.commands),
        shards_a_machine=arguments.shards_a_machine,
    )


def publishing_seconds(arguments: argparse.Namespace, figures: Figures, machines: int) -> float:
    """Return how long the maps take to be published, each by one machine, after all tiles."""
    rounds = math.ceil(arguments.maps / machines)
    return float(rounds * arguments.pixels / arguments.maps / figures.publish_rate)


def table(arguments: argparse.Namespace, figures: Figures) -> None:
    """Print hours, efficiency, failures and rates by number of machines."""
    pixels = arguments.pixels
    print(
        f"{pixels:.3g} px; a machine: {figures.rate / 1e6:.2f} Mpx/s, start {figures.start:.1f} s, "
        f"publishes {figures.publish_rate / 1e6:.1f} Mpx/s, {figures.memory / 2**20:.0f} MiB; "
        f"{figures.bytes_in:.2f} bytes a pixel in, {figures.bytes_out:.3f} out\n"
        f"storage: images {pixels * figures.bytes_in / 1e12:.2f} TB, work folders "
        f"{pixels / 1e12:.2f} TB, map {pixels * figures.bytes_out / 1e12:.3f} TB\n"
        f"{100 * arguments.slow:g} % of machines half as fast, fail after {arguments.mtbf:g} h, "
        f"back after {arguments.repair:g} h; {arguments.maps} maps\n\n"
        "| machines | ideal h | shards h | of ideal | Dask h | of ideal | overhead | publish h | "
        "failures | lost | read MB/s | to one process MB/s | memory GB |\n" + "| --: " * 13 + "|"
    )
    for machines in arguments.machines:
        setting = setting_of(arguments, figures, machines)
        shards = median(by_shards, setting, arguments.runs)
        dask = median(by_cluster, setting, arguments.runs)
        ideal = setting.tiles * setting.tile_seconds / machines
        publishing = publishing_seconds(arguments, figures, machines)
        print(
            f"| {machines} | {ideal / 3600:.2f} | {shards.seconds / 3600:.2f} "
            f"| {100 * ideal / shards.seconds:.0f} % | {dask.seconds / 3600:.2f} "
            f"| {100 * ideal / dask.seconds:.0f} % | {100 * dask.overhead(machines):.1f} % "
            f"| {publishing / 3600:.2f} "
            f"| {shards.failures} / {dask.failures} "
            f"| {100 * shards.lost / setting.tiles:.2f} / {100 * dask.lost / setting.tiles:.2f} % "
            f"| {pixels * figures.bytes_in / dask.seconds / 1e6:.0f} "
            f"| {pixels / dask.seconds / 1e6:.0f} | {machines * figures.memory / 1e9:.0f} |",
            flush=True,
        )


def plot(arguments: argparse.Namespace, figures: Figures, path: Path) -> None:
    """Draw the hours, and the share of the ideal speed, by number of machines."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    numbers = [1, 3, 10, 30, 100, 300, 1000]
    several = argparse.Namespace(**{**vars(arguments), "commands": 10})
    many = argparse.Namespace(**{**vars(arguments), "shards_a_machine": 16})
    lines: list[tuple[str, argparse.Namespace, Callable[[Setting, int], Outcome], str]] = [
        (f"shards, {arguments.shards_a_machine} a machine", arguments, by_shards, "C0o-"),
        (f"shards, {many.shards_a_machine} a machine", many, by_shards, "C0o--"),
        ("Dask, one command", arguments, by_cluster, "C1s-"),
        (f"Dask, {several.commands} commands", several, by_cluster, "C1s--"),
    ]
    figure, (hours, share) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    ideal = [setting_of(arguments, figures, n) for n in numbers]
    least = np.array([s.tiles * s.tile_seconds / s.machines for s in ideal])
    hours.plot(numbers, least / 3600, "k:", label="ideal")
    for label, options, run, style in lines:
        taken = np.array([
            median(run, setting_of(options, figures, n), arguments.runs).seconds for n in numbers
        ])  # fmt: skip
        hours.plot(numbers, taken / 3600, style, label=label, markersize=4)
        share.plot(numbers, 100 * least / taken, style, label=label, markersize=4)
    publishing = [publishing_seconds(arguments, figures, n) / 3600 for n in numbers]
    hours.plot(numbers, publishing, "0.6", label="publishing, after it")
    hours.set(xscale="log", yscale="log", xlabel="machines", ylabel="hours")
    share.set(xscale="log", ylim=(0, 105), xlabel="machines", ylabel="% of the ideal speed")
    for axes in (hours, share):
        axes.grid(alpha=0.3)
        axes.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1 000"])
    hours.legend(frameon=False, fontsize=8)
    figure.savefig(path)


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--rate", type=float, help="Mpx/s of a machine")
    parser.add_argument("--start", type=float, help="seconds of a start")
    parser.add_argument("--publish-rate", type=float, help="Mpx/s of a machine")
    parser.add_argument("--bytes-in", type=float, help="of a pixel of the images")
    parser.add_argument("--bytes-out", type=float, help="of a pixel of the map")
    parser.add_argument("--memory", type=float, help="MiB of a machine")
    parser.add_argument("--pixels", type=float, default=550e9 / 1.5**2)
    parser.add_argument("--tile", type=int, default=1024)
    parser.add_argument("--maps", type=int, default=96)
    parser.add_argument("--machines", type=int, nargs="+", default=MACHINES)
    parser.add_argument("--spread", type=float, default=0.5)
    parser.add_argument("--slow", type=float, default=0.05)
    parser.add_argument("--mtbf", type=float, default=10.0, help="hours")
    parser.add_argument("--repair", type=float, default=0.5, help="hours")
    parser.add_argument("--task-ms", type=float, default=6.0)
    parser.add_argument("--store-rate", type=float, default=490.0, help="MB/s")
    parser.add_argument("--commands", type=int, default=1, help="that share a cluster")
    parser.add_argument("--shards-a-machine", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3, help="of what is measured")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args(words)
    figures = figures_of(arguments)
    table(arguments, figures)
    if arguments.plot:
        plot(arguments, figures, arguments.plot)


if __name__ == "__main__":
    main()
