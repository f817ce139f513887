"""Opening rasters, so that whatever is not a raster is refused in one clear line."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader

from lcmap.errors import InputMissingError, LabelBandError, NoCrsError, NotARasterError
from lcmap.paths import PathLike
from lcmap.raster.crs_database import check_crs_database
from lcmap.raster.drivers import check_raster_drivers, hiding_variables
from lcmap.raster.input_watch import note_input
from lcmap.raster.plain_vrt import looks_like_vrt
from lcmap.raster.sidecars import check_sidecars, sidecar_paths
from lcmap.raster.soundness import check_sound
from lcmap.raster.windows import Window
from lcmap.user_file import check_permitted, check_regular

RASTER_DRIVERS = ("GTiff", "JP2OpenJPEG", "HFA", "ENVI", "PNG", "JPEG")
"""GDAL drivers of files that hold their own pixels: none that reads other files or URLs."""

_ADDRESS = re.compile(r"/vsi\w+/|[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_NUMBERED = re.compile(
    r"(?:(?:bande?|layer|couche|channel|canal|b)[\W_]*)?0*([1-9][0-9]{0,5})", re.IGNORECASE
)
"""The names that programs give to bands without one: ENVI's, ArcGIS's, ERDAS Imagine's."""

VIRTUAL_DRIVERS = (*RASTER_DRIVERS, "VRT")

_SELF_CONTAINED = (".tif", ".tiff", ".jp2", ".ovr", ".msk", ".aux.xml")
"""Endings of files that read no others but their sidecars."""


@contextmanager
def open_raster(
    path: PathLike, *, allow_vrt: bool = False, name: str = "", own: bool = False
) -> Iterator[Any]:
    """Open a raster for reading; yield a rasterio dataset.

    A VRT names other files and URLs, so it is opened only with `allow_vrt`. Messages call the
    raster by its `name`, else by its path. The files that are read are watched (see `input_watch`),
    but for lcmap's `own`, which are temporary.

    Raises:
        InputMissingError: no such file, or it may not be read.
        DataError: a device or a pipe.
        NotARasterError: not a raster of a driver in `RASTER_DRIVERS`, or as `check_sidecars` and
            `check_sound`.
        UsageError: as `check_crs_database` and `check_raster_drivers`.
    """
    subject = name or os.fspath(path)
    check_readable(path, name=subject)
    check_regular(path, name=subject)
    check_crs_database()
    check_raster_drivers()
    if not allow_vrt:
        check_sidecars(path, subject)
    drivers = VIRTUAL_DRIVERS if allow_vrt else RASTER_DRIVERS
    if not own:
        note_input(path, name=subject)
    with rasterio.Env():
        try:
            with warnings.catch_warnings():
                # an image without georeference has no CRS, which its users check and say
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                # rasterio.open takes one driver, its reader takes the list
                dataset = DatasetReader(os.fspath(path), driver=list(drivers))
        except RasterioIOError as error:
            if looks_like_vrt(path):
                problem = "is a VRT, which reads other files and addresses"
                remedy = "`allow_vrt` if you trust it"
            elif os.fspath(path).casefold().endswith(".xml"):
                problem = "is metadata, not a raster"
                remedy = "make a stack of a product with lcmap prepare and give that"
            else:
                problem = "cannot be opened as a raster"
                remedy = "give a GeoTIFF, JPEG 2000 or another raster file that is whole"
                if hidden := hiding_variables():
                    remedy = f"unset {hidden}, which may hide its GDAL driver, or {remedy}"
            raise NotARasterError(subject, problem, remedy) from error
        with dataset:
            check_sound(path, dataset, subject)
            if not own:
                note_input(*files_of(dataset))
            with reading(subject):
                yield dataset


