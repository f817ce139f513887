"""Reading the XML files of products."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

from lcmap.errors import ProductError
from lcmap.raster.input_watch import note_input
from lcmap.user_file import read_small

_LARGEST = 1 << 26
_DEEPEST = 64
_MOST_ELEMENTS = 1 << 20
"""Masks as polygons have an element or two for each; a product's metadata a few thousand."""


def read_xml(path: Path) -> ElementTree.Element:
    """Return the root of an XML file.

    Raises:
        InputMissingError, DataError: as `read_small`.
        ProductError: it is not XML, or not such as a product's.
    """
    note_input(path)
    content = read_small(path, _LARGEST)
    # what entities stand for may be out of all proportion, and no product's metadata has any
    if b"<!ENTITY" in content:
        raise ProductError(path, "declares entities of its own", "unpack the product again")
    parser = ElementTree.XMLParser(target=_ShallowTree())
    try:
        parser.feed(content)
        root: ElementTree.Element = parser.close()
    except (LookupError, ValueError, ElementTree.ParseError) as error:
        raise ProductError(
            path, f"cannot be read as XML ({error})", "unpack the product again"
        ) from error
    return root


class _ShallowTree(ElementTree.TreeBuilder):
    """A tree that refuses to become deeper than a product's metadata, or much larger."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> ElementTree.Element:
        """Begin an element."""
        self._depth += 1
        self._count += 1
        if self._depth > _DEEPEST or self._count > _MOST_ELEMENTS:
            raise ValueError("it is nested too deeply, or has too many elements")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> ElementTree.Element:
        """End an element."""
        self._depth -= 1
        return super().end(tag)


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
        raise ProductError(path, f"{text[:20]!r} is not a number", "unpack the product again")
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


def quantification_of(path: Path, text: str) -> float:
    """Return the number that means a reflectance of 1.

    Raises:
        ProductError: it is no number, or not above 0.
    """
    number = number_of(path, text)
    if number <= 0:
        raise ProductError(
            path, f"its quantification is {text}, which is not above 0", "unpack the product again"
        )
    return number
