"""What a network is trained and validated on: the tiles of several indexes, read and cached."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcmap.dataset.class_shares import class_shares
from lcmap.dataset.normalisation import scale
from lcmap.dataset.raster_content import RasterContent
from lcmap.dataset.raster_kind import RasterKind
from lcmap.dataset.reading import IGNORE, LabelledWindow, TileReader
from lcmap.dataset.side_options import SideOptions
from lcmap.dataset.tile_index import IndexedTile, Side, read_tile_index
from lcmap.errors import NoLabelledPixelError
from lcmap.model_file import ModelInput
from lcmap.nomenclature import Nomenclature
from lcmap.paths import PathLike
from lcmap.raster.classes import InputKind
from lcmap.raster.radiometry import NamedRadiometry, radiometry_of
from lcmap.raster.windows import Window, at_pixels
from lcmap.training.augmentation import Pixels
from lcmap.training.further_tiles import take_further_tiles
from lcmap.training.index_agreement import common_nomenclature, common_sides, options_of_sides
from lcmap.training.options import TileInputOptions
from lcmap.training.recipe import Scaling
from lcmap.training.scaling_choice import ScalingChoice
from lcmap.training.series_entry import series_entry
from lcmap.training.shared_ground import check_shared_ground
from lcmap.training.unlabelled_images import unlabelled_tiles
from lcmap.training.usable_labels import check_usable, with_usable_counts

CACHE_BYTES = 2 << 30
IMAGE_ENTRY = "image"

_Key = tuple[Path, Path | None, Window]


@dataclass(frozen=True)
class TrainingSet:
    """The labelled tiles of all indexes, and what they have in common.

    Where they have side inputs, their counts are of the labels where these have data, and
    `side_options` say how these are opened. `shares` are the classes' shares of the labelled
    training pixels, float64 [K]; `quantiles`, float64 [C, 2], are what each image is scaled by.
    `unlabelled` are tiles of the images that are given without labels.
    """

    nomenclature: Nomenclature
    sides: tuple[RasterContent, ...]
    inputs: tuple[ModelInput, ...]
    train: tuple[IndexedTile, ...]
    validation: tuple[IndexedTile, ...]
    shares: NDArray[np.float64]
    tile_size: int
    quantiles: Mapping[Side, NDArray[np.float64]]
    allow_vrt: bool = False
    unlabelled: tuple[IndexedTile, ...] = ()
    side_options: Mapping[Side, SideOptions] = field(default_factory=dict)

    def reader(self) -> TileReader:
        """Return a reader of the tiles, which the caller closes."""
        return TileReader(
            self.nomenclature, allow_vrt=self.allow_vrt, quantiles=self.quantiles,
            side_options=self.side_options,
        )  # fmt: skip

    @property
    def labelled_pixels(self) -> int:
        """The labelled training pixels."""
        return sum(sum(tile.class_counts.values()) for tile in self.train)

    @property
    def pixels(self) -> int:
        """The pixels of all training tiles."""
        return sum(tile.window.height * tile.window.width for tile in self.train)


def read_training_set(
    paths: Sequence[PathLike],
    options: TileInputOptions | None = None,
    *,
    model: PathLike | None = None,
    allow_overlap: bool = True,
    scaling: Scaling = "image",
    unlabelled: Sequence[PathLike] = (),
    coarse: bool = True,
) -> TrainingSet:
    """Read tile indexes and check that one network can be trained on all of them.

    Tiles without a labelled pixel are left out. `model` is the one whose quantiles may be asked
    for; where the options do not say what images are scaled by, it is as in that model, else
    `scaling`. `unlabelled` are images to be used too, see `unlabelled_tiles`. Unless inputs may be
    `coarse`, all of them are read on the image's pixels, whatever the indexes say.

    Raises:
        InputMissingError, TileIndexError, NotARasterError: as `read_tile_index`.
        TileIndexError: training tiles share ground with others, without `allow_overlap`.
        NomenclatureMismatchError: the nomenclatures of two indexes differ.
        NoLabelledPixelError: no labels, or no labelled tile for training or for validation, or none
            of their labels where all inputs have data.
        InputMismatchError: the indexes do not have side inputs of the same kinds and levels, or
            were told other things of one; the images do not have the same bands, or not those of
            the quantiles.
        InputMissingError, DataError: the file of quantiles cannot be used.
        UsageError: the quantiles are to be a model's, and there is none.
        DataError, UsageError: as `unlabelled_tiles`.
    """
    options = options or TileInputOptions()
    indexes = [read_tile_index(path) for path in paths]
    nomenclature = common_nomenclature(indexes)
    sides = common_sides(indexes, coarse=coarse)
    tiles = [t for index in indexes for t in index.tiles if t.labels and t.class_counts]
    train = tuple(t for t in tiles if t.split == "train")
    validation = tuple(t for t in tiles if t.split == "validation")
    check_shared_ground(
        paths, [t for index in indexes for t in index.tiles], allow_overlap=allow_overlap
    )
    names = ", ".join(os.fspath(path) for path in paths)
    for split, found in (("training", train), ("validation", validation)):
        if not found:
            raise NoLabelledPixelError(
                names,
                f"no labelled tile is for {split}",
                "prepare smaller tiles, more ground or other labels",
            )
    shares = class_shares(train, nomenclature)
    opening = options_of_sides(indexes)
    with TileReader(nomenclature, allow_vrt=options.allow_vrt, side_options=opening) as reader:
        choice = ScalingChoice(options, reader, model, scaling)
        inputs = _inputs(sides, train + validation, choice)
        choice.check_used()
        if options.with_test:
            test = [tile for tile in tiles if tile.split == "test"]
            take_further_tiles(test, train + validation, inputs, choice)
        size = max(index.tile_size for index in indexes)
        without_labels = unlabelled_tiles(unlabelled, inputs, choice, size)
    data = TrainingSet(
        nomenclature, sides, inputs, train, validation, shares, size,
        choice.chosen, options.allow_vrt, without_labels, opening,
    )  # fmt: skip
    return _usable(data, names)


def _usable(data: TrainingSet, subject: str) -> TrainingSet:
    """Return the set with the labels alone that its inputs leave, of which each split has some."""
    with data.reader() as reader:
        source = SampleSource(reader, data.sides, cache_bytes=0)

        def labels(tile: IndexedTile) -> NDArray[np.uint8]:
            return source.read(tile).labels

        if not data.sides:
            check_usable({"training": data.train, "validation": data.validation}, labels, subject)
            return data
        tiles = with_usable_counts(
            [*data.train, *data.validation], data.nomenclature, labels, subject
        )
    train, validation = (
        tuple(tile for tile in tiles if tile.split == split) for split in ("train", "validation")
    )
    shares = class_shares(train, data.nomenclature)
    return replace(data, train=train, validation=validation, shares=shares)


def _inputs(
    sides: Sequence[RasterContent], tiles: Sequence[IndexedTile], scaling: ScalingChoice
) -> tuple[ModelInput, ...]:
    """Return what the network takes: the tiles' image, then their side inputs."""
    image = _entry(0, RasterContent("image"), [tile.image for tile in tiles], scaling)
    others = (
        _entry(place + 1, side, [tile.sides[place] for tile in tiles], scaling)
        for place, side in enumerate(sides)
    )
    return (image, *others)


