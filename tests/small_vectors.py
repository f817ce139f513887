"""Fixtures that write small vector databases, images and rules to burn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine

CLASSES = {"Roof": 1, "Road": 2, "Wood": 3, "Ring": 4}


def write_features(
    path: Path,
    geometries: Sequence[Any],
    columns: Mapping[str, Sequence[Any]] | None = None,
    *,
    layer: str | None = None,
    crs: str | None = "EPSG:2154",
    geometry_type: str = "Unknown",
    **options: Any,
) -> Path:
    """Write shapely geometries (None for null) and columns as a layer of a vector file."""
    columns = columns or {}
    pyogrio.raw.write(
        path,
        np.array([None if g is None else shapely.to_wkb(g) for g in geometries], object),
        [np.array(v, dtype=object if isinstance(v[0], str) else None) for v in columns.values()],
        list(columns),
        layer=layer,
        crs=crs,
        geometry_type=geometry_type,
        **options,
    )
    return path


@pytest.fixture
def write_layer() -> Callable[..., Path]:
    """Return `write_features`."""
    return write_features


@pytest.fixture
def like(tmp_path: Path) -> Callable[..., Path]:
    """Write an image of zeros on a grid; by default 60 × 50 pixels of 1.5 m in Lambert 93."""

    def write(
        width: int = 60,
        height: int = 50,
        transform: Affine | None = None,
        crs: str | None = "EPSG:2154",
        name: str = "like.tif",
    ) -> Path:
        transform = transform or Affine(1.5, 0, 664_000, 0, -1.5, 6_360_000)
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "crs": crs}
        with rasterio.open(
            tmp_path / name, "w", width=width, height=height, transform=transform, **profile
        ):
            pass
        return tmp_path / name

    return write


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[str], Path]:
    """Write a rules file in a nomenclature of roofs, roads, woods and rings; return its path."""

    def write(text: str, name: str = "rules.toml") -> Path:
        classes = ",\n".join(
            f'{{ code = {code}, name = "{n}", short = "{n}", color = "#0000{code:02x}" }}'
            for n, code in CLASSES.items()
        )
        (tmp_path / "classes.toml").write_text(f'name = "four"\nclasses = [\n{classes}\n]\n')
        path = tmp_path / name
        path.write_text(f'name = "mine"\nnomenclature = "classes.toml"\n{text}', encoding="utf-8")
        return path

    return write
