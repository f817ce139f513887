"""Outputs that are there whole or not at all.

A killed writer leaves a GeoTIFF that opens and reads as nodata without an error. So every output
is written beside its destination, closed, checked, and only then given its name.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from lcmap.errors import CannotWriteError, LcmapError, OutputExistsError, cannot_write
from lcmap.paths import PathLike
from lcmap.raster.band_colors import color_interpretation
from lcmap.raster.class_sidecars import check_sidecar_output, class_sidecars, sidecar_text
from lcmap.raster.classes import ClassTable, write_class_table
from lcmap.raster.code_counts import CountedRaster
from lcmap.raster.destination import check_place, file_at, stream_at
from lcmap.raster.file_names import check_raster_name
from lcmap.raster.grid import Grid
from lcmap.raster.making import current_digest, may_replace
from lcmap.raster.old_sidecars import remove_old_sidecars
from lcmap.raster.output_set import OutputSet
from lcmap.raster.overviews import (
    fill_overviews_by_mode,
    make_room_for_overviews,
    overview_factors,
)

BLOCK = 512
_SMALLEST_OVERVIEW = 256


def check_output(path: PathLike, *, overwrite: bool) -> None:
    """Check, before hours of work, that an output can be written in the end.

    A stream (standard output, a device, a FIFO) is written into, whatever `overwrite` says. So is
    what an earlier run of the same command made, as it was left.

    Raises:
        OutputExistsError: it exists and `overwrite` is not set.
        CannotWriteError, UsageError: as `check_place`.
    """
    if not overwrite and stream_at(path) is None and os.path.lexists(path):
        if os.path.isdir(path):
            check_place(path)
        if not may_replace(path):
            raise OutputExistsError(path, "exists already", "`overwrite` to replace it")
    check_place(path)


def check_raster_output(path: PathLike, *, overwrite: bool) -> None:
    """Check, before hours of work, that a raster can be written in the end.

    Raises:
        UsageError: its name promises another format than GeoTIFF.
        OutputExistsError, CannotWriteError, UsageError: as `check_output`.
    """
    check_raster_name(path)
    check_output(path, overwrite=overwrite)


@contextmanager
def atomic_path(
    path: PathLike,
    *,
    overwrite: bool,
    tmpdir: Path | None = None,
    within: OutputSet | None = None,
) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` on success and vanishes on failure.

    It is beside the destination, which is where links lead to, so that it can be renamed at once.
    For a stream it is in `tmpdir`, and its bytes are copied into the stream. One that is made
    `within` a set gets its name with the rest of the set.

    Raises:
        OutputExistsError, CannotWriteError, UsageError: as `check_output`, or no space left.
        LockedError: another run is making it.
    """
    check_output(path, overwrite=overwrite or (within is not None and within.overwrite))
    with ExitStack() as alone:
        files = within or alone.enter_context(
            OutputSet([path], overwrite=overwrite, tmpdir=tmpdir, part_of_another=True)
        )
        try:
            yield files.temporary(path)
        except LcmapError:
            raise
        except OSError as error:
            raise cannot_write(path, error) from error


def move_into_place(finished: Path, path: PathLike, keep: Collection[PathLike] = ()) -> None:
    """Give a finished file its name, in place of what has it; durably, and also across disks.

    Its bytes are copied where the path is a stream; links are followed. Sidecars of a raster that
    it replaces go, but those to `keep`.

    Raises:
        CannotWriteError: no space left, or a stream was closed.
    """
    stream = stream_at(path)
    if stream is not None:
        stream.copy(finished)
        return
    file = file_at(path)
    side = Path(f"{finished}.aux.xml")
    try:
        with open(finished, "rb") as content:
            os.fsync(content.fileno())
        if side.exists():
            os.replace(side, f"{file}.aux.xml")
            keep = [*keep, f"{file}.aux.xml"]
        remove_old_sidecars(finished, file, {file_at(item) for item in keep})
        os.replace(finished, file)
        sync_folder(file.parent)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise cannot_write(path, error) from error
        _move_across_disks(finished, file, keep)


