"""Metadata that cannot be read, or holds numbers that are none, is one clear line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from small_sentinel2 import write_l1c
from support import Run

from lcmap.errors import ProductError
from lcmap.sentinel2.metadata import number_of, read_xml


@pytest.mark.parametrize(
    "content",
    [b"", b"<a", b'<?xml version="1.0" encoding="klingon"?><a/>', b'<?xml version="1.0"?>\xff\xfe'],
)
def test_what_is_not_xml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "MTD.xml"
    path.write_bytes(content)
    with pytest.raises(ProductError, match=r"MTD\.xml: cannot be read as XML"):
        read_xml(path)


@pytest.mark.parametrize("depth", [100, 100_000])
def test_xml_nested_without_end(tmp_path: Path, depth: int) -> None:
    path = tmp_path / "MTD.xml"
    path.write_text("<a>" * depth + "</a>" * depth)
    with pytest.raises(ProductError, match="nested too deeply"):
        read_xml(path)


@pytest.mark.parametrize(
    "entity", ['<!ENTITY a "aaaa">', '<!ENTITY a SYSTEM "file:///etc/hostname">']
)
def test_entities_are_refused(tmp_path: Path, entity: str) -> None:
    path = tmp_path / "MTD.xml"
    path.write_text(f"<!DOCTYPE m [{entity}]><m>&a;</m>")
    with pytest.raises(ProductError, match="declares entities"):
        read_xml(path)


@pytest.mark.parametrize("text", ["0", "-1", "-0.0"])
def test_a_quantification_is_above_zero(
    tmp_path: Path, text: str, lcmap: Callable[..., Run]
) -> None:
    product = write_l1c(tmp_path, bands=("B2",))
    path = product / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace(">10000<", f">{text}<"))
    run = lcmap("prepare", product, "--bands", "B2", "-o", tmp_path / "stack.tif")
    assert run.exit_code == 65
    assert f"MTD_MSIL1C.xml: its quantification is {text}, which is not above 0" in run.stderr


@pytest.mark.parametrize("text", ["13", "-1", "1" * 5000, "", "x", "1e300"])
def test_an_unknown_band(tmp_path: Path, text: str, lcmap: Callable[..., Run]) -> None:
    product = write_l1c(tmp_path, bands=("B2",))
    path = product / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace('band_id="1"', f'band_id="{text}"'))
    run = lcmap("prepare", product, "--bands", "B2", "-o", tmp_path / "stack.tif")
    assert run.exit_code == 65
    assert "is unknown" in run.stderr or "is not a number" in run.stderr


@pytest.mark.parametrize("text", ["nan", "inf", "-1e999"])
def test_an_offset_is_a_number(tmp_path: Path, text: str, lcmap: Callable[..., Run]) -> None:
    product = write_l1c(tmp_path, bands=("B2",))
    path = product / "MTD_MSIL1C.xml"
    path.write_text(path.read_text().replace(">-1000<", f">{text}<"))
    run = lcmap("prepare", product, "--bands", "B2", "-o", tmp_path / "stack.tif")
    assert run.exit_code == 65
    assert f"MTD_MSIL1C.xml: '{text}' is not a number" in run.stderr


@pytest.mark.parametrize("text", ["", "ten", "nan", "-inf", "1e999"])
def test_what_is_not_a_number(text: str) -> None:
    with pytest.raises(ProductError, match="is not a number"):
        number_of(Path("MTD.xml"), text)
    assert number_of(Path("MTD.xml"), " -1000 ") == -1000.0
