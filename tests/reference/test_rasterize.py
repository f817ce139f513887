"""rasterize_reference: strips, margins, priority, rings, widths, CRS, and Berlin's polygons."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.warp import transform

from lcmap.raster.classes import read_class_table
from lcmap.reference.rasterize import RasterizeOutputs, default_strip_rows, rasterize_reference

ROOF, ROAD, WOOD, RING = 1, 2, 3, 4
BDTOPO = Path(__file__).parent.parent / "data" / "bdtopo"
X, Y = 664_000.0, 6_360_000.0  # upper left corner of the images

Write = Callable[..., Path]
Rules = Callable[[str], Path]

THREE = """
[[rules]]
layer = "wood"
class = "Wood"
[[rules]]
layer = "road"
class = "Road"
width = { field = "largeur", default = 4 }
[[rules]]
layer = "roof"
class = "Roof"
[[rings]]
around = "Roof"
distance = 5
class = "Ring"
"""


def read(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        pixels: NDArray[np.uint8] = dataset.read(1)
    return pixels


def box(left: float, top: float, width: float, height: float) -> shapely.Polygon:
    """Return a box in metres right of and below the images' corner."""
    return shapely.box(X + left, Y - top - height, X + left + width, Y - top)


def line(*points: tuple[float, float]) -> shapely.LineString:
    return shapely.LineString([(X + right, Y - down) for right, down in points])


@pytest.fixture
def town(write_layer: Write, tmp_path: Path) -> Path:
    """Roofs, roads of several widths and a wood, in one file, across many strips."""
    rng = np.random.default_rng(7)
    path = tmp_path / "town.gpkg"
    corners = rng.uniform(0, 85, (25, 2)).round(1)
    write_layer(path, [box(x, y, 6.3, 4.1) for x, y in corners], layer="roof")
    lines = [line(*rng.uniform(-20, 110, (3, 2)).round(1)) for _ in range(6)]
    widths = [3.5, np.nan, 12.0, 0.0, 30.0, 5.0]
    write_layer(path, lines, {"LARGEUR": widths}, layer="road", append=True)
    wood = shapely.Polygon([(X - 50, Y + 9), (X + 70, Y - 20), (X + 30, Y - 90)])
    write_layer(path, [wood], layer="wood", append=True)
    return path


@settings(
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=st.integers(1, 60), all_touched=st.booleans())
def test_the_result_does_not_depend_on_the_strips(
    town: Path, like: Write, rules: Rules, tmp_path: Path, rows: int, all_touched: bool
) -> None:
    """Roads wider than the strip, and rings, come in from beyond its borders."""
    for name, strip_rows in (("whole", 10_000), ("strips", rows)):
        rasterize_reference(
            [town],
            rules(THREE),
            like(),
            RasterizeOutputs(
                tmp_path / f"{name}.tif", tmp_path / f"{name}-conflicts.tif", overwrite=True
            ),
            all_touched=all_touched,
            strip_rows=strip_rows,
        )
    for name in ("", "-conflicts"):
        whole, strips = (read(tmp_path / f"{n}{name}.tif") for n in ("whole", "strips"))
        assert np.array_equal(whole, strips)


