"""The entry point: `lcmap` and `python -m lcmap`."""

from __future__ import annotations

import os
import sys

from lcmap.interruption import handle_signals
from lcmap.openmp import wait_briefly
from lcmap.same_again import repeated


def main() -> None:
    """Run the command line, which takes a while to import: signals end it with their code."""
    handle_signals()
    wait_briefly(os.environ)
    if repeated(sys.argv[1:]):
        return
    from lcmap.cli import main as run

    run()


if __name__ == "__main__":
    main()
