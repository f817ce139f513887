"""Berlin-Urban-Gradient as tiles: 3.6 m, 30 m on the grid of 3.6 m, and both.

Level_2 of the reference without its four polygons "Other".
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from compare_oso import made

from lcmap.dataset.tile_index import read_tile_index

CLASSES = {
    1: ("Roof", "Roo", "#d7191c"),
    2: ("Pavement", "Pav", "#808080"),
    3: ("Grass", "Gra", "#a6d96a"),
    4: ("Tree", "Tre", "#1a9641"),
    5: ("Soil", "Soi", "#c2a569"),
}
TILE = 128


class Reference(NamedTuple):
    """The reference on the grid of the 3.6 m image, and its nomenclature's file."""

    labels: Path
    nomenclature: Path


class Prepared(NamedTuple):
    """Stacks and tile indexes by input: "fine", "coarse" and "both"; all have one split."""

    stacks: dict[str, Path]
    indexes: dict[str, Path]


def prepare_reference(data: Path, folder: Path) -> Reference:
    """Burn the reference, unless that was done."""
    nomenclature, rules = _write_rules(folder)
    labels = made(
        folder / "reference.tif", "rasterize-ref", data / "landcover.gpkg", "--rules", rules,
        "--like", data / "vhr_36.tif",
    )  # fmt: skip
    return Reference(labels, nomenclature)


def _write_rules(folder: Path) -> tuple[Path, Path]:
    """Write the nomenclature and the rules of the reference's Level_2."""
    nomenclature = folder / "berlin.toml"
    lines = ['name = "berlin"', 'title = "Berlin-Urban-Gradient, level 2"']
    rules = ['name = "berlin-rules"', 'title = "Level 2"', 'nomenclature = "berlin.toml"']
    for code, (name, short, color) in CLASSES.items():
        lines += ["[[classes]]", f"code = {code}", f'name = "{name}"']
        lines += [f'short = "{short}"', f'color = "{color}"']
        rules += ["[[rules]]", 'layer = "landcover"', f'class = "{name}"']
        rules += [f'where = {{ Level_2 = "{name}" }}']
    nomenclature.write_text("\n".join(lines) + "\n")
    path = folder / "berlin-rules.toml"
    path.write_text("\n".join(rules) + "\n")
    return nomenclature, path


NAMES = ("fine", "coarse", "both", "pixels")
"""What is tiled: each image alone, both, and both with the coarse one on the other's pixels."""


def prepare_tiles(seed: int, data: Path, folder: Path, reference: Reference) -> Prepared:
    """Tile the inputs for the spatial split of a seed, unless that was done."""
    fine, coarse = data / "vhr_36.tif", data / "s2like_30m.tif"
    folder.mkdir(parents=True, exist_ok=True)
    indexes = {name: folder / f"{name}.tiles.geojson" for name in NAMES}
    tiling = ["--labels", reference.labels, "--nomenclature", reference.nomenclature]
    tiling += ["--tile-size", TILE, "--block-tiles", 1, "--gap", 8, "--seed", seed]
    # as the fusion sees it: resampled bilinearly, scaled by the quantiles of its own pixels
    quantiles = made(folder / "coarse.json", "prepare", "--quantiles-of", coarse)
    alone = ["--like", fine, "--resampling", "bilinear", "--quantiles", quantiles]
    stacks = {}
    inputs: tuple[tuple[str, Path, list[Any]], ...] = (
        ("fine", fine, []), ("coarse", coarse, alone), ("both", fine, ["--side", coarse]),
        ("pixels", fine, ["--side", f"{coarse}@0"]),
    )  # fmt: skip
    for name, image, more in inputs:
        stacks[name] = made(
            folder / f"{name}.tif", "prepare", image, *more, *tiling, "--tiles", indexes[name]
        )
    windows = [
        [(tile.window, tile.split) for tile in read_tile_index(path).tiles]
        for path in indexes.values()
    ]
    assert all(of_one == windows[0] for of_one in windows), "the splits differ"
    return Prepared(stacks, indexes)
