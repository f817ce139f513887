"""A real Dask scheduler with real workers, each a process on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support import PROJECT

_QUIET = {
    "PYTHONPATH": str(PROJECT),
    "OMP_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "False",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}


class SmallCluster:
    """A scheduler, which writes `file`, and its workers; a context manager that ends them all."""

    def __init__(self, folder: Path) -> None:
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
                stdout=file, stderr=file, cwd=self._folder, env=os.environ | _QUIET,
            )  # fmt: skip

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, self._scheduler]:
            if process is not None and process.poll() is None:
                kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a process as SIGKILL does, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait()
