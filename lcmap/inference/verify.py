"""Proof that a map does not depend on how the image was cut into tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Generic, NamedTuple

import numpy as np
import numpy.typing as npt

from lcmap.engines.compute import Arithmetic
from lcmap.inference.resume.tile_work import TileWork
from lcmap.inference.source import AnyPixels, Source
from lcmap.inference.tile_predictor import Predictor, ReadyTile
from lcmap.inference.tiling import Block, Tile
from lcmap.overlap import overlapped
from lcmap.progress import Progress

TOLERANCE = 1e-5
"""When two classes are said to tie: where their probabilities are no further apart."""


class Limits(NamedTuple):
    """What two predictions with different tiles may be apart.

    difference: the probability of a mapped class.
    differing: the share of pixels that get another class, ties not counted.
    """

    difference: float
    differing: float


LIMITS: dict[Arithmetic, Limits] = {
    "float32": Limits(TOLERANCE, 0.0),
    "int8": Limits(TOLERANCE, 0.0),
    "bfloat16": Limits(0.2, 0.01),
}
"""In bfloat16 a sum of another order now and then rounds to the next number, 1/256 apart, and a
maximum may move to another pixel of its cell: up to 0.6 % of the pixels and 0.13 were measured, see
`benchmarks/compare_bfloat16.py`."""


@dataclass
class Verification:
    """The comparison of a map with a second prediction, made with other tiles.

    `differing` pixels have another class; of these, in `ties` the two classes' probabilities are
    within `TOLERANCE`. `largest_difference` is that of the probability of the mapped class, ties
    left out.
    """

    pixels: int = 0
    differing: int = 0
    ties: int = 0
    largest_difference: float = 0.0

    def is_within(self, limits: Limits) -> bool:
        """Tell whether the two predictions are no further apart than that."""
        beyond_ties = self.differing - self.ties
        return (
            self.largest_difference < limits.difference
            and beyond_ties <= limits.differing * self.pixels
        )

    @classmethod
    def of(
        cls,
        mapped: npt.NDArray[np.intp],
        probability: npt.NDArray[np.float32],
        second: npt.NDArray[np.float32],
    ) -> Verification:
        """Compare n pixels.

        Takes the mapped class index [n] and its probability [n] with the second prediction's
        probabilities [K, n].
        """
        if mapped.size == 0:
            return cls()
        again = np.take_along_axis(second, mapped[None], axis=0)[0]
        differs = second.argmax(axis=0) != mapped
        ties = differs & (second.max(axis=0) - again <= TOLERANCE)
        # of a tie either class may have won, and its temperature decided on the probability
        largest = float(np.abs(again - probability)[~ties].max(initial=0.0))
        return cls(mapped.size, int(differs.sum()), int(ties.sum()), largest)

    def merge(self, other: Verification) -> None:
        """Add the figures of other pixels."""
        self.pixels += other.pixels
        self.differing += other.differing
        self.ties += other.ties
        # np.maximum hands a NaN on, so that it does not pass for agreement
        self.largest_difference = float(
            np.maximum(self.largest_difference, other.largest_difference)
        )

    def __str__(self) -> str:
        """Return the figures in one line."""
        share = 100 * self.differing / max(self.pixels, 1)
        return (
            f"{self.pixels} pixels compared, {self.differing} differ ({share:.3g} %), "
            f"{self.ties} of these are ties within {TOLERANCE:g}, "
            f"largest difference in probability {self.largest_difference:.2g}"
        )


class _Compared(NamedTuple, Generic[AnyPixels]):
    """A tile of the image, of the map [h, w] and of the mapped class's probability [h, w]."""

    ready: ReadyTile[AnyPixels]
    codes: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]


def other_tiles(
    predictor: Predictor[AnyPixels], height: int, width: int, tile: int | Block
) -> list[Tile]:
    """Return tiles of another size than `tile`, on a grid shifted against it."""
    longest = max(height, width)
    rows, columns = (tile, tile) if isinstance(tile, int) else tile
    block = Block(*(max(min(side, longest) * 5 // 8, 1) for side in (rows, columns)))
    return predictor.tiles(height, width, block, offset=min(block) // 3)


def verify_tiles(
    work: TileWork,
    predictor: Predictor[AnyPixels],
    tiles: Sequence[Tile],
    source: Source[AnyPixels],
    progress: Progress,
) -> Verification:
    """Predict again with these tiles, and return how that compares with what is stored.

    The class codes and the winner's probability are stored, the predictor returns probabilities.
    What an earlier run compared counts too, and is not compared again.
    """
    pending = work.pending(tiles, "verified")
    finished = pixels = 0

    def read(item: tuple[int, Tile]) -> _Compared[AnyPixels]:
        window = item[1].output_window
        (codes,) = work.read("codes", window)
        (probability,) = work.read("winning-probability", window)
        ready = predictor.ready(item[1], source.read(item[1]))
        return _Compared(ready, codes, probability)

    def compute(
        item: tuple[int, Tile], read: _Compared[AnyPixels]
    ) -> tuple[_Compared[AnyPixels], npt.NDArray[np.float32]]:
        return read, predictor.predict(read.ready).results["probabilities"]

    def compare(
        item: tuple[int, Tile], computed: tuple[_Compared[AnyPixels], npt.NDArray[np.float32]]
    ) -> None:
        nonlocal finished, pixels
        first, second = computed
        valid = first.ready.pixels.valid
        mapped = predictor.nomenclature.code_to_index[first.codes[valid]].astype(np.intp)
        compared = Verification.of(mapped, first.probability[valid], second[:, valid])
        work.done("verified", item[0], **asdict(compared))
        finished += 1
        pixels += item[1].output_window.pixels
        progress(finished, len(pending), "verifying", amount=pixels)

    overlapped(pending, read, compute, compare, at_once=predictor.tiles_at_once)
    work.commit()
    total = Verification()
    for record in work.records("verified"):
        total.merge(
            Verification(**{name: value for name, value in record.items() if name != "verified"})
        )
    return total