def _move_across_disks(finished: Path, file: Path, keep: Collection[PathLike]) -> None:
    try:
        folder = tempfile.TemporaryDirectory(prefix=f".{file.name}.lcmap-", dir=file.parent)
        with folder as beside:
            for source in (Path(f"{finished}.aux.xml"), finished):
                if source.exists():
                    copy = Path(beside) / source.name
                    shutil.copyfile(source, copy)
                    times = source.stat()
                    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
            move_into_place(Path(beside) / finished.name, file, keep)
        finished.unlink()
    except LcmapError:
        raise
    except OSError as error:
        raise cannot_write(file, error) from error


def sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class RasterFormat:
    """What a raster holds, apart from its grid, and how its file is laid out.

    A raster of several bands that is not of `classes` says which bands its `band_names` mean, for
    programs to make a picture of. One that is `masked` gets a mask inside the file.
    `overviews` asks for reduced images, by mode where the raster is of `classes`, else by average;
    `cog` for a cloud-optimised GeoTIFF, which has them too. `sidecars` asks for the style and the
    names of the classes beside the file.
    """

    count: int
    dtype: str
    nodata: float | None
    band_names: Sequence[str] = ()
    tags: Mapping[str, str] | None = None
    classes: ClassTable | None = None
    overviews: bool = False
    cog: bool = False
    sidecars: bool = False
    masked: bool = False

    def profile(self, grid: Grid) -> dict[str, Any]:
        """Return the profile of rasterio for a GeoTIFF in deflated tiles of 512 × 512."""
        profile = {
            "driver": "GTiff",
            "width": grid.width,
            "height": grid.height,
            "count": self.count,
            "dtype": self.dtype,
            "nodata": self.nodata,
            "crs": grid.crs,
            "transform": grid.transform,
            "compress": "deflate",
            "zlevel": 6,
            "predictor": 1 if self.classes else (3 if self.dtype.startswith("float") else 2),
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "bigtiff": "IF_SAFER",
            "interleave": "band",
        }
        if self.count > 1:
            # bands must not turn into a picture with alpha
            profile |= {"photometric": "MINISBLACK", "alpha": "NO"}
        if self.classes:
            # from the start, since overviews get it too
            profile["photometric"] = "PALETTE"
        if self.masked:
            # GDAL's threads would read the image's tags while those of the mask take their place
            profile["num_threads"] = 1
        return profile

    @property
    def resampling(self) -> Resampling:
        """How reduced images are made."""
        return Resampling.mode if self.classes else Resampling.average


@contextmanager
def atomic_raster(
    path: PathLike,
    grid: Grid,
    made: RasterFormat,
    *,
    overwrite: bool,
    tmpdir: Path | None = None,
    within: OutputSet | None = None,
) -> Iterator[Any]:
    """Yield a rasterio dataset to write, a GeoTIFF; it becomes `path` once it is whole.

    One of classes is a `CountedRaster`, of which each pixel is to be written once.

    Raises:
        OutputExistsError, CannotWriteError, UsageError: as `atomic_path`.
    """
    check_raster_name(path)
    replaces = overwrite or (within is not None and within.overwrite)
    others = within.files if within is not None else ()
    sidecars = _sidecars(path, made, others, overwrite=replaces)
    # GDAL finds averages when it makes a cloud-optimised GeoTIFF
    reduced = (made.overviews or made.cog) if made.classes else made.overviews and not made.cog
    factors = overview_factors(grid.shape, _SMALLEST_OVERVIEW) if reduced else []
    with atomic_path(path, overwrite=overwrite, tmpdir=tmpdir, within=within) as temporary:
        try:
            with (
                # a mask inside the file goes where the file goes
                rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
                rasterio.open(temporary, "w", **made.profile(grid)) as dataset,
            ):
                colors = color_interpretation(made.band_names) if made.count > 1 else None
                if colors:
                    dataset.colorinterp = colors
                for i, name in enumerate(made.band_names, start=1):
                    dataset.set_band_description(i, name)
                tags = {**(made.tags or {}), **current_digest()}
                dataset.update_tags(**tags)
                if made.classes:
                    write_class_table(dataset, made.classes)
                    make_room_for_overviews(dataset, factors)
                    dataset = CountedRaster(dataset)
                yield dataset
                if not current_digest().items() <= tags.items():  # more was read meanwhile
                    dataset.update_tags(**current_digest())
            # GDAL's warnings and errors of closing are not raised: a look at the file tells
            _check_complete(temporary, grid, made.count)
            if factors:
                _build_overviews(temporary, made, factors)
            if made.cog:
                _rewrite_as_cog(temporary, made.resampling)
            if made.classes:
                for name in sidecars:
                    text = sidecar_text(name, made.classes, dataset.counts)
                    temporary.with_name(name).write_text(text, encoding="utf-8")
        except RasterioError as error:
            raise write_error(path, temporary, error) from error


