"""Names and values, folded."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lcmap.vector.names import find_field, fold_name, fold_value, matches_layer, mend_encoding


@example("à°Œ")
@example("ÉŒ")
@given(st.text(alphabet="aéèêàâçôûïÉÀŒœ'° -", max_size=20))
def test_utf8_read_as_latin_1_is_mended_and_right_text_kept(text: str) -> None:
    assert mend_encoding(text.encode().decode("latin-1")) == text
    assert mend_encoding(text) == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Résidentiel", "RESIDENTIEL"),
        ("RÃ©sidentiel", "résidentiel"),
        ("Forêt fermée de  conifères", "foret fermee de coniferes"),
        ("Château d’eau", "chateau d'eau"),
        ("Zone de manœuvre", "zone de manoeuvre"),
    ],
)
def test_values_are_the_same_without_case_accents_and_bad_encoding(one: str, other: str) -> None:
    assert fold_value(one) == fold_value(other)


def test_a_minus_sign_is_part_of_a_value() -> None:
    assert fold_value("-1") != fold_value("1")


@pytest.mark.parametrize(
    ("available", "wanted", "found"),
    [
        (["ID", "USAGE1"], ["usage_1"], "USAGE1"),
        (["usage_1"], ["USAGE1"], "usage_1"),
        (["LARGEUR"], ["largeur_de_chaussee", "largeur"], "LARGEUR"),
        (["LARGEUR_DE"], ["largeur_de_chaussee"], "LARGEUR_DE"),
        (["LARGEUR_DE", "largeur"], ["largeur_de_chaussee", "largeur"], "largeur"),
        (["PERSISTANC"], ["persistance"], "PERSISTANC"),
        (["largeur_d"], ["largeur_de_chaussee"], None),
        ([], ["nature"], None),
    ],
)
def test_a_field_is_found_by_alias_or_as_a_shapefile_cut_it(
    available: list[str], wanted: list[str], found: str | None
) -> None:
    assert find_field(available, wanted) == found


def test_a_layer_is_found_whatever_the_edition_calls_it() -> None:
    assert matches_layer("BATIMENT", ["batiment"])
    assert matches_layer("BDTOPO_V3:batiment", ["bâtiment"])
    assert matches_layer("FORMATION_VEGETALE_012", ["formation_vegetale*"])
    assert not matches_layer("FORMATION_VEGETALE_012", ["formation_vegetale"])
    assert not matches_layer("troncon_de_route", ["route"])


def test_a_star_in_a_name_stays() -> None:
    assert fold_name("Forêt_*") == "foret*"
