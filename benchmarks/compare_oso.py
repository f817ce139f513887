"""OSO-like map, image alone, and reclassify-oso, scored on the test tiles of the FLAIR zones.

    python benchmarks/compare_oso.py --data ../shared/data/flair --work /tmp/oso

Takes the zones' 0.8 m images, their labels and their 10 m OSO-like maps. A network of the image
alone is trained for --epochs. From its model two networks go on for --more epochs on the same
tiles: one sees the OSO-like map beside the image, the other is the control. Where the OSO-like map
has no class the image alone is mapped (--allow-missing). Kept classes are those
that a class of OSO leads to; buildings are new. Differences are from the control, their intervals
from a bootstrap of blocks. What a run has made stays in --work and is not made again, a
training that was interrupted goes on. All maps are in maps.png there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

LCMAP = Path(sys.executable).with_name("lcmap")
PICTURE = Path(__file__).resolve().parent.parent / "examples" / "side_by_side.py"
OSO_CLASSES = "oso23"
KEPT = "2-7"


def lcmap(*arguments: object) -> str:
    """Run a command; return its standard output."""
    line = [str(argument) for argument in arguments]
    print("lcmap", *line, file=sys.stderr, flush=True)
    return subprocess.run([LCMAP, *line], check=True, text=True, stdout=subprocess.PIPE).stdout


def made(path: Path, *arguments: object) -> Path:
    """Run a command that writes `path`, unless it is there."""
    if not path.exists():
        lcmap(*arguments, "-o", path)
    return path


def repeated(option: str, values: list[Path] | list[str]) -> list[object]:
    """Return an option once for each value."""
    return [word for value in values for word in (option, value)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 2, 4, 5])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--more", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data, work, seed = arguments.data, arguments.work, ("--seed", arguments.seed)
    work.mkdir(parents=True, exist_ok=True)
    zones = [f"zone{number}" for number in arguments.zones]
    osos = [data / f"{zone}_10m_oso_like.tif" for zone in zones]

    for zone, oso in zip(zones, osos, strict=True):
        for name, side in (("image", ()), ("both", ("--side", f"{oso}:{OSO_CLASSES}"))):
            stack = work / f"{zone}.{name}.tif"
            made(stack, "prepare", data / f"{zone}_0.8m_rgbn.tif", *side,
                 "--labels", data / f"{zone}_0.8m_labels.tif", "--crosswalk", "flair19:flair7",
                 *seed, "--tiles", stack.with_suffix(".tiles.geojson"))  # fmt: skip
    images = [work / f"{zone}.image.tif" for zone in zones]
    alone = [work / f"{zone}.image.tiles.geojson" for zone in zones]
    both = [work / f"{zone}.both.tiles.geojson" for zone in zones]

    options = ("--batch-size", arguments.batch_size, *seed, "--resume")
    first = made(work / "image.onnx", "train", *alone, "--epochs", arguments.epochs, *options)
    more = ("--init-from", first, "--epochs", arguments.more, *options)
    control = made(work / "control.onnx", "train", *alone, *more)
    joint = made(work / "reclassified.onnx", "train", *both, *more)

    reclassify = ("--oso", OSO_CLASSES)
    adapt = (*reclassify, "--crosswalk-only", "--crosswalk", f"{OSO_CLASSES}:flair7")
    maps = {
        "image, longer": work / "control",
        "image": work / "image",
        "OSO-like": work / "oso",
        "reclassified": work / "reclassified",
    }
    for folder in maps.values():
        folder.mkdir(exist_ok=True)
    for zone, image, oso in zip(zones, images, osos, strict=True):
        made(work / "control" / f"{zone}.tif", "predict", image, "-m", control)
        made(work / "image" / f"{zone}.tif", "predict", image, "-m", first)
        made(work / "oso" / f"{zone}.tif", "reclassify-oso", image, oso, *adapt)
        made(work / "reclassified" / f"{zone}.tif",
             "reclassify-oso", image, oso, *reclassify, "--allow-missing", "-m", joint)  # fmt: skip

    labels = [image.with_suffix(".labels.tif") for image in images]
    given = [*repeated("--reference", labels), *repeated("--tiles", alone), "--split", "test"]
    given += repeated("--name", list(maps))
    for title, classes in (("Kept classes", ("--classes", KEPT)), ("All classes", ())):
        print(f"{title}\n{lcmap('score', *maps.values(), *given, *classes, '--matrix')}")
    rows = [
        (image, truth, *(folder / f"{zone}.tif" for folder in maps.values()))
        for zone, image, truth in zip(zones, images, labels, strict=True)
    ]
    titles = ["image", "reference", *(name.replace(",", "") for name in maps)]
    files = [path for row in rows for path in row]
    command = [sys.executable, PICTURE, work / "maps.png", ",".join(titles), *files]
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
