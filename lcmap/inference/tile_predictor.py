"""Tiles of an image through the network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Any, Generic, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from lcmap.dataset.encoding import Encoding, stored_bytes
from lcmap.engines.choice import Engine, LoadedGraph
from lcmap.graph.entries import entry_names, with_entries
from lcmap.graph.halo import ALL_AROUND, BorderSides, Halo, padded_halo
from lcmap.graph.memory import PixelBytes, largest_block, peak_tensor_bytes
from lcmap.graph.nodes import UnknownGraphError
from lcmap.graph.outputs import Result, bytes_of_results, of_size, with_results
from lcmap.graph.padding import find_halo, graph_for
from lcmap.graph.tensor_sizes import levels_of, tensor_sizes
from lcmap.inference.band_groups import Prediction
from lcmap.inference.block_choice import cheapest_block
from lcmap.inference.source import AnyPixels, TilePixels
from lcmap.inference.tiling import Block, Tile, tiles_of
from lcmap.model_file import ModelMetadata
from lcmap.nomenclature import Nomenclature

logger = logging.getLogger(__name__)


class ReadyTile(NamedTuple, Generic[AnyPixels]):
    """A tile that can be computed: what is read of it, and its graph, None if nothing is valid."""

    tile: Tile
    pixels: AnyPixels
    graph: LoadedGraph | None


class Predictor(Protocol[AnyPixels]):
    """What maps tiles, of a single image or of many."""

    tiles_at_once: int
    nomenclature: Nomenclature

    def tiles(self, height: int, width: int, block: int | Block, offset: int = 0) -> list[Tile]:
        """Return the tiles of a map, as `TilePredictor.tiles`."""
        ...

    def block_for(self, height: int, width: int, memory: int) -> int | Block:
        """Return the output windows that a map is made of, as `TilePredictor.block_for`."""
        ...

    def load(self, tile: Tile) -> None:
        """Load the graph of a tile before it is read, as `TilePredictor.load`."""
        ...

    def ready(self, tile: Tile, pixels: AnyPixels) -> ReadyTile[AnyPixels]:
        """Return a tile with its graph loaded, as `TilePredictor.ready`."""
        ...

    def predict(self, ready: ReadyTile[AnyPixels]) -> Prediction:
        """Return the prediction of the output window."""
        ...

    def unload(self) -> None:
        """Forget the graph that is loaded, as `TilePredictor.unload`."""
        ...


class TilePredictor:
    """A model cut to the tiles of an image.

    Interior tiles are not padded, tiles at the image's border only on its sides, each by a graph of
    its own (see `graph.padding`). A graph is loaded for one size of tile, and kept as long as tiles
    of its kind come, so they come in the order in which `tiles` returns them.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        metadata: ModelMetadata,
        results: Sequence[Result],
        engine: Engine,
        *,
        encodings: Sequence[Encoding] = (),
        padded: bool = False,
    ) -> None:
        """Predict with a model whose graphs an engine runs.

        The pixels of tiles come in these `encodings`, one for each input of the model, by default
        as the network takes them.

        With `padded` all tiles are padded on every side, as the graph in the model file is: slower,
        and the definition of what is right.
        """
        self.tiles_at_once = engine.tiles_at_once
        self._stride = metadata.stride
        names = [model_input.name for model_input in metadata.inputs]
        encodings = encodings or [None] * len(names)
        self._encodings = dict(zip(names, encodings, strict=True))
        self._entries = [
            entry
            for name, encoding in self._encodings.items()
            for entry in entry_names(name, encoding)
        ]
        self._sizes = tensor_sizes(model, metadata.inputs)
        self._levels = levels_of(self._sizes)
        self._results = tuple(results)
        self.nomenclature = metadata.nomenclature
        self._model = model
        self._padded = padded or engine.padded
        self._unknown = ""
        self._engine = engine
        self._loaded: tuple[tuple[BorderSides, int, int], LoadedGraph] | None = None
        self._loading = threading.Lock()
        self._halo = padded_halo(metadata.stride, metadata.receptive_field, self._levels)
        if not self._padded:
            self._halo = self._unpadded_halo()

    @property
    def halo(self) -> Halo:
        """What is cut off a tile at sides that are not the image border."""
        return self._halo

    def largest_block(self, memory: int, views: int = 1) -> int:
        """Return the side of the largest output window with which a run fits in `memory` bytes.

        Of each tile `views` are read before they are needed, one is computed at a time.

        Raises:
            UsageError: not even the smallest tile fits.
        """
        graph = with_results(self._model, self._results)
        tensors = peak_tensor_bytes(graph, self._stride, self._sizes)
        read = sum(
            size.cells_per_pixel * stored_bytes(self._encodings.get(name), size.channels)
            for name, size in self._sizes.items()
        )
        pixel = PixelBytes(
            computed=self._engine.copies * tensors,
            read=views * read,
            found=bytes_of_results(self._results, len(self.nomenclature)),
        )
        return largest_block(
            memory, pixel, self._stride, self._halo,
            at_most=self._engine.largest_block, tiles_at_once=self.tiles_at_once,
        )  # fmt: skip

    def block_for(self, height: int, width: int, memory: int) -> Block:
        """Return the output windows with which an image takes the least work in `memory` bytes.

        Raises:
            UsageError: not even the smallest tile fits.
        """
        side = self.largest_block(memory)
        return cheapest_block(height, width, side, self._stride, self._halo)

    def tiles(self, height: int, width: int, block: int | Block, offset: int = 0) -> list[Tile]:
        """Return the tiles of an image, those of one graph and size after one another.

        `block` and `offset` are as with `tiling.tiles_of`.
        """
        tiles = tiles_of(height, width, block, self._stride, self._halo, offset)
        return sorted(tiles, key=self._graph_key)

    def load(self, tile: Tile) -> None:
        """Load the graph of a tile; `ready` in another thread waits for it."""
        with self._loading:
            self._graph(tile)

    def ready(self, tile: Tile, pixels: TilePixels) -> ReadyTile[TilePixels]:
        """Return a tile with its graph loaded: ahead of its turn, while another is computed."""
        if pixels.inputs is None:
            return ReadyTile(tile, pixels, None)
        with self._loading:
            return ReadyTile(tile, pixels, self._graph(tile))

    def predict(self, ready: ReadyTile[TilePixels]) -> Prediction:
        """Return the prediction of the output window; as many threads may as `tiles_at_once`.

        Where none of its pixels is valid the network is not run, and all of it is 0.
        """
        tile, pixels, graph = ready
        if pixels.inputs is None or graph is None:
            return self._nothing(tile, pixels.valid)
        given = (values[None] for values in pixels.inputs)  # each [1, C, input rows, columns]
        found = graph.run(dict(zip(self._entries, given, strict=True)))
        first = tile.input_window if self._padded else tile.valid_window
        output = tile.output_window.shifted(-first.row, -first.col).slices
        windows = (values[0, ..., *output] for values in found)
        return Prediction(dict(zip(self._results, windows, strict=True)), pixels.valid)

    def unload(self) -> None:
        """Forget the graph that is loaded, so that its memory is free; the next tile loads one."""
        with self._loading:
            self._loaded = None

    def _nothing(self, tile: Tile, valid: npt.NDArray[np.bool_]) -> Prediction:
        size = tile.output_window.height, tile.output_window.width
        empty: dict[Result, npt.NDArray[Any]] = {
            "winner": np.zeros(size, np.uint8),
            "winning_probability": np.zeros(size, np.float32),
            "margin": np.zeros(size, np.float32),
            "probabilities": np.zeros((len(self.nomenclature), *size), np.float32),
        }
        return Prediction({name: empty[name] for name in self._results}, valid)

    def _unpadded_halo(self) -> Halo:
        try:
            return find_halo(self._model, self._stride, self._levels)
        except UnknownGraphError as error:
            self._unknown = str(error)
            self._padded = True
            return self._halo

    def _graph_key(self, tile: Tile) -> tuple[BorderSides, int, int]:
        border = ALL_AROUND if self._padded else tile.border
        return border, tile.input_window.height, tile.input_window.width

    def _graph(self, tile: Tile) -> LoadedGraph:
        key = self._graph_key(tile)
        if self._loaded is None or self._loaded[0] != key:
            graph = graph_for(self._model, self._stride, key[0], self._halo)
            graph = self._engine.converted(with_results(graph, self._results))
            wanted = with_entries(self._of_tile(graph, tile), self._encodings)
            loaded = self._engine.load(wanted.SerializeToString())
            self._loaded = key, loaded
            if self._unknown:
                logger.warning(
                    "the model's graph is not one that lcmap exports now (%s): its tiles are "
                    "padded on every side, which is slower", self._unknown,
                )  # fmt: skip
                self._unknown = ""
        return self._loaded[1]

    def _of_tile(self, graph: onnx.ModelProto, tile: Tile) -> onnx.ModelProto:
        """Return a graph for what is read of a tile."""
        sizes = {}
        for place, name in enumerate(self._sizes):
            cells = tile.cells_of(place)
            sizes[name] = 1, cells.height, cells.width
        return of_size(graph, tile.input_window.height, tile.input_window.width, sizes)
