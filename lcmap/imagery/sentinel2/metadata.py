"""Reading the XML files of products."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from lcmap.errors import ProductError
from lcmap.raster.input_watch import note_input


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file.

    Raises:
        ProductError: it cannot be read or is not XML.
    """
    note_input(path)
    try:
        return ElementTree.parse(path).getroot()
    except (OSError, LookupError, ValueError, ElementTree.ParseError) as error:
        raise ProductError(
            path, f"cannot be read as XML ({error})", "unpack the product again"
        ) from error


def elements(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Return all elements of a name, in whatever namespace."""
    return [element for element in root.iter() if element.tag.rpartition("}")[2] == name]


def text_of(root: ElementTree.Element, *names: str) -> str | None:
    """Return the text of the first element that has one of these names, tried in turn."""
    for name in names:
        for element in elements(root, name):
            if element.text and element.text.strip():
                return element.text.strip()
    return None


def number_of(path: Path, text: str) -> float:
    """Return the number in a metadata file.

    Raises:
        ProductError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ProductError(path, f"{text!r} is not a number", "unpack the product again")
    return number


def day_of(path: Path, text: str | None) -> date:
    """Return the day of a time such as "2018-07-05T10:50:31.024Z".

    Raises:
        ProductError: it is missing or no time.
    """
    try:
        return date.fromisoformat((text or "")[:10])
    except ValueError:
        raise ProductError(
            path, "does not say when the image was taken", "unpack the product again"
        ) from None
