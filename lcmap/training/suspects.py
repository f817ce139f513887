"""Labels that networks contradict which were not trained on them: outdated or wrong references.

After confident learning (Northcutt et al. 2021, arXiv:1911.00068): a pixel is suspect where a
network that was trained without its tile is as sure of another class as it is, on average, of that
class where the reference has it, and gives the class of the reference a low probability.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lcmap import defaults
from lcmap.dataset.reading import IGNORE
from lcmap.dataset.tile_index import IndexedTile, read_tile_index
from lcmap.errors import cannot_write
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.progress import Progress
from lcmap.raster.grid import Grid
from lcmap.raster.opening import open_raster
from lcmap.raster.output_set import OutputSet
from lcmap.raster.temporary_folder import temporary_folder
from lcmap.raster.windows import Window, iter_blocks
from lcmap.raster.writing import BLOCK, RasterFormat, atomic_raster, check_output
from lcmap.training.folds import (
    FoldModel,
    Folds,
    check_folds,
    check_left,
    deal,
    predictor_of,
    train_folds,
    with_labels,
)
from lcmap.training.options import TrainOptions, TrainOutputs
from lcmap.training.ranks import Ranks
from lcmap.training.run import TrainingRun, make_network
from lcmap.training.suspect_areas import SuspectAreas, write_areas

LOW = 0.1
"""A reference class that has at most this probability may be wrong."""

FEWEST = 10
"""Pixels: smaller areas within a tile are left out."""

_OPTION = "suspect_labels"
_PARTS = ("winner", "confidence", "own")


@dataclass(frozen=True)
class SuspectReport:
    """What was found in all label files together: pixels with a label, suspect ones, areas."""

    folder: Path
    labelled: int
    suspect: int
    areas: int

    @property
    def text(self) -> str:
        """The report in one line."""
        share = 100 * self.suspect / max(self.labelled, 1)
        return (
            f"{self.folder}: {self.suspect} of {self.labelled} labelled pixels ({share:.2g} %) are "
            f"suspect, in {self.areas} areas"
        )


class LabelFile(NamedTuple):
    """A label file with its grid, its tiles with their folds, and the rasters of its suspects."""

    path: Path
    grid: Grid
    tiles: list[tuple[IndexedTile, int]]
    suggested: Path
    confidence: Path


class DealtTiles(NamedTuple):
    """All tiles with labels, of every split, and the fold of each."""

    tiles: list[IndexedTile]
    of_fold: list[int]

    @classmethod
    def of(cls, tile_indexes: Sequence[PathLike]) -> DealtTiles:
        """Deal the tiles of indexes, see `deal`.

        Raises:
            InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
        """
        indexes = [read_tile_index(path) for path in tile_indexes]
        tiles = with_labels(indexes)
        size = max(index.tile_size for index in indexes)
        return cls(tiles, deal(tiles, defaults.SUSPECT_FOLDS, size).tolist())

    @property
    def held_out(self) -> list[list[IndexedTile]]:
        """The tiles of each fold."""
        found: list[list[IndexedTile]] = [[] for _ in range(defaults.SUSPECT_FOLDS)]
        for tile, fold in zip(self.tiles, self.of_fold, strict=True):
            found[fold].append(tile)
        return found


def suspect_paths(tiles: Sequence[IndexedTile], folder: PathLike) -> list[Path]:
    """Return the files that the suspects of tiles are written to: two rasters for each label file,
    and a GeoPackage.
    """
    labels = dict.fromkeys(tile.labels for tile in tiles if tile.labels)
    rasters = [path for label in _names(list(labels), Path(folder)).values() for path in label]
    return [*rasters, areas_path(folder)]


def prepare_suspects(
    tile_indexes: Sequence[PathLike], outputs: TrainOutputs, options: TrainOptions, ranks: Ranks
) -> list[Path]:
    """Make the folder of the suspects, and return their files, which may be there if replaced.

    A warning says that networks which start from a model have seen what that was trained on.

    Raises:
        InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
        UsageError: several processes train.
        NoLabelledPixelError: a fold has all training tiles.
        OutputExistsError, CannotWriteError: the folder or a file cannot be written.
    """
    assert outputs.suspects is not None
    check_folds(
        _OPTION, options, ranks,
        "the networks that judge the labels start from it too: they contradict few of those that "
        "it was trained on",
    )  # fmt: skip
    dealt = DealtTiles.of(tile_indexes)
    remedy = f"prepare smaller tiles, or leave out `{_OPTION}`"
    check_left(tile_indexes, dealt.tiles, dealt.held_out, remedy)
    folder = Path(outputs.suspects)
    paths = suspect_paths(dealt.tiles, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for path in paths:
        check_output(path, overwrite=outputs.replaces)
    return paths


def areas_path(folder: PathLike) -> Path:
    """Return where the areas of suspects are."""
    return Path(folder) / "suspects.gpkg"


def _names(labels: Sequence[Path], folder: Path) -> dict[Path, tuple[Path, Path]]:
    """Return the two rasters of each label file, named after it; of two of one name, numbered."""
    names: dict[Path, tuple[Path, Path]] = {}
    taken: set[str] = set()
    for path in labels:
        stem, number = path.stem, 1
        while stem in taken:
            number += 1
            stem = f"{path.stem}-{number}"
        taken.add(stem)
        names[path] = folder / f"{stem}.suspects.tif", folder / f"{stem}.suspects.confidence.tif"
    return names


def find_suspects(
    run: TrainingRun,
    tile_indexes: Sequence[PathLike],
    options: TrainOptions,
    outputs: TrainOutputs,
    files: OutputSet,
    progress: Progress,
) -> SuspectReport:
    """Write which labels are suspect, within a set of files; see `suspect_paths`.

    All tiles with labels are dealt into folds by blocks, and a network is trained for each without
    its training tiles; validation and test tiles train none.

    Raises:
        CheckpointError: as `train_folds`.
        NotARasterError: pixels cannot be read.
        OutputExistsError, CannotWriteError: as `atomic_path`.
    """
    assert outputs.suspects is not None
    dealt = DealtTiles.of(tile_indexes)
    parts = Folds(dealt.held_out, outputs.suspects_checkpoint)
    models = train_folds(run, parts, options, resume=outputs.resume, progress=progress)
    labels = _label_files(dealt, Path(outputs.suspects))
    with temporary_folder() as folder, ExitStack() as stack:
        found = [Judgements(label, folder / str(n)) for n, label in enumerate(labels)]
        for judgements in found:
            stack.callback(judgements.close)
        thresholds = _judge(run, models, found, options)
        areas = SuspectAreas(run.data.nomenclature)
        labelled = suspect = 0
        for judgements in found:
            for tile, _ in judgements.label.tiles:
                labels_of_tile = run.source.read(tile).labels[run.source.inside(tile)]
                codes = judgements.decide(tile.window, labels_of_tile, thresholds)
                labelled += int(np.count_nonzero(labels_of_tile != IGNORE))
                suspect += int(np.count_nonzero(codes != IGNORE))
                areas.add(judgements.label.path, judgements.label.grid, tile.window,
                          labels_of_tile, codes, judgements.percent(tile.window))  # fmt: skip
            _write(judgements, run.data.nomenclature, files, overwrite=outputs.replaces)
        path = areas_path(outputs.suspects)
        count = write_areas(areas, path, files, overwrite=outputs.replaces)
    return SuspectReport(Path(outputs.suspects), labelled, suspect, count)


def _label_files(dealt: DealtTiles, folder: Path) -> list[LabelFile]:
    of_file: dict[Path, list[tuple[IndexedTile, int]]] = {}
    for tile, fold in zip(dealt.tiles, dealt.of_fold, strict=True):
        assert tile.labels is not None
        of_file.setdefault(tile.labels, []).append((tile, fold))
    names = _names(list(of_file), folder)
    found = []
    for path, mine in of_file.items():
        with open_raster(path) as dataset:
            found.append(LabelFile(path, Grid.of(dataset), mine, *names[path]))
    return found


class Judgements:
    """What the networks say of the pixels of a label file, kept on disk.

    Of each the index of the winning class (`IGNORE` where none was asked, or there is no label),
    its probability and that of the label's class in percent.
    """

    def __init__(self, label: LabelFile, path: Path) -> None:
        """Keep them in a new file at `path`."""
        self.label = label
        self._kept = np.memmap(path, np.uint8, "w+", shape=(len(_PARTS), *label.grid.shape))

    def close(self) -> None:
        """Let go of the file."""
        del self._kept

    def keep(
        self, window: Window, winner: NDArray[np.uint8], p: NDArray[np.float32],
        own: NDArray[np.float32],
    ) -> None:  # fmt: skip
        """Keep what is said of a window [h, w]; the winner counts from 1 here, 0 is none."""
        here = self._kept[:, *window.slices]
        here[0] = winner + np.uint8(1)
        here[1], here[2] = np.rint(100 * p), np.rint(100 * own)

    def decide(
        self, window: Window, labels: NDArray[np.uint8], thresholds: NDArray[np.float64]
    ) -> NDArray[np.uint8]:
        """Return the index of the class that a suspect pixel should have, `IGNORE` for the others.

        Areas of one class in place of another with fewer than `FEWEST` pixels are left out. From
        then on it is what `read` returns.
        """
        here = self._kept[:, *window.slices]
        winner = here[0] - np.uint8(1)  # 255 for none
        asked = (winner != IGNORE) & (labels != IGNORE)
        needed = np.append(100 * thresholds, np.full(256 - len(thresholds), 101.0))[winner]
        doubted = asked & (winner != labels) & (here[1] >= needed) & (here[2] <= 100 * LOW)
        pairs = np.where(doubted, labels.astype(np.int32) * 256 + winner + 1, 0)
        suggested = np.where(_without_specks(pairs) > 0, winner, np.uint8(IGNORE))
        here[0] = suggested + np.uint8(1)
        return suggested

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return the indices that were decided on, `IGNORE` for none, and percentages, 0 there."""
        suggested = self._kept[0, *window.slices] - np.uint8(1)
        return suggested, np.where(suggested != IGNORE, self.percent(window), np.uint8(0))

    def percent(self, window: Window) -> NDArray[np.uint8]:
        """Return the probabilities of the winners, in percent."""
        return np.array(self._kept[1, *window.slices])


