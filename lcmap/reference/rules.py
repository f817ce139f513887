"""Rules: which features of which layer become which class, in which order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcmap.nomenclature import Nomenclature
from lcmap.vector.columns import as_numbers, as_text
from lcmap.vector.names import fold_value, matches_layer


@dataclass(frozen=True)
class Condition:
    """What a field's value must be: one of some texts (* for any text), or within a range."""

    field: str
    values: tuple[str, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf

    def holds(self, column: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where a column [N] of any dtype meets the condition, bool [N]; null never does."""
        if not self.values:
            numbers = as_numbers(column)
            return (numbers >= self.minimum) & (numbers <= self.maximum)
        verdicts: dict[str, bool] = {}
        result = np.zeros(len(column), bool)
        for i, value in enumerate(column.tolist()):
            text = as_text(value)
            if text is None:
                continue
            if text not in verdicts:
                folded = fold_value(text)
                verdicts[text] = any(fnmatchcase(folded, pattern) for pattern in self.values)
            result[i] = verdicts[text]
        return result


@dataclass(frozen=True)
class Width:
    """The width of lines in metres: a field's, and the default where that is null or not given."""

    default: float
    field: str | None = None

    def of(self, column: NDArray[Any] | None, count: int) -> NDArray[np.float64]:
        """Return the width of each of `count` lines, float64 [N]; nulls and 0 are the default."""
        if column is None:
            return np.full(count, self.default)
        numbers = as_numbers(column)
        return np.where(numbers > 0, numbers, self.default)


@dataclass(frozen=True)
class Near:
    """Only the ground up to `distance` metres around classes."""

    around: tuple[int, ...]
    distance: float


@dataclass(frozen=True)
class Rule:
    """Features of a layer become a class: those that meet all of `where` and none of `unless`.

    Code 0 is no label, over whatever earlier rules and rings say. Where there is `near`, only the
    ground there is labelled. Lines are widened to `width`, then everything is widened by `buffer`
    metres on each side. With `without_attributes` the rule takes all features of a layer that has
    no attributes.
    """

    number: int
    layer: str
    code: int
    where: tuple[Condition, ...] = ()
    unless: tuple[Condition, ...] = ()
    width: Width | None = None
    buffer: float = 0.0
    priority: int = 0
    without_attributes: bool = False
    near: Near | None = None

    @property
    def measures(self) -> bool:
        """Whether the rule needs metres on the ground."""
        return self.width is not None or self.buffer > 0 or self.near is not None


@dataclass(frozen=True)
class Ring:
    """The ground up to `distance` metres around classes becomes a class where nothing else is."""

    around: tuple[int, ...]
    distance: float
    code: int


@dataclass(frozen=True)
class RuleSet:
    """Rules in burning order (later ones win), rings, and the names of layers and fields."""

    name: str
    title: str
    nomenclature: Nomenclature
    rules: tuple[Rule, ...]
    rings: tuple[Ring, ...]
    layers: Mapping[str, tuple[str, ...]]
    fields: Mapping[str, tuple[str, ...]]

    def takes_layer(self, rule: Rule, layer: str) -> bool:
        """Tell whether a rule is about the layer of this name, by the rule's name or an alias."""
        return matches_layer(layer, (rule.layer, *self.layers.get(rule.layer, ())))

    def reach_around(self, code: int) -> float:
        """Return how many metres around a class something depends on it."""
        near = (rule.near for rule in self.rules if rule.near)
        distances = [place.distance for place in near if code in place.around]
        distances += [ring.distance for ring in self.rings if code in ring.around]
        return max(distances, default=0.0)

    def field_names(self, field: str) -> tuple[str, ...]:
        """Return the names a field goes by, the rules' own first."""
        return (field, *self.fields.get(field, ()))