def test_labels_claims_and_rings_against_rasterio(
    town: Path, like: Write, rules: Rules, tmp_path: Path
) -> None:
    image = like()
    summary = rasterize_reference(
        [town],
        rules(THREE),
        image,
        RasterizeOutputs(tmp_path / "o.tif", tmp_path / "c.tif"),
        strip_rows=7,
    )
    with rasterio.open(image) as dataset:
        shape, transform = dataset.shape, dataset.transform

    def burn(geometries: NDArray[np.object_]) -> NDArray[np.bool_]:
        burnt: NDArray[np.bool_] = rasterize(geometries, shape, transform=transform) > 0
        return burnt

    def layer(name: str) -> NDArray[np.object_]:
        return shapely.from_wkb(pyogrio.raw.read(town, layer=name)[2])

    half_widths = np.array([3.5, 4.0, 12.0, 4.0, 30.0, 5.0]) / 2
    roof, wood = burn(layer("roof")), burn(layer("wood"))
    road = burn(shapely.buffer(layer("road"), half_widths, quad_segs=8))
    ring = burn(shapely.buffer(layer("roof"), 5.0, quad_segs=8))
    expected = np.zeros(shape, np.uint8)
    for mask, code in ((ring, RING), (wood, WOOD), (road, ROAD), (roof, ROOF)):
        expected[mask] = code
    labels = read(tmp_path / "o.tif")
    assert np.array_equal(labels, expected)
    # the ring is laid only where nothing else is
    assert not ((labels == RING) & (roof | road | wood)).any()
    claims = roof.astype(int) + road + wood
    assert np.array_equal(read(tmp_path / "c.tif"), np.where(claims, claims, ring))
    assert summary.pixels == {code: (labels == code).sum() for code in (1, 2, 3, 4)}
    assert summary.disputed == (claims > 1).sum()
    with rasterio.open(tmp_path / "o.tif") as dataset:
        table = read_class_table(dataset)
        assert (dataset.nodata, dataset.dtypes[0], dataset.crs.to_epsg()) == (0, "uint8", 2154)
        assert table is not None and table.names[WOOD] == "Wood"
        assert dataset.tags()["LCMAP_RULES"] == "mine"


def test_later_rules_win_unless_priority_says_otherwise(
    write_layer: Write, like: Write, rules: Rules, tmp_path: Path
) -> None:
    source = write_layer(tmp_path / "a.gpkg", [box(0, 0, 90, 75)], layer="roof")
    write_layer(source, [box(0, 0, 90, 75)], layer="wood", append=True)
    roof, wood = (f'[[rules]]\nlayer = "{n}"\nclass = "{n}"\n' for n in ("roof", "wood"))
    for number, (text, winner) in enumerate(
        [(roof + wood, WOOD), (wood + roof, ROOF), (roof + "priority = 1\n" + wood, ROOF)]
    ):
        output = tmp_path / f"{number}.tif"
        rasterize_reference([source], rules(text), like(), RasterizeOutputs(output))
        assert (read(output) == winner).all()


def test_filters_buffers_and_units(
    write_layer: Write, like: Write, rules: Rules, tmp_path: Path
) -> None:
    """A buffered point, one feature kept of three, on a grid in US survey feet."""
    point = shapely.Point(2_000_050, 500_000 - 50)
    source = write_layer(
        tmp_path / "a.gpkg",
        [point, point, point],
        {"kind": ["Château d'eau", "Autre", "chateau d’eau"], "sol": ["0", "0", "-1"]},
        layer="tower",
        crs="EPSG:2263",
    )
    text = (
        '[[rules]]\nlayer = "tower"\nclass = "Roof"\nbuffer = 6.096012192024384\n'
        'where = { kind = "CHATEAU D\'EAU" }\nunless = { sol = { max = -1 } }\n'
    )
    image = like(100, 100, Affine(1, 0, 2_000_000, 0, -1, 500_000), "EPSG:2263")
    rasterize_reference([source], rules(text), image, RasterizeOutputs(tmp_path / "o.tif"))
    labels = read(tmp_path / "o.tif")
    # 20 US survey feet around the point
    assert labels.sum() == pytest.approx(np.pi * 20**2, rel=0.02)
    assert labels[50, 50] == ROOF


def test_a_source_in_another_crs_lands_where_it_should(
    write_layer: Write, like: Write, rules: Rules, tmp_path: Path
) -> None:
    from rasterio.warp import transform

    target = box(20, 20, 40, 30)
    points = shapely.get_coordinates(target)
    degrees = np.array(transform("EPSG:2154", "EPSG:4326", points[:, 0], points[:, 1])).T
    source = write_layer(
        tmp_path / "roof.geojson",
        [shapely.Polygon(degrees)],
        crs="EPSG:4326",
        COORDINATE_PRECISION=11,
    )
    text = '[[rules]]\nlayer = "roof"\nclass = "Roof"\n'
    rasterize_reference(
        [source], rules(text), like(), RasterizeOutputs(tmp_path / "o.tif"), strip_rows=8
    )
    with rasterio.open(tmp_path / "o.tif") as dataset:
        expected = rasterize([target], dataset.shape, transform=dataset.transform)
        assert np.array_equal(dataset.read(1), expected)


