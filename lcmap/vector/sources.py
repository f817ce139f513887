"""Vector databases: finding their layers, giving them a spatial index, reading by bounds."""

from __future__ import annotations

import codecs
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.crs import CRS

from lcmap.errors import (
    CannotWriteError,
    DataError,
    InputMissingError,
    NotAVectorError,
    UsageError,
    cannot_write,
)
from lcmap.paths import PathLike
from lcmap.raster.datum_shift import check_datum_shift
from lcmap.raster.drivers import check_drivers
from lcmap.raster.input_watch import files_in, note_input
from lcmap.raster.usable_crs import crs_of
from lcmap.raster.writing import write_error
from lcmap.user_file import check_regular
from lcmap.vector.columns import as_numbers
from lcmap.vector.layer import Features, VectorLayer
from lcmap.vector.names import fold_name, mend_encoding
from lcmap.vector.soundness import excess, read_wkb
from lcmap.vector.views import check_views

VECTOR_DRIVERS = ("GPKG", "ESRI Shapefile", "GeoJSON", "FlatGeobuf")
"""GDAL drivers of files that hold their own features: none that reads other files or URLs."""

SUFFIXES = (".gpkg", ".shp", ".geojson", ".fgb")

_BESIDE_SHAPES = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx")
_OF_COPIES = ("FlatGeobuf", "OGR_VRT")
"""The drivers by which layers get a spatial index and another CRS."""

_START = 1024
_SQLITE = b"SQLite format 3\0"
_MAGIC = (_SQLITE, b"\0\0\x27\x0a", b"fgb\x03")
"""How GeoPackages, shapefiles and FlatGeobufs begin; GeoJSON begins with a brace."""

_DAMAGED = re.compile("not recognized as being in a supported file format|malformed|corrupt")
"""What GDAL and SQLite say, each in its own way, of a file that is not whole."""

_LAYER_IN_FILE = re.compile(r"(?P<path>.+?)(?:\|layername=|:)(?P<layer>[^:|/]+)", re.IGNORECASE)

logger = logging.getLogger(__name__)

Bounds = tuple[float, float, float, float]


class _Literal(str):
    """A path that pyogrio hands on to GDAL as it is: else it reads ! and ; as an address."""

    def __str__(self) -> str:
        """Return the path itself, still of this type."""
        return self

    def startswith(self, prefix: Any, *bounds: Any) -> bool:
        """Pretend to be in GDAL's own form, which is what pyogrio asks for."""
        return prefix == "/vsi" or super().startswith(prefix, *bounds)


def find_layers(sources: Sequence[PathLike]) -> tuple[VectorLayer, ...]:
    """Return the layers with geometry of files, of folders of files, or named by FILE:LAYER.

    Folders are searched with those in them. QGIS's form FILE|layername=LAYER is understood too.

    Raises:
        InputMissingError: no such file, or a folder without vector files.
        NotAVectorError: a file that cannot be opened, or of another kind than `SUFFIXES`.
        DataError: a file does not have the layer named.
        UsageError: as `check_drivers`.
    """
    layers: list[VectorLayer] = []
    for source in sources:
        path, wanted = _split(os.fspath(source))
        if not path.exists():
            raise InputMissingError(path, "no such file", "check the path")
        files = _files_in(path) if path.is_dir() else [path]
        found = [layer for file in files for layer in _layers_of(file)]
        if wanted is not None:
            found = [layer for layer in found if fold_name(layer.name) == fold_name(wanted)]
            if not found:
                names = ", ".join(layer.name for file in files for layer in _layers_of(file))
                raise DataError(path, f'has no layer "{wanted}"', f"it has {names}")
        layers += [layer for layer in found if layer not in layers]
    return tuple(layers)


def find_layer(source: PathLike) -> VectorLayer:
    """Return the layer with geometry of a file that has one, or that FILE:LAYER names.

    Raises:
        InputMissingError, NotAVectorError, DataError, UsageError: as `find_layers`.
        NotAVectorError: there is none.
        UsageError: there are several.
    """
    layers = find_layers([source])
    if not layers:
        raise NotAVectorError(source, "holds no layer with geometry", "give a whole file of it")
    if len(layers) > 1:
        names = ", ".join(layer.name for layer in layers)
        raise UsageError(
            source, f"has {len(layers)} layers with geometry", f"name one as FILE:LAYER, of {names}"
        )
    return layers[0]


def vector_file(source: PathLike) -> Path:
    """Return the file that FILE or FILE:LAYER names."""
    return _split(os.fspath(source))[0]


def _split(source: str) -> tuple[Path, str | None]:
    """Return the path and the layer of FILE:LAYER; a path that exists is never split."""
    match = _LAYER_IN_FILE.fullmatch(source)
    if os.path.exists(source) or match is None:
        return Path(source), None
    return Path(match["path"]), match["layer"]


