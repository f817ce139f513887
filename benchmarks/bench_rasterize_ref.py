"""Peak memory and time of rasterize-ref on a whole département at 1.5 m.

    python benchmarks/bench_rasterize_ref.py [--size 40000] [--conflicts]

The features of one commune (BD TOPO v3) are repeated side by side over a grid of SIZE × SIZE
pixels, written to one GeoPackage, and burnt by the command line in a process of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import warnings
from pathlib import Path

from timed_command import timed

GSD = 1.5
ORIGIN = (600_000.0, 6_400_000.0)
LAYERS = {
    "BATIMENT": ("NATURE", "USAGE1", "ETAT"),
    "TRONCON_DE_ROUTE": (),
    "ZONE_DE_VEGETATION": ("NATURE",),
    "SURFACE_HYDROGRAPHIQUE": ("NATURE", "POS_SOL", "PERSISTANC"),
}
COMMUNE = (661_799.2, 6_357_551.4, 666_491.7, 6_362_662.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=40_000, help="pixels on a side")
    parser.add_argument("--conflicts", action="store_true", help="count claims too")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ.get("LCMAP_DATA", Path(__file__).parents[2] / "shared" / "data")),
        help="the folder that holds bdtopo_v3",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # in a process of its own, so that its memory is not the command's
        context = multiprocessing.get_context("spawn")
        builder = context.Process(
            target=build, args=(arguments.data / "bdtopo_v3", arguments.size, folder)
        )
        builder.start()
        builder.join()
        counted = ["--conflicts", folder / "conflicts.tif"] if arguments.conflicts else []
        run = timed(
            "rasterize-ref", folder / "bdtopo.gpkg", "--rules", "bdtopo-topo18", "--quiet",
            "--like", folder / "like.tif", "-o", folder / "ref.tif", *counted,
        )  # fmt: skip
        megapixels = arguments.size**2 / 1e6
        print(f"time {run.seconds:.0f} s ({megapixels / run.seconds:.1f} Mpx/s)")
        print(f"peak memory {run.peak / 1024:.2f} GiB")
        print(f"labels {(folder / 'ref.tif').stat().st_size / 1e6:.0f} MB")


def build(source: Path, size: int, folder: Path) -> None:
    """Write an empty image of this size, and the commune's features repeated all over it."""
    import numpy as np
    import pyogrio.raw
    import rasterio
    import shapely
    from affine import Affine

    warnings.filterwarnings("ignore", message="Measured")
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "width": size, "height": size}
    transform = Affine(GSD, 0, ORIGIN[0], 0, -GSD, ORIGIN[1])
    with rasterio.open(
        folder / "like.tif", "w", crs="EPSG:2154", transform=transform, sparse_ok=True, **profile
    ):
        pass
    width, height = COMMUNE[2] - COMMUNE[0], COMMUNE[3] - COMMUNE[1]
    columns, rows = (int(np.ceil(size * GSD / step)) for step in (width, height))
    total = 0
    for layer, fields in LAYERS.items():
        meta, _, wkb, data = pyogrio.raw.read(
            source / f"{layer}.shp", columns=list(fields), force_2d=True
        )
        geometries = shapely.from_wkb(wkb)
        for row in range(rows):
            offsets = [
                (ORIGIN[0] - COMMUNE[0] + col * width, ORIGIN[1] - COMMUNE[3] - row * height)
                for col in range(columns)
            ]
            moved = [shapely.transform(geometries, lambda p, o=o: p + o) for o in offsets]
            pyogrio.raw.write(
                folder / "bdtopo.gpkg",
                shapely.to_wkb(np.concatenate(moved)),
                [np.tile(column, columns) for column in data],
                list(meta["fields"]),
                layer=layer,
                driver="GPKG",
                crs="EPSG:2154",
                geometry_type="Unknown",
                append=row > 0,
            )
            total += columns * len(geometries)
    megabytes = (folder / "bdtopo.gpkg").stat().st_size / 1e6
    print(f"{total} features in {columns} × {rows} communes, {megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
