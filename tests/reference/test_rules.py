"""Rules files: the built-in ones, conditions, widths, and every complaint about a broken file."""

from __future__ import annotations

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
from lcmap.reference.rules import Condition, Width, as_numbers
from lcmap.reference.rules_file import builtin_rules, load_rules

RULE = '[[rules]]\nlayer = "batiment"\nclass = "Roof"\n'


def test_the_built_in_rules_are_these() -> None:
    assert builtin_rules() == ("bdtopo-oso-reclass", "bdtopo-topo18", "bdtopo-topo6")


@pytest.mark.parametrize("name", ["bdtopo-topo6", "bdtopo-topo18", "bdtopo-oso-reclass"])
def test_built_in_rules_give_every_class_of_their_nomenclature(name: str) -> None:
    rules = load_rules(name)
    given = {rule.code for rule in rules.rules} | {ring.code for ring in rules.rings}
    assert given == set(rules.nomenclature.codes)
    assert [ring.distance for ring in rules.rings] == [5.0]  # paper, section 3.4


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


def test_numbers_in_texts() -> None:
    assert np.array_equal(
        as_numbers(np.array(["-1", "2.5", "x", None], object)), [-1, 2.5, np.nan, np.nan], True
    )


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
