"""OSO-like map, image alone, and reclassify-oso, scored on the test tiles of the FLAIR zones.

    python benchmarks/compare_oso.py --data ../shared/data/flair --work /tmp/oso

Takes the zones' 0.8 m images, their labels and their 10 m OSO-like maps. Kept classes are those
that a class of OSO leads to; buildings are new. Both networks are trained for the same number of
steps on the same tiles. What a run has made stays in --work and is not made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

LCMAP = Path(sys.executable).with_name("lcmap")
KEPT = "2-7"


def lcmap(*arguments: object) -> str:
    line = [str(argument) for argument in arguments]
    print("lcmap", *line, file=sys.stderr, flush=True)
    return subprocess.run([LCMAP, *line], check=True, text=True, stdout=subprocess.PIPE).stdout


def made(path: Path, *arguments: object) -> Path:
    """Run a command that writes `path`, unless it is there."""
    if not path.exists():
        lcmap(*arguments, "-o", path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--zones", type=int, nargs="+", default=[0, 1, 2, 4, 5])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--resolution", default="0.8m")
    arguments = parser.parse_args()
    work = arguments.work
    work.mkdir(parents=True, exist_ok=True)

    stacks, indexes, both, maps, labels = [], [], [], [], []
    for zone in arguments.zones:
        image = arguments.data / f"zone{zone}_{arguments.resolution}_rgbn.tif"
        truth = arguments.data / f"zone{zone}_{arguments.resolution}_labels.tif"
        oso = arguments.data / f"zone{zone}_10m_oso_like.tif"
        common = ("--labels", truth, "--crosswalk", "flair19:flair7", "--seed", 0)
        for name, side in (("image", ()), ("both", ("--side", f"{oso}:oso23"))):
            index = work / f"zone{zone}.{name}.tiles.geojson"
            stack = work / f"zone{zone}.{name}.tif"
            made(stack, "prepare", image, *common, *side, "--tiles", index)
            (indexes if name == "image" else both).append(index)
        stacks.append(work / f"zone{zone}.image.tif")
        labels.append(work / f"zone{zone}.image.labels.tif")
        maps.append(oso)

    (work / "oso").mkdir(exist_ok=True)
    for zone, image, oso in zip(arguments.zones, stacks, maps, strict=True):
        adapted = work / "oso" / f"zone{zone}.tif"
        made(adapted, "reclassify-oso", image, oso, "--oso", "oso23", "--crosswalk-only",
             "--crosswalk", "oso23:flair7")  # fmt: skip

    names, folders = ["OSO-like"], [work / "oso"]
    for seed in arguments.seeds:
        options = ("--epochs", arguments.epochs, "--seed", seed)
        alone = made(work / f"image.{seed}.onnx", "train", *indexes, *options)
        fused = made(work / f"reclassified.{seed}.onnx", "train", *both, *options)
        for name, model in (("image", alone), ("reclassified", fused)):
            folder = work / f"{name}.{seed}"
            folder.mkdir(exist_ok=True)
            for zone, image, oso in zip(arguments.zones, stacks, maps, strict=True):
                map_ = folder / f"zone{zone}.tif"
                if name == "image":
                    made(map_, "predict", image, "-m", model)
                else:
                    made(map_, "reclassify-oso", image, oso, "--oso", "oso23", "-m", model)
            names.append(f"{name}, seed {seed}")
            folders.append(folder)

    given: list[object] = [value for path in labels for value in ("--reference", path)]
    given += [value for path in indexes for value in ("--tiles", path)]
    given += [value for name in names for value in ("--name", name)]
    for title, classes in (("Kept classes", ("--classes", KEPT)), ("All classes", ())):
        print(f"{title}\n{lcmap('score', *folders, *given, '--split', 'test', *classes)}")


if __name__ == "__main__":
    main()