def _entry(
    number: int, side: RasterContent, given: Sequence[Side], scaling: ScalingChoice
) -> ModelInput:
    """Return the input that all these files agree on; its quantiles are their mean, if it has one.

    The mean of quantiles of values that mean different things would be of neither.
    """
    if side.kind == "series":
        series = [paths for paths in dict.fromkeys(given) if isinstance(paths, tuple)]
        return series_entry(f"side{number}", number, side, series, scaling)
    first: RasterKind | None = None  # of those whose bands have names, if any has
    gsds, quantiles, meant = [], [], []
    for path in dict.fromkeys(path for path in given if isinstance(path, Path)):
        with scaling.reader.opened(path) as raster:
            kind = RasterKind.of(raster.dataset, raster.name)
            gsds.append(raster.grid.gsd_metres)
            radiometry = radiometry_of(raster.dataset, raster.name)
        if first is not None and side.kind != "labels":  # whose classes alone count
            kind.check_as(first)
        if first is None or (kind.is_named and not first.is_named):
            first = kind
        if side.kind == "image":
            meant.append(NamedRadiometry(os.fspath(path), radiometry))
            quantiles.append(scaling.quantiles(meant[-1], kind.bands, number))
    assert first is not None
    known = [gsd for gsd in gsds if gsd is not None]
    common = scaling.common_radiometry(meant, number)
    seen = [one for one in quantiles if one.any()] or quantiles  # those of no valid pixel are 0
    means = np.mean(seen, axis=0) if common else np.empty((0, 2))
    alike = bool(common) and scaling.scale_alike(number, means, [Path(one.name) for one in meant])
    return ModelInput(
        name=f"side{number}" if number else IMAGE_ENTRY,
        kind=side.kind,
        bands=first.bands,
        dtype=first.dtype,
        gsd=float(np.median(known)) if known else None,
        quantiles=tuple((float(low), float(high)) for low, high in means),
        normalisation="training-quantiles-2-98" if alike else "quantiles-2-98",
        nomenclature=side.nomenclature,
        gsd_range=(min(known), max(known)) if known else None,
        radiometry=common,
        level=side.level,
    )


