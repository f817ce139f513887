"""Examples and exit codes, which end the help and the man page of each command."""

from __future__ import annotations

import textwrap

EXIT_CODES = (
    "Exit codes: 0 done; 1 a bug; 2 usage; 65 bad data; 66 no input; 73 cannot write; "
    "75 locked, or a process was lost: try again; 130 interrupted."
)

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "rasterize-ref": (
        (
            "Burn BD TOPO and RPG to labels on the grid of an image:",
            "lcmap rasterize-ref bdtopo.gpkg rpg.gpkg --rules bdtopo-topo6 "
            "--like spot.tif -o ref.tif",
        ),
    ),
    "prepare": (
        (
            "Stack an image with its labels and cut it into tiles with a split:",
            "lcmap prepare spot.tif --labels ref.tif --nomenclature topo6 "
            "--tiles spot.tiles.geojson -o spot.stack.tif",
        ),
        (
            "Labels of another nomenclature, through a crosswalk:",
            "lcmap prepare zone0.tif --labels flair.tif --crosswalk flair19:flair7 "
            "--tiles zone0.tiles.geojson -o zone0.stack.tif",
        ),
        (
            "With side inputs on their own grids, for a model of several encoders:",
            "lcmap prepare spot.tif --side s2.tif --side oso.tif:oso23 --labels ref.tif "
            "--nomenclature topo18 --tiles t.geojson -o spot.stack.tif",
        ),
        (
            "With the dates of Sentinel-2 as a series, for a model that takes any dates:",
            "lcmap prepare spot.tif --side 's2/*.tif:series' --labels ref.tif "
            "--nomenclature topo18 --tiles t.geojson -o spot.stack.tif",
        ),
        (
            "Sharpen four bands of 6 m with a panchromatic image of 1.5 m:",
            "lcmap prepare spot-ms.tif --pan spot-pan.tif -o spot.stack.tif",
        ),
        (
            "A composite of a month from Sentinel-2 products of several dates:",
            "lcmap prepare S2A_MSIL2A_*.SAFE --like spot.tif --period 2018-07 -o s2.tif",
        ),
    ),
    "train": (
        (
            "Train on two images for an hour:",
            "lcmap train a.tiles.geojson b.tiles.geojson -o model.onnx --minutes 60 --seed 0",
        ),
        (
            "Learn from the image that is to be mapped too, which has no labels:",
            "lcmap train a.tiles.geojson -o c.onnx --minutes 60 --unlabelled c.tif",
        ),
        (
            "Convert a model to int8, unless that costs more than 0.3 points of mIoU or OA:",
            "lcmap train a.tiles.geojson -o model.int8.onnx --quantize-only model.onnx "
            "--max-loss 0.3",
        ),
    ),
    "predict": (
        (
            "A map with its confidence, checked for seams:",
            "lcmap predict spot.stack.tif -m model.onnx -o map.tif --confidence conf.tif --verify",
        ),
        (
            "In a pipe:",
            "lcmap prepare spot.tif | lcmap predict - -m model.onnx | "
            "lcmap score - --reference ref.tif",
        ),
    ),
    "fuse": (
        (
            "A map of SPOT and Sentinel-2 together, each on its own grid:",
            "lcmap fuse spot.stack.tif s2.tif -m fusion.onnx -o map.tif",
        ),
        (
            "A map of SPOT and a series of Sentinel-2, of other dates than those of training:",
            "lcmap fuse spot.stack.tif 's2-2019/*.tif' -m series.onnx -o map.tif",
        ),
        (
            "Late fusion of two models' probabilities:",
            "lcmap fuse spot.p.tif s2.p.tif --late product -o map.tif",
        ),
    ),
    "reclassify-oso": (
        (
            "OSO and SPOT to a map in finer classes:",
            "lcmap reclassify-oso spot.stack.tif oso.tif --oso oso23 -m oso.onnx -o map.tif",
        ),
        (
            "OSO alone in the classes it leads to, on SPOT's grid:",
            "lcmap reclassify-oso spot.tif oso.tif --oso oso23 --crosswalk-only -o adapted.tif",
        ),
    ),
    "merge": (
        (
            "Write a map from the parts that four runs made, on any machines:",
            "for i in 1 2 3 4; do lcmap predict spot.tif -m model.onnx -o map.tif --shard $i/4; "
            "done && lcmap merge map.tif",
        ),
    ),
    "generalise": (
        (
            "A map without objects below half a hectare, and its polygons with their confidence:",
            "lcmap generalise map.tif -o map05.tif --mmu 0.5 --vector map05.gpkg "
            "--confidence conf.tif",
        ),
        (
            "In a pipe:",
            "lcmap predict spot.stack.tif -m model.onnx | lcmap generalise - --mmu 0.5 -o map.tif",
        ),
    ),
    "areas": (
        (
            "Hectares of each class, by commune, as CSV:",
            "lcmap areas map.tif --zones communes.gpkg --csv",
        ),
        (
            "From which class to which, between two maps:",
            "lcmap areas map2024.tif map2025.tif",
        ),
    ),
    "stac": (
        (
            "A map and its confidence, made with a model that has an item:",
            "lcmap stac map.tif conf.tif --model model.stac.json -o map.stac.json",
        ),
        (
            "The sheets of a map as a collection, with an item for each:",
            "lcmap stac 'sheets/*.tif' --period 2018-05/2018-09 --license CC-BY-4.0 "
            "-o sheets/collection.json",
        ),
    ),
    "sample": (
        (
            "600 points, by area, with 50 or more in each class of the map:",
            "lcmap sample map.tif -o points.gpkg --design stratified --size 600",
        ),
        (
            "As many as give overall accuracy a standard error of 1 %, outside the ground that "
            "the model has seen:",
            "lcmap sample map.tif -o points.gpkg --target-se 0.01 --expected 0.85 "
            "--tiles spot.tiles.geojson",
        ),
    ),
    "score": (
        (
            "Two maps side by side on the test split:",
            "lcmap score map.tif other.tif --reference ref.tif --tiles t.geojson --split test",
        ),
        (
            "A map of 18 classes scored in 6 (the paper's table 3):",
            "lcmap score map18.tif --reference ref6.tif --crosswalk topo18:topo6 --json",
        ),
        (
            "Folders of maps and labels, pooled:",
            "lcmap score maps/ --reference labels/ --reference-crosswalk flair19:flair7",
        ),
        (
            "Areas and accuracies from the interpreted points of a sample:",
            "lcmap score map.tif --sample points.gpkg",
        ),
    ),
    "update": (
        (
            "This year's map, where the evidence says that something changed:",
            "lcmap update last.tif new.tif --probabilities new.p.tif -o map.tif "
            "--changes changes.tif --min-change 0.05",
        ),
    ),
}


def shell_lines(command: str, width: int) -> list[str]:
    """Return a command in lines of this width, each but the last with a backslash at its end."""
    lines = textwrap.wrap(
        command, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  "
    )
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def epilog(name: str) -> str:
    """Return the end of a command's help: its examples and the exit codes."""
    paragraphs = []
    for title, example in EXAMPLES[name]:
        # the mark keeps the lines as they are
        command = "\n".join(f"  {line}" for line in shell_lines(example, 72))
        paragraphs.append(f"\b\n{title}\n{command}")
    return "\n\n".join([*paragraphs, EXIT_CODES])
