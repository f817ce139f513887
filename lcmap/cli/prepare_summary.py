"""What lcmap prepare prints of what it made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lcmap.dataset.tile_index import Side, TileIndex
    from lcmap.imagery.prepare import Prepared


def summary(prepared: Prepared) -> str:
    """Return what was made, a line for each file, and each split's class shares."""
    grid = prepared.grid
    lines = [
        f"{prepared.output}: {len(prepared.band_names)} bands ({', '.join(prepared.band_names)}), "
        f"{prepared.dtype}, {grid.width} × {grid.height} px, "
        f"{100 * prepared.valid_share:.4g} % valid"
    ]
    lines.extend(_composite_lines(prepared))
    if prepared.labels:
        lines.append(f"{prepared.labels}: labels")
    if prepared.tiles:
        lines.extend(
            f"{_named(side)}: side input, {what.title}"
            for side, what in zip(prepared.tiles.tiles[0].sides, prepared.tiles.sides, strict=True)
        )
        lines.append(f"{prepared.tiles.path}: {len(prepared.tiles.tiles)} tiles")
        lines.extend(_split_lines(prepared.tiles))
        if prepared.tiles.sides and prepared.tiles.nomenclature:
            lines.append(
                "  these are the labels of the image: training leaves out those where a side input "
                "has no data"
            )
        inside = sum(t.window.height * t.window.width for t in prepared.tiles.tiles)
        share = max(1 - inside / (grid.height * grid.width), 0)
        lines.append(
            f"  in no tile, for a gap of {prepared.tiles.gap} px between splits or "
            f"for want of data: {100 * share:.3g} % of the pixels"
        )
    return "\n".join(lines)


def _named(side: Side) -> str:
    """Return what a side input is called: its file, or the first of a series and how many more."""
    if not isinstance(side, tuple):
        return str(side)
    return f"{side[0]} and {len(side) - 1} more dates" if len(side) > 1 else str(side[0])


def _composite_lines(prepared: Prepared) -> list[str]:
    made = prepared.composite
    if made is None:
        return []
    lines = [
        f"  {made.period}, {made.method}: {made.days_inside} of {made.days} dates in the period; "
        f"{made.filled} px ({100 * made.filled_share:.4g} %) filled from the others"
    ]
    if made.clear_dates:
        lines.append(f"{made.clear_dates}: clear dates in the period")
    return lines


def _split_lines(index: TileIndex) -> list[str]:
    from lcmap.dataset.class_shares import class_shares
    from lcmap.dataset.tile_index import SPLITS

    lines = []
    for name in SPLITS:
        mine = index.split(name)
        pixels = sum(tile.window.height * tile.window.width for tile in mine)
        line = f"  {name}: {len(mine)} tiles, {pixels / 1e6:.3g} Mpx"
        if index.nomenclature:
            labelled = [sum(tile.class_counts.values()) for tile in mine]
            share = 100 * sum(labelled) / pixels if pixels else 0.0
            line += f"; labels in {sum(map(bool, labelled))} tiles, on {share:.3g} % of the pixels"
            shares = class_shares(mine, index.nomenclature)
            line += ": " + ", ".join(
                f"{item.short} {100 * share:.1f} %"
                for item, share in zip(index.nomenclature.classes, shares, strict=True)
            )
        lines.append(line)
    return [*lines, *_tile_size_line(index)]


def _tile_size_line(index: TileIndex) -> list[str]:
    """Return a line that suggests larger tiles where most training tiles hold no label."""
    training = index.split("train")
    empty = sum(not any(tile.class_counts.values()) for tile in training)
    if not index.nomenclature or 2 * empty <= len(training):
        return []
    larger = index.tile_size * math.ceil(math.sqrt(len(training) / max(len(training) - empty, 1)))
    return [
        f"  {empty} of {len(training)} training tiles hold no label: with --tile-size {larger} "
        "fewer would be empty"
    ]
