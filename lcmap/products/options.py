"""What can be chosen of the products of a map, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lcmap.errors import UsageError
from lcmap.paths import PathLike
from lcmap.raster.destination import check_apart
from lcmap.raster.preview.writing import check_preview
from lcmap.raster.writing import check_output, check_raster_output


@dataclass(frozen=True)
class GeneraliseOutputs:
    """The files of a generalised map.

    output: the map, uint8 class codes, 0 without a class; "-" is standard output.
    vector: a GeoPackage of its objects; None for none.
    preview: a picture of the map; None for none.
    cog: write a cloud-optimised GeoTIFF.
    overwrite: replace files that exist.
    """

    output: PathLike
    vector: PathLike | None = None
    preview: PathLike | None = None
    cog: bool = False
    overwrite: bool = False

    @property
    def files(self) -> list[PathLike]:
        """The files, the map first."""
        return [path for path in (self.output, self.vector, self.preview) if path is not None]

    def check(self, inputs: Sequence[PathLike], *, overwrite: bool) -> None:
        """Check all before any work, against the inputs, each other and what is there.

        Raises:
            UsageError: one is an input, or two are one, or the polygons are no GeoPackage.
            OutputExistsError, CannotWriteError: one cannot be written.
        """
        check_apart(self.files, inputs)
        check_raster_output(self.output, overwrite=overwrite)
        if self.vector is not None:
            if Path(self.vector).suffix.lower() != ".gpkg":
                raise UsageError(self.vector, "is no GeoPackage", "end its name in .gpkg")
            check_output(self.vector, overwrite=overwrite)
        check_preview(self.preview, overwrite=overwrite)
