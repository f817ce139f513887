"""By which quantiles the images of a training set are scaled."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.quantile_file import BandQuantiles, read_quantile_file
from lcmap.dataset.reading import TileReader
from lcmap.errors import UsageError
from lcmap.model_file import read_model
from lcmap.paths import PathLike
from lcmap.training.options import TileInputOptions


class ScalingChoice:
    """The quantiles that were chosen, and in `chosen` those of each image that was asked for."""

    def __init__(
        self, options: TileInputOptions, reader: TileReader, model: PathLike | None
    ) -> None:
        """Take an image's own quantiles from the reader, those of the model's inputs from `model`.

        Raises:
            UsageError: there is no model.
            InputMissingError, NotAModelError, NewerModelError: as `read_model`.
            InputMissingError, DataError: as `read_quantile_file`.
        """
        self.allow_vrt = options.allow_vrt
        self.chosen: dict[Path, NDArray[np.float64]] = {}
        self._reader = reader
        self._file: PathLike = ""
        self._of_all: BandQuantiles | None = None
        self._of_inputs: dict[int, BandQuantiles] = {}
        if os.fspath(options.quantiles) == "model":
            if model is None:
                raise UsageError(
                    "`quantiles=model`", "there is no model to start from", "give `initial_model`"
                )
            self._file = model
            self._of_inputs = {
                number: BandQuantiles(item.bands, item.dtype, np.array(item.quantiles, np.float64))
                for number, item in enumerate(read_model(model).inputs)
            }
        elif os.fspath(options.quantiles) != "image":
            self._file = options.quantiles
            self._of_all = read_quantile_file(options.quantiles)

    def quantiles(self, path: Path, bands: tuple[str, ...], number: int) -> NDArray[np.float64]:
        """Return the 2 % and 98 % quantiles of an image that is this input, float64 [bands, 2].

        An input that the model does not have is scaled by its own.

        Raises:
            InputMismatchError: those of the file or the model are of other bands.
            NotARasterError: the image's pixels cannot be read.
        """
        common = self._of_all or self._of_inputs.get(number)
        if common is None:
            found = self._reader.quantiles(path)
        else:
            common.check_fits(bands, self._file, os.fspath(path))
            found = common.values
        self.chosen[path] = found
        return found
