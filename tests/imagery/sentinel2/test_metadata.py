"""Metadata that cannot be read, or holds numbers that are none, is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lcmap.errors import ProductError
from lcmap.imagery.sentinel2.metadata import number_of, read_xml


@pytest.mark.parametrize(
    "content",
    [b"", b"<a", b'<?xml version="1.0" encoding="klingon"?><a/>', b'<?xml version="1.0"?>\xff\xfe'],
)
def test_what_is_not_xml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "MTD.xml"
    path.write_bytes(content)
    with pytest.raises(ProductError, match=r"MTD\.xml: cannot be read as XML"):
        read_xml(path)


@pytest.mark.parametrize("text", ["", "ten", "nan", "-inf", "1e999"])
def test_what_is_not_a_number(text: str) -> None:
    with pytest.raises(ProductError, match="is not a number"):
        number_of(Path("MTD.xml"), text)
    assert number_of(Path("MTD.xml"), " -1000 ") == -1000.0
