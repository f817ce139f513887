"""What was said of side inputs and their files do not say, kept with the tiles they are of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lcmap.dataset.inputs import InputOptions


@dataclass(frozen=True)
class SideOptions:
    """How the side inputs of a tile index are opened; None leaves what each file says.

    nodata: the value without data of those images that declare none.
    assume_crs: the coordinate reference system of those whose own is missing or local.
    """

    nodata: float | None = None
    assume_crs: str | None = None

    @classmethod
    def of(cls, options: InputOptions) -> SideOptions:
        """Return what options say; what is not finite has no data, whether it is said or not."""
        said = options.nodata
        return cls(None if said is None or not math.isfinite(said) else said, options.assume_crs)

    def to_dict(self) -> dict[str, Any]:
        """Return what was said as JSON values."""
        return {"nodata": self.nodata, "assume_crs": self.assume_crs}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SideOptions:
        """Return what `to_dict` returned.

        Raises:
            KeyError, TypeError, ValueError: a value is missing or is not what it should be.
        """
        nodata, assumed = values["nodata"], values["assume_crs"]
        if assumed is not None and not isinstance(assumed, str):
            raise ValueError(f"{assumed!r} is not a coordinate reference system")
        return cls(None if nodata is None else float(nodata), assumed)

    def input_options(self, *, allow_vrt: bool) -> InputOptions:
        """Return how a side input is opened."""
        given = InputOptions(allow_vrt, nodata=self.nodata, assume_crs=self.assume_crs)
        return given.beside_image()
