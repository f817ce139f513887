"""The files of a product, which may not lead out of its folder.

A product comes from elsewhere: a link in it would make lcmap read what the user did not name.
"""

from __future__ import annotations

from pathlib import Path

from lcmap.errors import ProductError


def inside(path: Path, product: Path) -> Path:
    """Return the path of a file in the folder of a product, which may itself be a link.

    Raises:
        ProductError: it is a link, or in a folder that is one, that leads out of the product.
    """
    if not path.resolve().is_relative_to(product.resolve()):
        raise ProductError(
            path, "is outside the product's folder", "put the file itself in it, not a link"
        )
    return path


def first_inside(folder: Path, pattern: str, product: Path) -> Path | None:
    """Return the first file, by name, of a pattern in a folder of a product; None where none is.

    Raises:
        ProductError: as `inside`.
    """
    found = min(folder.glob(pattern), default=None)
    return None if found is None else inside(found, product)


def only(folder: Path, pattern: str, product: Path) -> Path:
    """Return the first file, by name, of a pattern in a folder of a product.

    Raises:
        ProductError: there is none; as `inside`.
    """
    found = first_inside(folder, pattern, product)
    if found is None:
        raise ProductError(folder, f"has no {pattern}", "unpack the product whole")
    return found
