"""A real Dask scheduler with real workers, each a process on this machine."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from support import PROJECT

_QUIET = {
    "PYTHONPATH": str(PROJECT),
    "OMP_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}


class SmallCluster:
    """A scheduler, which writes `file`, and its workers; a context manager that ends them all.

    A worker that says nothing is given up after `patience`, in Dask's words.
    """

    def __init__(self, folder: Path, patience: str = "5 minutes") -> None:
        self._patience = patience
        self.file = folder / "scheduler.json"
        self._folder = folder
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> SmallCluster:
        self._scheduler = self._start("scheduler", "--port", "0")
        while not self.file.exists():
            assert self._scheduler.poll() is None, (self._folder / "scheduler.log").read_text()
            time.sleep(0.05)
        return self

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of two threads, without a nanny that would start it again."""
        number = len(self.workers)
        worker = self._start(
            "worker", "--no-nanny", "--nthreads", "2", "--memory-limit", "0",
            "--local-directory", str(self._folder / f"worker{number}"),
        )  # fmt: skip
        self.workers.append(worker)
        return worker

    def kill_scheduler(self) -> None:
        """End the scheduler as a machine that breaks does."""
        assert self._scheduler is not None
        kill(self._scheduler)

    def _start(self, what: str, *options: str) -> subprocess.Popen[bytes]:
        log = self._folder / f"{what}{len(self.workers) if what == 'worker' else ''}.log"
        with open(log, "wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", what, "--scheduler-file", self.file,
                 *(["--host", "127.0.0.1"] if what == "scheduler" else []),
                 "--no-dashboard", *options],
                stdout=file, stderr=file, cwd=self._folder,
                env=os.environ | _QUIET
                | {"DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": self._patience},
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self._scheduler]:
            if process is not None and process.poll() is None:
                kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as SIGKILL does, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait()


class Relay:
    """What passes connections on to an address, and may cut them; a context manager."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("tcp://").rsplit(":", 1)
        self._target = host, int(port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.address = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def cut(self) -> None:
        """End all connections; new ones are passed on."""
        for end in list(self._open):
            with suppress(OSError):  # it ended meanwhile
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        other = {client: server, server: client}
        self._open |= set(other)
        with client, server:
            while True:
                for end in select.select(list(other), [], [])[0]:
                    try:
                        content = end.recv(1 << 16)
                        other[end].sendall(content)
                    except OSError:
                        content = b""
                    if not content:
                        self._open -= set(other)
                        return

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()
