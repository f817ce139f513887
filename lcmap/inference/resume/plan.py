"""What a map depends on: two runs of the same plan write the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lcmap.json_text import parse_json
from lcmap.paths import PathLike
from lcmap.raster.windows import Window

Plan = dict[str, Any]
"""Facts by name, as JSON values."""


def content_identity(path: PathLike) -> str:
    """Return the SHA-256 of a file's content, wherever the file is."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tiling_facts(tile: int | tuple[int, int], windows: Sequence[Window]) -> Plan:
    """Return what a plan says of tiles: their side, or height and width, and their windows' sum."""
    return {"tile": tile, "tiling": f"{zlib.crc32(json.dumps(windows).encode()):08x}"}


def normalised(plan: Plan) -> Plan:
    """Return a plan as it is read back: JSON has no tuples."""
    result: Plan = json.loads(json.dumps(plan))
    return result


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the names of the facts that differ between two plans, in the order of the new one."""
    names = [*new, *(name for name in old if name not in new)]
    return [name for name in names if old.get(name) != new.get(name)]


def read_plan(path: Path) -> Plan | None:
    """Return the plan in a file, None where the file is missing or cannot be read."""
    try:
        plan = parse_json(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError):
        return None
    return plan if isinstance(plan, dict) else None


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan to a file, durably.

    Raises:
        OSError: it cannot be written.
    """
    with open(path, "w", encoding="utf-8") as file:
        json.dump(plan, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
