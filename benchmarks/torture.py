"""Stop every command at random moments, and see what stands under the names of its outputs.

    python benchmarks/torture.py --work /tmp/torture --kills 500

Each form of tests/every_command.py, a shard of a map and the merge of its shards is killed
(SIGKILL) or ended (SIGTERM) at moments that are uniform over the time that it takes, in three ways:
`new`, where none of its outputs is there; `again`, where an earlier run made them of other inputs;
`overwrite`, the same with --overwrite. A third of the runs that were to mend it are stopped too.
After each stop every output is missing, or as an undisturbed run of these or of the earlier inputs
leaves it, and all that are there are of the same run. Then the command runs to its end: all outputs
are those of an undisturbed run, byte by byte, and nothing else stays.

Prints a table by form. What fails is kept in WORK/failures, with the words that repeat it.

Runs are forked from a process that has imported all, so that all the time is work on outputs; one
that stands still, and is not merely waiting for a core, is shot after ten minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))

import numpy as np  # noqa: E402
import rasterio  # noqa: E402
from counted_steps import become_lcmap, import_all  # noqa: E402
from every_command import FORMS, but_for_times  # noqa: E402
from killed_sets import goes_on_from  # noqa: E402

HOW = ("new", "again", "overwrite")
SECONDS_TO_HANG = 600.0
SHARE_STOPPED_AGAIN = 1 / 3
SHARE_TERM = 0.25
MOST_STOPS = 4
INTERRUPTED = 130

_PREPARE, _PREDICT, _MAP, _ = FORMS["predict"]
_SHARDS = [f"{_PREDICT} --shard {number}/2" for number in (1, 2)]
AROUND = {"shard": ([], [_SHARDS[1], "merge map.tif"]), "merge": (_SHARDS, [])}
"""What is run before a form and after it to make its outputs, and is not stopped."""
ALL_FORMS = FORMS | {
    "shard": (_PREPARE, _SHARDS[0], _MAP, 0),
    "merge": (_PREPARE, "merge map.tif", _MAP, 0),
}

State = Mapping[str, bytes | None]
"""The content of each output, None where it is missing."""


class Wrong(Exception):
    """What must not be after a stop."""


class Command:
    """A form of a command in a folder of its own, with two sets of inputs and their outputs."""

    def __init__(self, form: str, folder: Path) -> None:
        """Make the inputs, and run it undisturbed on both."""
        prepare, line, outputs, _ = ALL_FORMS[form]
        self.words, self.outputs = line.split(), outputs.split(",")
        before, self.after = AROUND.get(form, ([], []))
        self.folder = folder
        self.old, self.new, self.work = folder / "old", folder / "new", folder / "work"
        shutil.rmtree(folder, ignore_errors=True)
        self.new.mkdir(parents=True)
        prepare(self.new)
        shutil.copytree(self.new, self.old)
        for path in sorted(self.new.glob("*.tif")):
            alter(path)
        for place in (self.old, self.new):
            self.work = place
            self.run_all(before)
        self.work = folder / "work"
        self.inputs = set(os.listdir(self.new))
        self.expected: dict[Path, State] = {}
        self.seconds = 0.0
        self._import_all()
        for inputs in (self.old, self.new):
            self._run_undisturbed(inputs)

    def _import_all(self) -> None:
        """Import what a run imports."""
        self._lay_out(self.old)
        before = os.getcwd()
        os.chdir(self.work)
        import_all(self.words)
        os.chdir(before)

    def _run_undisturbed(self, inputs: Path) -> None:
        times = []
        for _ in range(3):
            self._lay_out(inputs)
            start = time.monotonic()
            status = ended(self.start([]))
            times.append(time.monotonic() - start)
            if status:
                raise SystemExit(f"{self.words}: {status}: {self.said()}")
            self.run_all(self.after)
            state = self.state()
            expected = self.expected.setdefault(inputs, state)
            differ = [name for name in state if state[name] != expected[name]]
            if differ or None in state.values():
                raise SystemExit(f"{self.words}: two runs differ in {differ}")
        self.record = self.others()
        self.seconds = statistics.median(times)
        if inputs == self.old:
            shutil.copytree(self.work, self.folder / "before")

    def run_all(self, lines: Sequence[str], more: Sequence[str] = ()) -> None:
        """Run commands to their end in the working folder.

        Raises:
            Wrong: one fails.
        """
        for line in lines:
            if status := ended(self.start([*more], words=line.split())):
                raise Wrong(f"{line}: exit status {status}: {self.said()}")

    def _lay_out(self, inputs: Path) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(inputs, self.work)

    def reset(self, how: str) -> None:
        """Bring the folder to where a run begins."""
        self._lay_out(self.new)
        if how != "new":
            for name in os.listdir(self.folder / "before"):
                if name not in self.inputs:
                    shutil.copy2(self.folder / "before" / name, self.work / name)

    def start(self, more: list[str], words: Sequence[str] = ()) -> int:
        """Start a run in a process forked from this one, of these words or of the command."""
        said = os.open(self.folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        child = os.fork()
        if child:
            os.close(said)
            return child
        os.chdir(self.work)
        os.dup2(said, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        become_lcmap([*(words or self.words), *more], (), lambda name, step: None)

    def said(self) -> str:
        """Return what the last run wrote on standard error."""
        return (self.folder / "said").read_text(errors="replace")

    def state(self) -> State:
        """Return what stands under the names of the outputs."""
        found: dict[str, bytes | None] = {}
        for name in self.outputs:
            path = self.work / name
            found[name] = but_for_times(path) if path.exists() else None
        return found

    def others(self) -> set[str]:
        """Return what is neither an input nor an output."""
        return set(os.listdir(self.work)) - self.inputs - set(self.outputs)

    def generation(self, state: State) -> str:
        """Say of which run the outputs are.

        Raises:
            Wrong: one is of none, or they are of different runs.
        """
        runs = {"old": self.expected[self.old], "new": self.expected[self.new]}
        corrupt = [
            name for name, content in state.items()
            if content is not None and all(content != run[name] for run in runs.values())
        ]  # fmt: skip
        if corrupt:
            raise Wrong(f"corrupt: {', '.join(corrupt)}")
        there = {name: content for name, content in state.items() if content is not None}
        of = [run for run, whole in runs.items() if there.items() <= whole.items()]
        if not of:
            news = [name for name, content in there.items() if content == runs["new"][name]]
            raise Wrong(f"mixed: {', '.join(news)} new, but not {set(there) - set(news)}")
        if not there:
            return "none"
        return of[-1] if len(there) == len(state) else f"part of {of[-1]}"


def alter(path: Path) -> None:
    """Change a raster that is an input: other pixels of the same kind, on the same grid or beside.

    Labels, maps and probabilities are turned upside down; of an image it is its negative that is
    taken, so that quantiles differ too.
    """
    with rasterio.open(path, "r+") as dataset:
        bands = dataset.read()
        if not bands.any():  # a grid alone
            dataset.transform = dataset.transform @ rasterio.Affine.translation(1, 0)
        elif bands.dtype == np.uint8 and len(bands) == 4:
            dataset.write(np.minimum(bands, 200) // 2 + 50)
        else:
            bands = bands[:, ::-1].copy()
            if len(bands) == 1:
                bands[:, :9] = bands.max()
            dataset.write(bands)


def ended(child: int) -> int:
    """Return the exit status of a process once it has ended.

    Raises:
        Wrong: it stands still.
    """
    moved, used = time.monotonic(), 0.0
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > moved + SECONDS_TO_HANG or used > SECONDS_TO_HANG:
            now = processor_seconds(child)
            if now == used or used > SECONDS_TO_HANG:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise Wrong(f"stands still, after {used:.0f} s of processor time")
            moved, used = time.monotonic(), now
        time.sleep(0.002)


def processor_seconds(child: int) -> float:
    """Return the processor time of a process, from which it is told that it waits for a core."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stopped(child: int, stop: signal.Signals, moment: float) -> int:
    """Return the exit status of a run that is stopped at a moment, in seconds, if it comes to it.

    Raises:
        Wrong: it stands still.
    """
    deadline = time.monotonic() + moment
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(0.002, max(0.0, deadline - time.monotonic())))
    os.kill(child, stop)
    return ended(child)