def _sidecars(
    path: PathLike, made: RasterFormat, others: Collection[Path], *, overwrite: bool
) -> list[str]:
    """Return the names of the files that the format wants beside a raster of a set.

    Raises:
        OutputExistsError: a style is there that someone made, and `overwrite` is not set.
    """
    if made.classes is None or not made.sidecars or stream_at(path) is not None:
        return []
    paths = class_sidecars(file_at(path), asked=False, others=others)
    for sidecar in paths:
        if not overwrite:
            check_sidecar_output(sidecar)
    return [Path(sidecar).name for sidecar in paths]


def write_error(path: PathLike, temporary: Path, error: Exception) -> CannotWriteError:
    """Return the error to raise where GDAL cannot write what is to become `path`."""
    statistics = os.statvfs(temporary.parent)
    if statistics.f_bavail * statistics.f_frsize < 1 << 20:
        return CannotWriteError(path, "no space left", "free some, or choose another place")
    cause = str(error.__cause__ or error)
    return CannotWriteError(path, f"cannot be written ({cause})", "check the disk and its quota")


def _check_complete(temporary: Path, grid: Grid, count: int) -> None:
    """Check that a closed GeoTIFF is whole."""
    with rasterio.open(temporary) as dataset:
        whole = dataset.shape == grid.shape and dataset.count == count
        whole = whole and _has_all_blocks(dataset, temporary)
    if not whole:
        raise _not_whole(temporary)


def _has_all_blocks(dataset: Any, file: Path) -> bool:
    """Tell whether every block of an open GeoTIFF, or of an overview, is inside the file."""
    size = file.stat().st_size
    for band in range(1, dataset.count + 1):
        for (row, col), _ in dataset.block_windows(band):
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", dm="TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", dm="TIFF", bidx=band)
            # no offset: a block that was never written, which reads as nodata
            if offset is None or length is None or int(offset) + int(length) > size:
                return False
    return True


def _not_whole(temporary: Path) -> CannotWriteError:
    return CannotWriteError(temporary.name, "was not written whole", "is the disk full?")


def _build_overviews(temporary: Path, made: RasterFormat, factors: list[int]) -> None:
    if made.classes:
        fill_overviews_by_mode(temporary, len(factors))
        for level in range(len(factors)):
            with rasterio.open(temporary, overview_level=level) as overview:
                if not _has_all_blocks(overview, temporary):
                    raise _not_whole(temporary)
        return
    # of a mask: as when it was written
    threads = {"GDAL_NUM_THREADS": "1"} if made.masked else {}
    with rasterio.Env(**threads), rasterio.open(temporary, "r+") as dataset:
        dataset.build_overviews(factors, made.resampling)


def _rewrite_as_cog(temporary: Path, resampling: Resampling) -> None:
    """Make a cloud-optimised GeoTIFF, with the overviews that the file has, else of its own."""
    plain = temporary.with_name(f"plain-{temporary.name}")
    os.replace(temporary, plain)
    rasterio.shutil.copy(
        plain,
        temporary,
        driver="COG",
        compress="deflate",
        blocksize=BLOCK,
        overview_resampling=resampling.name,
        bigtiff="IF_SAFER",
    )
    with suppress(FileNotFoundError):
        plain.unlink()
