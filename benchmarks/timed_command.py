"""lcmap in a process of its own: its time, processor time and peak memory.

The peak that the kernel tells of a process counts what its parent held when it started it, and the
processor time of children only what has ended. So a small process starts the command and nothing
else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from typing import NamedTuple

_STARTER = """
import json, resource, subprocess, sys, time
to, most_files, *command = sys.argv[1:]
if most_files != "None":
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(most_files),) * 2)
start = time.perf_counter()
code = subprocess.call(command)
seconds = time.perf_counter() - start
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(to, "w") as file:
    json.dump([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024], file)
"""


class Timed(NamedTuple):
    """A run that ended well: seconds, processor seconds, peak memory in MiB, and what it said."""

    seconds: float
    processor: float
    peak: float
    stdout: str
    stderr: str


def timed(*words: object, most_files: int | None = None) -> Timed:
    """Run `lcmap WORDS...`; end this program where it fails.

    `most_files` is how many files it may have open.
    """
    command = [sys.executable, "-c", "from lcmap.cli import main; main()", *map(str, words)]
    with tempfile.NamedTemporaryFile("r") as result:
        run = subprocess.run(
            [sys.executable, "-c", _STARTER, result.name, str(most_files), *command],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        code, *figures = json.load(result)
    if code:
        sys.exit(f"lcmap {words[0]} ended with {code}:\n{run.stderr}")
    return Timed(*figures, run.stdout, run.stderr)