def _without_specks(pairs: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return pairs [h, w] of from and to, 0 for none, without areas of fewer than `FEWEST`."""
    kept = np.zeros_like(pairs)
    for pair in np.unique(pairs[pairs > 0]):
        areas, _ = ndimage.label(pairs == pair)
        large = np.bincount(areas.ravel()) >= FEWEST
        large[0] = False
        kept[large[areas]] = pair
    return kept


def _judge(
    run: TrainingRun,
    models: Sequence[FoldModel],
    found: Sequence[Judgements],
    options: TrainOptions,
) -> NDArray[np.float64]:
    """Let each network judge its fold; return how sure they are of the reference's classes, [K].

    It is the mean probability of a class where the reference has it; 1 where none was asked.
    """
    classes = len(run.data.nomenclature)
    network, _ = make_network(run.data, options.chosen_recipe(), options)
    sums, pixels = np.zeros(classes), np.zeros(classes)
    for fold, model in enumerate(models):
        predict = predictor_of(model, network.to(run.trainer.device))
        for judgements in found:
            for tile, mine in judgements.label.tiles:
                if mine != fold:
                    continue
                p, labels = predict(run.source, tile)
                # what a network was not shown it cannot contradict
                asked = (labels != IGNORE) & ~np.isin(labels, model.absent)
                index = np.where(asked, labels, 0)
                own = np.take_along_axis(p, index[None].astype(np.intp), axis=0)[0]
                winner = np.where(asked, p.argmax(axis=0), IGNORE).astype(np.uint8)
                judgements.keep(tile.window, winner, p.max(axis=0), own)
                sums += np.bincount(index[asked], own[asked], minlength=classes)
                pixels += np.bincount(index[asked], minlength=classes)
    return np.divide(sums, pixels, out=np.ones(classes), where=pixels > 0)


def _write(
    judgements: Judgements, nomenclature: Nomenclature, files: OutputSet, *, overwrite: bool
) -> None:
    """Write the two rasters of a label file."""
    label = judgements.label
    tags = {"LCMAP_LABELS": os.fspath(label.path.name)}
    codes = RasterFormat(
        1, "uint8", 0, ["suggested class"], tags, nomenclature.class_table(), overviews=True,
        sidecars=True,
    )  # fmt: skip
    percent = RasterFormat(1, "uint8", 0, ["confidence (%)"], tags, overviews=True)
    table = np.zeros(IGNORE + 1, np.uint8)
    table[: len(nomenclature)] = nomenclature.index_to_code
    with (
        atomic_raster(label.suggested, label.grid, codes, overwrite=overwrite, within=files) as one,
        atomic_raster(
            label.confidence, label.grid, percent, overwrite=overwrite, within=files
        ) as two,
    ):
        for window in iter_blocks(*label.grid.shape, BLOCK):
            suggested, confidence = judgements.read(window)
            one.write(table[suggested], 1, window=window.ranges)
            two.write(confidence, 1, window=window.ranges)
