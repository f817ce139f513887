"""What `prepare` is asked for, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rasterio.enums import Resampling

from lcmap import defaults
from lcmap.dataset.tile_index import check_tile_index_path
from lcmap.errors import UsageError
from lcmap.imagery.tiles import Tiling
from lcmap.paths import PathLike
from lcmap.raster.destination import stream_at
from lcmap.raster.preview.writing import check_preview
from lcmap.raster.writing import check_output, check_raster_output

ResamplingName = Literal["cubic", "bilinear", "average", "nearest"]


@dataclass(frozen=True)
class StackOptions:
    """How images become the bands of a stack.

    like: a raster whose grid the stack gets; None is the first image's.
    pan: a finer panchromatic image; the images are sharpened with it, on its grid.
    bands: which bands to take, by numbers (from 1, counted through all images) or names; None: all.
    band_names: names for the bands taken; None: those that they have.
    resampling: how images on another grid are resampled.
    quantiles: which the stack carries: "image", its own, or a file of quantiles.
    reflectance: make reflectance × 10 000 of the numbers of DIMAP products, by their calibration.
    """

    like: PathLike | None = None
    pan: PathLike | None = None
    bands: Sequence[str] | None = None
    band_names: Sequence[str] | None = None
    resampling: ResamplingName = defaults.RESAMPLING
    quantiles: PathLike = defaults.STACK_QUANTILES
    reflectance: bool = False

    @property
    def method(self) -> Resampling:
        """The resampling as GDAL's."""
        return Resampling[self.resampling]

    def check(self) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other.
        """
        if self.pan is not None and self.like is not None:
            raise UsageError("`like`", "goes without `pan`, whose grid is taken", "drop one")


@dataclass(frozen=True)
class LabelOptions:
    """Labels for a stack.

    path: a label raster on any grid.
    nomenclature: its classes, a built-in name or a TOML file; None: those that the raster carries.
    crosswalk: brings it into other classes, "source:target" or a TOML file; names its classes too.
    """

    path: PathLike
    nomenclature: PathLike | None = None
    crosswalk: PathLike | None = None

    def check(self) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other.
        """
        if self.nomenclature is not None and self.crosswalk is not None:
            raise UsageError(
                "`nomenclature`", "goes without `crosswalk`, which names the classes", "drop one"
            )


@dataclass(frozen=True)
class TileIndexOptions:
    """A tile index for a stack.

    path: the GeoJSON file to write.
    tiling: how the stack is cut into tiles and how these are split.
    tiles_like: an index of an image on the same grid, whose tiles and splits are taken instead.
    sides: side inputs on any grids, "FILE" or "FILE:MEANING", where the meaning is a nomenclature
        ("oso.tif:oso23"), "probabilities", "image", or "series" for a folder, pattern or index of
        dated rasters; without one, the file's tags say what it is.
        With "@LEVEL" at the end, the network takes it on cells of 2^LEVEL × 2^LEVEL pixels of the
        image; without, on the largest that are no larger than its own pixels.
    """

    path: PathLike
    tiling: Tiling = field(default_factory=Tiling)
    tiles_like: PathLike | None = None
    sides: Sequence[PathLike] = ()

    def check(self, *, overwrite: bool) -> None:
        """Check the choice before any work.

        Raises:
            UsageError: options that contradict each other.
            OutputExistsError, CannotWriteError: the index cannot be written.
        """
        if self.tiles_like is not None and self.tiling != Tiling():
            raise UsageError(
                "`tiles_like`",
                "brings its own tiles and splits",
                "drop `tile_size`, `split`, `block_tiles`, `gap` and `seed`",
            )
        check_tile_index_path(self.path)
        self.tiling.check()
        check_output(self.path, overwrite=overwrite)


@dataclass(frozen=True)
class PrepareOutputs:
    """Where a stack goes.

    output: the stack's file; "-" is standard output.
    preview: a picture of the stack, its labels and its tiles; None for none.
    overwrite: replace files that exist.
    """

    output: PathLike
    preview: PathLike | None = None
    overwrite: bool = False

    @property
    def labels(self) -> Path:
        """Where the labels on the stack's grid go: "STEM.labels.tif" beside it."""
        return Path(self.output).with_name(f"{Path(self.output).stem}.labels.tif")

    def check(self, labels: LabelOptions | None, tiles: TileIndexOptions | None) -> None:
        """Check every output before any work.

        Raises:
            UsageError: an output belongs to a stack in a file.
            OutputExistsError, CannotWriteError: an output cannot be written.
        """
        stream = stream_at(self.output)
        if stream and (labels or tiles):
            raise UsageError(
                "`labels` and `tiles`",
                f"belong to a stack that is a file, and it goes to {stream.name}",
                "`output=FILE`",
            )
        check_raster_output(self.output, overwrite=self.overwrite)
        check_preview(self.preview, overwrite=self.overwrite)
        if tiles is not None:
            tiles.check(overwrite=self.overwrite)
        if labels is None:
            return
        labels.check()
        check_output(self.labels, overwrite=self.overwrite)
