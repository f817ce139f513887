"""What the tile indexes of one training must have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.side_options import SideOptions
from lcmap.dataset.tile_index import Side, TileIndex, rasters_of
from lcmap.errors import InputMismatchError, NoLabelledPixelError, NomenclatureMismatchError
from lcmap.nomenclature import Nomenclature


def common_nomenclature(indexes: Sequence[TileIndex]) -> Nomenclature:
    """Return the nomenclature of all indexes.

    Raises:
        NoLabelledPixelError: the tiles of one have no labels.
        NomenclatureMismatchError: the classes of two differ.
    """
    first = indexes[0]
    for index in indexes:
        if index.nomenclature is None:
            raise NoLabelledPixelError(
                index.path, "its tiles have no labels", "prepare the image with `labels`"
            )
        assert first.nomenclature is not None
        if index.nomenclature.classes != first.nomenclature.classes:
            raise NomenclatureMismatchError(
                index.path,
                f"its nomenclature {index.nomenclature.name} is not that of {first.path}, "
                f"{first.nomenclature.name}",
                "prepare both with the same `nomenclature` or `crosswalk`",
            )
    assert first.nomenclature is not None
    return first.nomenclature


def common_sides(indexes: Sequence[TileIndex], *, coarse: bool) -> tuple[RasterContent, ...]:
    """Return the side inputs of all indexes; on the image's pixels unless they may be `coarse`.

    Raises:
        InputMismatchError: those of two are of other kinds or, where they may be coarse, levels.
    """
    first, *others = (_on_pixels(index.sides) for index in indexes)
    for index, sides in zip(indexes[1:], others, strict=True):
        if sides != first:
            raise InputMismatchError(
                index.path,
                f"has {_titles(sides)}, {indexes[0].path} has {_titles(first)}",
                "prepare both with the same kinds of `sides`, in the same order",
            )
        if coarse and index.sides != indexes[0].sides:
            levels = ", ".join(f"@{side.level}" for side in indexes[0].sides)
            raise InputMismatchError(
                index.path,
                f"has {_titles(index.sides)}, {indexes[0].path} has {_titles(indexes[0].sides)}",
                f"prepare both with the same levels of `sides`, as {levels} behind the files",
            )
    return indexes[0].sides if coarse else first


def options_of_sides(indexes: Sequence[TileIndex]) -> dict[Side, SideOptions]:
    """Return how the side inputs of all indexes are opened.

    Raises:
        InputMismatchError: two indexes have one of them opened otherwise.
    """
    found: dict[Side, SideOptions] = {}
    for index in indexes:
        for side in dict.fromkeys(side for tile in index.tiles for side in tile.sides):
            if found.setdefault(side, index.side_options) != index.side_options:
                raise InputMismatchError(
                    index.path,
                    f"{rasters_of(side)[0]} was given to it with another `nodata` or `assume_crs` "
                    "than to an index before it",
                    "prepare both alike",
                )
    return found


def _on_pixels(sides: Sequence[RasterContent]) -> tuple[RasterContent, ...]:
    return tuple(replace(side, level=0) for side in sides)


def _titles(sides: Sequence[RasterContent]) -> str:
    return ", ".join(f"{side.title} beside the image" for side in sides) or "no side input"
