"""What pyproject.toml promises of the packages that lcmap needs, and what was tried."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from support import PROJECT

_DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = _DECLARED["optional-dependencies"]
REQUIREMENTS = [
    Requirement(line) for lines in (_DECLARED["dependencies"], *EXTRAS.values()) for line in lines
]


def pinned() -> dict[str, Version]:
    """Return the versions of constraints.txt by the packages' names."""
    lines = (PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


def test_every_requirement_says_its_oldest_version() -> None:
    for requirement in REQUIREMENTS:
        assert ">=" in str(requirement.specifier), requirement


def test_a_package_is_asked_for_in_one_way() -> None:
    """With the extras too, which name again what the tests need of them."""
    told: dict[str, set[str]] = {}
    for requirement in REQUIREMENTS:
        name = canonicalize_name(requirement.name)
        told.setdefault(name, set()).add(str(requirement.specifier))
    assert [name for name, specifiers in told.items() if len(specifiers) > 1] == []


def test_the_pinned_versions_are_among_those_promised() -> None:
    pins = pinned()
    for requirement in REQUIREMENTS:
        version = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version} is pinned"


def test_what_is_installed_is_among_what_is_promised() -> None:
    """Else the tests tell of versions that nobody is to install."""
    for requirement in REQUIREMENTS:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        assert requirement.specifier.contains(version, prereleases=True), (
            f"{requirement}: {version}"
        )


def test_the_pythons_named_are_those_required() -> None:
    named = [
        Version(found.group(1))
        for line in _DECLARED["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (\d\.\d+)", line))
    ]
    oldest = Version(_DECLARED["requires-python"].removeprefix(">="))
    assert min(named) == oldest
