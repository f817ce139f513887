"""By which quantiles the images of a training set are scaled.

An image's own quantiles depend on what it shows: dark water beside bright beaches is scaled to
other values than in a town. Values that mean the same in all images carry further.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.quantile_file import BandQuantiles, read_quantile_file
from lcmap.dataset.reading import TileReader
from lcmap.dataset.series import mean_quantiles
from lcmap.dataset.tile_index import Side
from lcmap.errors import InputMismatchError, UsageError
from lcmap.model_file import ModelInput, read_model
from lcmap.paths import PathLike
from lcmap.raster.radiometry import NamedRadiometry, Radiometry, common_radiometry
from lcmap.training.options import TileInputOptions
from lcmap.training.recipe import Scaling

logger = logging.getLogger(__name__)


class ScalingChoice:
    """The quantiles that were chosen, and in `chosen` those of each image that was asked for."""

    def __init__(
        self,
        options: TileInputOptions,
        reader: TileReader,
        model: PathLike | None,
        otherwise: Scaling,
    ) -> None:
        """Take an image's own quantiles from the reader, those of the model's inputs from `model`.

        What the options leave open is as that model has it, for an input that it lacks as
        `otherwise` says.

        Raises:
            UsageError: there is no model, or it carries no quantiles.
            InputMissingError, NotAModelError, NewerModelError: as `read_model`.
            InputMissingError, DataError: as `read_quantile_file`.
        """
        self.allow_vrt = options.allow_vrt
        self.chosen: dict[Side, NDArray[np.float64]] = {}
        self.reader = reader
        self._file: PathLike = ""
        self._of_all: BandQuantiles | None = None
        self._of_inputs: dict[int, BandQuantiles] = {}
        self._by_own: set[int] = set()
        self._fits: dict[int, bool] = {}
        by = None if options.quantiles is None else os.fspath(options.quantiles)
        self._is_chosen = by is not None
        self._otherwise: Scaling = "image" if by in ("image", "model") else otherwise
        if by == "training":
            self._otherwise = "training"
        elif by == "model" and model is None:
            raise UsageError(
                "`quantiles=model`", "there is no model to start from", "give `initial_model`"
            )
        elif by in (None, "model"):
            if model is not None:
                self._as_in(model, all_inputs=by == "model")
        elif by != "image":
            self._file = by
            self._of_all = read_quantile_file(by)

    def _as_in(self, model: PathLike, *, all_inputs: bool) -> None:
        """Scale by the quantiles of a model: all its inputs, or those whose training was."""
        self._file = model
        for number, item in enumerate(read_model(model).inputs):
            if item.kind not in ("image", "series"):
                continue
            if all_inputs or item.normalisation == "training-quantiles-2-98":
                self._of_inputs[number] = _quantiles_of(item, model)
            else:
                self._by_own.add(number)

    def quantiles(
        self, image: NamedRadiometry, bands: tuple[str, ...], number: int
    ) -> NDArray[np.float64]:
        """Return the 2 % and 98 % quantiles of an image that is this input, float64 [bands, 2].

        An input that the model does not have is scaled by its own, and one of other bands than the
        file's as without a file.

        Raises:
            InputMismatchError: those of the file or the model are of other bands, or of values that
                mean something else.
            NotARasterError: the image's pixels cannot be read.
        """
        path = Path(image.name)
        common = self._common_of(number, bands)
        if common is None or not (self._is_chosen or common.are_of(bands)):
            # a model of other bands is refused with what it takes
            found = self.reader.quantiles(path)
        else:
            common.check_fits(bands, image.bands, self._file, image.name)
            found = common.values
        self.chosen[path] = found
        return found

    def of_series(self, paths: Sequence[tuple[Path, ...]], number: int) -> NDArray[np.float64]:
        """Return the quantiles that all dates of all series are scaled by, float64 [bands, 2].

        They are the series that are this input. The quantiles are the mean of the dates', unless
        those of a file or a model were chosen.

        Raises:
            InputMismatchError: as `quantiles`.
            NotARasterError: pixels cannot be read.
        """
        series = [(self.reader.series(one), self.reader.options_of(one)) for one in paths]
        common = self._common_of(number, series[0][0].bands)
        if common is None:
            found = mean_quantiles(series)
        else:
            for one, _ in series:
                common.check_fits(one.bands, one.radiometry, self._file, one.name)
            found = common.values
        self.chosen.update(dict.fromkeys(paths, found))
        return found

    def take_further(
        self,
        side: Side,
        meant: NamedRadiometry,
        bands: tuple[str, ...],
        number: int,
        model_input: ModelInput,
    ) -> None:
        """Choose what an image or a series that does not train is scaled by, as this input.

        `model_input` is what the training images come to, which stays as it is.

        Raises:
            InputMismatchError: they are all scaled by the same, and its values mean something else;
                or as `quantiles`.
            NotARasterError: the image's pixels cannot be read.
        """
        if model_input.normalisation != "training-quantiles-2-98":
            self.quantiles(meant, bands, number)
            return
        common_radiometry([NamedRadiometry("the training images", model_input.radiometry), meant])
        self.chosen[side] = np.array(model_input.quantiles, np.float64)

    def common_radiometry(
        self, images: Sequence[NamedRadiometry], number: int
    ) -> tuple[Radiometry, ...]:
        """Return what all images of this input mean by their bands.

        () where they differ and each is scaled by its own quantiles, which a warning says.

        Raises:
            InputMismatchError: they differ, and all were to be scaled by the same quantiles.
        """
        try:
            return common_radiometry(images) if images else ()
        except InputMismatchError as error:
            if self._common(number) is not None or (
                self._is_chosen and self._of_all is None and self._otherwise == "training"
            ):
                raise
            logger.warning(
                "%s: %s; each image is scaled by its own quantiles, and the model carries none",
                error.subject,
                error.problem,
            )
            return ()

    def scale_alike(self, number: int, mean: NDArray[np.float64], paths: Sequence[Path]) -> bool:
        """Tell whether all images that are this input are scaled by the same quantiles.

        Where those are the mean of the images' own, float64 [bands, 2], it is what was `chosen`
        for them from now on.
        """
        if self._common(number) is not None:
            return True
        if self._otherwise == "image" or number in self._by_own:
            return False
        self.chosen.update(dict.fromkeys(paths, mean))
        return True

    def check_used(self) -> None:
        """Check that a file of quantiles, if one was chosen, is of the bands of one input at least.

        Raises:
            InputMismatchError: it is of none.
        """
        if self._of_all is not None and not any(self._fits.values()):
            raise InputMismatchError(
                self._file,
                f"holds quantiles of {', '.join(self._of_all.bands)}, the bands of no input",
                "give quantiles of images with the same bands",
            )

    def _common_of(self, number: int, bands: tuple[str, ...]) -> BandQuantiles | None:
        """Return as `_common`, now that the bands of this input are known."""
        if self._of_all is not None:
            self._fits[number] = self._of_all.are_of(bands)
        return self._common(number)

    def _common(self, number: int) -> BandQuantiles | None:
        """Return the quantiles of all images that are this input, None where each has its own."""
        if self._of_all is not None and self._fits.get(number, True):
            return self._of_all
        return self._of_inputs.get(number)


def _quantiles_of(model_input: ModelInput, model: PathLike) -> BandQuantiles:
    if not model_input.quantiles:
        raise UsageError("`quantiles=model`", f"{model} carries none", "give a file of quantiles")
    return BandQuantiles(
        model_input.bands,
        model_input.dtype,
        np.array(model_input.quantiles, np.float64),
        model_input.radiometry,
    )
