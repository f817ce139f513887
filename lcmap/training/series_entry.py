"""The series that a network is trained on, as one of its inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.raster_kind import RasterKind
from lcmap.model_file import ModelInput
from lcmap.raster.radiometry import NamedRadiometry, common_radiometry
from lcmap.training.scaling_choice import ScalingChoice


def series_entry(
    name: str,
    number: int,
    side: RasterContent,
    paths: Sequence[tuple[Path, ...]],
    scaling: ScalingChoice,
) -> ModelInput:
    """Return the input of this number that all series agree on, whatever their dates.

    Raises:
        InputMismatchError: the bands of two, or what their values mean, differ; or as `of_series`.
        LcmapError: as `open_series`.
    """
    found = [scaling.reader.series(one) for one in paths]
    kinds = [RasterKind(one.name, one.bands, one.dtype) for one in found]
    for kind in kinds:
        kind.check_as(kinds[0])
    radiometry = common_radiometry([NamedRadiometry(one.name, one.radiometry) for one in found])
    quantiles = scaling.of_series(paths, number)
    gsds = [gsd for one in found for gsd in one.gsds]
    return ModelInput(
        name=name,
        kind="series",
        bands=kinds[0].bands,
        dtype=kinds[0].dtype,
        gsd=float(np.median(gsds)),
        quantiles=tuple((float(low), float(high)) for low, high in quantiles),
        normalisation="training-quantiles-2-98",
        gsd_range=(min(gsds), max(gsds)),
        radiometry=radiometry,
        level=side.level,
    )
