"""How many threads a run may have: cores, and what control groups grant."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from lcmap.raster import threads
from lcmap.raster.threads import available_threads, granted_cores

VERSION_1 = "9:name=systemd:/docker/a\n4:cpu,cpuacct:/docker/a\n3:memory:/docker/a\n"


def version_1(group: Path, quota: int) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")


def version_2(group: Path, quota: int | str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    (group / "cpu.max").write_text(f"{quota} 100000\n")


def test_groups_that_limit_nothing_grant_all_cores(tmp_path: Path) -> None:
    assert granted_cores("0::/\n", tmp_path) == math.inf  # the root group has no such file
    version_2(tmp_path / "user.slice", "max")
    assert granted_cores("0::/user.slice\n", tmp_path) == math.inf
    version_1(tmp_path / "cpu,cpuacct/docker/a", -1)
    assert granted_cores(VERSION_1, tmp_path) == math.inf


def test_the_least_that_a_group_or_one_around_it_may_have_is_granted(tmp_path: Path) -> None:
    version_2(tmp_path / "pods", 250_000)
    version_2(tmp_path / "pods/mine", "max")
    assert granted_cores("0::/pods/mine\n", tmp_path) == 2.5
    version_2(tmp_path / "pods/mine", 150_000)
    assert granted_cores("0::/pods/mine\n", tmp_path) == 1.5
    version_1(tmp_path / "cpu,cpuacct/docker/a", 400_000)
    version_1(tmp_path / "cpu,cpuacct", 300_000)
    assert granted_cores(VERSION_1, tmp_path) == 3
    assert granted_cores(VERSION_1 + "0::/pods/mine\n", tmp_path) == 1.5


def test_a_container_that_sees_its_own_group_as_the_root_finds_its_limit(tmp_path: Path) -> None:
    version_1(tmp_path / "cpu,cpuacct", 200_000)  # its path, /docker/a, is that on the host
    assert granted_cores(VERSION_1, tmp_path) == 2
    version_2(tmp_path, 50_000)
    assert granted_cores("0::/\n", tmp_path) == 0.5


@pytest.mark.parametrize(("quota", "expected"), [(50_000, 1), (150_000, 2), (99_900_000, 3)])
def test_threads_are_the_cores_granted_rounded_up_and_no_more_than_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})
    monkeypatch.setattr(threads, "granted_cores", lambda *_: quota / 100_000)
    assert available_threads() == expected
