"""Finding layers, copying them to a spatial index, reading by bounds."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.crs import CRS
from rasterio.warp import transform
from support import limited_files

from lcmap.errors import CannotWriteError, DataError, InputMissingError, NoCrsError, NotAVectorError
from lcmap.vector.names import fold_value
from lcmap.vector.sources import SUFFIXES, find_layers, indexed_copy, largest_number, read_features

LAMBERT = CRS.from_epsg(2154)
EVERYWHERE = (-1e7, -1e7, 1e7, 1e7)
BDTOPO = Path(__file__).parent.parent / "data" / "bdtopo"
BOXES = shapely.box(
    np.arange(664_000, 664_090, 10), 6_360_000, np.arange(664_005, 664_095, 10), 6_360_005
)

Write = Callable[..., Path]


def test_layers_of_a_folder_of_several_formats(write_layer: Write, tmp_path: Path) -> None:
    write_layer(tmp_path / "a.gpkg", BOXES, layer="one")
    write_layer(tmp_path / "a.gpkg", BOXES, layer="two", append=True)
    (tmp_path / "deeper").mkdir()
    write_layer(tmp_path / "deeper" / "b.SHP", BOXES, geometry_type="Polygon")
    write_layer(tmp_path / "c.geojson", BOXES, crs="EPSG:4326")
    write_layer(tmp_path / "d.fgb", BOXES)
    (tmp_path / "notes.txt").write_text("no vector file")
    layers = find_layers([tmp_path])
    assert [layer.name for layer in layers] == ["one", "two", "c", "d", "b"]
    assert len(find_layers([tmp_path, tmp_path / "d.fgb"])) == len(layers)


@pytest.mark.parametrize("form", ["{}:two", "{}|layername=two", "{}:TWO"])
def test_a_layer_of_a_file(write_layer: Write, tmp_path: Path, form: str) -> None:
    path = write_layer(tmp_path / "a.gpkg", BOXES, layer="one")
    write_layer(path, BOXES, layer="two", append=True)
    assert [layer.name for layer in find_layers([form.format(path)])] == ["two"]


def test_a_file_whose_name_has_a_colon_is_that_file(write_layer: Write, tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a:b.gpkg", BOXES, layer="one")
    assert [layer.name for layer in find_layers([path])] == ["one"]


def test_what_is_not_there(write_layer: Write, tmp_path: Path) -> None:
    path = write_layer(tmp_path / "a.gpkg", BOXES, layer="one")
    with pytest.raises(DataError, match=r'a\.gpkg: has no layer "two"; it has one'):
        find_layers([f"{path}:two"])
    with pytest.raises(InputMissingError, match=r"absent\.gpkg: no such file"):
        find_layers([tmp_path / "absent.gpkg"])
    with pytest.raises(InputMissingError, match=r"absent\.gpkg: no such file"):
        find_layers([f"{tmp_path}/absent.gpkg:one"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputMissingError, match="holds no vector file"):
        find_layers([tmp_path / "empty"])


def test_files_that_are_no_vector_database(write_layer: Write, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gpkg"
    broken.write_bytes(b"no database")
    with pytest.raises(NotAVectorError, match=r"broken\.gpkg: cannot be read"):
        find_layers([broken])
    table = tmp_path / "table.csv"
    table.write_text('id,WKT\n1,"POINT (0 0)"\n')
    with pytest.raises(NotAVectorError, match=r"table\.csv: cannot be read as a vector"):
        find_layers([table])
    whole = write_layer(tmp_path / "whole.gpkg", BOXES).read_bytes()
    for size in (100, 4096, len(whole) // 3):
        broken.write_bytes(whole[:size])
        with pytest.raises(NotAVectorError, match=r"cannot .* \(it is damaged or not whole\)"):
            find_layers([broken])
    with pytest.raises(NotAVectorError, match=r"broken\.gpkg"):
        for layer in find_layers([broken]):
            read_features(layer, [], EVERYWHERE)


def test_a_view_of_other_files_is_refused(write_layer: Write, tmp_path: Path) -> None:
    target = write_layer(tmp_path / "a.gpkg", BOXES, layer="one")
    view = tmp_path / "posing.gpkg"
    view.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="one"><SrcDataSource>{target}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    with pytest.raises(NotAVectorError, match=r"posing\.gpkg"):
        find_layers([view])


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp", "geojson"])
def test_every_format_reads_alike_by_bounds(
    write_layer: Write, tmp_path: Path, suffix: str
) -> None:
    columns = {"nature": [f"Forêt {i}" for i in range(len(BOXES))], "largeur": range(len(BOXES))}
    path = write_layer(
        tmp_path / f"layer.{suffix}",
        BOXES,
        {name: list(values) for name, values in columns.items()},
        geometry_type="Polygon",
    )
    (layer,) = find_layers([path])
    copy = indexed_copy(layer, ["nature", "largeur"], LAMBERT, EVERYWHERE, tmp_path)
    assert (copy is layer) == (suffix in ("gpkg", "fgb"))
    assert copy.indexed
    features = read_features(copy, ["nature", "largeur"], (664_021, 6_360_001, 664_032, 6_360_002))
    order = np.argsort(features.columns["largeur"])
    assert features.columns["largeur"][order].tolist() == [2, 3]
    assert [fold_value(v) for v in features.columns["nature"][order]] == ["foret 2", "foret 3"]
    assert shapely.equals(features.geometries[order], BOXES[2:4]).all()
    assert largest_number(layer, "largeur") == len(BOXES) - 1


def test_a_copy_is_whole_or_refused_wherever_the_space_ends(
    write_layer: Write, tmp_path: Path
) -> None:
    (layer,) = find_layers([write_layer(tmp_path / "a.geojson", BOXES)])
    whole = indexed_copy(layer, [], LAMBERT, EVERYWHERE, tmp_path).path.stat().st_size
    made = refused = 0
    # by block, and by byte where the last feature is
    for limit in (*range(0, whole, 256), *range(whole - 40, whole + 1)):
        with limited_files(limit / 1024):
            try:
                copy = indexed_copy(layer, [], LAMBERT, EVERYWHERE, tmp_path)
            except CannotWriteError as error:
                assert str(tmp_path) in str(error) and "; " in str(error)
                refused += 1
            else:
                made += 1
                assert len(read_features(copy, [], EVERYWHERE)) == len(BOXES)
    assert made and refused > 40


def test_null_and_empty_geometries_and_those_without_end_are_left_out(
    write_layer: Write, tmp_path: Path
) -> None:
    endless = shapely.Polygon([(0, 0), (np.inf, 0), (0, 1)])
    path = write_layer(tmp_path / "a.gpkg", [None, BOXES[0], shapely.Polygon(), endless])
    (layer,) = find_layers([path])
    assert len(read_features(layer, [], EVERYWHERE)) == 1
    path = write_layer(tmp_path / "a.geojson", [None, BOXES[0]])
    (layer,) = find_layers([path])
    copy = indexed_copy(layer, [], LAMBERT, EVERYWHERE, tmp_path)
    assert len(read_features(copy, [], EVERYWHERE)) == 1


def test_another_crs_is_brought_to_the_grids(write_layer: Write, tmp_path: Path) -> None:
    (layer,) = find_layers([write_layer(tmp_path / "a.gpkg", BOXES, {"n": list("abcdefghi")})])
    target = CRS.from_epsg(32631)
    copy = indexed_copy(layer, ["n"], target, EVERYWHERE, tmp_path)
    features = read_features(copy, ["n"], EVERYWHERE)
    order = np.argsort(features.columns["n"])
    points = shapely.get_coordinates(BOXES)
    expected = np.array(transform(LAMBERT, target, points[:, 0], points[:, 1])).T
    found = shapely.get_coordinates(features.geometries[order])
    assert np.abs(found - expected).max() < 1e-3
    # only what may meet the bounds, which are in the grid's CRS
    west, south, _, _ = shapely.total_bounds(features.geometries)
    near = indexed_copy(layer, ["n"], target, (west, south, west + 12, south + 1), tmp_path)
    assert 1 <= len(read_features(near, ["n"], EVERYWHERE)) < len(BOXES)


def test_a_crs_that_is_missing_is_asked_for(write_layer: Write, tmp_path: Path) -> None:
    path = tmp_path / "a.shp"
    write_layer(path, BOXES, geometry_type="Polygon")
    os.remove(path.with_suffix(".prj"))
    (layer,) = find_layers([path])
    with pytest.raises(NoCrsError, match=r"a\.shp: does not say .* \.prj"):
        indexed_copy(layer, [], LAMBERT, EVERYWHERE, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "declared"), [("ISO-8859-1", True), ("ISO-8859-1", False), ("UTF-8", True)]
)
def test_shapefiles_in_their_encoding(
    write_layer: Write, tmp_path: Path, encoding: str, declared: bool
) -> None:
    path = tmp_path / "a.shp"
    write_layer(path, BOXES[:1], {"nature": ["Forêt"]}, geometry_type="Polygon", encoding=encoding)
    if not declared:
        os.remove(path.with_suffix(".cpg"))
    (layer,) = find_layers([path])
    copy = indexed_copy(layer, ["nature"], LAMBERT, EVERYWHERE, tmp_path)
    assert read_features(copy, ["nature"], EVERYWHERE).columns["nature"].tolist() == ["Forêt"]


def test_bd_topo_with_all_its_oddities(tmp_path: Path) -> None:
    """Measures, empty layers, roads without attributes, UTF-8 under a .dbf that says Latin-1."""
    layers = {layer.name: layer for layer in find_layers([BDTOPO])}
    assert layers["AERODROME"].empty
    assert not layers["BATIMENT"].empty
    assert layers["TRONCON_DE_ROUTE"].fields == {}
    assert layers["BATIMENT"].encoding == "ISO-8859-1"
    roads = indexed_copy(layers["TRONCON_DE_ROUTE"], [], LAMBERT, EVERYWHERE, tmp_path)
    assert len(read_features(roads, [], EVERYWHERE)) == 31
    buildings = indexed_copy(layers["BATIMENT"], ["USAGE1"], LAMBERT, EVERYWHERE, tmp_path)
    features = read_features(buildings, ["USAGE1"], EVERYWHERE)
    assert len(features) == 57
    assert not shapely.has_z(features.geometries).any()
    usages = [fold_value(v) for v in features.columns["USAGE1"]]
    assert usages.count("residentiel") == 26
    copied = indexed_copy(layers["AERODROME"], [], LAMBERT, EVERYWHERE, tmp_path)
    assert len(read_features(copied, [], EVERYWHERE)) == 0


@pytest.mark.parametrize("document", [
    '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>{address}</SrcDataSource>'
    "</OGRVRTLayer></OGRVRTDataSource>",
    "<OGRWFSDataSource><URL>{address}</URL></OGRWFSDataSource>",
])  # fmt: skip
def test_documents_that_lead_elsewhere_are_not_opened(tmp_path: Path, document: str) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)

        def serve() -> None:
            with suppress(TimeoutError), server.accept()[0] as client:
                asked.append(client.recv(100))

        thread = threading.Thread(target=serve)
        thread.start()
        path = tmp_path / "database.gpkg"
        path.write_text(document.format(address=f"http://127.0.0.1:{server.getsockname()[1]}/a"))
        with pytest.raises(NotAVectorError, match="cannot be read as a vector database"):
            find_layers([path])
        thread.join()
    assert not asked
    assert [item.name for item in tmp_path.iterdir()] == ["database.gpkg"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_character_of_a_path_is_part_of_its_name(
    write_layer: Write, tmp_path: Path, suffix: str
) -> None:
    """`!` and `;` too, which addresses of files in archives are made of."""
    plain = write_layer(
        tmp_path / f"plain{suffix}", BOXES[:1], {"a": ["b"]}, geometry_type="Polygon"
    )
    folder = tmp_path / "d;e!f #1 100% [x]"
    folder.mkdir()
    for part in tmp_path.glob("plain.*"):
        part.rename(folder / part.name.replace("plain", "a!b;c?d"))
    (layer,) = find_layers([folder / plain.name.replace("plain", "a!b;c?d")])
    features = read_features(layer, ["a"], EVERYWHERE)
    assert features.columns["a"].tolist() == ["b"]
    assert largest_number(layer, "a") == 0
    assert not indexed_copy(layer, ["a"], CRS.from_epsg(3857), EVERYWHERE, tmp_path).empty


def test_files_of_macos_beside_those_of_a_folder_are_passed_over(
    write_layer: Write, tmp_path: Path
) -> None:
    write_layer(tmp_path / "roof.gpkg", BOXES)
    (tmp_path / "._roof.gpkg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    assert [layer.name for layer in find_layers([tmp_path])] == ["roof"]
