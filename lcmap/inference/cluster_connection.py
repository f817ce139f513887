"""The connection to the scheduler of a Dask cluster, and another one where it was lost."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lcmap.errors import InputMissingError, UnavailableError, UsageError
from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.raster.pipes import STANDARD_STREAM

_REACHED_WITHIN = 5.0
"""Seconds that a connection to a worker may take."""

_TRY_AGAIN = 0.1
"""Seconds after which a scheduler is tried again."""


def check_scheduler(scheduler: str, inputs: Sequence[PathLike]) -> None:
    """Check that what names a scheduler names one, and that workers can open the inputs.

    Raises:
        UsageError: it is neither an address nor a scheduler file; an input is a pipe.
        InputMissingError: there is no such file.
    """
    if STANDARD_STREAM in [os.fspath(path) for path in inputs]:
        raise UsageError("`scheduler`", "needs inputs in files", "name files, and not -")
    if "://" in scheduler:
        return
    if not scheduler.endswith(".json"):
        raise UsageError(
            f"`scheduler={scheduler}`", "is neither an address nor a scheduler file",
            "write local, tcp://HOST:PORT or FILE.json",
        )  # fmt: skip
    if not os.path.isfile(scheduler):
        raise InputMissingError(
            scheduler, "no such file", "dask scheduler --scheduler-file writes it"
        )


def scheduler_address(scheduler: str) -> str:
    """Return the address of a scheduler that is named by it or by the file that it writes.

    Raises:
        UnavailableError: the file names none.
    """
    if "://" in scheduler:
        return scheduler
    try:
        return str(parse_json(Path(scheduler).read_bytes())["address"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnavailableError(
            scheduler, "does not name a scheduler", "dask scheduler --scheduler-file writes it"
        ) from error


def is_reachable(worker: str) -> bool:
    """Tell whether this process can connect to a worker, as Dask finds out after long."""
    address = urlsplit(worker)
    try:
        with socket.create_connection((address.hostname, address.port or 0), _REACHED_WITHIN):
            return True
    except (OSError, ValueError):
        return False


def _seconds_to_connect() -> float:
    import dask

    found = dask.utils.parse_timedelta(dask.config.get("distributed.comm.timeouts.connect"))
    return float(found)


class Connection:
    """A client of a scheduler; a context manager, which closes it.

    A client that lost its connection connects again by itself, and then and now fails for ever,
    with an error that it tells nobody: when the scheduler's answer comes together with other
    messages. So another client takes its place.
    """

    def __init__(self, scheduler: str) -> None:
        """Connect to a scheduler that is named by its address or its file.

        Raises:
            UnavailableError: dask.distributed is not installed, the file names no scheduler, or
                it does not answer.
        """
        self._scheduler = scheduler
        self._address = scheduler_address(scheduler)
        try:
            self.client = self._connect()
        except (OSError, ValueError) as error:
            raise UnavailableError(
                f"`scheduler={scheduler}`", f"does not answer ({error})", "start it: dask scheduler"
            ) from error

    def restore(self) -> bool:
        """See to a client that is connected; return whether that is another than before.

        Another one does not know what the former had under way.

        Raises:
            UnavailableError: the scheduler went away.
        """
        if self.client.status == "running":
            return False
        self._close()
        tried_until = time.monotonic() + _seconds_to_connect()
        while True:
            try:
                self.client = self._connect()
                return True
            except (OSError, ValueError) as error:
                if time.monotonic() >= tried_until:
                    raise UnavailableError(
                        f"`scheduler={self._scheduler}`", "went away",
                        "start it and its workers again, then the same command, which continues",
                    ) from error  # fmt: skip
                time.sleep(_TRY_AGAIN)  # it was lost once more

    def __enter__(self) -> Connection:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the client."""
        self._close()

    def _connect(self) -> Any:
        try:
            from distributed import Client
        except ImportError as error:
            raise UnavailableError(
                "`scheduler`", f"dask.distributed cannot be imported ({error})",
                "pip install 'lcmap[distributed]', or choose local",
            ) from error  # fmt: skip
        # they tell, in a form of their own, of tiles and connections that are lost, and are seen to
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        return Client(self._address, set_as_default=False, name="lcmap")

    def _close(self) -> None:
        try:
            self.client.close()
        except Exception:  # what it failed of before: nobody asks for it any more
            self.client.status = "closed"  # or it closes itself again when it is thrown away
