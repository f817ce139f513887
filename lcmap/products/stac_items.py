"""STAC items of maps, and the collection of several, as JSON values.

Source: STAC 1.1, https://github.com/radiantearth/stac-spec, and its extensions.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from rasterio.warp import transform, transform_geom

from lcmap.model_file.stac import STAC_DIGEST, STAC_VERSION, described_class
from lcmap.products.stac_rasters import DescribedMap, DescribedRaster, Part
from lcmap.raster.grid import Grid
from lcmap.raster.making import current_digest
from lcmap.raster.period import Period

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v1.1.0/schema.json"
"""Of the version that the schema of the MLM extension, which describes models, refers to."""

_SOFTWARE = "TIFFTAG_SOFTWARE"
_JSON, _GEOJSON = "application/json", "application/geo+json"
_TIFF = "image/tiff; application=geotiff"
_COG = f"{_TIFF}; profile=cloud-optimized"
_TITLES: dict[Part, str] = {
    "map": "Land cover",
    "confidence": "Probability of the mapped class, in %",
    "margin": "How far the second most probable class is below the mapped one, in %",
    "probabilities": "Probability of each class",
    "scenes": "Number of the image that each pixel is mapped from",
}
_OUTLINE_STEPS = 16
"""Of each side: what is straight on the map is curved in degrees."""
_DEGREES = "OGC:CRS84"
_HALF_TURN = 180.0
_DIGITS = 6
"""Of degrees: a tenth of a metre."""


@dataclass(frozen=True)
class ModelItem:
    """The STAC item of a model: where it is, and its `mlm:name`."""

    path: Path
    name: str


@dataclass(frozen=True)
class Described:
    """What a user says of maps; None, what they say themselves, or nothing.

    period: when their ground was seen. model: what they were made with. license: an SPDX
    identifier.
    """

    title: str | None = None
    period: Period | None = None
    model: ModelItem | None = None
    license: str | None = None


def map_item(
    described: DescribedMap, said: Described, place: Path, collection: Path | None = None
) -> dict[str, Any]:
    """Return the STAC item of a map, a file at `place`; in a `collection`, its file.

    Paths in it are relative.
    """
    own = described.map
    geometry, bbox = footprint(own.grid)
    properties = _when(own, said) | _where(own.grid) | _how(own)
    if said.license is not None:
        properties["license"] = said.license
    if said.title is not None and collection is None:
        properties["title"] = said.title
    properties |= current_digest(STAC_DIGEST)
    links = []
    if collection is not None:
        for rel in ("root", "parent", "collection"):
            links.append({"rel": rel, "href": _href(collection, place), "type": _JSON})
    if said.model is not None:
        model = {"rel": "derived_from", "href": _href(said.model.path, place), "type": _GEOJSON}
        links.append(model | {"title": "Model", "mlm:name": said.model.name})
    extensions = [PROJECTION, RASTER, CLASSIFICATION]
    if "processing:software" in properties:
        extensions.append(PROCESSING)
    item = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": extensions,
        "id": described.name,
        "geometry": geometry,
        "bbox": bbox,
        "properties": properties,
        "links": links,
        "assets": {raster.part: _asset(raster, place) for raster in (own, *described.parts)},
    }
    return item if collection is None else item | {"collection": collection.stem}


def collection_of(
    items: Sequence[tuple[Path, dict[str, Any]]], said: Described, place: Path
) -> dict[str, Any]:
    """Return the STAC collection, a file at `place`, of items and the files that they are in."""
    times = [_interval(item["properties"]) for _, item in items]
    links = [
        {"rel": "item", "href": _href(path, place), "type": _GEOJSON, "title": item["id"]}
        for path, item in items
    ]
    title = {} if said.title is None else {"title": said.title}
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": [],
        "id": place.stem,
        **title,
        "description": said.title
        or f"Land-cover maps: {', '.join(i['id'] for _, i in items[:8])}"
        + (f" and {len(items) - 8} more" if len(items) > 8 else ""),
        "license": said.license or "other",
        "extent": {
            "spatial": {"bbox": [box_around([item["bbox"] for _, item in items])]},
            "temporal": {"interval": [[min(a for a, _ in times), max(b for _, b in times)]]},
        },
        "summaries": {"gsd": sorted({item["properties"]["gsd"] for _, item in items})},
        "links": [{"rel": "root", "href": _href(place, place), "type": _JSON}, *links],
        "assets": {},
        **current_digest(STAC_DIGEST),
    }


def box_around(boxes: Sequence[Sequence[float]]) -> list[float]:
    """Return the box around boxes in degrees: west, south, east, north.

    If one crosses the 180th meridian, this does too, and begins east of where it ends (RFC 7946,
    section 5.2).
    """
    wests, souths, easts, norths = (np.array(edges) for edges in zip(*boxes, strict=True))
    if (wests > easts).any():
        widths = easts - wests + 360 * (wests > easts)
        wests = wests % 360
        easts = wests + widths
    west, east = wests.min(), easts.max()
    if east - west >= 360:
        west, east = -_HALF_TURN, _HALF_TURN
    west, east = (edge - 360 * np.ceil(max(edge - _HALF_TURN, 0) / 360) for edge in (west, east))
    return [round(float(v), _DIGITS) for v in (west, souths.min(), east, norths.max())]


def footprint(grid: Grid) -> tuple[dict[str, Any], list[float]]:
    """Return the outline of a grid as GeoJSON in degrees of WGS 84, and its bounding box.

    It is cut where it crosses the 180th meridian, and the box then begins east of where it ends
    (RFC 7946, sections 3.1.9 and 5.2).
    """
    import shapely
    from shapely.geometry import mapping, shape

    ring = np.array([grid.transform @ place for place in _around(grid.width, grid.height)])
    longitudes, latitudes = (np.array(v) for v in transform(grid.crs, _DEGREES, *ring.T))
    # from place to place along the outline, whichever turn of the globe each is given in
    longitudes = np.unwrap(longitudes, period=360)
    if abs(longitudes[-1] - longitudes[0]) < _HALF_TURN:
        longitudes -= 360 * np.floor((longitudes.min() + _HALF_TURN) / 360)
        degrees = _within_a_turn(shapely.Polygon(np.column_stack([longitudes, latitudes])))
        west, east = longitudes.min(), longitudes.max()
    else:  # around a pole, or not on earth
        outline = {"type": "Polygon", "coordinates": [ring.tolist()]}
        degrees = shape(transform_geom(grid.crs, _DEGREES, outline, antimeridian_cutting=True))
        west, east = -_HALF_TURN, _HALF_TURN
    if east - west >= 360:
        west, east = -_HALF_TURN, _HALF_TURN
    _, south, _, north = degrees.bounds
    needed = shapely.simplify(shapely.orient_polygons(degrees), 10.0**-_DIGITS)
    rounded = shapely.transform(needed, lambda points: points.round(_DIGITS))
    east -= 360 if east > _HALF_TURN else 0
    return mapping(rounded), [round(float(v), _DIGITS) for v in (west, south, east, north)]


def _within_a_turn(outline: Any) -> Any:
    """Return an outline that begins within -180 to 180° cut at 180°, the rest a turn less."""
    import shapely

    if outline.bounds[2] <= _HALF_TURN:
        return outline
    parts = []
    for turn in (0, 360):
        box = shapely.box(turn - _HALF_TURN, -90, turn + _HALF_TURN, 90)
        parts += [
            shapely.transform(part, lambda points, turn=turn: points - (turn, 0))
            for part in shapely.get_parts(shapely.intersection(outline, box))
            if shapely.get_dimensions(part) == 2  # a side that lies along the cut is a line, too
        ]
    return shapely.union_all(parts)


def _around(width: int, height: int) -> Iterator[tuple[float, float]]:
    """Yield places along the outline of a raster, in pixels, the first once more at the end."""
    corners = [(0, 0), (0, height), (width, height), (width, 0), (0, 0)]
    for (col, row), (next_col, next_row) in itertools.pairwise(corners):
        for step in range(_OUTLINE_STEPS):
            part = step / _OUTLINE_STEPS
            yield col + part * (next_col - col), row + part * (next_row - row)
    yield 0, 0


def _when(own: DescribedRaster, said: Described) -> dict[str, Any]:
    """Return when the ground of a map was seen, else when the map was written."""
    days = own.period if said.period is None else (said.period.first, said.period.last)
    if days is None:
        return {"datetime": _utc(own.written)}
    first, last = days
    begins, ends = _utc(_midnight(first)), _utc(datetime.combine(last, time(23, 59, 59), UTC))
    # which is the time of day of the image is not known
    at = begins if first == last else None
    return {"datetime": at, "start_datetime": begins, "end_datetime": ends}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _utc(moment: datetime) -> str:
    # strftime writes years before 1000 in fewer digits
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _interval(properties: dict[str, Any]) -> tuple[str, str]:
    at = properties["datetime"]
    return properties.get("start_datetime", at), properties.get("end_datetime", at)


def _where(grid: Grid) -> dict[str, Any]:
    assert grid.crs is not None
    authority = grid.crs.to_authority()
    system = (
        {"proj:code": ":".join(authority)}
        if authority
        else {"proj:code": None, "proj:wkt2": grid.crs.to_wkt(version="WKT2_2019")}
    )
    return {
        "gsd": float(f"{grid.gsd_metres:.6g}"),
        **system,
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform[:6]),
    }


def _how(own: DescribedRaster) -> dict[str, Any]:
    """Return what a map says of its making."""
    name, _, version = own.tags.get(_SOFTWARE, "").partition(" ")
    if name != "lcmap" or not version:
        return {}
    found: dict[str, Any] = {"processing:software": {name: version}}
    model = own.tags.get("LCMAP_MODEL")
    if model is not None:
        by = own.tags.get("LCMAP_ENGINE", "lcmap"), own.tags.get("LCMAP_PRECISION", "float32")
        found["processing:lineage"] = f"mapped with the model {model} by {by[0]} in {by[1]}"
    return found


def _asset(raster: DescribedRaster, place: Path) -> dict[str, Any]:
    table = raster.table
    title = _TITLES[raster.part]
    asset: dict[str, Any] = {
        "href": _href(raster.path, place),
        "title": f"{title} in {table.nomenclature}" if table and table.nomenclature else title,
        "type": _COG if raster.cog else _TIFF,
        "roles": ["data"] if raster.part in ("map", "probabilities") else ["metadata"],
        "data_type": raster.dtype,
        "raster:sampling": "area",
    }
    if raster.nodata is not None:
        value = raster.nodata
        # JSON has no number for these, and STAC takes the words nan, inf and -inf
        known = int(value) if value.is_integer() else value
        asset["nodata"] = known if math.isfinite(value) else str(float(value))
    if raster.part in ("confidence", "margin"):
        asset["unit"] = "%"
    if raster.part == "probabilities":
        asset["bands"] = [{"name": band} for band in raster.bands]
    if table is not None:
        asset["classification:classes"] = [
            described_class(
                code,
                table.acronyms.get(code) or table.names[code],
                table.names[code],
                table.colors.get(code),
            )
            for code in table.codes
        ]
    return asset


def _href(path: Path, place: Path) -> str:
    """Return the way from the folder of `place` to a file, as a relative address."""
    way = Path(os.path.relpath(os.path.abspath(path), os.path.dirname(os.path.abspath(place))))
    return f"{'' if way.parts[0] == '..' else './'}{quote(way.as_posix())}"
