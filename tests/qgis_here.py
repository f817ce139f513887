"""Where PyQGIS is, if it is installed: in the system's Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

PYTHON = "/usr/bin/python3"


def has_qgis() -> bool:
    """Tell whether the system's Python has PyQGIS."""
    if not Path(PYTHON).exists():
        return False
    found = subprocess.run([PYTHON, "-c", "import qgis.core"], capture_output=True, check=False)
    return found.returncode == 0