@dataclasses.dataclass
class Trial:
    """Stops of one command, until a run ended."""

    number: int
    how: str
    stops: list[str] = dataclasses.field(default_factory=list)
    left: list[str] = dataclasses.field(default_factory=list)
    wrong: str = ""


def one_trial(command: Command, form: str, seed: int, number: int) -> Trial:
    """Stop a command, perhaps again, and let it end; all by chance that the seed decides."""
    chance = random.Random(f"{seed} {form} {number}")
    trial = Trial(number, chance.choice(HOW))
    more = ["--overwrite"] if trial.how == "overwrite" else []
    command.reset(trial.how)
    try:
        while len(trial.stops) < MOST_STOPS:
            stop = signal.SIGTERM if chance.random() < SHARE_TERM else signal.SIGKILL
            moment = chance.random() * command.seconds
            child = command.start([*more, *resume(command)])
            status = stopped(child, stop, moment)
            what = f"{stop.name} after {1e3 * moment:.0f} ms"
            if status == 0:
                break
            trial.stops.append(what)
            check_stop(command, trial, stop, status)
            if chance.random() > SHARE_STOPPED_AGAIN:
                break
        heal(command, more)
    except Wrong as error:
        trial.wrong = f"{trial.how}; {', '.join(trial.stops)}: {error}"
    return trial


def resume(command: Command) -> list[str]:
    """Return the option that a run of train needs to go on from a checkpoint."""
    return ["--resume"] if any(n.endswith(".checkpoint.pt") for n in command.others()) else []