@contextmanager
def reopened_raster(path: PathLike, *, allow_vrt: bool = False, name: str = "") -> Iterator[Any]:
    """Open a raster again that `open_raster` opened, and checked, with these arguments.

    It is no context of rasterio's: another thread may close it, and in any order among others.

    Raises:
        NotARasterError: it cannot be opened any more.
    """
    drivers = VIRTUAL_DRIVERS if allow_vrt else RASTER_DRIVERS
    with (
        reading(name or path),
        closing(DatasetReader(os.fspath(path), driver=list(drivers))) as dataset,
    ):
        yield dataset


def files_of(dataset: Any) -> tuple[str, ...]:
    """Return all files that are read of an open raster: itself, those beside it, those it names.

    GDAL lists the files that a VRT names, but not what these name, nor what is beside them.
    """
    found = dict.fromkeys(dataset.files)
    waiting = list(found) if dataset.driver == "VRT" else []
    while waiting:
        new = [name for name in _files_at(waiting.pop()) if name not in found]
        found |= dict.fromkeys(new)
        waiting += new
    return tuple(found)


def _files_at(path: str) -> list[str]:
    """Return the files that are read of a raster; none where it is not one."""
    if path.casefold().endswith(_SELF_CONTAINED):
        # opened each, thousands of tiles of a mosaic would take minutes
        return [beside for beside in sidecar_paths(path) if os.path.exists(beside)]
    try:
        with DatasetReader(path, driver=list(VIRTUAL_DRIVERS)) as dataset:
            return list(dataset.files)
    except RasterioError:
        return []


@contextmanager
def reading(path: PathLike) -> Iterator[None]:
    """Turn GDAL's error of reading pixels into one that names the file.

    Raises:
        NotARasterError: the pixels cannot be read.
    """
    try:
        yield
    except RasterioIOError as error:
        raise NotARasterError(
            path, "its pixels cannot be read", "it is damaged or truncated: copy it again"
        ) from error


def check_readable(path: PathLike, *, name: str = "") -> None:
    """Check that a file exists and may be read; messages call it by its `name`, else by its path.

    Raises:
        InputMissingError: otherwise.
    """
    subject = name or os.fspath(path)
    if not os.path.exists(path):
        if _ADDRESS.match(subject):
            raise InputMissingError(
                subject, "is an address, and lcmap reads files", "download it and name the file"
            )
        raise InputMissingError(subject, "no such file", "check the path")
    if os.path.isdir(path):
        raise InputMissingError(subject, "is a folder, not a raster file", "name a file in it")
    check_permitted(path, name=name)


def check_placed(dataset: Any, name: str) -> None:
    """Refuse a raster that ground control points or an RPC model place, rather than a transform.

    Read by rows and columns alone it would lie elsewhere, and nothing that is written would say so.

    Raises:
        NoCrsError: it is one.
    """
    if dataset.transform != Affine.identity():
        return
    points = bool(dataset.gcps[0])
    if points or dataset.rpcs is not None or dataset.tags(ns="GEOLOCATION"):
        how, option = (
            ("ground control points", "-tps")
            if points
            else ("a sensor model (RPC)", "-rpc")
            if dataset.rpcs is not None
            else ("geolocation arrays", "-geoloc")
        )
        raise NoCrsError(
            name,
            f"is placed by {how} and is not on a grid of its coordinate reference system",
            f"orthorectify it first, e.g. gdalwarp {option} -t_srs EPSG:2154 IN.tif OUT.tif",
        )


def require_label_band(bands: int, name: str) -> None:
    """Check that a raster has the one band of a label map; messages call it by its `name`.

    Raises:
        LabelBandError: it has several.
    """
    if bands != 1:
        raise LabelBandError(
            name, f"has {bands} bands, labels have one", "give a raster of one band of class codes"
        )


def band_names(dataset: Any) -> tuple[str, ...]:
    """Return the bands' descriptions, "band N" for those without one."""
    return tuple(name or f"band {i}" for i, name in enumerate(dataset.descriptions, start=1))


