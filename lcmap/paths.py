"""What the library takes for a path."""

from __future__ import annotations

import os

PathLike = str | os.PathLike[str]
"""A path in any form that the standard library takes."""


def permitted(path: PathLike, mode: int) -> bool:
    """Tell whether the process may read, write or search a path, as `os.access` takes the mode.

    By what the process may do now, not by the user who started it, which `os.access` asks by
    default: their rights differ for programs that change the user or have been given capabilities.
    """
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)
