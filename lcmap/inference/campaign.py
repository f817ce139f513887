"""Overlapping scenes to one map: which scene each pixel is mapped from, and with what around it.

Every scene is seen on the grid of the whole campaign: where it has no data, with the pixels of the
first other scene that has, each scaled as its own scene is. The network maps that view of the scene
as one image, and a pixel of the campaign's map is that of its scene. So neither the tiles nor the
scenes' borders show, and the neighbourhood of a pixel is its own scene's as far as that goes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.dataset.mosaic_reader import MosaicReader, fill
from lcmap.engines.choice import LoadedGraph
from lcmap.graph.outputs import Result
from lcmap.inference.band_groups import Prediction
from lcmap.inference.left_out import LeftOut
from lcmap.inference.pooled_series import PooledSeries
from lcmap.inference.source import StoredMap, TilePixels, cells_inside
from lcmap.inference.tile_predictor import ReadyTile, TilePredictor
from lcmap.inference.tiling import Block, Tile
from lcmap.raster.windows import at_pixels, mirror

_WORTH_IT = 0.85
"""Smaller tiles are taken where the network computes at most this much of what it would; engines
take longer for a pixel of small ones."""


class SceneView(NamedTuple):
    """A tile as one scene's view has it: the scene's number, and where it may be the one mapped.

    `number` is 0 where no scene has data, and other inputs are mapped.
    """

    number: int
    pixels: TilePixels


class CampaignPixels(NamedTuple):
    """What is read of a tile: the views of its scenes, and where any is valid, bool [h, w]."""

    views: tuple[SceneView, ...]
    valid: npt.NDArray[np.bool_]


class CampaignSource:
    """Reads the tiles of a campaign, and of the inputs beside it."""

    def __init__(
        self,
        shape: tuple[int, int],
        inputs: Sequence[MosaicReader | PooledSeries | LeftOut],
        *,
        allow_missing: bool = False,
        every_scene: bool = False,
    ) -> None:
        """Read tiles of a grid of this shape [rows, columns]; the scenes are the first input.

        A pixel is valid where every input is that is not left out, with `allow_missing` where any
        of them is. It belongs to the first scene that is valid there; with `every_scene`, to each.
        """
        scenes, *self._sides = inputs
        assert isinstance(scenes, MosaicReader)
        self.shape = shape
        self._scenes = scenes
        self._allow_missing = allow_missing
        self._every_scene = every_scene

    def read(self, tile: Tile, owners: npt.NDArray[np.uint16] | None = None) -> CampaignPixels:
        """Read one tile; only pixels inside the grid are read, the rest is mirrored.

        `owners` [h, w] of the output window say to which scene each pixel belongs instead.

        Raises:
            NotARasterError: pixels cannot be read.
            UnknownLabelError: a label map holds codes that its nomenclature does not have.
        """
        inside = tile.input_window.clipped(*self.shape)
        output = tile.output_window.shifted(-inside.row, -inside.col).slices
        around: list[npt.NDArray[Any]] = []
        valid_beside = []
        for place, side in enumerate(self._sides, 1):
            cells = tile.cells_of(place)
            read = cells_inside(cells, self.shape, side.level)
            values, where = side.read(read)
            if not isinstance(side, LeftOut):
                here = at_pixels(where, read, side.level, tile.output_window)
                valid_beside.append(here)
            around.append(mirror(values, cells))
        beside = self._beside(valid_beside, tile)
        taken = np.zeros(beside.shape, bool)
        if not (self._allow_missing or beside.any()):
            return CampaignPixels((), taken)
        values, valid = self._scenes.nothing(inside)
        found = []
        for part in self._scenes.parts(inside):
            own = part.valid[output]
            if not self._allow_missing:
                own = own & beside
            if owners is not None:
                own = own & (owners == part.number)
            elif not self._every_scene:
                own = own & ~taken
            taken |= own
            if own.any():
                found.append((part, own))
            fill(values, valid, part)
            if valid.all() and not self._every_scene:
                break
        views = [
            (part.number, np.where(part.valid, part.values, values), own) for part, own in found
        ]
        if self._allow_missing and (beside & ~taken).any():
            views.append((0, values, beside & ~taken))
            taken |= beside
        return CampaignPixels(
            tuple(
                SceneView(number, TilePixels((mirror(seen, tile.input_window), *around), own))
                for number, seen, own in views
            ),
            taken,
        )

    def _beside(self, valid: Sequence[npt.NDArray[np.bool_]], tile: Tile) -> npt.NDArray[np.bool_]:
        """Return where the other inputs allow a pixel: where all are valid, or any."""
        size = tile.output_window.height, tile.output_window.width
        combine = np.logical_or if self._allow_missing else np.logical_and
        result = np.full(size, not self._allow_missing)
        for where in valid:
            result = combine(result, where)
        return result


class MappedScenes:
    """A campaign to be mapped again, each pixel from the scene that it was mapped from."""

    def __init__(self, source: CampaignSource, stored: StoredMap) -> None:
        """Read the scenes of pixels from a map that is stored with them."""
        self.shape = source.shape
        self._source = source
        self._stored = stored

    def read(self, tile: Tile) -> CampaignPixels:
        """Read one tile, as `CampaignSource.read`."""
        (owners,) = self._stored.read("scenes", tile.output_window)
        return self._source.read(tile, owners)


class CampaignPredictor:
    """A model that maps the views of a tile's scenes, and puts them together."""

    def __init__(self, predictor: TilePredictor, views: int, seen: Callable[[int], float]) -> None:
        """Map each view with a predictor; about `views` of a tile are held at the same time.

        `seen` tells how many views a block of some side has in the mean.
        Where a pixel is valid in several views, its results must hold the winning probability.
        """
        self.tiles_at_once = predictor.tiles_at_once
        self.nomenclature = predictor.nomenclature
        self._predictor = predictor
        self._views = views
        self._seen = seen

    def block_for(self, height: int, width: int, memory: int) -> int:
        """Return the side of the output windows with which the network computes least.

        Of a large one much is cut away where many scenes have a part in it, of a small one its
        halo. None is larger than `TilePredictor.largest_block`.

        Raises:
            UsageError: not even the smallest tile fits in `memory` bytes.
        """
        halo = self._predictor.halo
        around = halo.before.width + halo.after.width
        best = side = self._predictor.largest_block(memory, self._views)
        least = math.inf
        while side >= min(around, best):
            computed = self._seen(side) * (1 + around / side) ** 2
            if computed < _WORTH_IT * least:
                best, least = side, computed
            side //= 2
        return best

    def tiles(self, height: int, width: int, block: int | Block, offset: int = 0) -> list[Tile]:
        """Return the tiles of the grid, as `TilePredictor.tiles`."""
        return self._predictor.tiles(height, width, block, offset)

    def load(self, tile: Tile) -> None:
        """Load the graph of a tile, as `TilePredictor.load`."""
        self._predictor.load(tile)

    def ready(self, tile: Tile, pixels: CampaignPixels) -> ReadyTile[CampaignPixels]:
        """Return a tile with its graph loaded, which is that of each of its views."""
        nothing = TilePixels(None, pixels.valid)
        first = pixels.views[0].pixels if pixels.views else nothing
        return ReadyTile(tile, pixels, self._predictor.ready(tile, first).graph)

    def predict(self, ready: ReadyTile[CampaignPixels]) -> Prediction:
        """Return the prediction of the output window, with the scene of each pixel.

        Of several scenes it is the one whose winning class has the highest probability, of equals
        the first.
        """
        tile, pixels, graph = ready
        views = pixels.views or (SceneView(0, TilePixels(None, pixels.valid)),)
        first, *others = views
        merged = self._predicted(tile, first, graph)
        for view in others:
            merged = surer(merged, self._predicted(tile, view, graph))
        return merged

    def unload(self) -> None:
        """Forget the graph that is loaded, as `TilePredictor.unload`."""
        self._predictor.unload()

    def _predicted(self, tile: Tile, view: SceneView, graph: LoadedGraph | None) -> Prediction:
        found = self._predictor.predict(ReadyTile(tile, view.pixels, graph))
        scenes = np.where(found.valid, np.uint16(view.number), np.uint16(0))
        return found._replace(scenes=scenes)


def surer(one: Prediction, other: Prediction) -> Prediction:
    """Return of each pixel the valid prediction, of two the one of higher winning probability.

    Of equal ones it is the first.
    """
    take = other.valid & ~one.valid
    both = one.valid & other.valid
    if both.any():
        name: Result = "winning_probability"
        take |= both & (other.results[name] > one.results[name])
    assert one.scenes is not None and other.scenes is not None
    return Prediction(
        {name: np.where(take, other.results[name], found) for name, found in one.results.items()},
        one.valid | other.valid,
        np.where(take, other.scenes, one.scenes),
    )
