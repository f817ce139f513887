"""A training run as each of its processes sets it up, and what those do that do not write."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lcmap
from lcmap.dataset.tile_index import rasters_of
from lcmap.errors import InputMismatchError, RankLostError
from lcmap.network import Architecture, LandCoverNetwork
from lcmap.paths import PathLike
from lcmap.progress import Progress, silent
from lcmap.raster.input_watch import current_watch, watched_inputs
from lcmap.raster.usable_crs import none_assumed
from lcmap.training.absent_classes import absent_classes
from lcmap.training.final import FinalTrainer, with_validation_tiles
from lcmap.training.initialisation import (
    initialise,
    load_network,
    read_initial_model,
    with_names_of,
)
from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import TileInputOptions, TrainOptions
from lcmap.training.precision import choose_device
from lcmap.training.ranks import Ranks, all_ranks, is_needed, threads
from lcmap.training.recipe import Recipe
from lcmap.training.samples import CACHE_BYTES, SampleSource, TrainingSet, read_training_set
from lcmap.training.trainer import Trainer


class TrainingRun(NamedTuple):
    """What is trained, on what; `settings` are all that the result depends on, but for the data.

    `absent` are the indices of the classes that cannot be learnt.
    """

    data: TrainingSet
    source: SampleSource
    network: LandCoverNetwork
    settings: dict[str, Any]
    trainer: Trainer
    absent: tuple[int, ...]


@contextmanager
def training_run(
    tile_indexes: Sequence[PathLike],
    options: TrainOptions,
    inputs: TileInputOptions,
    progress: Progress,
    ranks: Ranks,
) -> Iterator[TrainingRun]:
    """Yield what all ranks make in the same way."""
    recipe = options.chosen_recipe()
    ranks.check_batch(recipe.batch_size)
    data = read_training_set(
        tile_indexes, inputs, model=options.initial_model, allow_overlap=options.allow_overlap,
        scaling=recipe.scaling,
        unlabelled=options.unlabelled, coarse=recipe.coarse_sides,
    )  # fmt: skip
    initial = options.initial_model
    learnt = None if initial is None else read_initial_model(initial, data)
    if learnt is not None:
        data = with_names_of(learnt, data)
    absent = absent_classes(data, learnt, with_validation_tiles(data) if options.final else None)
    network, architecture = make_network(data, recipe, options)
    settings = _settings(tile_indexes, recipe, architecture, options)
    if inputs.quantiles is not None:
        settings["quantiles"] = os.fspath(inputs.quantiles)
    if options.unlabelled:
        images = dict.fromkeys(os.fspath(tile.image) for tile in data.unlabelled)
        settings["unlabelled images"] = list(images)
    device = choose_device(options.device).type
    ranks.check_same(
        settings | {"tiles": len(data.train), "lcmap": lcmap.__version__, "device": device}
    )
    with data.reader() as reader:
        source = SampleSource(reader, data.sides, CACHE_BYTES // ranks.launch.local_size)
        trainer = Trainer(data, source, network, recipe, options, progress, ranks)
        yield TrainingRun(data, source, network, settings, trainer, absent)


@watched_inputs()
@none_assumed()
def help_train(
    tile_indexes: Sequence[PathLike],
    options: TrainOptions | None = None,
    inputs: TileInputOptions | None = None,
) -> None:
    """Take this process's share of what rank 0 trains; write nothing.

    Returns at once where rank 0 finds that there is nothing to train.

    Raises:
        UsageError: options that are not those of rank 0, or a batch that cannot be divided.
        InputMissingError, TileIndexError, NomenclatureMismatchError, NoLabelledPixelError,
            InputMismatchError, NotARasterError, NotAModelError, NewerModelError: as `train`.
        InputChangedError: a file changed while it was read.
        RankLostError: another process of the run ended; it says how to go on.
        KeyboardInterrupt: whoever stops the run; it says how to go on.
    """
    options, inputs = options or TrainOptions(), inputs or TileInputOptions()
    if not is_needed():
        return
    with (
        all_ranks(options.device) as ranks,
        threads(options.threads),
        training_run(tile_indexes, options, inputs, silent, ranks) as run,
        told_how_to_go_on(run.trainer),
        freed_memory_kept(),
    ):
        _train(run.trainer)
        run.trainer.choose_share()
        if final := final_trainer(run, options):
            _train(final)


def _train(trainer: Trainer) -> None:
    trainer.start_as_first()
    while not trainer.ended:
        trainer.epoch()
        current_watch().check()


def final_trainer(run: TrainingRun, options: TrainOptions) -> FinalTrainer | None:
    """Return what trains the network anew on all tiles, once a run has ended; None if nothing does.

    That is where it was not asked for, and where the weights kept are those of the initial model.

    Raises:
        InputMissingError, NotAModelError, NewerModelError, InputMismatchError: as `train`, of the
            initial model.
    """
    if not options.final or run.trainer.share == 0:
        return None
    network, _ = make_network(run.data, options.chosen_recipe(), options)
    return FinalTrainer(run.trainer, network, options)


@contextmanager
def told_how_to_go_on(trainer: Trainer, checkpoint: Path | None = None) -> Iterator[None]:
    """Say of what ends the run how to go on; `checkpoint` is where rank 0 keeps its state."""
    try:
        yield
    except RankLostError as error:
        if not trainer.rows:
            raise
        remedy = "the same command with `resume` goes on after the last whole epoch"
        raise RankLostError(error.subject, error.problem, remedy) from error
    except KeyboardInterrupt as error:
        if not trainer.rows or (checkpoint is not None and not checkpoint.exists()):
            raise KeyboardInterrupt("interrupted in the first epoch: nothing is kept") from error
        raise KeyboardInterrupt(
            "interrupted; the same command with `resume` goes on after the last whole epoch, "
            "with `export_best` it writes the best model so far"
        ) from error


def make_network(
    data: TrainingSet, recipe: Recipe, options: TrainOptions
) -> tuple[LandCoverNetwork, dict[str, Any]]:
    """Return the network to train, with its first weights, and what it is built of.

    Raises:
        InputMismatchError: an input is on larger cells than the network takes; as `train`, of the
            initial model.
        InputMissingError, NotAModelError, NewerModelError: as `train`, of the initial model.
    """
    channels = [model_input.channels for model_input in data.inputs]
    initial = _initial_network(data, options)
    wanted = {n: size for n, size in dataclasses.asdict(options.size).items() if size is not None}
    architecture = dataclasses.replace(recipe.architecture, **wanted)
    if initial is not None:
        architecture = initial.architecture
    series = tuple(n for n, item in enumerate(data.inputs) if item.kind == "series")
    levels = _levels(data, architecture)
    architecture = dataclasses.replace(architecture, levels=levels, series=series)
    network = LandCoverNetwork(channels, len(data.nomenclature), architecture)
    initialise(network, recipe.initialisation, options.seed)
    if initial is not None:
        network.start_as(initial)
    return network, {
        "entry_channels": channels,
        "classes": len(data.nomenclature),
        **dataclasses.asdict(architecture),
    }


def _levels(data: TrainingSet, architecture: Architecture) -> tuple[int, ...]:
    """Return the levels of the inputs, () where all are on the pixels of the image."""
    levels = tuple(model_input.level for model_input in data.inputs)
    deepest = architecture.deepest_level
    for side, level in zip(data.train[0].sides, levels[1:], strict=True):
        if level > deepest:
            raise InputMismatchError(
                rasters_of(side)[0],
                f"is to be taken on cells of {1 << level} px, and a network of depth "
                f"{architecture.depth} takes them of {1 << deepest} px at most",
                f"prepare it with @{deepest} behind its name, or train with a larger `depth`",
            )
    return levels if any(levels) else ()


def _initial_network(data: TrainingSet, options: TrainOptions) -> LandCoverNetwork | None:
    """Return the network that training starts from, if any, which has the size wanted."""
    if options.initial_model is None:
        return None
    read_initial_model(options.initial_model, data)
    network = load_network(options.initial_model)
    for name, size in dataclasses.asdict(options.size).items():
        has = getattr(network.architecture, name)
        if size is not None and has != size:
            raise InputMismatchError(
                options.initial_model, f"has {name} {has}, not {size}", f"leave out `{name}`"
            )
    return network


def _settings(
    tile_indexes: Sequence[PathLike],
    recipe: Recipe,
    architecture: dict[str, Any],
    options: TrainOptions,
) -> dict[str, Any]:
    """Return all that a run's result depends on, as JSON values: a checkpoint is of these."""
    initial = options.initial_model
    of_recipe = dataclasses.asdict(recipe)
    # the network is of another size than the recipe's where that was chosen or is a model's
    of_network = {name: value for name, value in architecture.items() if name in of_recipe}
    return {
        "recipe": of_recipe | of_network,
        "architecture": architecture,
        "epochs": options.epochs,
        "minutes": options.minutes,
        "patience": recipe.patience,
        "final": options.final,
        "seed": options.seed,
        "tile indexes": [os.fspath(path) for path in tile_indexes],
        "initial model": os.fspath(initial) if initial is not None else None,
    }
