"""Geometries that cannot be meant are left out and named; those without measure are refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from support import Run

from lcmap.reference.burning import grow
from lcmap.vector.soundness import excess

X, Y = 664_010.0, 6_359_990.0
RULES = '[[rules]]\nlayer = "ground"\nclass = "Wood"\nwidth = 3\n'


def line(*points: tuple[float, float]) -> bytes:
    return struct.pack("<BII", 1, 2, len(points)) + np.array(points, "<f8").tobytes()


def polygon(*points: tuple[float, float]) -> bytes:
    return struct.pack("<BIII", 1, 3, 1, len(points)) + np.array(points, "<f8").tobytes()


@pytest.fixture
def burn(
    lcmap: Callable[..., Run], rules: Callable[[str], Path], like: Callable[..., Path],
    tmp_path: Path,
) -> Callable[..., Run]:  # fmt: skip
    def run(*wkb: bytes, more: str = "") -> Run:
        path = tmp_path / "db.gpkg"
        pyogrio.raw.write(path, np.array(wkb, object), [], [], layer="ground", crs="EPSG:2154",
                          geometry_type="Unknown", append=False)  # fmt: skip
        return lcmap("rasterize-ref", path, "--rules", rules(RULES + more), "--like", like(),
                     "-o", tmp_path / "labels.tif", "--overwrite")  # fmt: skip

    return run


SQUARE = polygon((X, Y), (X + 15, Y), (X + 15, Y - 15), (X, Y - 15), (X, Y))


@pytest.mark.parametrize(
    "wkb",
    [
        line((X, Y)),
        line((X, Y), (np.nan, Y), (X + 9, Y)),
        line((X, Y), (np.inf, Y)),
        line((X, Y), (1e308, Y)),
        line((-1e308, 1e308), (X, Y)),
        polygon((X, Y)),
    ],
    ids=["point", "nan", "infinite", "far", "farther", "ring"],
)
def test_what_is_no_geometry_is_left_out(
    burn: Callable[..., Run], tmp_path: Path, wkb: bytes
) -> None:
    ring = '[[rings]]\naround = "Wood"\ndistance = 4\nclass = "Ring"'
    assert burn(SQUARE, more=ring).exit_code == 0
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        wanted = dataset.read()
    run = burn(wkb, SQUARE, more=ring)
    assert run.exit_code == 0, run.stderr
    assert "db.gpkg:ground: features are left out that are no geometries" in run.stdout
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), wanted)
    alone = burn(wkb)
    assert alone.exit_code == 65
    assert "features are left out that are no geometries" in alone.stderr


def test_an_open_ring_is_closed(burn: Callable[..., Run], tmp_path: Path) -> None:
    assert burn(SQUARE).exit_code == 0
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        wanted = dataset.read()
    run = burn(polygon((X, Y), (X + 15, Y), (X + 15, Y - 15), (X, Y - 15)))
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), wanted)


def tangled(count: int) -> np.ndarray:
    return np.random.default_rng(1).uniform((X, Y - 40), (X + 40, Y), (count, 2))


@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        (lambda: shapely.LineString(tangled(1_000_000)), "covers its ground more than 64 times"),
        (lambda: shapely.Polygon(tangled(3000)), "3001 vertices"),
        (lambda: shapely.LineString(np.linspace((X, Y), (X + 40, Y), 1_100_000)), "at most"),
    ],
    ids=["line", "polygon", "vertices"],
)
def test_features_out_of_proportion(
    burn: Callable[..., Run], shape: Callable[[], shapely.Geometry], problem: str
) -> None:
    run = burn(shapely.to_wkb(shape()))
    assert run.exit_code == 65
    assert "db.gpkg:ground: a feature has " in run.stderr and problem in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_line_of_a_million_vertices_is_burnt(burn: Callable[..., Run], tmp_path: Path) -> None:
    """A spiral whose turns are 0.2 m apart covers all ground within its last one."""
    angle = np.linspace(0, 300 * np.pi, 1_000_000)
    radius = 30 * angle / angle[-1]
    middle = X + 35, Y - 28
    points = np.column_stack([np.cos(angle) * radius, np.sin(angle) * radius]) + middle
    run = burn(shapely.to_wkb(shapely.LineString(points)))
    assert run.exit_code == 0, run.stderr
    with rasterio.open(tmp_path / "labels.tif") as dataset:
        labels = dataset.read(1)
        rows, cols = np.indices(labels.shape) + 0.5
        xs, ys = dataset.transform @ (cols, rows)
    distance = np.hypot(xs - middle[0], ys - middle[1])
    assert (labels[distance < 31] == 3).all()
    assert (labels[distance > 31.6] == 0).all()


def test_crossings_are_told_from_their_number() -> None:
    """Of a circle and of chords between its points at random, a third of which cross."""
    around = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    circle = np.column_stack([np.cos(around), np.sin(around)])
    assert excess(np.array([shapely.Polygon(circle)]), 0.0) == ""
    chords = circle[np.random.default_rng(0).integers(0, 2000, 2000)]
    found = excess(np.array([shapely.LineString(chords)]), 0.0)
    crossings = float(found.split("some ")[1].split()[0])
    assert crossings == pytest.approx(2000**2 / 2 / 3, rel=0.15)


@pytest.mark.parametrize("kind", ["line", "polygon"])
def test_what_is_grown_in_pieces_covers_what_it_would_in_one(kind: str) -> None:
    angle = np.linspace(0, 2 * np.pi, 12_000, endpoint=False)
    radius = 100 + 10 * np.sin(40 * angle)
    points = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    whole = shapely.LineString(points) if kind == "line" else shapely.Polygon(points)
    pieces = grow(np.array([whole]), 3.0)[0]
    assert len(shapely.get_parts(pieces)) >= 12
    exact = shapely.buffer(whole, 3.0)
    joined = shapely.union_all(shapely.get_parts(pieces))
    # both are polygons in place of arcs; 8 to a quarter circle are within 0.5 % of the distance
    assert shapely.symmetric_difference(exact, joined).area < 0.005 * exact.area
