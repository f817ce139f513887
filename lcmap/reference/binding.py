"""Which rules can be followed in which layers, and what the layers call the fields asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lcmap.errors import RulesError
from lcmap.raster.grid import Grid
from lcmap.reference.rules import Condition, Rule, RuleSet
from lcmap.vector.layer import Features, VectorLayer
from lcmap.vector.names import find_field
from lcmap.vector.sources import Bounds, indexed_copy, largest_number

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoundRule:
    """A rule and what its fields are called in one layer."""

    rule: Rule
    where: tuple[tuple[str, Condition], ...]
    unless: tuple[tuple[str, Condition], ...]
    width_field: str | None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to read for the rule."""
        names = [name for name, _ in (*self.where, *self.unless)]
        return (*names, self.width_field) if self.width_field else tuple(names)

    def choose(self, features: Features) -> NDArray[np.bool_]:
        """Return which features the rule takes, bool [N]."""
        chosen = np.ones(len(features), bool)
        for name, condition in self.where:
            chosen &= condition.holds(features.columns[name])
        for name, condition in self.unless:
            chosen &= ~condition.holds(features.columns[name])
        return chosen


@dataclass(frozen=True)
class BoundLayer:
    """A layer, the rules that take features from it, and how far they let features reach.

    `reach` is in units of the grid's CRS.
    """

    layer: VectorLayer
    rules: tuple[BoundRule, ...]
    reach: float

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields to read for all rules, each once."""
        return tuple(dict.fromkeys(name for rule in self.rules for name in rule.fields))


def bind_rules(
    rule_set: RuleSet, layers: Sequence[VectorLayer], grid: Grid, unit: float
) -> list[BoundLayer]:
    """Return the layers that rules take features from; log which rules cannot be followed.

    `unit` is the metres that a unit of the grid's CRS has.

    Raises:
        RulesError: no rule is about any layer.
        NotAVectorError: a layer cannot be read.
    """
    bound: list[BoundLayer] = []
    missing: list[str] = []
    for rule in rule_set.rules:
        if not any(rule_set.takes_layer(rule, layer.name) for layer in layers):
            missing.append(rule.layer)
    if len(missing) == len(rule_set.rules):
        raise RulesError(
            rule_set.name,
            "no rule is about any layer of the sources, which are "
            + ", ".join(sorted({layer.name for layer in layers})),
            "the rules are about " + ", ".join(dict.fromkeys(missing)),
        )
    if missing:
        logger.info("no source has the layers %s", ", ".join(dict.fromkeys(missing)))
    for layer in layers:
        rules = [rule for rule in rule_set.rules if rule_set.takes_layer(rule, layer.name)]
        if rules and layer.empty:
            logger.info("%s: has no features", layer)
        elif rules:
            bound_rules = _bind(rule_set, rules, layer)
            if bound_rules:
                reach = max(_reach(rule, rule_set, layer) for rule in bound_rules) / unit
                bound.append(BoundLayer(layer, bound_rules, reach + 2 * max(grid.gsd)))
    return bound


def _bind(rule_set: RuleSet, rules: Sequence[Rule], layer: VectorLayer) -> tuple[BoundRule, ...]:
    """Return the rules that can be followed in a layer; say which cannot, and why."""

    def actual(field: str) -> str | None:
        return find_field(layer.fields, rule_set.field_names(field))

    bound: list[BoundRule] = []
    unmet: dict[str, list[int]] = {}
    for rule in rules:
        lacking = [c.field for c in rule.where if actual(c.field) is None]
        takes_all = not layer.fields and rule.without_attributes
        if lacking and not takes_all:
            unmet.setdefault(lacking[0], []).append(rule.number)
            continue
        where = tuple((n, c) for c in rule.where if (n := actual(c.field)))
        unless = tuple((n, c) for c in rule.unless if (n := actual(c.field)))
        width_field = actual(rule.width.field) if rule.width and rule.width.field else None
        bound.append(BoundRule(rule, where, unless, width_field))
    if not layer.fields and any(r.where or r.unless or (r.width and r.width.field) for r in rules):
        taken = ", ".join(_described(rule_set, item.rule) for item in bound) or "nothing"
        logger.warning("%s: has no attributes; all its features are taken as %s", layer, taken)
    else:
        for field, numbers in unmet.items():
            logger.warning(
                "%s: has no field %s, so that rules %s take nothing from it",
                layer,
                field,
                ", ".join(map(str, numbers)),
            )
    return tuple(bound)


def _described(rule_set: RuleSet, rule: Rule) -> str:
    name = rule_set.nomenclature[rule.code].name if rule.code else "no label"
    return f"{name}, {rule.width.default:g} m wide" if rule.width else name


def _reach(bound: BoundRule, rule_set: RuleSet, layer: VectorLayer) -> float:
    """Return how many metres beyond a feature its label, or a ring around it, can reach."""
    rule = bound.rule
    width = rule.width.default if rule.width else 0.0
    if bound.width_field:
        width = max(width, largest_number(layer, bound.width_field))
    return width / 2 + rule.buffer + rule_set.reach_around(rule.code)


def with_index(item: BoundLayer, grid: Grid, folder: Path) -> BoundLayer:
    """Return the layer with a spatial index and in the grid's CRS: itself, or a copy in `folder`.

    Raises:
        NotAVectorError, NoCrsError: as `indexed_copy`.
    """
    assert grid.crs is not None
    bounds = expanded(grid.bounds, item.reach)
    layer = indexed_copy(item.layer, item.fields, grid.crs, bounds, folder)
    return BoundLayer(layer, item.rules, item.reach)


def expanded(bounds: Bounds, distance: float) -> Bounds:
    """Return bounds with so much more on every side."""
    west, south, east, north = bounds
    return west - distance, south - distance, east + distance, north + distance
