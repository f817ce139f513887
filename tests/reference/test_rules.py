"""Rules files: the built-in ones, conditions, widths, and every complaint about a broken file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lcmap.errors import (
    InputMissingError,
    RulesError,
    UsageError,
)
from lcmap.nomenclature import load_crosswalk
from lcmap.reference.rules import Condition, RuleSet, Width
from lcmap.reference.rules_file import builtin_rules, load_rules

RULE = '[[rules]]\nlayer = "batiment"\nclass = "Roof"\n'


def test_the_built_in_rules_are_these() -> None:
    assert builtin_rules() == ("bdtopo-oso-reclass", "bdtopo-topo18", "bdtopo-topo6")


@pytest.mark.parametrize("name", ["bdtopo-topo6", "bdtopo-topo18", "bdtopo-oso-reclass"])
def test_built_in_rules_give_every_class_of_their_nomenclature(name: str) -> None:
    rules = load_rules(name)
    given = {rule.code for rule in rules.rules} | {ring.code for ring in rules.rings}
    assert given - {0} == set(rules.nomenclature.codes)
    # paper, section 3.4 and, for the reclassification, 6.1.2: there is no ring
    rings = [] if name == "bdtopo-oso-reclass" else [5.0]
    assert [ring.distance for ring in rules.rings] == rings


def test_topo6_asks_for_what_topo18_asks_for_in_its_classes() -> None:
    """Every value that a topo18 rule asks for becomes, in topo6, the class its crosswalk says."""
    fine, coarse = load_rules("bdtopo-topo18"), load_rules("bdtopo-topo6")
    crosswalk = load_crosswalk("topo18:topo6")
    for rule in fine.rules:
        wanted = int(crosswalk.apply(np.array([rule.code], np.uint8))[0])
        for condition in rule.where:
            for value in condition.values:
                sample = np.array([value.replace("*", "")], object)
                takers = set()
                for other in coarse.rules:
                    where = [c for c in other.where if c.field == condition.field]
                    unless = [c for c in other.unless if c.field == condition.field]
                    if (
                        other.layer == rule.layer
                        and all(c.holds(sample).all() for c in where)
                        and not any(c.holds(sample).all() for c in unless)
                    ):
                        takers.add(other.code)
                assert wanted in takers, (rule, value)


UNKNOWN = "something else"


def _kinds(layer: str) -> list[dict[str, object]]:
    """Return features of a layer: each value that either rule set asks for, with each other."""
    conditions = [
        condition
        for name in ("bdtopo-topo18", "bdtopo-topo6")
        for rule in load_rules(name).rules
        if rule.layer == layer
        for condition in (*rule.where, *rule.unless)
    ]
    values: dict[str, set[object]] = {c.field: {None, UNKNOWN} for c in conditions}
    for condition in conditions:
        if condition.values:
            values[condition.field] |= {value.replace("*", "") for value in condition.values}
        else:
            values[condition.field] |= {-1, 0}
    values = {field: {*found, *EXTRA.get(field, ())} for field, found in values.items()}
    return [
        dict(zip(values, combination, strict=True))
        for combination in itertools.product(*(sorted(v, key=str) for v in values.values()))
    ]


EXTRA = {
    "nature": ("Forêt fermée mixte", "Forêt fermée sans couvert arboré", "Zone arborée"),
    "code_tfv": ("FF0", "FF3", "FO0", "FO3", "FF1-00-00", "FF31", "FF32", "LA4", "LA6"),
    "code_group": tuple(range(29)),
}
"""Values of BD TOPO, BD Forêt and RPG that no rule of either set may ask for."""


def _takers(rules: RuleSet, layer: str, kinds: list[dict[str, object]]) -> np.ndarray:
    """Return which rules take which features, bool [rule, N]."""
    columns = {field: np.array([k[field] for k in kinds], object) for field in kinds[0]}
    taken = np.zeros((len(rules.rules), len(kinds)), bool)
    for i, rule in enumerate(rules.rules):
        if rule.layer == layer:
            taken[i] = True
            for condition in rule.where:
                taken[i] &= condition.holds(columns[condition.field])
            for condition in rule.unless:
                taken[i] &= ~condition.holds(columns[condition.field])
    return taken


def test_topo6_is_the_union_of_topo18_for_every_kind_of_feature() -> None:
    """For each kind of feature alone and each two over each other, of whatever layers."""
    fine, coarse = load_rules("bdtopo-topo18"), load_rules("bdtopo-topo6")
    crosswalk = load_crosswalk("topo18:topo6")
    places: dict[tuple[int, int], str] = {}
    for layer in sorted({rule.layer for rule in (*fine.rules, *coarse.rules)}):
        kinds = _kinds(layer)
        taken = [_takers(rules, layer, kinds) for rules in (fine, coarse)]
        for j, kind in enumerate(kinds):
            last = [int(np.flatnonzero(t[:, j]).max(initial=-1)) for t in taken]
            places.setdefault((last[0], last[1]), f"{layer} {kind}")
    for (one, one_place), (other, other_place) in itertools.combinations_with_replacement(
        places.items(), 2
    ):
        first, second = max(one[0], other[0]), max(one[1], other[1])
        code = fine.rules[first].code if first >= 0 else 0
        wanted = int(crosswalk.apply(np.array([code], np.uint8))[0])
        found = coarse.rules[second].code if second >= 0 else 0
        assert found == wanted, (one_place, other_place)


@pytest.mark.parametrize(
    ("condition", "column", "expected"),
    [
        (Condition("a", ("bois",)), ["Bois", "BOIS ", "Haie", None], [1, 1, 0, 0]),
        (Condition("a", ("ff1*",)), ["FF1-00", "FF1G01-01", "FF2"], [1, 1, 0]),
        (Condition("a", ("18", "19")), ["18", "1", "180"], [1, 0, 0]),
        (Condition("a", ("oui", "true")), ["Oui", "Non"], [1, 0]),
        (Condition("a", maximum=-1), ["-1", "0", "GuÃ©", None], [1, 0, 0, 0]),
    ],
)
def test_conditions_on_texts(condition: Condition, column: list[str], expected: list[int]) -> None:
    assert condition.holds(np.array(column, object)).tolist() == [bool(e) for e in expected]


def test_conditions_on_numbers_and_booleans() -> None:
    assert Condition("a", ("18",)).holds(np.array([18.0, np.nan, 1.0])).tolist() == [1, 0, 0]
    assert Condition("a", ("18",)).holds(np.array([18, 1], np.int32)).tolist() == [1, 0]
    assert Condition("a", ("true",)).holds(np.array([True, False])).tolist() == [1, 0]
    assert Condition("a", minimum=2, maximum=3).holds(np.array([1, 2, 3, 4])).tolist() == [
        0,
        1,
        1,
        0,
    ]


def test_a_width_that_is_null_zero_or_no_number_is_the_default() -> None:
    width = Width(4.0, "largeur")
    assert width.of(np.array([6.5, np.nan, 0.0]), 3).tolist() == [6.5, 4.0, 4.0]
    assert width.of(np.array(["6,5", None, "large"], object), 3).tolist() == [6.5, 4.0, 4.0]
    assert width.of(None, 2).tolist() == [4.0, 4.0]


def test_priority_orders_and_keeps_the_order_within(rules: Callable[[str], Path]) -> None:
    path = rules(RULE + "priority = 2\n" + RULE + RULE + "priority = -1\n" + RULE)
    assert [rule.number for rule in load_rules(path).rules] == [3, 2, 4, 1]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "rules"),
        ("rules = 3", "rules"),
        ("colour = 1\n" + RULE, "colour"),
        ('[[rules]]\nclass = "Roof"\n', "rules[1].layer"),
        ('[[rules]]\nlayer = "a"\n', "rules[1].class"),
        (RULE + "klass = 1\n", "rules[1].klass"),
        (RULE + RULE + "where = 3\n", "rules[2].where"),
        (RULE + "where = { nature = [] }\n", "rules[1].where.nature"),
        (RULE + "where = { nature = {} }\n", "rules[1].where.nature"),
        (RULE + "unless = { pos_sol = { above = 1 } }\n", "rules[1].unless.pos_sol.above"),
        (RULE + 'unless = { pos_sol = { max = "a" } }\n', "rules[1].unless.pos_sol.max"),
        (RULE + "width = 0\n", "rules[1].width"),
        (RULE + 'width = { field = "largeur" }\n', "rules[1].width.default"),
        (RULE + "width = { default = 4 }\n", "rules[1].width.field"),
        (RULE + "buffer = -1\n", "rules[1].buffer"),
        (RULE + "buffer = nan\n", "rules[1].buffer"),
        (RULE + "priority = 1.5\n", "rules[1].priority"),
        (RULE + "without_attributes = 1\n", "rules[1].without_attributes"),
        (RULE + '[[rings]]\naround = "Roof"\nclass = "Ring"\n', "rings[1].distance"),
        (RULE + '[[rings]]\ndistance = 5\nclass = "Ring"\n', "rings[1].around"),
        (RULE + 'near = { around = "Roof" }\n', "rules[1].near.distance"),
        (RULE + "near = { distance = 3 }\n", "rules[1].near.around"),
        (RULE + "near = 3\n", "rules[1].near"),
        (RULE + '[fields]\nlargeur = "width"\n', "fields.largeur"),
    ],
)
def test_a_broken_file_is_refused_naming_the_key(
    rules: Callable[[str], Path], text: str, key: str
) -> None:
    with pytest.raises(RulesError) as caught:
        load_rules(rules(text))
    assert f": {key}: " in str(caught.value)
    assert "rules.toml" in str(caught.value)


def test_an_unknown_class_is_named_with_those_there_are(rules: Callable[[str], Path]) -> None:
    with pytest.raises(RulesError, match=r"rules\[1\].class: four has no class 'Barn'"):
        load_rules(rules(RULE.replace("Roof", "Barn")))


def test_files_that_are_no_rules(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[rules]\n")
    with pytest.raises(RulesError, match="not valid TOML"):
        load_rules(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(RulesError, match="UTF-8"):
        load_rules(broken)
    broken.write_text('name = "x"\nnomenclature = "nowhere"\n' + RULE)
    with pytest.raises(UsageError, match="nowhere"):
        load_rules(broken)
    with pytest.raises(InputMissingError, match=r"absent\.toml"):
        load_rules(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match="bdtopo-topo18"):
        load_rules("bdtopo")


def test_a_byte_order_mark_is_no_part_of_a_file(rules: Callable[[str], Path]) -> None:
    path = rules(RULE)
    for file in (path, path.with_name("classes.toml")):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load_rules(path).nomenclature.name == "four"
