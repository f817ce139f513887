"""Make a set of outputs with a signal at each place of `signals_anywhere`, and see what it leaves.

    python signalled_outputs.py FOLDER

The outputs of a run are both old or both new, nothing else is there, and the next run finds nothing
that holds them. Prints how often they were old and new.

Do not import it: after a signal just where an exception is handled, Python takes this for one that
is handled still, for the rest of the process.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

from signals_anywhere import SignalAt

from lcmap.interruption import working
from lcmap.raster.output_set import OutputSet
from lcmap.raster.writing import atomic_path

NAMES = ("a.txt", "b.txt")


def make(paths: list[Path]) -> None:
    """Write new outputs, until a signal comes."""
    with suppress(KeyboardInterrupt), working(), OutputSet(paths, overwrite=True) as files:
        for path in paths:
            with atomic_path(path, overwrite=True, within=files) as temporary:
                temporary.write_text("new")


def main(folder: Path) -> None:
    """Do what the module says: the first place is before the work, the last after it."""
    os.fsync = lambda fd: None  # the disk takes most of the time
    paths = [folder / name for name in NAMES]
    found: Counter[str] = Counter()
    for place in count(1):
        for path in paths:
            path.write_text("old")
        signalled = SignalAt(place)
        signalled.run(lambda: make(paths))
        there = {path.read_text() for path in paths}
        assert sorted(os.listdir(folder)) == sorted(NAMES), place
        assert len(there) == 1, place
        with OutputSet(paths, overwrite=True):  # which nothing holds
            pass
        if not signalled.sent:
            break
        found.update(there)
    print(found["old"], found["new"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