def has_band_names(names: tuple[str, ...]) -> bool:
    """Tell whether bands carry names of their own rather than "band N", however it is written."""
    return not all(_only_counts(name, i) for i, name in enumerate(names, start=1))


def _only_counts(name: str, number: int) -> bool:
    """Tell whether a band's name says no more than its number: "Band 1", "Layer_1", "B01"."""
    match = _NUMBERED.fullmatch(name.strip())
    return match is not None and int(match[1]) == number


def alpha_band(dataset: Any) -> int | None:
    """Return the number (from 1) of the band that says where a raster is transparent, if any.

    GDAL takes the fourth band of an 8-bit R G B image for transparency unless it was told
    otherwise when the file was written, so a band with a name of its own ("nir") is not one;
    "Band 4" is no name.
    """
    for band, meaning, name in zip(
        dataset.indexes, dataset.colorinterp, dataset.descriptions, strict=True
    ):
        unnamed = not name or name.casefold() == "alpha" or _only_counts(name, band)
        if meaning == ColorInterp.alpha and unnamed:
            return int(band)
    return None


def read_valid(dataset: Any, window: Window) -> npt.NDArray[np.bool_]:
    """Return where every band is valid, bool [height, width].

    Invalid are the nodata value, NaN and infinities, and what a mask or alpha band hides.

    Raises:
        NotARasterError: the pixels cannot be read.
    """
    if _is_valid_throughout(dataset):
        return np.ones((window.height, window.width), bool)
    alpha = alpha_band(dataset)
    if ColorInterp.alpha in dataset.colorinterp and (alpha is None or dataset.nodata is not None):
        # rasterio would take any alpha band for the mask, or warn that nodata goes before it
        pixels = dataset.read(window=window.ranges)
        valid = np.ones((window.height, window.width), bool)
        if dataset.nodata is not None:
            valid &= (pixels != dataset.nodata).all(axis=0)
        if alpha is not None:
            valid &= pixels[alpha - 1] != 0
    else:
        masks = dataset.read_masks(window=window.ranges)  # [bands, height, width]
        valid = (masks != 0).all(axis=0)
        if dataset.nodata is not None and MaskFlags.nodata not in dataset.mask_flag_enums[0]:
            # where a mask lies in the file, GDAL leaves the nodata value out of account
            valid &= (dataset.read(window=window.ranges) != dataset.nodata).all(axis=0)
    if any(np.issubdtype(np.dtype(dtype), np.floating) for dtype in dataset.dtypes):
        valid &= np.isfinite(dataset.read(window=window.ranges)).all(axis=0)
    return valid


def read_reduced(
    dataset: Any,
    bands: Sequence[int],
    shape: tuple[int, int],
    resampling: Resampling = Resampling.nearest,
    window: Window | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return bands of a raster, or of a window, at another size, to be shown, [bands, *shape].

    With them, where each is valid, bool of the same shape: as `read_valid`, band by band.

    Raises:
        RasterioIOError: the pixels cannot be read.
    """
    read = partial(
        dataset.read,
        list(bands),
        window=None if window is None else window.ranges,
        out_shape=(len(bands), *shape),
    )
    shown = read(resampling=resampling, masked=True)
    pixels = np.ma.getdata(shown)
    valid = ~np.ma.getmaskarray(shown) & np.isfinite(pixels)
    if dataset.nodata is not None and MaskFlags.nodata not in dataset.mask_flag_enums[0]:
        # where a mask lies in the file, GDAL leaves the nodata value out of account, and makes of
        # it another value where it averages
        valid &= read() != dataset.nodata
    return pixels, valid


def _is_valid_throughout(dataset: Any) -> bool:
    """Tell whether an open raster can have no pixel without data."""
    return (
        dataset.nodata is None
        and ColorInterp.alpha not in dataset.colorinterp
        and all(flags == [MaskFlags.all_valid] for flags in dataset.mask_flag_enums)
        and all(np.issubdtype(np.dtype(dtype), np.integer) for dtype in dataset.dtypes)
    )
