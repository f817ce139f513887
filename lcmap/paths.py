"""What the library takes for a path."""

from __future__ import annotations

import os

PathLike = str | os.PathLike[str]
"""A path in any form that the standard library takes."""
