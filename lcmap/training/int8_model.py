"""Making a model int8: calibrated on training tiles, scored on validation tiles."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

import lcmap
from lcmap.engines.calibration import SAMPLE_SIDE, SAMPLES, CalibrationSample, quantise
from lcmap.errors import InputMismatchError, QuantisationLossError
from lcmap.graph.int8 import convolutions
from lcmap.model_file import (
    FORMAT_VERSION,
    check_model_path,
    load_graph,
    model_paths,
    read_model,
    write_model,
)
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import current_watch, watched_inputs
from lcmap.raster.output_set import OutputSet
from lcmap.raster.usable_crs import none_assumed
from lcmap.raster.writing import check_output
from lcmap.training.augmentation import draw_window
from lcmap.training.final import SCORES_OF_KEY
from lcmap.training.initialisation import read_initial_model
from lcmap.training.options import Int8Options, TileInputOptions
from lcmap.training.samples import SampleSource, TrainingSet, read_training_set
from lcmap.training.validation import (
    Measured,
    graph_inputs,
    measured_by,
    padded_images,
    validate_model,
)


@dataclass(frozen=True)
class QuantisationReport:
    """What became of a model in int8; the scores are those on the validation tiles.

    `in_integers` of its `convolutions` compute in integers. Where the model was trained on the
    validation tiles, their scores tell what int8 costs, and nothing else.
    """

    model: Path
    convolutions: int
    in_integers: int
    before: Measured
    after: Measured
    trained_on_validation: bool = False

    @property
    def text(self) -> str:
        """The report in one line."""
        of_tiles = ", on tiles that trained it" if self.trained_on_validation else ""
        return (
            f"{self.model}: {self.in_integers} of {self.convolutions} convolutions in int8, "
            f"{_change(self.before, self.after)}{of_tiles}"
        )


@watched_inputs()
@none_assumed()
def quantise_model(
    tile_indexes: Sequence[PathLike],
    model: PathLike,
    output: PathLike,
    options: Int8Options | None = None,
    inputs: TileInputOptions | None = None,
    *,
    within: OutputSet | None = None,
    progress: Progress = silent,
) -> QuantisationReport:
    """Write a float32 model as an int8 model, unless that costs too much accuracy.

    It is calibrated on windows of training tiles that the seed draws. Both models are then run on
    the validation tiles; where the int8 model loses more than `max_loss` points of mIoU or of OA,
    it is not written. Made `within` a set, which may hold the float32 model too, it gets its name
    with the rest.

    Raises:
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            InputMismatchError, NotARasterError: as `read_training_set`.
        NotAModelError, NewerModelError, InputMismatchError: as `read_initial_model`; the latter
            also where the tiles have more inputs than the model.
        DataError: as `quantise`.
        QuantisationLossError: the int8 model loses more than `max_loss`.
        InputChangedError: a file changed while it was read.
        UsageError: it is one of the tile indexes, or the float32 model itself.
        OutputExistsError, CannotWriteError: as `check_output`.
        LockedError: another run is making it.
    """
    options = options or Int8Options()
    check_model_path(output)
    paths = model_paths(output, stac=options.stac)
    alone = OutputSet(paths, overwrite=options.overwrite, inputs=[*tile_indexes, model])
    with nullcontext(within) if within else alone as files:
        options = dataclasses.replace(options, overwrite=options.overwrite or files.overwrite)
        for path in paths:
            check_output(path, overwrite=options.overwrite)
        return _quantise(tile_indexes, model, output, options, inputs, files, progress)


def _quantise(
    tile_indexes: Sequence[PathLike],
    model: PathLike,
    output: PathLike,
    options: Int8Options,
    inputs: TileInputOptions | None,
    files: OutputSet,
    progress: Progress,
) -> QuantisationReport:
    written = files.written(model)
    data = read_training_set(tile_indexes, inputs, model=written, coarse=_is_coarse(written))
    metadata = read_initial_model(written, data)
    if len(metadata.inputs) < len(data.inputs):
        raise InputMismatchError(
            model,
            f"takes {len(metadata.inputs)} inputs, the tiles have {len(data.inputs)}",
            "give tiles with the same inputs",
        )
    graph = load_graph(written).SerializeToString()
    samples = min(SAMPLES, len(data.train))
    done = itertools.count()

    def step(note: str) -> None:
        progress(next(done), samples + 2 * len(data.validation), note)

    with data.reader() as reader:
        source = SampleSource(reader, data.sides)
        step("calibrating")
        integers = quantise(
            graph, _samples(source, data, metadata.stride, samples, options.seed, step)
        )
        before, after = (
            validate_model(
                one, source, data, stride=metadata.stride, after_tile=lambda: step("validating")
            )
            for one in (graph, integers)
        )
    current_watch().check()
    loss = 100.0 * float((before.scores.overall - after.scores.overall)[:2].max())
    if not loss <= options.max_loss:  # NaN too
        earlier = ", an earlier one stays there" if Path(output).exists() else ""
        raise QuantisationLossError(
            output,
            f"int8 costs more than {options.max_loss:g} points: {_change(before, after)}",
            f"it was not written{earlier}; use {os.fspath(model)}, or allow more with `max_loss`",
        )
    final = SCORES_OF_KEY in metadata.training
    found = [each.values(data.nomenclature) for each in (before, after)]
    changed = dataclasses.replace(
        metadata,
        training=metadata.training if final else metadata.training | measured_by("int8"),
        scores=metadata.scores if final else {"validation": found[1]},
        precision="int8",
        quantisation={
            "calibration": "training tiles",
            "samples": samples,
            "validation before": found[0],
        }
        | ({"validation after": found[1]} if final else {}),
        lcmap_version=lcmap.__version__,
        format_version=FORMAT_VERSION,
    )
    write_model(
        integers, changed, output, overwrite=options.overwrite, stac=options.stac, within=files
    )
    return QuantisationReport(
        Path(output), *convolutions(onnx.load_model_from_string(integers).graph), before, after,
        trained_on_validation=final,
    )  # fmt: skip


def _is_coarse(model: PathLike) -> bool:
    """Tell whether a model takes an input on cells of several pixels."""
    return any(model_input.level for model_input in read_model(model).inputs)


def _samples(
    source: SampleSource,
    data: TrainingSet,
    stride: int,
    count: int,
    seed: int,
    step: Callable[[str], None],
) -> Iterator[CalibrationSample]:
    """Yield windows of so many training tiles."""
    random = np.random.default_rng(seed)
    for number in random.permutation(len(data.train))[:count]:
        tile = data.train[number]
        window = draw_window(source.window(tile), SAMPLE_SIDE, random, source.alignment)
        images = source.read(tile, window).images
        yield graph_inputs(padded_images(images, stride, source.levels))
        step("calibrating")


def _change(before: Measured, after: Measured) -> str:
    (miou, oa), (new_miou, new_oa) = (100 * found.scores.overall[:2] for found in (before, after))
    return (
        f"validation mIoU {miou:.2f} % in float32 and {new_miou:.2f} % in int8, "
        f"OA {oa:.2f} % and {new_oa:.2f} %, expected calibration error {100 * before.ece:.1f} % "
        f"and {100 * after.ece:.1f} %"
    )
