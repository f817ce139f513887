"""Stop a command before each of its steps to the disk, and see what it leaves of its outputs.

    python killed_sets.py SIGNAL EVERY OUTPUT[,OUTPUT...] ARGS...
    python killed_sets.py anywhere EVERY OUTPUT[,OUTPUT...] ARGS...
    python killed_sets.py twice 1 OUTPUT[,OUTPUT...] ARGS...

`lcmap ARGS... --overwrite` begins where its outputs are others, and is stopped by SIGNAL before its
step 1, 1 + EVERY, ... No old output is then beside a new one. Where it can still act (all but
KILL), they are all old or all new, it ends with 130 and one line, and leaves nothing but what it
goes on from. After the same command has run again, all are new, and nothing else is there. Then the
same where no output was there, without --overwrite. Prints how many stops left a part of a set,
which the next run settled.

"anywhere" is TERM at each EVERY-th place of `signals_anywhere`, not before a step to the disk.

"twice" runs the command while it runs, when it is about to give the first name: that is locked out.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from counted_steps import AtStep, become_lcmap, import_all
from signals_anywhere import SignalAt

STEPS = ("mkdir", "fsync", "replace", "rename", "unlink", "rmdir")
OLD = b"what was there"
SAID = Path("../said")
SENT = Path("../sent")


def run(arguments: list[str], at_step: AtStep = lambda name, step: None) -> int:
    """Return the exit status of a run in a process forked from this one; its stderr is in SAID."""
    return ended(start(arguments, at_step))


def ended(child: int) -> int:
    """Return the exit status of a process once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(arguments: list[str], at_step: AtStep, prepare: Callable[[], None] = lambda: None) -> int:
    """Start a run, after a call of `prepare` in its process, and return this."""
    child = os.fork()
    if child:
        return child
    said = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    prepare()
    become_lcmap(arguments, STEPS, at_step)


class Folder:
    """The working folder: its inputs, and the outputs of one command."""

    def __init__(self, outputs: list[str], old: bytes | None) -> None:
        """Begin with these contents of each output, None: without them."""
        self.outputs, self.old = outputs, old
        self.inputs = set(os.listdir()) - set(outputs)

    def reset(self) -> None:
        """Bring it to where a run begins."""
        for name in set(os.listdir()) - self.inputs:
            if Path(name).is_dir():
                for path in sorted(Path(name).rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                Path(name).rmdir()
            else:
                Path(name).unlink()
        if self.old is not None:
            for name in self.outputs:
                Path(name).write_bytes(self.old)

    def check_unmixed(self) -> None:
        """Check that no output of before is beside one that is new."""
        there = [path.read_bytes() == OLD for path in map(Path, self.outputs) if path.exists()]
        assert len(set(there)) < 2, dict(zip(self.outputs, there, strict=False))

    def new(self) -> list[bool]:
        """Return which outputs are not those of before."""
        return [Path(name).exists() and Path(name).read_bytes() != OLD for name in self.outputs]

    def others(self) -> set[str]:
        """Return what is neither input, output nor the record of how outputs were made."""
        left = set(os.listdir()) - self.inputs - set(self.outputs)
        return {name for name in left if not name.endswith((".lcmap-made", ".lcmap-next"))}


def goes_on_from(name: str) -> bool:
    """Return whether a stopped run may keep this to go on from."""
    is_work = name.endswith(".lcmap-work") or ".lcmap-shard-" in name
    is_work = is_work and {"plan.json", "journal"} <= {*os.listdir(name)}
    return is_work or (".checkpoint." in name and not name.endswith(".lcmap-lock"))


Stop = Callable[[list[str], int], tuple[int, bool]]
"""Runs a command that is stopped at a step; returns its status, and whether it came to the step."""


def by_signal(number: int) -> Stop:
    """Return what stops a run by a signal before one of its steps to the disk."""

    def stopped(arguments: list[str], step: int) -> tuple[int, bool]:
        def stop(name: str, at: int) -> None:
            if at == step:
                os.kill(os.getpid(), number)

        status = run(arguments, stop)
        return status, status != 0

    return stopped


def anywhere(arguments: list[str], place: int) -> tuple[int, bool]:
    """Stop a run at a place of `signals_anywhere`: the last are when it has ended well."""
    SENT.unlink(missing_ok=True)
    status = ended(
        start(arguments, lambda name, step: None, SignalAt(place, at_place=SENT.touch).start)
    )
    return status, SENT.exists()


def stop_everywhere(folder: Folder, what: str, every: int, arguments: list[str]) -> int:
    """Return how many stops left a part of a set."""
    number = signal.SIGTERM if what == "anywhere" else signal.Signals[f"SIG{what}"]
    stopped = anywhere if what == "anywhere" else by_signal(number)
    parts = 0
    step = 1
    while True:
        folder.reset()
        status, reached = stopped(arguments, step)
        said, new, others = SAID.read_text(), folder.new(), folder.others()
        where = f"step {step}: {status}, {new}, {others}, {said}"
        if status == 0:
            assert all(new) and not others, where
            if not reached:
                return parts
            step += every
            continue
        if number == signal.SIGKILL:
            assert status == -number, where
        else:
            assert status == 130 and "Traceback" not in said, where
            assert said.splitlines()[-1].startswith("lcmap: interrupted"), where
            assert len(set(new)) == 1, where
            assert all(map(goes_on_from, others)), where
        folder.check_unmixed()
        parts += 0 < sum(map(os.path.exists, folder.outputs)) < len(folder.outputs)
        unfinished = [name for name in others if goes_on_from(name) or name.endswith(".lcmap-set")]
        again = (
            [*arguments, "--resume"]
            if any(name.endswith(".checkpoint.pt") for name in others)
            else []
        )
        status = run(again or arguments)
        where += f"; then {status}, {folder.new()}, {folder.others()}, {SAID.read_text()}"
        # what had all its names and nothing left but to clear up was finished
        finished = status == 73 and all(new) and not unfinished
        assert status == 0 or finished, where
        assert all(folder.new()) and not folder.others(), where
        step += every


def run_twice(folder: Folder, arguments: list[str]) -> None:
    """Run a command when another run of it is about to give the first file its name."""
    folder.reset()
    reached, go_on = Path("../reached"), Path("../go-on")

    def wait(name: str, step: int) -> None:
        if name == "replace":
            reached.touch()
            while not go_on.exists():
                time.sleep(0.01)

    first = start(arguments, wait)
    while not reached.exists():
        ended_early = os.waitid(os.P_PID, first, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        assert ended_early is None, (ended_early, SAID.read_text())
        time.sleep(0.01)
    status, said = run(arguments), SAID.read_text()
    go_on.touch()
    assert status == 75 and "another run is making it" in said, (status, said)
    assert ended(first) == 0
    assert all(folder.new()) and not folder.others(), (folder.new(), folder.others())


def main(what: str, every: int, outputs: list[str], arguments: list[str]) -> None:
    """Do what the module says."""
    folder, overwriting = Folder(outputs, OLD), [*arguments, "--overwrite"]
    folder.reset()
    import_all(overwriting)
    if what == "twice":
        run_twice(folder, overwriting)
        return
    parts = stop_everywhere(folder, what, every, overwriting)
    folder.old = None
    parts += stop_everywhere(folder, what, every, arguments)
    print(parts)


if __name__ == "__main__":
    what, every, outputs, *arguments = sys.argv[1:]
    main(what, int(every), outputs.split(","), arguments)
