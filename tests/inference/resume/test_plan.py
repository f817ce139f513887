"""A plan tells one run from another, and how they differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcmap.inference.resume.plan import (
    content_identity,
    differences,
    read_plan,
    tiling_facts,
    write_plan,
)
from lcmap.raster.windows import Window


def test_a_model_is_known_by_its_content(tmp_path: Path) -> None:
    for name, content in (("a", b"one"), ("b", b"one"), ("c", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (content_identity(tmp_path / name) for name in "abc")
    assert a == b != c


def test_a_tiling_is_known_by_its_windows() -> None:
    one = [Window(0, 0, 4, 4), Window(0, 4, 4, 4)]
    facts = tiling_facts(4, one)
    assert facts == tiling_facts(4, list(one)) and facts["tile"] == 4
    assert facts["tiling"] != tiling_facts(4, [Window(0, 0, 4, 8)])["tiling"]


def test_differences_are_named() -> None:
    old = {"lcmap": "1", "tile": 8, "gone": 0}
    assert differences(old, old) == []
    assert differences(old, {"lcmap": "1", "tile": 16, "new": 1}) == ["tile", "new", "gone"]


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert read_plan(path) is None
    write_plan({"tile": 8, "layers": [["codes", 1, "uint8"]]}, path)
    assert read_plan(path) == {"tile": 8, "layers": [["codes", 1, "uint8"]]}
    path.write_bytes(path.read_bytes()[:10])
    assert read_plan(path) is None
    path.write_text("[" * 100_000)
    assert read_plan(path) is None
    path.write_text("[]")
    assert read_plan(path) is None


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b"[" * 100_000])
def test_a_damaged_plan_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "plan.json").write_bytes(content)
    assert read_plan(tmp_path / "plan.json") is None