def _files_in(folder: Path) -> list[Path]:
    files = [path for path in files_in(folder, SUFFIXES, below=True) if path.is_file()]
    if not files:
        raise InputMissingError(
            folder, "holds no vector file", f"lcmap reads {', '.join(SUFFIXES)}"
        )
    return files


def _layers_of(path: Path) -> list[VectorLayer]:
    check_regular(path)
    note_input(*_files_of(path))
    _check_kind(path)
    own = [d for s, d in zip(SUFFIXES, VECTOR_DRIVERS, strict=True) if s == path.suffix.lower()]
    check_drivers([*own, *(d for d in _OF_COPIES if d not in own)], pyogrio.list_drivers())
    with _refusing(path):
        names = [
            name for name, geometry_type in pyogrio.list_layers(_Literal(path)) if geometry_type
        ]
        return [_layer(path, name) for name in names]


def _files_of(path: Path) -> list[Path]:
    """Return the files that may be read of a vector file: itself, and what is beside it."""
    if path.suffix.lower() == ".shp":
        suffixes = (*_BESIDE_SHAPES, *map(str.upper, _BESIDE_SHAPES))
        return [path, *(path.with_suffix(suffix) for suffix in suffixes)]
    return [path, path.with_name(f"{path.name}-wal")]  # what was last written into a GeoPackage


def _check_kind(path: Path) -> None:
    """Check by its first bytes that a file holds its own features, before GDAL opens it.

    GDAL goes by content: a virtual layer or a WFS document that is named .gpkg would be followed.
    """
    with open(path, "rb") as file:
        start = file.read(_START)
    if start.startswith(_SQLITE):
        check_views(path)
    if not any(start.startswith(magic) for magic in _MAGIC):
        text = start.removeprefix(codecs.BOM_UTF8).lstrip()
        if not text.startswith(b"{"):
            raise NotAVectorError(
                path,
                "cannot be read as a vector database",
                f"give a whole file of {', '.join(SUFFIXES)}",
            )


def _layer(path: Path, name: str) -> VectorLayer:
    info = pyogrio.read_info(_Literal(path), layer=name)
    if info["driver"] not in VECTOR_DRIVERS:
        raise NotAVectorError(
            path, f"is a {info['driver']} source", f"lcmap reads {', '.join(SUFFIXES)}"
        )
    return VectorLayer(
        path,
        name,
        _crs(info["crs"]),
        dict(zip(info["fields"].tolist(), info["ogr_types"], strict=True)),
        info["encoding"],
        info["driver"],
        bool(info["capabilities"]["fast_spatial_filter"]),
        info["features"] == 0,
    )


def _crs(text: str | None) -> CRS | None:
    try:
        return crs_of(text) if text else None
    except ValueError:
        return None


