"""From an image and a model to a map: tile by tile, in constant memory."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio

from lcmap import __version__
from lcmap.errors import VerificationError
from lcmap.inference import DEFAULT_TILE, layers
from lcmap.inference.inputs import open_inputs
from lcmap.inference.layers import Prediction
from lcmap.inference.map_files import Layer, check_map_files, create_layers
from lcmap.inference.overlap import overlapped
from lcmap.inference.predictor import Predictor
from lcmap.inference.session import Provider, Session
from lcmap.inference.source import TilePixels, TileSource
from lcmap.inference.tiling import Tile, iter_tiles
from lcmap.inference.verify import Verification, other_tiles, verify
from lcmap.model_file import read_model
from lcmap.nomenclature import Nomenclature
from lcmap.progress import Progress, silent
from lcmap.raster.classes import write_style_files
from lcmap.raster.writing import atomic_raster

_CACHE_MEGABYTES = 128

logger = logging.getLogger(__name__)

Pathlike = str | os.PathLike[str]


@dataclass(frozen=True)
class PredictReport:
    """What was predicted: pixels of the image, pixels that got a class, the verification if any."""

    pixels: int
    mapped: int
    verification: Verification | None


def predict(
    image: Pathlike,
    model: Pathlike,
    output: Pathlike,
    *,
    sides: Sequence[Pathlike] = (),
    allow_missing: bool = False,
    confidence: Pathlike | None = None,
    probabilities: Pathlike | None = None,
    verified: bool = False,
    tile: int = DEFAULT_TILE,
    cog: bool = False,
    qml: bool = False,
    allow_vrt: bool = False,
    force: bool = False,
    threads: int | None = None,
    provider: Provider = "auto",
    overwrite: bool = False,
    tmpdir: Path | None = None,
    progress: Progress = silent,
) -> PredictReport:
    """Write the land-cover map of an image: uint8 codes of the model's nomenclature, 0 = no data.

    A model of several entries takes as many `sides`: images, label maps or class probabilities on
    any grid, brought onto the image's as it is read. A pixel without data in any of them has none
    in the map, with `allow_missing` only a pixel without data in all.

    The map equals what the network gives for the whole image at once, to float rounding, whatever
    the tile size (`tile` pixels are kept of each tile; the receptive field comes on top). On the
    same grid, `confidence` is the probability of the mapped class in %, uint8, and `probabilities`
    one float32 band per class, NaN without data. With `verified` the image is predicted again
    with other tiles and compared; where that fails, nothing is written. `qml` writes a QGIS style
    and GDAL's class names beside the map. `force` lets another ground sampling distance pass. "-"
    is standard input or output.

    Raises:
        InputMissingError, NotARasterError: an input or the model cannot be read.
        NotAModelError, NewerModelError, ExternalDataError, ModelGraphError: as `read_model`.
        EntryCountError, SideMismatchError, NomenclatureMismatchError, BandMismatchError,
            DtypeMismatchError, GsdMismatchError: the model was not made for these inputs.
        NoCrsError, NoOverlapError, TooLittleOverlapError: a side input is not of the image's area.
        ProviderMissingError: as `Session`.
        UsageError, OutputExistsError, CannotWriteError: an output cannot be written.
        VerificationError: the map depends on the tiles.
    """
    inputs = (image, *sides)
    check_map_files(inputs, (output, confidence, probabilities), qml=qml, overwrite=overwrite)
    metadata = read_model(model)
    with ExitStack() as stack:
        # GDAL decodes beside the network, which takes the cores; its cache serves the overlap
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=_CACHE_MEGABYTES, GDAL_NUM_THREADS="1"))
        opened = open_inputs(
            stack, inputs, metadata.entries, model, allow_vrt=allow_vrt,
            allow_missing=allow_missing, force=force, tmpdir=tmpdir, progress=progress,
        )  # fmt: skip
        grid = opened.grid
        source = TileSource(grid.shape, opened.entries, allow_missing=allow_missing)
        session = Session(model, provider=provider, threads=threads)
        names = [entry.name for entry in metadata.entries]
        predictor = Predictor(session, names, len(metadata.nomenclature))

        create = partial(
            atomic_raster,
            grid=grid,
            overwrite=overwrite,
            tmpdir=tmpdir,
            tags={"TIFFTAG_SOFTWARE": f"lcmap {__version__}", "LCMAP_MODEL": Path(model).name},
        )
        written = create_layers(
            stack, create, metadata.nomenclature, output, confidence, probabilities, cog=cog
        )
        if verified:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lcmap-", dir=tmpdir))
            path = Path(folder) / "winning-probability.tif"
            raster = stack.enter_context(create(path, count=1, dtype="float32", nodata=np.nan))
            written.append(Layer(path, raster, layers.winning_probability))

        tiling = (*grid.shape, tile, metadata.stride, metadata.receptive_field)
        first = list(iter_tiles(*tiling))
        second = other_tiles(*tiling) if verified else []
        total = len(first) + len(second)
        mapped = _predict_tiles(first, source, predictor, written, _part(progress, 0, total))
        verification = None
        if verified:
            verification = _verify_layers(
                second,
                source,
                predictor,
                metadata.nomenclature,
                written,
                _part(progress, len(first), total),
            )
            logger.info("verified: %s", verification)
            if not verification.passed:
                raise _not_verified(model, verification)
    if mapped == 0:
        logger.warning("%s: no pixel is valid in every band, so the map is all 0", opened.subject)
    if qml:
        write_style_files(output, metadata.nomenclature.class_table())
    return PredictReport(grid.height * grid.width, mapped, verification)


def _part(progress: Progress, before: int, steps: int) -> Progress:
    """Return the progress of a part of the work: after so many steps, of so many in all."""

    def update(done: int, total: int, note: str = "") -> None:
        progress(before + done, steps, note)

    return update


def _predict_tiles(
    tiles: Sequence[Tile],
    source: TileSource,
    predictor: Predictor,
    written: Sequence[Layer],
    progress: Progress,
) -> int:
    """Predict the tiles and write the layers; return how many pixels were valid."""
    done = mapped = 0

    def compute(tile: Tile, pixels: TilePixels) -> tuple[npt.NDArray[np.float32], TilePixels]:
        return predictor.probabilities(tile, pixels), pixels

    def write(tile: Tile, computed: tuple[npt.NDArray[np.float32], TilePixels]) -> None:
        nonlocal done, mapped
        probabilities, pixels = computed
        prediction = Prediction.of(probabilities, pixels.valid)
        for layer in written:
            layer.write(prediction, tile.kept)
        mapped += int(pixels.valid.sum())
        done += 1
        progress(done, len(tiles), "predicting")

    overlapped(tiles, source.read, compute, write)
    return mapped


def _verify_layers(
    tiles: Sequence[Tile],
    source: TileSource,
    predictor: Predictor,
    nomenclature: Nomenclature,
    written: Sequence[Layer],
    progress: Progress,
) -> Verification:
    """Compare the first layer (codes) and the last (the winner's probability) with other tiles."""
    first, last = written[0].raster, written[-1].raster
    # what is compared is what the files hold
    first.close()
    last.close()
    with rasterio.open(first.name) as land_cover, rasterio.open(last.name) as probability:
        return verify(tiles, source, predictor, nomenclature, land_cover, probability, progress)


def _not_verified(model: Pathlike, verification: Verification) -> VerificationError:
    return VerificationError(
        model,
        f"the map depends on its tiles: {verification}",
        "nothing was written; the model's stride or receptive field is not what its metadata "
        "says, train it again",
    )
