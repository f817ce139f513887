"""The series among the inputs of a model: opened, checked and scaled as those of training were."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.quantile_file import read_quantile_file
from lcmap.dataset.raster_content import parse_input
from lcmap.dataset.raster_kind import RasterKind
from lcmap.dataset.series import Series, open_series
from lcmap.errors import InputMismatchError
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.pooled_series import PooledSeries
from lcmap.inference.scaling import for_input
from lcmap.model_file import ModelInput, check_bands
from lcmap.paths import PathLike
from lcmap.raster.grid import Grid
from lcmap.raster.radiometry import NamedRadiometry, common_radiometry


def open_dates(given: Sequence[PathLike], wanted: ModelInput, options: ModelInputOptions) -> Series:
    """Return the dates that are a model's series, closed; each may have ":series" at its end.

    Raises:
        InputMismatchError: they are said to be something else.
        InputMismatchError, GsdMismatchError: as `check_image`.
        InputMissingError, NotARasterError, NoCrsError, ProductError, DataError: as `open_series`.
    """
    paths = []
    for text in given:
        path, meaning = parse_input(text)
        if meaning not in (None, "series"):
            raise InputMismatchError(
                os.fspath(path),
                f"is {meaning}, the model takes a series here",
                "give the inputs in the order that the model takes them",
            )
        paths.append(path)
    name = os.fspath(paths[0]) + f" and {len(paths) - 1} more" * (len(paths) > 1)

    def check(kind: RasterKind, grid: Grid) -> None:
        check_bands(
            wanted,
            kind.bands,
            [kind.dtype],
            grid.gsd_metres,
            subject=kind.name,
            force=options.force,
        )

    return open_series(
        paths, name, options, bands=len(wanted.bands), names=wanted.bands, check=check
    )


def series_quantiles(
    series: Series, wanted: ModelInput, chosen: PathLike | None
) -> NDArray[np.float64]:
    """Return the quantiles that all dates are scaled by, float64 [bands, 2].

    They are the model's, unless a file of quantiles of its bands is `chosen`: by its own a date
    would not show the season.

    Raises:
        InputMismatchError: the values mean something else than those that the quantiles are of.
        InputMissingError, DataError: the file cannot be read.
    """
    chosen = for_input(wanted, chosen)
    if chosen is not None and os.fspath(chosen) not in ("image", "model"):
        found = read_quantile_file(chosen)
        found.check_fits(series.bands, series.radiometry, chosen, series.name)
        return found.values
    if wanted.radiometry:
        common_radiometry(
            [
                NamedRadiometry("the training images", wanted.radiometry),
                NamedRadiometry(series.name, series.radiometry),
            ]
        )
    return np.array(wanted.quantiles, np.float64)


def dates_of(readers: Iterable[object]) -> dict[str, Any]:
    """Return what a map depends on of the series among these readers, as JSON values."""
    dates = [list(reader.dates) for reader in readers if isinstance(reader, PooledSeries)]
    return {"dates": dates} if dates else {}