def check_stop(command: Command, trial: Trial, stop: signal.Signals, status: int) -> None:
    """Check what a run left that was stopped.

    Raises:
        Wrong: it left what it must not.
    """
    generation = command.generation(command.state())
    trial.left.append(generation)
    if stop == signal.SIGKILL:
        if status != -stop:
            raise Wrong(f"exit status {status}: {command.said()}")
        return
    said = command.said()
    if status == -stop and not said:  # before signals were handled
        return
    lines = said.splitlines() or [""]
    if status != INTERRUPTED or not lines[-1].startswith("lcmap: interrupted"):
        raise Wrong(f"exit status {status}: {said}")
    if "Traceback" in said:
        raise Wrong(said)
    if len(trial.stops) == 1:  # else an earlier one may have left more
        if generation.startswith("part"):
            raise Wrong(f"SIGTERM left {generation}")
        left = [name for name in command.others() - command.record if not kept(command, name)]
        if left:
            raise Wrong(f"SIGTERM left {left}")


def kept(command: Command, name: str) -> bool:
    """Tell whether a run that was stopped may keep this to go on from."""
    before = os.getcwd()
    os.chdir(command.work)
    try:
        return goes_on_from(name)
    finally:
        os.chdir(before)


def heal(command: Command, more: list[str]) -> None:
    """Let the command run to its end, and twice: the second time there is nothing to do.

    Raises:
        Wrong: not all is as an undisturbed run leaves it.
    """
    start = time.monotonic()
    status = ended(command.start([*more, *resume(command)]))
    # others may have kept the processor busy when it was measured first
    command.seconds = time.monotonic() - start
    if status:
        raise Wrong(f"then exit status {status}: {command.said()}")
    command.run_all(command.after, more)
    state = command.state()
    if state != command.expected[command.new]:
        expected = command.expected[command.new]
        wrong = [name for name in state if state[name] != expected[name]]
        raise Wrong(f"then {', '.join(wrong)} other than without a stop")
    if command.others() != command.record:
        raise Wrong(f"then there are {command.others() ^ command.record}")
    status, said = ended(command.start([])), command.said()
    if status or not said.endswith("up to date\n"):
        raise Wrong(f"then it is not up to date: {status}: {said}")


def run_form(form: str, arguments: argparse.Namespace) -> None:
    """Stop one form as often as asked, and print each trial as JSON."""
    place = arguments.work / form.replace(" ", "-")
    command = Command(form, place)
    numbers = [arguments.trial] if arguments.trial is not None else itertools.count()
    kills = 0
    for number in numbers:
        trial = one_trial(command, form, arguments.seed, number)
        kills += len(trial.stops)
        if trial.wrong:
            kept_as = arguments.work / "failures" / f"{place.name}-{number}"
            shutil.rmtree(kept_as, ignore_errors=True)
            shutil.copytree(command.work, kept_as, symlinks=True)
            (kept_as / "what-happened").write_text(
                f"{trial.wrong}\npython benchmarks/torture.py --work WORK --form '{form}'"
                f" --seed {arguments.seed} --trial {number}\n"
            )
        print(json.dumps(dataclasses.asdict(trial)), flush=True)
        if kills >= arguments.kills:
            break
    shutil.rmtree(place)


def run_forms(forms: list[str], arguments: argparse.Namespace) -> Iterator[tuple[str, list[Trial]]]:
    """Yield the trials of each form, some at a time in processes of their own."""
    each = -(-arguments.kills // len(forms))

    def one(form: str) -> tuple[str, list[Trial]]:
        words = [
            *(sys.executable, __file__, "--work", arguments.work, "--form", form, "--alone"),
            *("--kills", str(each), "--seed", str(arguments.seed)),
            *([] if arguments.trial is None else ["--trial", str(arguments.trial)]),
        ]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"{form}: ended with {done.returncode}")
        return form, [Trial(**json.loads(line)) for line in done.stdout.splitlines()]

    with ThreadPoolExecutor(arguments.jobs) as pool:
        yield from pool.map(one, forms)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=500, help="over all forms")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--form", choices=[*ALL_FORMS], action="append", help="these forms only")
    parser.add_argument("--trial", type=int, help="this trial only")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # results that are the same, byte by byte
    arguments.work = arguments.work.absolute()
    if arguments.alone:
        run_form(arguments.form[0], arguments)
        return
    failures = arguments.work / "failures"
    shutil.rmtree(failures, ignore_errors=True)
    failures.mkdir(parents=True)
    start, total, wrong = time.monotonic(), Counter[str](), 0
    heads = ("KILL", "TERM", "none", "old", "new", "part of old", "part of new", "wrong")
    print(f"{'form':16}{''.join(f'{head:>13}' for head in heads)}")
    for form, trials in run_forms(arguments.form or [*ALL_FORMS], arguments):
        found = Counter(stop[3:7] for trial in trials for stop in trial.stops)
        found.update(left for trial in trials for left in trial.left)
        found["wrong"] = sum(bool(trial.wrong) for trial in trials)
        total.update(found)
        print(f"{form:16}{''.join(f'{found[head]:13}' for head in heads)}", flush=True)
        for trial in trials:
            if trial.wrong:
                print(f"  trial {trial.number}: {trial.wrong}")
                wrong += 1
    print(f"{'all':16}{''.join(f'{total[head]:13}' for head in heads)}")
    minutes = (time.monotonic() - start) / 60
    kills = total["KILL"] + total["TERM"]
    print(f"{kills} stops in {minutes:.1f} minutes, {kills / minutes:.0f} a minute; {wrong} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
