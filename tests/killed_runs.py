"""Run a command again and again, killed before each of its steps to the disk, and finish it.

    python killed_runs.py EVERY FIRST OUTPUT[,OUTPUT...] ARGS...

Kills `lcmap ARGS...` before the step FIRST, FIRST + EVERY, ... of those that it makes; after each
kill the same command runs to its end. Prints how often; fails where the outputs have not the bytes
of a run that nothing disturbed, or where anything else stays. In processes that are forked, since
to start Python takes longer than such a run.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from counted_steps import become_lcmap, import_all

STEPS = (
    "pwrite",
    "fdatasync",
    "fsync",
    "write",
    "ftruncate",
    "mkdir",
    "replace",
    "unlink",
    "rmdir",
)
CANNOT_WRITE = 73


def run(arguments: list[str], kill_at: int = 0) -> int:
    """Return the exit status of a run; killed before its step `kill_at`, from 1, if it comes."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def kill(_: str, step: int) -> None:
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    become_lcmap(arguments, STEPS, kill)


def main(every: int, first: int, outputs: list[Path], arguments: list[str]) -> None:
    """Kill and finish, and compare."""
    before = set(Path().iterdir())
    import_all(arguments)

    from lcmap.inference.resume import journal

    journal.COMMIT_SECONDS = 0.0
    assert run([*arguments, "--overwrite"]) == 0
    expected = [output.read_bytes() for output in outputs]
    after = set(Path().iterdir())
    record = outputs[0].with_name(f".{outputs[0].name}.lcmap-made")
    assert after == before | {record, *outputs}, after
    kills = 0
    while True:
        for output in outputs:
            output.unlink()
        step = first + kills * every
        status = run(arguments, step)
        if status != -signal.SIGKILL:
            assert status == 0, f"step {step}: {status}"
            break
        kills += 1
        there = [output.exists() for output in outputs]
        for output, content in zip(outputs, expected, strict=True):
            assert not output.exists() or output.read_bytes() == content, f"step {step}: {output}"
        status = run(arguments)
        # what was killed with nothing but its lock left to remove was finished
        finished = status == CANNOT_WRITE and all(there)
        assert status == 0 or finished, f"step {step}: then {status}"
        for output, content in zip(outputs, expected, strict=True):
            assert output.read_bytes() == content, f"step {step}: {output}"
        if not finished:
            assert set(Path().iterdir()) == after, f"step {step}: {set(Path().iterdir()) - after}"
    print(kills)


if __name__ == "__main__":
    every, first, outputs, *arguments = sys.argv[1:]
    main(int(every), int(first), [Path(name) for name in outputs.split(",")], arguments)
