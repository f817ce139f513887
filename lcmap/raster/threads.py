"""How many threads a run may have."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows what it grants to control groups, of which containers are made."""


def available_threads() -> int:
    """Return the number of processor cores that this process may use.

    They are those that it may run on, or what the processor time granted to its container comes to
    (`docker run --cpus`, the CPU limit of Kubernetes), whichever is less.
    """
    cores = len(os.sched_getaffinity(0))
    try:
        granted = granted_cores(Path("/proc/self/cgroup").read_text(), _GROUPS)
    except OSError:
        return cores
    return math.ceil(min(cores, granted))


def granted_cores(membership: str, groups: Path) -> float:
    """Return the seconds of processor time that control groups grant in a second; infinity if all.

    membership: the lines of `/proc/PID/cgroup`, see cgroups(7).
    groups: the folder where the groups are mounted; a container may see its own as the root there.
    """
    granted = math.inf
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        of_version_2 = controllers == ""
        if of_version_2 or "cpu" in controllers.split(","):
            grant = _grant_of_version_2 if of_version_2 else _grant_of_version_1
            inner = PurePosixPath(path).relative_to("/")
            for group in (inner, *inner.parents):  # the least of what each of them may have
                with suppress(OSError, ValueError):  # no such group here, or it grants all
                    granted = min(granted, grant(groups / controllers / group))
    return granted


def _grant_of_version_2(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()  # quota may be "max"
    return int(quota) / int(period)


def _grant_of_version_1(group: Path) -> float:
    quota, period = (
        int((group / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
    )
    return quota / period if quota > 0 else math.inf
