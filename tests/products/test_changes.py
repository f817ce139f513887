"""The codes, names and colours of change maps."""

from __future__ import annotations

import numpy as np
import pytest

from lcmap.nomenclature import builtin_names, load_nomenclature, nomenclature_of
from lcmap.products.changes import UNCHANGED, ChangeClasses


@pytest.mark.parametrize("name", builtin_names())
def test_each_pair_of_classes_has_a_code_of_its_own(name: str) -> None:
    classes = load_nomenclature(name)
    changes = ChangeClasses(classes)
    last, now = (grid.astype(np.uint8) for grid in np.meshgrid(classes.codes, classes.codes))
    codes = changes.between(last, now)
    assert codes.dtype == changes.dtype
    assert (codes[last == now] == UNCHANGED).all()
    changed = codes[last != now]
    k = len(classes)
    assert sorted(changed.tolist()) == list(range(2, 2 + k * (k - 1)))
    for old, new, code in zip(last[last != now], now[last != now], changed, strict=True):
        i, j = classes.index_of(int(old)), classes.index_of(int(new))
        assert code == 2 + i * (k - 1) + j - (j > i)
        assert changes.table.names[int(code)] == f"{classes[old].name} → {classes[new].name}"
    assert not changes.between(np.zeros(3, np.uint8), np.array([0, 1, 2], np.uint8)).any()


def test_up_to_16_classes_fit_in_a_map_of_a_byte() -> None:
    assert ChangeClasses(load_nomenclature("flair7")).dtype == "uint8"
    assert ChangeClasses(load_nomenclature("topo18")).dtype == "uint16"


def test_a_change_map_of_a_byte_is_a_label_map_as_others() -> None:
    table = ChangeClasses(load_nomenclature("flair7")).table
    found = nomenclature_of(table)
    assert found.name == "flair7-changes" and found.codes == table.codes
    assert found.find("Bui → Wat") == found.find("Building → Water")


def test_a_change_has_the_color_of_the_new_class_tinted_by_the_old() -> None:
    classes = load_nomenclature("flair7")
    own, table = classes.class_table().colors, ChangeClasses(classes).table
    code = next(code for code, name in table.names.items() if name == "Water → Building")
    for channel in range(3):
        expected = (own[4][channel] + 3 * own[1][channel]) / 4
        assert abs(table.colors[code][channel] - expected) <= 0.5
    assert len(set(table.colors.values())) == len(table.colors)