def _with_labels(sample: LabelledWindow) -> LabelledWindow:
    """Return a window with labels; where it has none, no pixel has one."""
    if sample.labels is not None:
        return sample
    return replace(sample, labels=np.full(sample.valid.shape, IGNORE, np.uint8))


class SampleSource:
    """Gives windows of tiles as the network takes them; keeps images in memory up to a bound.

    Side inputs are resampled anew each time: in their own pixels they are small. Where some are on
    cells of several pixels, tiles are read with the whole of the cells that they touch, as `window`
    says, and have no labels in what was added.

    `kinds` and `levels` are those of the inputs; `alignment` is how many pixels along a side the
    largest cells have: a window that is read begins on a multiple of it, counted from the tile's.
    """

    def __init__(
        self,
        reader: TileReader,
        sides: Sequence[RasterContent] = (),
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        """Read tiles with these side inputs by a reader, which stays the caller's to close."""
        self.kinds: tuple[InputKind, ...] = ("image", *(side.kind for side in sides))
        self.levels = (0, *(side.level for side in sides))
        self.alignment = 1 << max(self.levels)
        self._sides = tuple(sides)
        self._reader = reader
        self._left = cache_bytes
        self._kept: dict[_Key, LabelledWindow] = {}
        self._usable: dict[_Key, NDArray[np.uint8]] = {}  # a bit for each pixel
        self._lock = threading.Lock()

    def bands(self, tile: IndexedTile, number: int) -> int:
        """Return how many bands a tile's input of this number has, which is an image."""
        return len(self.quantiles(tile, number))

    def quantiles(self, tile: IndexedTile, number: int) -> NDArray[np.float64]:
        """Return what a tile's input of this number, an image, is scaled by, float64 [C, 2]."""
        return self._reader.quantiles((tile.image, *tile.sides)[number])

    def index_of(self, code: int) -> int:
        """Return the index that a class has in labels."""
        return self._reader.index_of(code)

    def window(self, tile: IndexedTile) -> Window:
        """Return what is read of a tile: its window with the whole of the cells that it touches."""
        if self.alignment == 1:
            return tile.window
        return tile.window.aligned(self.alignment).clipped(*self._reader.shape(tile.image))

    def inside(self, tile: IndexedTile) -> tuple[slice, slice]:
        """Return where a tile is in what is read of it."""
        whole = self.window(tile)
        return tile.window.shifted(-whole.row, -whole.col).slices

    def labels(self, tile: IndexedTile) -> NDArray[np.uint8]:
        """Return the class indices of a tile's `window`, uint8 [h, w], 255 where there is none.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        found = self._whole(tile).labels
        assert found is not None
        return found

    def usable_labels(self, tile: IndexedTile, code: int) -> NDArray[np.uint8]:
        """Return `labels` without the pixels of a class where a side input has no data.

        The class is that of the `code`; others may keep theirs. The tile's counts are as those of a
        `TrainingSet`: where they have all pixels of the class, no side input is read.

        Raises:
            NotARasterError: pixels cannot be read.
        """
        labels = self.labels(tile)
        there = np.count_nonzero(labels == self.index_of(code))
        if not self._sides or there == tile.class_counts.get(code, 0):
            return labels
        key = (tile.image, tile.labels, tile.window)
        usable = self._usable.get(key)
        if usable is None:
            usable = np.packbits(self.read(tile).labels != IGNORE)
            with self._lock:
                if self._left >= usable.nbytes:
                    self._left -= usable.nbytes
                    self._usable[key] = usable
        known = np.unpackbits(usable, count=labels.size).reshape(labels.shape).astype(bool)
        return np.where(known, labels, np.uint8(IGNORE))

    def read(self, tile: IndexedTile, inside: Window | None = None) -> Pixels:
        """Return the `window` of a tile, or a window counted from the upper left corner of that.

        A pixel that is not valid in every input has no label.

        Raises:
            NotARasterError: the pixels cannot be read.
        """
        sample = self._kept.get((tile.image, tile.labels, tile.window))
        if sample is None and (inside is None or self._left > 0):
            sample = self._whole(tile)
        window = self.window(tile)
        if inside is not None:
            window = inside.shifted(window.row, window.col)
        if sample is None:
            sample = self._labelled(tile, window)
        elif inside is not None:
            assert sample.labels is not None
            sample = LabelledWindow(
                sample.image[:, *inside.slices],
                sample.valid[inside.slices],
                sample.labels[inside.slices],
            )
        assert sample.labels is not None
        images = [scale(sample.image, self._reader.quantiles(tile.image), sample.valid)]
        valid = [sample.valid]
        known = sample.valid
        for path, side in zip(tile.sides, self._sides, strict=True):
            cells = window.coarsened(side.level)
            image, where = self._reader.side(path, side, tile.image, cells)
            images.append(image)
            valid.append(where)
            known = known & at_pixels(where, cells, side.level, window)
        labels = np.where(known, sample.labels, np.uint8(IGNORE))
        return Pixels(tuple(images), labels, tuple(valid), self.levels)

    def _whole(self, tile: IndexedTile) -> LabelledWindow:
        key = (tile.image, tile.labels, tile.window)
        sample = self._kept.get(key)
        if sample is None:
            sample = self._labelled(tile, self.window(tile))
            self._keep(key, sample)
        return sample

    def _labelled(self, tile: IndexedTile, window: Window) -> LabelledWindow:
        """Return a window of the image, which has labels in the tile alone."""
        sample = _with_labels(self._reader.read(tile, window))
        own = window.intersection(tile.window)
        if own == window:
            return sample
        assert sample.labels is not None
        labels = np.full_like(sample.labels, IGNORE)
        if own is not None:
            here = own.shifted(-window.row, -window.col).slices
            labels[here] = sample.labels[here]
        return replace(sample, labels=labels)

    def _keep(self, key: _Key, sample: LabelledWindow) -> None:
        assert sample.labels is not None
        size = sample.image.nbytes + sample.valid.nbytes + sample.labels.nbytes
        with self._lock:
            if self._left >= size:
                self._left -= size
                self._kept[key] = sample
            else:
                self._left = 0
