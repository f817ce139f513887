"""What a user says of a raster behind its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcmap.dataset.raster_content import absolute_input


def test_an_input_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file that explains its codes: workers of a cluster run in other folders."""
    monkeypatch.chdir(tmp_path)
    for text, everywhere in (
        ("oso.tif", f"{tmp_path}/oso.tif"),
        ("oso.tif:oso23", f"{tmp_path}/oso.tif:oso23"),
        ("oso.tif:classes.toml", f"{tmp_path}/oso.tif:{tmp_path}/classes.toml"),
        ("/maps/oso.tif:/maps/classes.toml", "/maps/oso.tif:/maps/classes.toml"),
    ):
        assert absolute_input(text) == everywhere
