"""What each rule took, what no rule took, and which classes claim the same pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations

import numpy as np
import shapely
from numpy.typing import NDArray

from lcmap.raster.grid import Grid
from lcmap.raster.windows import Window
from lcmap.reference.binding import BoundLayer
from lcmap.reference.burning import PixelFrame
from lcmap.reference.rules import Rule, RuleSet
from lcmap.vector.columns import as_text
from lcmap.vector.layer import Features
from lcmap.vector.names import fold_value

_MOST_NAMED = 8

Values = tuple[tuple[str, str], ...]


@dataclass
class Tally:
    """Counts over all strips of a grid.

    features: by a rule's number, how many features on the grid it took.
    owners: how many pixels each rule, in burning order, and then each ring labelled; [0] none.
    untaken: by layer, how many features with which values of the fields asked for no rule took.
    seen: by layer and field, the values of the features.
    disputed: by two codes, how many pixels both classes claim.
    broken: the layers with features that have no geometry that can be meant.
    """

    features: Counter[int] = field(default_factory=Counter)
    owners: NDArray[np.int64] | None = None
    untaken: dict[str, Counter[Values]] = field(default_factory=dict)
    seen: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    disputed: Counter[tuple[int, int]] = field(default_factory=Counter)
    broken: set[str] = field(default_factory=set)

    def add_features(
        self,
        item: BoundLayer,
        features: Features,
        chosen: Mapping[int, NDArray[np.bool_]],
        new: NDArray[np.bool_],
    ) -> None:
        """Count the features of a layer that are `new`, bool [N]; `chosen` is by rule number."""
        if features.broken:
            self.broken.add(str(item.layer))
        taken = np.zeros(len(features), bool)
        for number, mask in chosen.items():
            self.features[number] += int(np.count_nonzero(mask & new))
            taken |= mask
        layer = item.layer.name
        names = dict.fromkeys(name for bound in item.rules for name, _ in bound.where)
        columns = {name: features.columns[name] for name in names}
        for name, column in columns.items():
            texts = (as_text(value) for value in column[new].tolist())
            self.seen.setdefault((layer, name), set()).update(t for t in texts if t is not None)
        rest = features.only(new & ~taken)
        counts = self.untaken.setdefault(layer, Counter())
        for values in zip(*(rest.columns[name].tolist() for name in names), strict=True):
            counts[tuple(zip(names, (as_text(v) or "" for v in values), strict=True))] += 1
        if not names and len(rest):
            counts[()] += len(rest)

    def add_owners(self, owners: NDArray[np.uint16], count: int) -> None:
        """Count the pixels of each of so many owners, none among them."""
        found = np.bincount(owners.ravel(), minlength=count)
        self.owners = found if self.owners is None else self.owners + found

    def add_claims(self, packed: Mapping[int, NDArray[np.uint8]]) -> None:
        """Count the pixels of a strip that two classes claim; masks by code, packed in bits."""
        for one, other in combinations(sorted(packed), 2):
            both = int(np.bitwise_count(packed[one] & packed[other]).sum())
            if both:
                self.disputed[one, other] += both


def starting(features: Features, frame: PixelFrame, grid: Grid, strip: Window) -> NDArray[np.bool_]:
    """Return which features on the grid have their first row in a strip, bool [N]."""
    bounds = shapely.bounds(frame.to_pixels(features.geometries))
    left, top, right, bottom = bounds.reshape(-1, 4).T
    inside = (right > 0) & (left < grid.width) & (bottom > 0)
    row = np.maximum(np.floor(top), 0)
    starts: NDArray[np.bool_] = inside & (row >= strip.row) & (row < strip.stop_row)
    return starts


def report(
    tally: Tally, rule_set: RuleSet, layers: Sequence[BoundLayer], unused: Sequence[str]
) -> str:
    """Return in lines what rules took, what they did not, and which classes conflict."""
    lines = [*_by_rule(tally, rule_set)]
    if unused:
        lines.append(f"no rule takes anything from the layers {', '.join(unused)}")
    lines += _untaken(tally)
    lines += values_absent(tally, layers)
    lines += left_out(tally)
    for (one, other), pixels in tally.disputed.most_common():
        names = [rule_set.nomenclature[code].name for code in (one, other)]
        lines.append(f"{names[0]} and {names[1]} both claim {pixels} px")
    return "\n".join(lines)


def _by_rule(tally: Tally, rule_set: RuleSet) -> Iterator[str]:
    owners = tally.owners if tally.owners is not None else np.zeros(1, np.int64)
    for position, rule in sorted(enumerate(rule_set.rules, start=1), key=lambda p: p[1].number):
        yield (
            f"rule {rule.number}: {rule.layer} → {_class(rule, rule_set)}: "
            f"{_features(tally.features[rule.number])}, {owners[position]} px"
        )
    for number, ring in enumerate(rule_set.rings, start=1):
        name = rule_set.nomenclature[ring.code].name
        yield f"ring {number}: {name}: {owners[len(rule_set.rules) + number]} px"


def _class(rule: Rule, rule_set: RuleSet) -> str:
    return rule_set.nomenclature[rule.code].name if rule.code else "no label"


def _untaken(tally: Tally) -> Iterator[str]:
    for layer, counts in tally.untaken.items():
        if counts:
            listed = [
                f"{count} with " + ", ".join(f'{name} "{value}"' for name, value in values)
                for values, count in counts.most_common(_MOST_NAMED)
                if values
            ]
            more = len(counts) - len(listed)
            if listed and more:
                listed.append(f"and {more} more kinds")
            found = f"{layer}: no rule takes {_features(sum(counts.values()))}"
            yield ": ".join([found, *filter(None, ["; ".join(listed)])])


def _features(count: int) -> str:
    return f"{count} feature" if count == 1 else f"{count} features"


def left_out(tally: Tally) -> Iterator[str]:
    """Yield the layers with features that were left out because they are no geometries."""
    for layer in sorted(tally.broken):
        yield (
            f"{layer}: features are left out that are no geometries: they lack points, or their "
            "coordinates are no numbers or not on earth"
        )


def values_absent(tally: Tally, layers: Sequence[BoundLayer]) -> Iterator[str]:
    """Yield the values that rules ask for and no feature on the grid has."""
    found: dict[tuple[str, str], set[str]] = {}
    wanted: dict[tuple[str, str], dict[str, None]] = {}
    for item in layers:
        for bound in item.rules:
            for name, condition in bound.where:
                key = bound.rule.layer, condition.field
                values = {fold_value(v) for v in tally.seen.get((item.layer.name, name), ())}
                found.setdefault(key, set()).update(values)
                wanted.setdefault(key, {}).update(dict.fromkeys(condition.values))
    for key, patterns in wanted.items():
        if not found[key]:
            continue
        missing = [p for p in patterns if not any(fnmatchcase(v, p) for v in found[key])]
        if missing:
            listed = ", ".join(f'"{_plain(pattern)}"' for pattern in missing)
            yield f"{key[0]}: no feature has the {key[1]} asked for: {listed}"


def _plain(pattern: str) -> str:
    return pattern.replace("[[]", "[").replace("[?]", "?")
