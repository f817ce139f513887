"""What a command that makes a map says at its end."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

from lcmap.cli.options import bytes_in_units
from lcmap.cli.pace import duration

if TYPE_CHECKING:
    from lcmap.inference.options import MapOutputs
    from lcmap.inference.report import MapReport

logger = logging.getLogger("lcmap")


class MapSummary:
    """The summary of a run that begins now, on standard error."""

    def __init__(self, outputs: MapOutputs, shard: str | None = None) -> None:
        """Begin to measure the time of a run that makes these files, or a shard of them."""
        self._outputs = outputs
        self._shard = shard
        self._start = time.monotonic()

    def say(self, report: MapReport, outputs: MapOutputs | None = None) -> None:
        """Say which files were written, of what, how fast and by what.

        `outputs` are those that only the run itself finds out.
        """
        seconds = time.monotonic() - self._start
        taken = duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"
        outputs = outputs or self._outputs
        files = [*outputs.rasters.values(), outputs.preview]
        written = ", ".join(_with_size(os.fspath(file)) for file in files if file is not None)
        if self._shard is not None:
            written = f"shard {self._shard} of {outputs.codes}"
        logger.info("wrote %s in %s: %s", written, taken, report.text(seconds))


def _with_size(path: str) -> str:
    if path == "-":
        return "standard output"
    # the other end of a pipe may have taken what was written
    return f"{path} ({bytes_in_units(os.path.getsize(path))})" if os.path.isfile(path) else path
