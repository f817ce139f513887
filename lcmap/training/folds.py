"""Cross-fitting: every tile is seen by a network that was trained without it."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lcmap.dataset.class_shares import class_shares
from lcmap.dataset.tile_index import IndexedTile, TileIndex, read_tile_index
from lcmap.errors import NoLabelledPixelError, UsageError
from lcmap.graph.classification import Classification
from lcmap.network import LandCoverNetwork
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.input_watch import current_watch
from lcmap.training.calibration import TileProbabilities, temperatures_of
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import TrainOptions
from lcmap.training.ranks import Ranks
from lcmap.training.run import TrainingRun, make_network
from lcmap.training.trainer import Trainer, copy_of

logger = logging.getLogger(__name__)

_BLOCK_TILES = 4
"""Tiles along a side of the blocks that are dealt whole, where there are enough of them."""


class Folds(NamedTuple):
    """What networks are trained without.

    held_out: the tiles that each network is not trained on; training tiles are left for it, see
        `check_left`.
    checkpoint: where the networks are that are trained already.
    apart: of the validation tiles, those held out do not choose the epoch that is kept either,
        where there are others.
    """

    held_out: Sequence[Sequence[IndexedTile]]
    checkpoint: Path
    apart: bool = False


class FoldModel(NamedTuple):
    """The weights of a network that was trained without a fold, its temperatures [K], and the
    indices of the classes that it was not shown."""

    weights: dict[str, Tensor]
    temperatures: list[float]
    absent: list[int]


def check_folds(option: str, options: TrainOptions, ranks: Ranks, consequence: str) -> None:
    """Check that an option can have networks trained that leave tiles out.

    A warning says the consequence where networks start from a model, which has seen what it was
    trained on.

    Raises:
        UsageError: several processes train.
    """
    if ranks.several:
        raise UsageError(
            f"`{option}`", "is for one process", "leave it out, or train without torchrun"
        )
    if options.initial_model is not None:
        logger.warning("%s: %s", os.fspath(options.initial_model), consequence)


def check_left(
    tile_indexes: Sequence[PathLike],
    tiles: Sequence[IndexedTile],
    held_out: Sequence[Sequence[IndexedTile]],
    remedy: str,
) -> None:
    """Check, before any training, that training tiles are left whichever part is held out.

    Where there is none at all, `read_training_set` says so.

    Raises:
        NoLabelledPixelError: a part has all of them.
    """
    training = [tile for tile in tiles if tile.split == "train"]
    if training and not all(_without(training, part) for part in held_out):
        raise NoLabelledPixelError(
            ", ".join(os.fspath(path) for path in tile_indexes),
            "has too few training tiles to leave out a part of them",
            remedy,
        )


def _without(
    tiles: Sequence[IndexedTile], held_out: Sequence[IndexedTile]
) -> tuple[IndexedTile, ...]:
    """Return the tiles that are not held out, of any index."""
    left_out = {(tile.image, tile.window) for tile in held_out}
    return tuple(tile for tile in tiles if (tile.image, tile.window) not in left_out)


def labelled_tiles(tile_indexes: Sequence[PathLike]) -> list[IndexedTile]:
    """Return the tiles of indexes that have labels, of all splits, in their order.

    Raises:
        InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
    """
    return with_labels(read_tile_index(path) for path in tile_indexes)


def with_labels(indexes: Iterable[TileIndex]) -> list[IndexedTile]:
    """Return the tiles of indexes that have labels, as `labelled_tiles`."""
    tiles = (tile for index in indexes for tile in index.tiles)
    return [tile for tile in tiles if tile.labels and tile.class_counts]


def deal(tiles: Sequence[IndexedTile], folds: int, tile_size: int) -> NDArray[np.intp]:
    """Return the fold of each tile, intp [tiles]: blocks of neighbours go to one fold.

    So that a network without a fold has seen ground of its kind, each fold gets a part of every
    image and class: a block goes to the fold that has least of what the block shows, as shares of
    the image's training pixels by class, then to the smallest. The largest blocks are dealt first.
    Blocks have four tiles a side, fewer where an image would not have two to train on for each.
    """
    of_image: dict[Path, list[int]] = defaultdict(list)
    for number, tile in enumerate(tiles):
        of_image[tile.image].append(number)
    codes = sorted({code for tile in tiles for code in tile.class_counts})
    found = np.zeros(len(tiles), np.intp)
    sizes = np.zeros((folds, 2), np.int64)
    for numbers in of_image.values():
        blocks = _blocks(tiles, numbers, folds, tile_size)
        pixels = np.array([_pixels(tiles, block) for block in blocks], np.int64)  # [blocks, 2]
        shown = np.array([_shown(tiles, block, codes) for block in blocks], float)
        shown /= np.maximum(shown.sum(axis=0), 1)  # [blocks, classes]
        held = np.zeros((folds, len(codes)))
        for block in sorted(range(len(blocks)), key=lambda number: tuple(-pixels[number])):
            alike = held @ shown[block]  # [folds]
            fold = min(range(folds), key=lambda number: (alike[number], *sizes[number]))
            found[blocks[block]] = fold
            held[fold] += shown[block]
            sizes[fold] += pixels[block]
    return found


def _blocks(
    tiles: Sequence[IndexedTile], numbers: Sequence[int], folds: int, tile_size: int
) -> list[list[int]]:
    """Return the numbers of an image's tiles by block."""
    side = _BLOCK_TILES
    least = min(2 * folds, sum(tiles[number].split == "train" for number in numbers))
    while True:
        blocks: dict[tuple[int, int], list[int]] = defaultdict(list)
        for number in numbers:
            row, col = (start // (side * tile_size) for start in tiles[number].window[:2])
            blocks[row, col].append(number)
        training = [b for b in blocks.values() if any(tiles[n].split == "train" for n in b)]
        if side == 1 or len(training) >= least:
            return list(blocks.values())
        side //= 2


def _pixels(tiles: Sequence[IndexedTile], block: Sequence[int]) -> tuple[int, int]:
    """Return the labelled pixels of a block: those that train, and all."""
    every = [(tiles[number].split, sum(tiles[number].class_counts.values())) for number in block]
    return sum(n for split, n in every if split == "train"), sum(n for _, n in every)


def _shown(tiles: Sequence[IndexedTile], block: Sequence[int], codes: Sequence[int]) -> list[int]:
    """Return a block's training pixels by class."""
    training = [tiles[number] for number in block if tiles[number].split == "train"]
    return [sum(tile.class_counts.get(code, 0) for tile in training) for code in codes]


def train_folds(
    run: TrainingRun,
    folds: Folds,
    options: TrainOptions,
    *,
    resume: bool,
    progress: Progress,
) -> list[FoldModel]:
    """Train a network for each fold, on the training tiles that are not held out from it.

    Each is trained as the run's own network is, for as long. After each fold a checkpoint is
    written; with `resume` the folds in it are not trained again.

    Raises:
        CheckpointError: the checkpoint is damaged, or of a run with other options.
    """
    settings = run.settings | {
        "content of the inputs": current_watch().digest(), "folds": len(folds.held_out)
    }  # fmt: skip
    models: list[FoldModel] = []
    if resume and folds.checkpoint.exists():
        state = read_checkpoint(folds.checkpoint, settings)
        models = [FoldModel(**model) for model in state["folds"]]
    for number in range(len(models), len(folds.held_out)):
        note = f"fold {number + 1} of {len(folds.held_out)}"
        models.append(_train_without(run, folds, number, options, _noted(progress, note)))
        current_watch().check()
        write_checkpoint(folds.checkpoint, settings, {"folds": [m._asdict() for m in models]})
    return models


def _noted(progress: Progress, part: str) -> Progress:
    """Return a progress that says of which part it is."""

    def tell(done: int, total: int, note: str = "", *, amount: int = 0, unit: str = "px") -> None:
        told = ", ".join(filter(None, (part, note)))
        progress(done, total, told, amount=amount, unit=unit)

    return tell


def _train_without(
    run: TrainingRun, folds: Folds, number: int, options: TrainOptions, progress: Progress
) -> FoldModel:
    kept, validation = (
        _without(tiles, folds.held_out[number]) for tiles in (run.data.train, run.data.validation)
    )
    if not (folds.apart and validation):
        validation = run.data.validation
    shares = class_shares(kept, run.data.nomenclature)
    data = dataclasses.replace(run.data, train=kept, validation=validation, shares=shares)
    network, _ = make_network(data, options.chosen_recipe(), options)
    trainer = Trainer(data, run.source, network, options.chosen_recipe(), options, progress)
    with freed_memory_kept():
        while not trainer.ended:
            trainer.epoch()
    trainer.choose_share()
    trainer.load_best(network)
    absent = np.flatnonzero(data.shares == 0).tolist()
    temperatures = temperatures_of(network, run.source, data, options.seed, absent)
    return FoldModel(copy_of(network.state_dict()), temperatures.values.tolist(), absent)


def predictor_of(
    model: FoldModel, network: LandCoverNetwork, *, calibrated: bool = True
) -> TileProbabilities:
    """Return what predicts with a fold's model, by a network that takes its weights."""
    network.load_state_dict(model.weights)
    temperatures = tuple(model.temperatures) if calibrated else None
    return TileProbabilities(network, Classification(temperatures, tuple(model.absent)))
