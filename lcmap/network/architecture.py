"""What a network is built of, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Skip = Literal["concat", "reduce"]
Stem = Literal["full", "half"]

MOST_CONTEXT = 16
"""Context blocks: more would see further than a model may."""


@dataclass(frozen=True)
class Architecture:
    """What decides the layers of a network, apart from its inputs and classes.

    width: channels of the top level; twice as many on every level below.
    depth: poolings.
    skip: skip connections, whole ("concat") or reduced by 1 × 1 convolutions.
    stem: "full", the top level has the pixels of the image; "half", it has cells of 2 × 2 of them,
        and scores are refined on pixels.
    context: blocks on the deepest level that see three cells further each.
    reparametrised: in training, 3 × 3 convolutions have branches beside them.
    clip: values that inputs are cut off at, the low and the high one; None does not cut. Between
        them are 0 and 1, which label maps and probabilities hold.
    levels: of each input, how often the image's grid is halved to give the input's; () is 0 for
        all. The first has the pixels of the image.
    side_width: what the channels of the levels are divided by in the encoders of coarser inputs,
        which are left 16 where the levels have so many.
    side_skips: whether what the encoder of a coarser input finds on a level goes to that level of
        the decoder too, beside the image's skip.
    series: the numbers of those inputs, from 0, that are series of dates; not of the first.
    """

    width: int = 32
    depth: int = 3
    skip: Skip = "concat"
    stem: Stem = "full"
    context: int = 0
    reparametrised: bool = False
    clip: tuple[float, float] | None = None
    levels: tuple[int, ...] = ()
    side_width: int = 4
    side_skips: bool = False
    series: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: one that cannot be.
        """
        if min(self.width, self.depth) < 1:
            raise ValueError("width and depth must be at least 1")
        if self.skip not in get_args(Skip):
            raise ValueError(f"unknown kind of skip {self.skip!r}")
        if self.stem not in get_args(Stem):
            raise ValueError(f"unknown kind of stem {self.stem!r}")
        if not 0 <= self.context <= MOST_CONTEXT:
            raise ValueError(f"context must be from 0 to {MOST_CONTEXT}")
        if self.clip is not None and not self.clip[0] <= 0 < 1 <= self.clip[1]:
            raise ValueError("clip must leave 0 … 1 as it is")
        if self.side_width < 1:
            raise ValueError("side_width must be at least 1")
        if self.levels and (self.levels[0] or min(self.levels) < 0):
            raise ValueError("levels must be 0 for the first input and not below 0 for others")
        if self.levels and max(self.levels) > self.deepest_level:
            raise ValueError(f"levels must be at most {self.deepest_level}")
        if min(self.series, default=1) < 1:
            raise ValueError("the first input cannot be a series")

    @property
    def deepest_level(self) -> int:
        """The highest level that an input may have: one floor is left above the deepest."""
        return self.depth - (self.stem == "full")

    @classmethod
    def of_model(cls, values: Mapping[str, Any]) -> Architecture:
        """Return the architecture that a model's metadata holds; older ones hold less of it.

        Raises:
            KeyError, TypeError, ValueError: it holds none.
        """
        names = {field.name for field in fields(cls)}
        given = {name: values[name] for name in ("width", "depth", "skip")}
        given |= {name: value for name, value in values.items() if name in names}
        if given.get("clip") is not None:
            low, high = given["clip"]
            given["clip"] = float(low), float(high)
        for name in ("levels", "series"):
            given[name] = tuple(map(int, given.get(name, ())))
        return cls(**given)