@contextmanager
def _refusing(path: Path, copy: Path | None = None) -> Iterator[None]:
    """Turn GDAL's complaints into one error, and its warnings into log lines.

    Those that name the `copy` of a file are of writing it. The only loss that is not worth a line
    is that of measures (M), which no rule reads.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (DataSourceError, DataLayerError, UnicodeDecodeError) as error:
            said = mend_encoding(str(error))
            if copy is not None and copy.name in said:
                raise write_error(copy.parent, copy, error) from error
            why = "it is damaged or not whole" if _DAMAGED.search(said) else f"GDAL says: {said}"
            raise NotAVectorError(
                path,
                f"cannot be read as a vector database ({why})",
                f"give a whole file of {', '.join(SUFFIXES)}",
            ) from error
    for warning in caught:
        if "Measured (M) geometry types" not in str(warning.message):
            logger.debug("%s: %s", path, warning.message)


def read_features(
    layer: VectorLayer, fields: Sequence[str], bounds: Bounds | None, reach: float = 0.0
) -> Features:
    """Return a layer's features that may meet bounds (in the layer's CRS), without null geometries.

    Without bounds they are all. Labels depend on what is nearer than `reach` to them. Only the
    fields named are read; geometries come in two dimensions, without those that `read_wkb` says are
    none.

    Raises:
        NotAVectorError: the layer cannot be read, or a feature has an `excess`.
    """
    with _refusing(layer.path):
        meta, _, geometries, data = pyogrio.raw.read(
            _Literal(layer.path), layer=layer.name, columns=list(fields), bbox=bounds, force_2d=True
        )
        columns = dict(zip(meta["fields"].tolist(), data, strict=True))
        shapes, broken = read_wkb(geometries)
    features = Features(shapes, columns, bool(broken.any()))
    usable = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    if not usable.all():
        features = features.only(usable)
    too_much = excess(features.geometries, reach)
    if too_much:
        raise NotAVectorError(
            str(layer), f"a feature has {too_much}", "simplify it, or cut it in parts"
        )
    return features


def read_column(layer: VectorLayer, field: str) -> NDArray[Any]:
    """Return a field of all features of a layer, [N], in their order.

    Raises:
        NotAVectorError: the layer cannot be read.
    """
    with _refusing(layer.path):
        _, _, _, data = pyogrio.raw.read(
            _Literal(layer.path), layer=layer.name, columns=[field], read_geometry=False
        )
    column: NDArray[Any] = data[0]
    return column


def largest_number(layer: VectorLayer, field: str) -> float:
    """Return the largest number in a field of a layer, 0 where it has none.

    Raises:
        NotAVectorError: the layer cannot be read.
    """
    numbers = as_numbers(read_column(layer, field))
    return float(np.nanmax(numbers, initial=0.0)) if numbers.size else 0.0


def indexed_copy(
    layer: VectorLayer, fields: Sequence[str], crs: CRS, bounds: Bounds, folder: Path
) -> VectorLayer:
    """Return the layer if it has a spatial index and this CRS, else a copy that has both.

    The copy is a FlatGeobuf in `folder` with these fields of the features that may meet `bounds`
    (in `crs`). It is streamed: memory does not grow with the layer, but for its spatial index.

    Raises:
        NotAVectorError: the layer cannot be read.
        NoCrsError: it does not say its CRS.
        DataError: as `check_datum_shift`.
        CannotWriteError: no space left in the folder.
    """
    own = layer.require_crs()
    if layer.indexed and own == crs:
        return layer
    if own != crs:
        check_datum_shift(own, crs, bounds)
    try:
        handle, name = tempfile.mkstemp(suffix=".fgb", dir=folder)
        os.close(handle)
        copy, view = Path(name), Path(name).with_suffix(".vrt")
        view.write_text(_view(layer, fields, crs), encoding="utf-8")
    except OSError as error:
        raise cannot_write(folder, error) from error
    wkt = crs.to_wkt()
    with _refusing(layer.path, copy):
        with pyogrio.raw.open_arrow(view, bbox=bounds, use_pyarrow=False) as (meta, stream):
            pyogrio.raw.write_arrow(
                stream,
                copy,
                driver="FlatGeobuf",
                layer=layer.name,
                crs=wkt,
                # a shapefile of polygons holds multipolygons too
                geometry_type="Unknown",
                geometry_name=meta["geometry_name"] or "wkb_geometry",
            )
        _check_complete(copy)
        return _layer(copy, layer.name)


def _check_complete(copy: Path) -> None:
    """Check that a closed FlatGeobuf is whole: it says how many features it has, and has the last.

    Raises:
        CannotWriteError: it is not.
    """
    count = pyogrio.read_info(copy)["features"]
    if count < 1:  # of none, the format has no number
        return
    try:
        _, last, _, _ = pyogrio.raw.read(
            copy, skip_features=count - 1, columns=[], read_geometry=False, return_fids=True
        )
    # GDAL's errors of closing are not raised
    except (DataLayerError, ValueError):
        last = []
    if len(last) != 1:
        raise CannotWriteError(copy, "was not written whole", "is the disk full?")


def _view(layer: VectorLayer, fields: Sequence[str], crs: CRS) -> str:
    """Return a GDAL virtual layer: some fields of a layer, reprojected where its CRS differs."""
    # texts of a shapefile without a .cpg are recoded on this way only if told from what; where
    # there is one, the encoding reads UTF-8 here because GDAL recodes by itself
    options = (
        f'<OpenOptions><OOI key="ENCODING">{escape(layer.encoding)}</OOI></OpenOptions>'
        if layer.driver == "ESRI Shapefile" and layer.encoding not in (None, "UTF-8")
        else ""
    )
    view = (
        f"<OGRVRTLayer name={quoteattr(layer.name)}>"
        f'<SrcDataSource relativeToVRT="0">{escape(str(layer.path.resolve()))}</SrcDataSource>'
        f"{options}<SrcLayer>{escape(layer.name)}</SrcLayer>"
        + "".join(
            f"<Field name={quoteattr(f)} src={quoteattr(f)} type={quoteattr(layer.fields[f][3:])}/>"
            for f in fields
        )
        + "</OGRVRTLayer>"
    )
    if layer.crs != crs:
        target = escape(crs.to_wkt())
        view = f"<OGRVRTWarpedLayer>{view}<TargetSRS>{target}</TargetSRS></OGRVRTWarpedLayer>"
    return f"<OGRVRTDataSource>{view}</OGRVRTDataSource>"
