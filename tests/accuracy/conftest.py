"""Label rasters on small grids."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_labels import WriteLabels, label_writer


@pytest.fixture
def write_labels(tmp_path: Path) -> WriteLabels:
    """Write codes [rows, columns] as a GeoTIFF of that name; see small_labels.label_writer."""
    return label_writer(tmp_path)
