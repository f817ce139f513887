"""Cross-fitting: every tile is seen by a network that was trained without it."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lcmap.dataset.class_shares import class_shares
from lcmap.dataset.tile_index import IndexedTile, read_tile_index
from lcmap.errors import NoLabelledPixelError
from lcmap.graph.classification import Classification
from lcmap.network import LandCoverNetwork
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.input_watch import current_watch
from lcmap.training.calibration import ScoreSample
from lcmap.training.checkpoint import read_checkpoint, write_checkpoint
from lcmap.training.export import probabilities_of
from lcmap.training.memory import freed_memory_kept
from lcmap.training.options import TrainOptions
from lcmap.training.run import TrainingRun, make_network
from lcmap.training.samples import SampleSource
from lcmap.training.trainer import Trainer
from lcmap.training.validation import padded_image

_BLOCK_TILES = 4
"""Tiles along a side of the blocks that are dealt whole, where there are enough of them."""


class FoldModel(NamedTuple):
    """The weights of a network that was trained without a fold, its temperatures [K], and the
    indices of the classes that it was not shown."""

    weights: dict[str, Tensor]
    temperatures: list[float]
    absent: list[int]


def labelled_tiles(tile_indexes: Sequence[PathLike]) -> list[IndexedTile]:
    """Return the tiles of indexes that have labels, of all splits, in their order.

    Raises:
        InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
    """
    tiles = (tile for path in tile_indexes for tile in read_tile_index(path).tiles)
    return [tile for tile in tiles if tile.labels and tile.class_counts]


def deal(tiles: Sequence[IndexedTile], folds: int, tile_size: int) -> NDArray[np.intp]:
    """Return the fold of each tile, intp [tiles]: blocks of neighbours go to one fold.

    The largest block that is left goes to the fold with the fewest labelled pixels. Blocks have
    four tiles a side, fewer where there would not be two blocks for each fold.
    """
    side = _BLOCK_TILES
    while True:
        blocks: dict[tuple[Path, int, int], list[int]] = defaultdict(list)
        for number, tile in enumerate(tiles):
            row, col = (start // (side * tile_size) for start in tile.window[:2])
            blocks[tile.image, row, col].append(number)
        if side == 1 or len(blocks) >= 2 * folds:
            break
        side //= 2
    labelled = [sum(tile.class_counts.values()) for tile in tiles]
    found = np.zeros(len(tiles), np.intp)
    sizes = np.zeros(folds)
    for members in sorted(blocks.values(), key=lambda block: -sum(labelled[i] for i in block)):
        fold = int(sizes.argmin())
        found[members] = fold
        sizes[fold] += sum(labelled[i] for i in members)
    return found


def train_folds(
    run: TrainingRun,
    held_out: Sequence[Sequence[IndexedTile]],
    options: TrainOptions,
    checkpoint: Path,
    *,
    resume: bool,
    progress: Progress,
) -> list[FoldModel]:
    """Train a network for each fold, on the training tiles that are not held out from it.

    Each is trained as the run's own network is, for as long. After each fold a checkpoint is
    written; with `resume` the folds in it are not trained again.

    Raises:
        NoLabelledPixelError: no training tile is left for a fold.
        CheckpointError: the checkpoint is damaged, or of a run with other options.
    """
    settings = run.settings | {
        "content of the inputs": current_watch().digest(), "folds": len(held_out)
    }  # fmt: skip
    models: list[FoldModel] = []
    if resume and checkpoint.exists():
        state = read_checkpoint(checkpoint, settings)
        models = [FoldModel(**model) for model in state["folds"]]
    for number in range(len(models), len(held_out)):
        note = f"fold {number + 1} of {len(held_out)}"
        models.append(_train_without(run, held_out[number], options, _noted(progress, note)))
        current_watch().check()
        write_checkpoint(checkpoint, settings, {"folds": [m._asdict() for m in models]})
    return models


def _noted(progress: Progress, part: str) -> Progress:
    """Return a progress that says of which part it is."""

    def tell(done: int, total: int, note: str = "") -> None:
        progress(done, total, ", ".join(filter(None, (part, note))))

    return tell


def _train_without(
    run: TrainingRun, tiles: Sequence[IndexedTile], options: TrainOptions, progress: Progress
) -> FoldModel:
    held_out = {(tile.image, tile.window) for tile in tiles}
    kept = tuple(tile for tile in run.data.train if (tile.image, tile.window) not in held_out)
    if not kept:
        raise NoLabelledPixelError(
            ", ".join(map(os.fspath, run.settings["tile indexes"])),
            "has too few training tiles to leave out a part of them",
            "prepare smaller tiles, or leave out `suspect_labels`",
        )
    data = dataclasses.replace(
        run.data, train=kept, shares=class_shares(kept, run.data.nomenclature)
    )
    network, _ = make_network(data, run.trainer.recipe, options)
    trainer = Trainer(data, run.source, network, run.trainer.recipe, options, progress)
    with freed_memory_kept():
        while not trainer.ended:
            trainer.epoch()
    network.load_state_dict(trainer.best)
    absent = np.flatnonzero(data.shares == 0).tolist()
    sample = ScoreSample(data.validation, len(data.nomenclature), options.seed)
    predict = FoldPredictor(network, Classification(None, tuple(absent)))
    for tile in data.validation:
        sample.add(*predict(run.source, tile))
    return FoldModel(trainer.best, sample.temperatures().values.tolist(), absent)


class FoldPredictor:
    """Gives the probabilities of whole tiles."""

    def __init__(self, network: nn.Module, classification: Classification) -> None:
        """Predict with a network, on the device where it is."""
        self._network = network.eval()
        self._classification = classification

    def __call__(
        self, source: SampleSource, tile: IndexedTile
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return probabilities [K, h, w] and labels [h, w], 255 for none.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        pixels = source.read(tile)
        device = next(self._network.parameters()).device
        stride: Any = self._network.stride
        images = [
            torch.from_numpy(padded_image(image, stride))[None].to(device)
            for image in pixels.images
        ]
        height, width = pixels.labels.shape
        with torch.inference_mode():
            found = probabilities_of(self._network(*images).float(), self._classification)
        return found[0, :, :height, :width].cpu().numpy(), pixels.labels


def predictor_of(model: FoldModel, network: LandCoverNetwork) -> FoldPredictor:
    """Return what predicts with a fold's model, by a network that takes its weights."""
    network.load_state_dict(model.weights)
    return FoldPredictor(network, Classification(tuple(model.temperatures), tuple(model.absent)))