def test_a_layer_without_attributes(
    write_layer: Write,
    like: Write,
    rules: Rules,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Only rules that ask for nothing, or say so, take its features, at the default width."""
    source = write_layer(tmp_path / "road.gpkg", [line((0, 37.5), (90, 37.5))])
    asks = '[[rules]]\nlayer = "road"\nclass = "Road"\nwhere = { nature = "Chemin" }\n'
    width = 'width = { field = "largeur", default = 6 }\n'
    text = asks + '[[rules]]\nlayer = "road"\nclass = "Wood"\nwhere = { nature = "Route" }\n'
    text += 'unless = { fictif = "Oui" }\nwithout_attributes = true\n' + width
    with caplog.at_level(logging.INFO):
        rasterize_reference([source], rules(text), like(), RasterizeOutputs(tmp_path / "o.tif"))
    assert read(tmp_path / "o.tif")[:, 30].tolist() == [0] * 23 + [WOOD] * 4 + [0] * 23
    assert "has no attributes; all its features are taken as Wood, 6 m wide" in caplog.text


def test_a_field_that_is_missing_is_said_once(
    write_layer: Write,
    like: Write,
    rules: Rules,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = write_layer(tmp_path / "roof.gpkg", [box(0, 0, 30, 30)], {"id": ["a"]})
    text = '[[rules]]\nlayer = "roof"\nclass = "Road"\nwhere = { nature = "Serre" }\n'
    text += '[[rules]]\nlayer = "roof"\nclass = "Roof"\nunless = { nature = "Serre" }\n'
    rasterize_reference([source], rules(text), like(), RasterizeOutputs(tmp_path / "o.tif"))
    assert set(np.unique(read(tmp_path / "o.tif"))) == {0, ROOF}
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [f"{source}: has no field nature, so that rules 1 take nothing from it"]


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_collections_are_burnt_as_their_parts_are(
    write_layer: Write, like: Write, rules: Rules, tmp_path: Path, suffix: str
) -> None:
    """Lines as wide as the collection says, invalid polygons mended, priority kept."""
    bow_tie = shapely.Polygon([(X + 60, Y), (X + 80, Y - 20), (X + 80, Y), (X + 60, Y - 20)])
    wide, narrow, yard = line((0, 20), (50, 20)), line((0, 60), (90, 45)), box(5, 5, 10, 40)
    nested = shapely.GeometryCollection([bow_tie])
    collections = [shapely.GeometryCollection(g) for g in ([wide], [narrow, nested], [yard])]
    source = write_layer(tmp_path / f"road.{suffix}", collections, {"largeur": [12.0, 5.0, 3.0]})
    apart = tmp_path / "apart"
    apart.mkdir()
    widths = {"largeur": [12.0, 5.0, 5.0, 3.0]}
    write_layer(apart / f"road.{suffix}", [wide, narrow, bow_tie, yard], widths)
    for number, roads in enumerate([source, apart]):
        output = RasterizeOutputs(tmp_path / f"{number}.tif")
        rasterize_reference([roads], rules(THREE), like(), output, strip_rows=17)
    found = read(tmp_path / "0.tif")
    assert np.array_equal(found, read(tmp_path / "1.tif"))
    assert (found[:, 40] == ROAD).sum() > 12


@pytest.mark.parametrize("suffix", ["shp", "geojson", "fgb"])
def test_every_format_gives_the_same_labels(
    town: Path, write_layer: Write, like: Write, rules: Rules, tmp_path: Path, suffix: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, kind in (("roof", "Polygon"), ("road", "LineString"), ("wood", "Polygon")):
        meta, _, wkb, data = pyogrio.raw.read(town, layer=name)
        columns = dict(zip(meta["fields"], data, strict=True))
        write_layer(folder / f"{name}.{suffix}", shapely.from_wkb(wkb), columns, geometry_type=kind)
    rasterize_reference([town], rules(THREE), like(), RasterizeOutputs(tmp_path / "one.tif"))
    rasterize_reference(
        [folder], rules(THREE), like(), RasterizeOutputs(tmp_path / "other.tif"), strip_rows=11
    )
    assert np.array_equal(read(tmp_path / "one.tif"), read(tmp_path / "other.tif"))


def test_bd_topo_by_the_built_in_rules(like: Write, tmp_path: Path) -> None:
    image = like(460, 460, Affine(1.5, 0, 664_700, 0, -1.5, 6_360_480))
    found = {}
    for name in ("bdtopo-topo6", "bdtopo-topo18", "bdtopo-oso-reclass"):
        output = tmp_path / f"{name}.tif"
        rasterize_reference([BDTOPO], name, image, RasterizeOutputs(output), strip_rows=64)
        with rasterio.open(output) as dataset:
            table = read_class_table(dataset)
            assert table is not None
            codes = np.unique(dataset.read(1))
            found[name] = {table.names[code] for code in codes.tolist() if code}
    assert found["bdtopo-topo6"] == {
        "Around buildings",
        "Water",
        "Roads",
        "High vegetation",
        "Buildings",
    }
    assert found["bdtopo-topo18"] == {
        "Around buildings",
        "Water",
        "Main roads",
        "Deciduous trees",
        "Hedges",
        "Residential buildings",
        "Industrial buildings",
    }
    assert "Urban vegetation" in found["bdtopo-oso-reclass"]


def test_urban_vegetation_is_vegetation_near_buildings(
    like: Write, write_layer: Write, tmp_path: Path
) -> None:
    """By distances with shapely: trees within 25 m of a building; other ground has no label."""
    house, trees = box(30, 30, 12, 12), box(0, 5, 80, 12)
    kept = {"usage_1": ["Résidentiel"], "nature": ["Indifférenciée"]}
    source = write_layer(tmp_path / "b.gpkg", [house], kept, layer="batiment")
    nature = {"nature": ["Forêt fermée de feuillus"]}
    write_layer(source, [trees], nature, layer="zone_de_vegetation", append=True)
    out, claims = tmp_path / "out.tif", tmp_path / "claims.tif"
    image = like(60, 40)
    rasterize_reference(
        [source], "bdtopo-oso-reclass", image, RasterizeOutputs(out, claims), strip_rows=16
    )
    rows, cols = np.mgrid[0:40, 0:60]
    points = shapely.points(X + 1.5 * (cols + 0.5), Y - 1.5 * (rows + 0.5))
    wooded, built = shapely.contains(trees, points), shapely.contains(house, points)
    near = shapely.distance(house, points) < 25
    expected = np.select([built, wooded & near, wooded], [15, 17, 11], 0)
    differ = read(out) != expected
    edge = abs(shapely.distance(house, points) - 25) < 0.3
    assert not (differ & ~edge).any()
    assert (read(out) == 17).sum() > 100
    assert np.array_equal(read(claims), (read(out) > 0) * 1 + (read(out) == 17))


def test_a_rule_of_no_label_takes_the_label_away_and_keeps_rings_off(
    like: Write, rules: Rules, write_layer: Write, tmp_path: Path
) -> None:
    source = write_layer(tmp_path / "t.gpkg", [box(30, 30, 12, 12)], layer="roof")
    write_layer(source, [box(36, 36, 20, 20)], layer="hole", append=True)
    mine = rules(THREE.replace("[[rings]]", '[[rules]]\nlayer = "hole"\nclass = 0\n[[rings]]'))
    out, claims = tmp_path / "out.tif", tmp_path / "claims.tif"
    rasterize_reference([source], mine, like(), RasterizeOutputs(out, claims))
    assert set(np.unique(read(out))) == {0, ROOF, RING}
    assert not read(out)[24:37, 24:37].any()
    assert read(out)[22, 22] == ROOF


def test_topo18_agrees_with_topo6_by_the_crosswalk(like: Write, tmp_path: Path) -> None:
    from lcmap.nomenclature import load_crosswalk

    image = like(460, 460, Affine(1.5, 0, 664_700, 0, -1.5, 6_360_480))
    for name in ("topo6", "topo18"):
        rasterize_reference(
            [BDTOPO], f"bdtopo-{name}", image, RasterizeOutputs(tmp_path / f"{name}.tif")
        )
    fine, coarse = read(tmp_path / "topo18.tif"), read(tmp_path / "topo6.tif")
    assert np.array_equal(load_crosswalk("topo18:topo6").apply(fine), coarse)


def test_strips_hold_whole_tiles_and_some_32_million_pixels() -> None:
    assert default_strip_rows(40_000) == 512
    assert default_strip_rows(10_000) == 3072
    assert default_strip_rows(500_000) == 512


@pytest.mark.data
@pytest.mark.parametrize("all_touched", [False, True])
def test_berlin_equals_rasterio_pixel_for_pixel(
    data_folder: Path, tmp_path: Path, all_touched: bool
) -> None:
    berlin = data_folder / "berlin"
    names = ("Roof", "Pavement", "Grass", "Tree", "Soil", "Other")
    (tmp_path / "level2.toml").write_text(
        'name = "level2"\nclasses = ['
        + ", ".join(
            f'{{ code = {i}, name = "{n}", short = "{n[:3]}", color = "#00{i:02x}00" }}'
            for i, n in enumerate(names, start=1)
        )
        + "]\n"
    )
    (tmp_path / "berlin.toml").write_text(
        'name = "berlin"\nnomenclature = "level2.toml"\n'
        + "".join(
            f'[[rules]]\nlayer = "landcover"\nclass = "{n}"\nwhere = {{ LEVEL2 = "{n.upper()}" }}\n'
            for n in names
        )
    )
    _, _, wkb, (kinds,) = pyogrio.raw.read(berlin / "landcover.gpkg", columns=["Level_2"])
    geometries = shapely.from_wkb(wkb)
    with rasterio.open(berlin / "vhr_36.tif") as image:
        whole = rasterize(
            [(g, i) for i, n in enumerate(names, start=1) for g in geometries[kinds == n]],
            out_shape=image.shape,
            transform=image.transform,
            all_touched=all_touched,
        )
    for rows in (64, 100, 512):
        rasterize_reference(
            [berlin / "landcover.gpkg"],
            tmp_path / "berlin.toml",
            berlin / "vhr_36.tif",
            RasterizeOutputs(tmp_path / "o.tif", overwrite=True),
            all_touched=all_touched,
            strip_rows=rows,
        )
        assert np.array_equal(read(tmp_path / "o.tif"), whole)
    assert len(np.unique(whole)) == 7


def _road_width(pixels: NDArray[np.uint8], pixel: float) -> tuple[float, float]:
    """Return the mean widths in metres of the road and of both rings, along the middle rows."""
    middle = pixels[20:-20]
    return (
        float((middle == ROAD).sum(1).mean() * pixel),
        float((middle == RING).sum(1).mean() * pixel),
    )


def test_a_road_is_as_wide_in_web_mercator_as_in_lambert_93(
    lcmap: Callable[..., Any], like: Write, rules: Rules, write_layer: Write, tmp_path: Path
) -> None:
    """The road runs north at 43.3°, where Web Mercator stretches a metre to 1.37 units."""
    centre = (700_000.0, 6_250_000.0)
    (longitude,), (latitude,) = transform("EPSG:2154", "EPSG:4326", *([v] for v in centre))
    ends = [latitude - 0.002, latitude + 0.002]
    road = shapely.LineString([(longitude, y) for y in ends])
    source = write_layer(tmp_path / "road.gpkg", [road], crs="EPSG:4326")
    mine = rules(
        '[[rules]]\nlayer = "road"\nclass = "Road"\nwidth = 20\n'
        '[[rings]]\naround = "Road"\ndistance = 10\nclass = "Ring"\n'
    )
    stretch = 1 / np.cos(np.radians(latitude))
    (x,), (y,) = transform("EPSG:2154", "EPSG:3857", *([v] for v in centre))
    grids = {
        "EPSG:2154": (*centre, 0.5),
        "EPSG:3857": (x, y, 0.5 * stretch),
        "EPSG:32631": (*(v[0] for v in transform("EPSG:3857", "EPSG:32631", [x], [y])), 0.5),
    }
    for crs, (east, north, size) in grids.items():
        corner = Affine(size, 0, east - 100 * size, 0, -size, north + 100 * size)
        image = like(200, 200, corner, crs)
        out = tmp_path / "out.tif"
        done = lcmap(
            "rasterize-ref", source, "--rules", mine, "--like", image, "-o", out, "--overwrite"
        )
        assert done.exit_code == 0, done.stderr
        assert _road_width(read(out), 0.5) == (
            pytest.approx(20, abs=0.3),
            pytest.approx(20, abs=0.3),
        ), crs


@pytest.mark.parametrize(("crs", "corner"), [("EPSG:32662", 300_000), ("EPSG:3857", 0)])
def test_metres_that_differ_over_the_grid_are_refused(
    lcmap: Callable[..., Any],
    like: Write,
    rules: Rules,
    town: Path,
    tmp_path: Path,
    crs: str,
    corner: int,
) -> None:
    image = like(100, 100, Affine(20_000, 0, corner, 0, -20_000, 6_000_000), crs)
    out = tmp_path / "out.tif"
    done = lcmap("rasterize-ref", town, "--rules", rules(THREE), "--like", image, "-o", out)
    assert done.exit_code == 65
    assert "length of a metre" in done.stderr
    assert not out.exists()


def test_the_report_says_what_rules_took_and_what_none_took(
    lcmap: Callable[..., Any], like: Write, rules: Rules, write_layer: Write, tmp_path: Path
) -> None:
    """Features that reach into several strips count once; a value with a typing error is named."""
    high = [box(0, 0, 15, 75), box(3, 3, 15, 60), box(30, 30, 6, 6), box(500, 500, 9, 9)]
    kinds = {"kind": ["Grass", "Grass", "Wood", "Wood"]}
    source = write_layer(tmp_path / "t.gpkg", high, kinds, layer="green")
    write_layer(source, [box(9, 0, 15, 30)], {"a": ["b"]}, layer="roof", append=True)
    write_layer(source, [box(9, 0, 15, 30)], {"a": ["b"]}, layer="pipe", append=True)
    mine = rules(
        '[[rules]]\nlayer = "green"\nclass = "Road"\nwhere = { kind = ["Gras", "wood"] }\n'
        '[[rules]]\nlayer = "roof"\nclass = "Roof"\n'
        '[[rules]]\nlayer = "green"\nclass = "Wood"\nwhere = { kind = "Wood" }\n'
    )
    out, claims = tmp_path / "out.tif", tmp_path / "claims.tif"
    made = rasterize_reference([source], mine, like(), RasterizeOutputs(out, claims), strip_rows=7)
    done = lcmap(
        "rasterize-ref", source, "--rules", mine, "--like", like(), "-o", out, "--overwrite",
        "--conflicts", claims,
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == made.text
    assert made.text.splitlines() == [
        "rule 1: green → Road: 1 feature, 0 px",
        "rule 2: roof → Roof: 1 feature, 200 px",
        "rule 3: green → Wood: 1 feature, 16 px",
        "no rule takes anything from the layers pipe",
        'green: no rule takes 2 features: 2 with kind "Grass"',
        'green: no feature has the kind asked for: "gras"',
        "Road and Wood both claim 16 px",
    ]
