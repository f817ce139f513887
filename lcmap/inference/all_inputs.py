"""All inputs of a model opened: one raster each or a campaign, and the series beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.idle_pool import IdlePool
from lcmap.dataset.series import MOST_OPEN, SeriesPool, SeriesReader
from lcmap.inference.campaign_inputs import Opened, open_campaign
from lcmap.inference.inputs import check_count, open_inputs
from lcmap.inference.left_out import LeftOut
from lcmap.inference.options import ModelInputOptions
from lcmap.inference.pooled_series import DatePooling, PooledSeries
from lcmap.inference.scaling import check_is_of_inputs
from lcmap.inference.series_inputs import open_dates, series_quantiles
from lcmap.model_file import ModelInput
from lcmap.paths import PathLike
from lcmap.progress import Progress

Quantiles = Sequence[NDArray[np.float64] | None]


def open_rasters(
    resources: ExitStack,
    given: Sequence[Sequence[PathLike]],
    wanted: Sequence[ModelInput],
    model: PathLike,
    options: ModelInputOptions,
    poolings: Mapping[str, DatePooling],
    progress: Progress,
    quantiles: Quantiles | None = None,
) -> Opened:
    """Open the rasters for a model's inputs: as `open_inputs` where each is one, else a campaign.

    An input without rasters is left out; the first is not. Beside them, the rasters of an input
    that is a series are its dates, whose pooling is that of its name. Where `quantiles` are known
    already, they are those of the rasters, then those of the series.

    Raises:
        LcmapError: as `open_inputs`, `open_campaign` and `open_dates`.
        OverlapError: a series does not cover the image's area.
        LcmapError: as `check_is_of_inputs`.
    """
    check_count(len(given), wanted, model)
    pairs = [(files, item) for files, item in zip(given, wanted, strict=True) if files]
    dated = [(files, item) for files, item in pairs if item.kind == "series"]
    beside = options.beside_image()
    series = [open_dates(files, item, beside) for files, item in dated]
    kept = [files for files, item in pairs if item.kind != "series"]
    of_kept = [item for _, item in pairs if item.kind != "series"]
    if quantiles is None:
        check_is_of_inputs(options.quantiles, [item for _, item in pairs])
    known = None if quantiles is None else quantiles[: len(quantiles) - len(series)]
    opened: Opened
    if all(len(files) == 1 for files in kept):
        single = [files[0] for files in kept]
        opened = open_inputs(resources, single, of_kept, model, options, progress, known)
    else:
        opened = open_campaign(resources, kept, of_kept, model, options, progress, known)
    pool: SeriesPool = resources.enter_context(IdlePool(MOST_OPEN))
    readers, scaling = [], []
    of_series = None if quantiles is None else quantiles[len(quantiles) - len(series) :]
    for place, (one, (_, item)) in enumerate(zip(series, dated, strict=True)):
        one.check_ground(opened.grid, opened.name, allow_missing=options.allow_missing)
        one = one.that_show(opened.grid, opened.name, beside)
        found = of_series[place] if of_series else series_quantiles(one, item, options.quantiles)
        assert found is not None
        scaling.append(found)
        reader = SeriesReader(one, opened.grid, found, beside, pool, item.level)
        readers.append(PooledSeries(reader, poolings[item.name]))
    rasters, dates = iter(opened.readers), iter(readers)
    of_all: Any = tuple(
        LeftOut(_nothing(item, poolings), item.level)
        if not files
        else next(dates if item.kind == "series" else rasters)
        for files, item in zip(given, wanted, strict=True)
    )
    return replace(
        opened,
        readers=of_all,
        quantiles=(*opened.quantiles, *scaling),
        files=(*opened.files, *(file for one in series for file in one.files)),
    )


def _nothing(item: ModelInput, poolings: Mapping[str, DatePooling]) -> NDArray[np.float32]:
    """Return what the network takes of a pixel of an input that is left out, float32 [channels].

    It is 0 in every channel, as dropout shows it in training; of a series, what no date gives.
    """
    if item.kind == "series":
        return poolings[item.name].of_nothing()
    return np.zeros(item.channels, np.float32)
