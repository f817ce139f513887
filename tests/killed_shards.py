"""Make the shards of a map and merge them, killed again and again before each step to the disk.

    python killed_shards.py COUNT EVERY FIRST OUTPUT[,OUTPUT...] ARGS...

For each of the steps FIRST, FIRST + EVERY, ...: makes every shard of COUNT with
`lcmap ARGS... --shard I/COUNT` and merges them, each command killed before that step, if it makes
as many, and then run to its end. Ends after the first step that no command makes; prints how many
were killed. Fails where the outputs have not the bytes of a run without shards, or anything else
stays.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from counted_steps import import_all
from killed_runs import run


def main(count: int, every: int, first: int, outputs: list[Path], arguments: list[str]) -> None:
    """Kill and finish, and compare."""
    before = set(Path().iterdir())
    import_all(arguments)

    from lcmap.inference.resume import journal

    journal.COMMIT_SECONDS = 0.0
    assert run([*arguments, "--overwrite"]) == 0
    expected = [output.read_bytes() for output in outputs]
    shards = [[*arguments, "--shard", f"{number}/{count}"] for number in range(1, count + 1)]
    killed, step, last = 0, first, -1
    while killed > last:
        last = killed
        for output in [*outputs, outputs[0].with_name(f".{outputs[0].name}.lcmap-made")]:
            output.unlink()
        assert set(Path().iterdir()) == before, f"step {step}: {set(Path().iterdir()) - before}"
        for command in [*shards, ["merge", str(outputs[0])]]:
            status = run(command, step)
            if status == -signal.SIGKILL:
                killed += 1
                there = [output.exists() for output in outputs]
                assert command[0] == "merge" or not any(there), f"step {step}: {there}"
                for output, content in zip(outputs, expected, strict=True):
                    assert not output.exists() or output.read_bytes() == content, output
                status = run(command)
                assert status == 0, f"step {step} of {command}: then {status}"
            else:
                assert status == 0, f"step {step} of {command}: {status}"
        for output, content in zip(outputs, expected, strict=True):
            assert output.read_bytes() == content, f"step {step}: {output}"
        step += every
    print(killed)


if __name__ == "__main__":
    count, every, first, outputs, *arguments = sys.argv[1:]
    names = [Path(name) for name in outputs.split(",")]
    main(int(count), int(every), int(first), names, arguments)
